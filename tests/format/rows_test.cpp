#include "format/rows.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "format/error.h"
#include "format/tensor.h"
#include "tests/support/errors.h"

namespace galatea {
namespace {

std::vector<float> counting(std::size_t count, float start = 0) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), start);
  return values;
}

std::vector<float> all_of(const Rows& rows) {
  std::vector<float> out(rows.rows() * rows.cols());
  rows.read_f32(0, rows.rows(), out);
  return out;
}

RowsPtr matrix(std::uint64_t rows, std::uint64_t cols, float start = 0) {
  return memory_rows(counting(rows * cols, start), rows, cols);
}

TEST(Rows, AnyRangeIsTheSameAsAPartOfTheWhole) {
  const RowsPtr rows =
      cast_rows(reorder_rows(join_rows({matrix(3, 4), matrix(5, 4, 100)}), {7, 0, 3, 3, 1}), DType::f16);
  const std::vector<float> whole = all_of(*rows);
  for (std::uint64_t first = 0; first < rows->rows(); ++first) {
    for (std::uint64_t count = 0; first + count <= rows->rows(); ++count) {
      std::vector<float> part(count * rows->cols());
      rows->read_f32(first, count, part);
      EXPECT_EQ(part, std::vector<float>(whole.begin() + static_cast<std::ptrdiff_t>(first * 4),
                                         whole.begin() + static_cast<std::ptrdiff_t>((first + count) * 4)));
    }
  }
}

TEST(Rows, JoinedShardsStandInOrder) {
  EXPECT_EQ(all_of(*join_rows({matrix(1, 2), matrix(2, 2, 10)})), (std::vector<float>{0, 1, 10, 11, 12, 13}));
  EXPECT_EQ(all_of(*join_cols({matrix(2, 1), matrix(2, 2, 10)})), (std::vector<float>{0, 10, 11, 1, 12, 13}));
}

TEST(Rows, JoiningUnlikePartsIsRefused) {
  EXPECT_THROW(join_rows({matrix(1, 2), matrix(1, 3)}), Error);
  EXPECT_THROW(join_cols({matrix(1, 2), matrix(2, 2)}), Error);
  EXPECT_THROW(join_rows({matrix(1, 2), cast_rows(matrix(1, 2), DType::f16)}), Error);
  EXPECT_THROW(join_rows({}), Error);
}

TEST(Rows, StridedViewsOfATransposedMatrix) {
  const auto values = counting(6);  // stored as 2 x 3
  const auto bytes = std::as_bytes(std::span(values));
  const SourcePtr source = memory_source(std::vector<std::byte>(bytes.begin(), bytes.end()), "test");
  EXPECT_EQ(all_of(*strided_rows(source, DType::f32, 0, 3, 2, 1, 3)), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(all_of(*strided_rows(source, DType::f32, 1, 2, 2, 3, 1)), (std::vector<float>{1, 2, 4, 5}));
  EXPECT_EQ(all_of(*strided_rows(source, DType::f32, 0, 2, 2, 0, 3)), (std::vector<float>{0, 3, 0, 3}));
  EXPECT_THROW(strided_rows(source, DType::f32, 1, 3, 2, 1, 3), Error);
  EXPECT_THROW(strided_rows(source, DType::f32, 0, 2, 2, ~std::uint64_t{0}, 1), Error);
}

TEST(Rows, RotaryOrderIsThatOfTheConverterAndItsInverse) {
  // One head of 8 rows: pairs (0,1) (2,3) (4,5) (6,7) go to halves.
  EXPECT_EQ(rotary_interleaved_to_half(1, 8), (std::vector<std::uint32_t>{0, 2, 4, 6, 1, 3, 5, 7}));
  const auto there = rotary_interleaved_to_half(3, 6);
  const auto back = rotary_half_to_interleaved(3, 6);
  for (std::uint32_t i = 0; i < 18; ++i) EXPECT_EQ(there[back[i]], i);
}

TEST(Rows, StoredRowsMustLieWithinTheirSource) {
  const SourcePtr source = memory_source(std::string_view("0123456789abcdef"), "short.bin");
  EXPECT_NO_THROW(stored_rows(source, 0, DType::f32, 2, 2));
  for (const auto& extent :
       {std::pair<std::uint64_t, std::uint64_t>{4, 2}, {17, 1}, {0, 3}, {0, ~std::uint64_t{0} / 4}}) {
    SCOPED_TRACE(testing::Message() << extent.first << " " << extent.second);
    test::expect_refused([&] { stored_rows(source, extent.first, DType::f32, extent.second, 2); });
  }
}

TEST(Tensor, ShapesAsMatrices) {
  EXPECT_EQ(matrix_shape({}, DType::f32).rows, 1U);
  EXPECT_EQ(matrix_shape({7}, DType::f32).rows, 7U);
  EXPECT_EQ(matrix_shape({7}, DType::f32).cols, 1U);
  EXPECT_EQ(matrix_shape({64}, DType::q8_0).cols, 64U);
  EXPECT_EQ(matrix_shape({2, 3, 5}, DType::f32).rows, 6U);
  EXPECT_EQ(matrix_shape({2, 3, 0}, DType::f32).rows, 0U);
  EXPECT_EQ(to_string(Shape{2, 3}), "[2, 3]");
  EXPECT_THROW(element_count({std::uint64_t{1} << 40U, std::uint64_t{1} << 40U}), Error);
}

}  // namespace
}  // namespace galatea
