#include "format/iq_grids.h"

namespace galatea {
namespace {

constexpr std::array<std::size_t, 7> starts{0, 256, 768, 1792, 3840, 4096, 4608};
static_assert(starts.back() == iq_grid_points);

/// Every point of the grids [first, last), expanded by `levels` of its grid.
template <class Point, IqGrid first, IqGrid last, class Levels>
auto expand(Levels levels) {
  constexpr std::size_t begin = starts[static_cast<std::size_t>(first)];
  constexpr std::size_t end = starts[static_cast<std::size_t>(last)];
  constexpr unsigned bits = std::tuple_size_v<Point> == 8 ? 2 : 3;
  std::array<Point, end - begin> points{};
  for (std::size_t i = begin; i < end; ++i) {
    unsigned code = iq_grid_codes[i];
    for (std::int8_t& value : points[i - begin]) {
      value = levels(i, code & ((1U << bits) - 1U));
      code >>= bits;
    }
  }
  return points;
}

}  // namespace

std::span<const std::uint16_t> iq_codes(IqGrid grid) {
  const auto place = static_cast<std::size_t>(grid);
  return std::span(iq_grid_codes).subspan(starts[place], starts[place + 1] - starts[place]);
}

std::span<const IqPoint8> iq_points8(IqGrid grid) {
  static const auto points =
      expand<IqPoint8, IqGrid::iq2_xxs, IqGrid::iq3_xxs>([](std::size_t i, unsigned code) {
        constexpr std::array<std::int8_t, 4> two{8, 25, 43, 0};
        constexpr std::array<std::int8_t, 4> one{-1, 0, 1, 0};
        return i < starts[static_cast<std::size_t>(IqGrid::iq1)] ? two[code] : one[code];
      });
  const auto place = static_cast<std::size_t>(grid);
  return std::span(points).subspan(starts[place], starts[place + 1] - starts[place]);
}

std::span<const IqPoint4> iq_points4(IqGrid grid) {
  static const auto points =
      expand<IqPoint4, IqGrid::iq3_xxs, static_cast<IqGrid>(6)>([](std::size_t i, unsigned code) {
        constexpr std::array<std::int8_t, 8> coarse{4, 12, 20, 28, 36, 44, 52, 62};
        const auto fine = static_cast<std::int8_t>(2 * code + 1);
        return i < starts[static_cast<std::size_t>(IqGrid::iq3_s)] ? coarse[code] : fine;
      });
  const auto place = static_cast<std::size_t>(grid);
  const std::size_t base = starts[static_cast<std::size_t>(IqGrid::iq3_xxs)];
  return std::span(points).subspan(starts[place] - base, starts[place + 1] - starts[place]);
}

}  // namespace galatea
