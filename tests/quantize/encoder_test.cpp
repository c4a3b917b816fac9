#include "quantize/encoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "format/error.h"
#include "quantize/block_encode.h"
#include "tests/support/errors.h"

namespace galatea {
namespace {

std::vector<float> weights(std::size_t count, float scale = 0.02F) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<std::byte> read_all(const RowsPtr& rows) {
  std::vector<std::byte> bytes(rows->rows() * rows->row_bytes());
  rows->read(0, rows->rows(), bytes);
  return bytes;
}

TEST(Encoder, the_table_has_every_type_once_and_decodes_close_to_its_source) {
  const std::vector<float> values = weights(64 * 256);
  for (const Encoder& row : all_encoders()) {
    EXPECT_EQ(find_encoder(row.type), &row);
    const TypeInfo& info = type_info(row.type);
    const std::vector<float> even(256, 1.0F);
    std::vector<std::byte> bytes(info.bytes_for(values.size()));
    std::vector<float> decoded(values.size());
    row.encode_rows(values.data(), bytes.data(), 64, 256,
                    row.importance == Importance::required ? even.data() : nullptr);
    info.decode(bytes.data(), decoded.data(), decoded.size());
    double error = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      error += std::pow(static_cast<double>(decoded[i] - values[i]), 2);
    error = std::sqrt(error / static_cast<double>(values.size())) / 0.02;
    // No code of so many bits for a Gaussian is better than 2^-bits (Shannon); each of these is within four
    // times that, the halves of 16 bits apart.
    const double least = std::pow(2, -info.bits_per_weight());
    if (info.quantized()) {
      EXPECT_GT(error, least) << info.name;
      EXPECT_LT(error, 4 * least) << info.name;
    } else {
      EXPECT_LT(error, 0.004) << info.name;
    }
    EXPECT_EQ(error == 0, row.type == DType::f32) << info.name;
  }
  EXPECT_EQ(find_encoder(DType::i8), nullptr);
}

TEST(Encoder, any_range_of_rows_gives_the_same_bytes) {
  const std::vector<float> values = weights(500 * 512);
  const std::vector<float> importance = weights(512, 1.0F);
  const auto squared = std::make_shared<std::vector<float>>(importance);
  for (float& weight : *squared) weight *= weight;
  const RowsPtr source = memory_rows(values, 500, 512);
  for (const Encoder& row : all_encoders()) {
    const RowsPtr rows = quantize_rows(source, row.type, nullptr, squared);
    EXPECT_EQ(rows->type(), row.type);
    const std::vector<std::byte> whole = read_all(rows);
    for (const std::uint64_t first : {0U, 1U, 127U, 128U, 129U, 499U}) {
      const std::uint64_t count = std::min<std::uint64_t>(500 - first, 150);
      std::vector<std::byte> part(count * rows->row_bytes());
      rows->read(first, count, part);
      EXPECT_EQ(std::memcmp(part.data(), whole.data() + first * rows->row_bytes(), part.size()), 0)
          << type_info(row.type).name << ' ' << first;
    }
  }
}

TEST(Encoder, importance_changes_what_it_can_and_has_to_fit) {
  const std::vector<float> values = weights(8 * 512);
  const RowsPtr source = memory_rows(values, 8, 512);
  const auto some = std::make_shared<std::vector<float>>(512, 0.001F);
  for (std::size_t i = 0; i < some->size(); i += 5) some->at(i) = 10.0F;
  for (const Encoder& row : all_encoders()) {
    if (row.importance == Importance::required) {
      EXPECT_THROW(quantize_rows(source, row.type), Error) << type_info(row.type).name;
    } else {
      const bool same = read_all(quantize_rows(source, row.type)) ==
                        read_all(quantize_rows(source, row.type, nullptr, some));
      EXPECT_EQ(same, row.importance == Importance::unused || row.type == DType::f32)
          << type_info(row.type).name;
    }
    if (row.importance == Importance::unused) continue;
    EXPECT_THROW(quantize_rows(source, row.type, nullptr, std::make_shared<std::vector<float>>(511, 1.0F)),
                 Error);
  }
}

TEST(Encoder, sources_of_every_type_are_taken) {
  const std::vector<float> values = weights(4 * 64);
  const RowsPtr source = memory_rows(values, 4, 64);
  for (const DType type : {DType::f64, DType::f16, DType::bf16, DType::f8_e5m2}) {
    const RowsPtr stored = cast_rows(source, type);
    std::vector<float> seen(values.size());
    stored->read_f32(0, 4, seen);
    EXPECT_EQ(read_all(quantize_rows(stored, DType::q4_0)),
              read_all(quantize_rows(memory_rows(seen, 4, 64), DType::q4_0)));
  }
  const RowsPtr again = quantize_rows(quantize_rows(source, DType::q8_0), DType::q4_1);
  EXPECT_EQ(read_all(again).size(), 4 * 2 * 20U);
  EXPECT_EQ(quantize_rows(source, DType::f32), source);
}

TEST(Encoder, float64_is_rounded_once) {
  const double value = 1.0 + 0x1p-11 + 0x1p-40;
  std::vector<std::byte> bytes(8);
  std::memcpy(bytes.data(), &value, 8);
  const std::vector<std::byte> half =
      read_all(quantize_rows(memory_rows(bytes, DType::f64, 1, 1), DType::f16));
  std::uint16_t code = 0;
  std::memcpy(&code, half.data(), 2);
  EXPECT_EQ(code, 0x3C01U);
}

void expect_refused(const RowsPtr& rows, const std::string& because) {
  test::expect_refused([&] { read_all(rows); }, because);
}

TEST(Encoder, values_that_are_not_finite_are_refused_by_place) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    std::vector<float> values = weights(800 * 256);
    values[700 * 256 + 17] = bad;
    const auto even = std::make_shared<std::vector<float>>(256, 1.0F);
    for (const Encoder& row : all_encoders()) {
      if (row.type == DType::f32) continue;  // returned as it is
      expect_refused(quantize_rows(memory_rows(values, 800, 256), row.type, nullptr, even),
                     "row 700, column 17");
    }
    const RowsPtr doubles = cast_rows(memory_rows(values, 800, 256), DType::f64);
    expect_refused(quantize_rows(doubles, DType::f32), "row 700, column 17");
  }
}

TEST(Encoder, values_too_large_for_the_type_are_refused_by_place) {
  std::vector<float> values = weights(8 * 64);
  values[3 * 64 + 40] = 70'000.0F;
  const RowsPtr source = memory_rows(values, 8, 64);
  expect_refused(quantize_rows(source, DType::f16), "row 3, column 40");
  EXPECT_NO_THROW(read_all(quantize_rows(source, DType::bf16)));
  EXPECT_NO_THROW(read_all(quantize_rows(source, DType::q8_0)));  // the scale is 551
  values[3 * 64 + 40] = 1e7F;
  const RowsPtr larger = memory_rows(values, 8, 64);
  expect_refused(quantize_rows(larger, DType::q8_0), "row 3, column 32");  // the whole block is lost
  expect_refused(quantize_rows(larger, DType::q4_0), "too large for Q4_0");
  values[3 * 64 + 40] = -70'000.0F;
  expect_refused(quantize_rows(memory_rows(values, 8, 64), DType::q4_1), "too large for Q4_1");
}

TEST(Encoder, rows_that_are_no_whole_blocks_are_refused) {
  const RowsPtr source = memory_rows(weights(4 * 33), 4, 33);
  EXPECT_THROW(quantize_rows(source, DType::q4_0), Error);
  EXPECT_THROW(quantize_rows(source, DType::i8), Error);
  EXPECT_NO_THROW(quantize_rows(source, DType::f16));
}

TEST(Encoder, the_error_is_measured_against_the_source) {
  const std::vector<float> values = weights(128 * 64);
  const RowsPtr source = memory_rows(values, 128, 64);
  const auto error = std::make_shared<QuantizationError>(128);
  const std::vector<std::byte> bytes = read_all(quantize_rows(source, DType::q4_0, error));
  std::vector<float> decoded(values.size());
  type_info(DType::q4_0).decode(bytes.data(), decoded.data(), decoded.size());
  double sum = 0, size = 0, decoded_size = 0, dot = 0, largest = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += std::pow(static_cast<double>(decoded[i]) - static_cast<double>(values[i]), 2);
    size += std::pow(static_cast<double>(values[i]), 2);
    decoded_size += std::pow(static_cast<double>(decoded[i]), 2);
    dot += static_cast<double>(values[i]) * static_cast<double>(decoded[i]);
    largest = std::max(largest, std::abs(static_cast<double>(decoded[i]) - static_cast<double>(values[i])));
  }
  EXPECT_NEAR(error->rms_error(values.size()), std::sqrt(sum / static_cast<double>(values.size())), 1e-9);
  EXPECT_NEAR(error->relative_error(), std::sqrt(sum / size), 1e-8);
  EXPECT_NEAR(error->max_error(), largest, 1e-7 * largest);
  EXPECT_NEAR(1 - error->cosine(), 1 - dot / std::sqrt(size * decoded_size), 1e-10);
  EXPECT_GT(1 - error->cosine(), 1e-4);
  EXPECT_GT(error->relative_error(), 0.01);
}

TEST(Encoder, a_resumed_run_measures_what_one_run_does) {
  const std::vector<float> values = weights(128 * 64);
  const RowsPtr source = memory_rows(values, 128, 64);
  const auto whole = std::make_shared<QuantizationError>(128);
  const RowsPtr rows = quantize_rows(source, DType::q4_0, whole);
  read_all(rows);
  const auto resumed = std::make_shared<QuantizationError>(128);
  const RowsPtr rest = quantize_rows(source, DType::q4_0, resumed);
  rest->restore_tally(rows->tally(0, 50));
  EXPECT_NE(resumed->relative_error(), whole->relative_error());
  std::vector<std::byte> out(static_cast<std::size_t>(78 * rest->row_bytes()));
  rest->read(50, 78, out);
  EXPECT_EQ(resumed->relative_error(), whole->relative_error());
  EXPECT_EQ(resumed->cosine(), whole->cosine());
  EXPECT_EQ(resumed->max_error(), whole->max_error());
  const std::string tally = rows->tally(0, 128);
  for (const std::string& bad :
       {std::string(), tally.substr(1), tally + "12345678", tally + std::string(16, 'x')})
    EXPECT_THROW(rest->restore_tally(bad), Error);
  EXPECT_TRUE(quantize_rows(source, DType::q4_0)->tally(0, 128).empty());
}

}  // namespace
}  // namespace galatea
