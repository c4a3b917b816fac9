#include "format/strided_view.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "format/error.h"

namespace galatea {
namespace {

/// A storage of int32 where element i is i.
SourcePtr ramp(std::size_t elements) {
  std::vector<std::int32_t> values(elements);
  std::iota(values.begin(), values.end(), 0);
  const auto bytes = std::as_bytes(std::span<const std::int32_t>(values));
  return memory_source(std::vector<std::byte>(bytes.begin(), bytes.end()), "ramp");
}

/// What a view holds, element by element.
std::vector<std::int32_t> brute_force(std::uint64_t offset, const Shape& shape,
                                      const std::vector<std::uint64_t>& strides) {
  std::vector<std::int32_t> out;
  for (std::uint64_t i = 0; i < element_count(shape); ++i) {
    std::uint64_t rest = i, at = offset;
    for (std::size_t axis = shape.size(); axis-- > 0;) {
      at += (rest % shape[axis]) * strides[axis];
      rest /= shape[axis];
    }
    out.push_back(static_cast<std::int32_t>(at));
  }
  return out;
}

std::vector<std::int32_t> read_in_pieces(const Rows& rows, std::uint64_t piece) {
  std::vector<std::int32_t> out(rows.rows() * rows.cols());
  for (std::uint64_t first = 0; first < rows.rows(); first += piece) {
    const std::uint64_t count = std::min(piece, rows.rows() - first);
    rows.read(first, count,
              std::as_writable_bytes(std::span(out).subspan(first * rows.cols(), count * rows.cols())));
  }
  return out;
}

TEST(StridedView, EqualsElementByElementForAnyViews) {
  std::mt19937 draw(1);
  const auto up_to = [&](std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(0, most)(draw);
  };
  for (int trial = 0; trial < 2000; ++trial) {
    const std::size_t rank = up_to(5);
    Shape shape;
    std::vector<std::uint64_t> strides;
    const std::uint64_t offset = up_to(9);
    std::uint64_t last = offset;
    for (std::size_t i = 0; i < rank; ++i) {
      shape.push_back(1 + up_to(3));
      strides.push_back(up_to(12));
      last += (shape.back() - 1) * strides.back();
    }
    if (trial % 3 == 0) {
      strides = contiguous_strides(shape);
      last = offset + element_count(shape) - 1;
    }
    const RowsPtr rows = view_rows(ramp(last + 1), DType::i32, offset, shape, strides);
    for (const std::uint64_t piece : {1U, 3U, 1000U})
      ASSERT_EQ(read_in_pieces(*rows, piece), brute_force(offset, shape, strides)) << to_string(shape);
    EXPECT_THROW(view_rows(ramp(last), DType::i32, offset, shape, strides), Error) << to_string(shape);
  }
}

TEST(StridedView, WideStepsAndLongRows) {
  const Shape shape{2, 2, 3};
  const std::vector<std::uint64_t> strides{1, 2, 600'000};
  const RowsPtr rows = view_rows(ramp(1'300'000), DType::i32, 0, shape, strides);
  EXPECT_EQ(read_in_pieces(*rows, 4), brute_force(0, shape, strides));
  const Shape expanded{2, 2, 300'000};
  const RowsPtr same = view_rows(ramp(4), DType::i32, 0, expanded, {2, 1, 0});
  EXPECT_EQ(read_in_pieces(*same, 4), brute_force(0, expanded, {2, 1, 0}));
}

TEST(StridedView, EmptyViewsNeedNoStorage) {
  EXPECT_EQ(view_rows(ramp(0), DType::i32, 7, {0, 4}, {4, 1})->rows(), 0U);
  EXPECT_EQ(view_rows(ramp(0), DType::i32, 0, {3, 0}, {1, 1})->cols(), 0U);
}

TEST(StridedView, HugeStridesAreRefused) {
  const std::uint64_t huge = ~std::uint64_t{0} / 2;
  EXPECT_THROW(view_rows(ramp(4), DType::i32, 0, {3, 3}, {huge, 1}), Error);
  EXPECT_THROW(view_rows(ramp(4), DType::i32, huge, {1}, {1}), Error);
  EXPECT_THROW(view_rows(ramp(4), DType::i32, 0, {huge, 4}, {0, 0}), Error);
  EXPECT_THROW(view_rows(ramp(4), DType::i32, 0, {2, 2}, {1}), Error);
  // The stride of a single element is never used.
  const RowsPtr rows = view_rows(ramp(4), DType::i32, 1, {1, 1, 3}, {huge, huge, 1});
  EXPECT_EQ(read_in_pieces(*rows, 1), (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(read_in_pieces(*view_rows(ramp(4), DType::i32, 1, {2, 1, 1}, {2, huge, huge}), 2),
            (std::vector<std::int32_t>{1, 3}));
}

TEST(ContiguousStrides, AsTorchGivesThem) {
  EXPECT_EQ(contiguous_strides({}), (std::vector<std::uint64_t>{}));
  EXPECT_EQ(contiguous_strides({0}), (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(contiguous_strides({3, 0}), (std::vector<std::uint64_t>{1, 1}));
  EXPECT_EQ(contiguous_strides({2, 3, 4}), (std::vector<std::uint64_t>{12, 4, 1}));
}

}  // namespace
}  // namespace galatea
