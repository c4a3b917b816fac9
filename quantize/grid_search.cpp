#include "quantize/grid_search.h"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

namespace galatea {
namespace {

struct Shape {
  int elements, bits, levels;
  int distances;  ///< how many of the least distances count as near
};

Shape shape_of(IqGrid grid) {
  switch (grid) {
    case IqGrid::iq3_xxs:
      return {4, 3, 8, 2};
    case IqGrid::iq3_s:
      return {4, 3, 8, 3};
    case IqGrid::iq2_s:
      return {8, 2, 3, 1};
    case IqGrid::iq1:
      return {8, 2, 3, 3};
    default:
      return {8, 2, 3, 2};
  }
}

/// A quarter of the squared distance: codes are half of what they stand for.
int distance(unsigned a, unsigned b, const Shape& shape) {
  const unsigned mask = (1U << static_cast<unsigned>(shape.bits)) - 1U;
  int sum = 0;
  for (int i = 0; i < shape.elements; ++i) {
    const int off = static_cast<int>(a & mask) - static_cast<int>(b & mask);
    sum += off * off;
    a >>= static_cast<unsigned>(shape.bits);
    b >>= static_cast<unsigned>(shape.bits);
  }
  return sum;
}

/// Whether every code is one of the levels: three levels leave one pattern of two bits unused.
bool has_codes(unsigned point, const Shape& shape) {
  return shape.levels == 8 || (point & (point >> 1U) & 0x5555U) == 0;
}

void append_near(unsigned point, std::span<const std::uint16_t> codes, const Shape& shape,
                 std::vector<std::int32_t>& near) {
  constexpr std::size_t farther = 4 * 49 + 1;
  std::array<bool, farther> occurs{};
  std::vector<std::size_t> distances;
  for (const std::uint16_t code : codes) {
    distances.push_back(static_cast<std::size_t>(distance(point, code, shape)));
    occurs.at(distances.back()) = true;
  }
  const std::size_t start = near.size();
  near.push_back(0);
  int wanted = shape.distances;
  for (std::size_t at = 0; at < farther && wanted > 0; ++at) {
    if (!occurs[at]) continue;
    --wanted;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      if (distances[i] == at)
        near.push_back(static_cast<std::int32_t>(codes[i] | (near.size() - start - 1) << 16U));
    }
  }
  // Filled up so that no lane of a vector finds anything that costs less than what it has, or than the first.
  const std::size_t first_filler = near.size() - start - 1;
  while ((near.size() - start - 1) % GridSearch::list_step != 0) {
    near.push_back(
        near[first_filler < GridSearch::list_step ? start + 1 : near.size() - GridSearch::list_step]);
  }
  near[start] = static_cast<std::int32_t>(near.size() - start - 1);
}

struct Lists {
  std::vector<std::int32_t> place, near;
};

Lists make(IqGrid grid) {
  const Shape shape = shape_of(grid);
  const auto codes = iq_codes(grid);
  Lists search;
  search.place.assign(std::size_t{1} << static_cast<unsigned>(shape.elements * shape.bits), 0);
  std::vector<bool> on_grid(search.place.size());
  for (std::size_t i = 0; i < codes.size(); ++i) {
    search.place[codes[i]] = static_cast<std::int32_t>(i);
    on_grid[codes[i]] = true;
  }
  for (unsigned point = 0; point < search.place.size(); ++point) {
    if (on_grid[point] || !has_codes(point, shape)) continue;
    search.place[point] = -1 - static_cast<std::int32_t>(search.near.size());
    append_near(point, codes, shape, search.near);
  }
  return search;
}

template <IqGrid grid>
const GridSearch& made() {
  static const Lists lists = make(grid);
  static const GridSearch search{lists.place.data(), lists.near.data()};
  return search;
}

}  // namespace

const GridSearch& grid_search(IqGrid grid) {
  switch (grid) {
    case IqGrid::iq2_xxs:
      return made<IqGrid::iq2_xxs>();
    case IqGrid::iq2_xs:
      return made<IqGrid::iq2_xs>();
    case IqGrid::iq2_s:
      return made<IqGrid::iq2_s>();
    case IqGrid::iq1:
      return made<IqGrid::iq1>();
    case IqGrid::iq3_xxs:
      return made<IqGrid::iq3_xxs>();
    case IqGrid::iq3_s:
      break;
  }
  return made<IqGrid::iq3_s>();
}

}  // namespace galatea
