#include "format/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/float_convert.h"

namespace galatea {
namespace {

/// A small floating-point type as its definition has it, without a trick: what the tests compare with.
struct SmallFloat {
  const char* name;
  int exponent_bits, mantissa_bits;
  bool has_infinity;

  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  unsigned sign_bit() const { return 1U << (exponent_bits + mantissa_bits); }
  /// The largest finite code.
  unsigned largest() const {
    const unsigned ones = sign_bit() - 1;
    return has_infinity ? (ones & ~((1U << mantissa_bits) - 1U)) - 1U : ones - 1U;
  }
  unsigned overflow() const { return largest() + 1; }  // infinity, or E4M3's NaN
  bool is_nan(unsigned code) const {
    const unsigned magnitude = code & (sign_bit() - 1);
    return has_infinity ? magnitude > overflow() : magnitude == overflow();
  }
  double value(unsigned code) const {
    const unsigned magnitude = code & (sign_bit() - 1);
    const int field = static_cast<int>(magnitude >> mantissa_bits);
    const auto fraction = static_cast<double>(magnitude & ((1U << mantissa_bits) - 1U));
    const double one = std::ldexp(1.0, mantissa_bits);
    const double scaled = field == 0 ? fraction : one + fraction;
    const double result = std::ldexp(scaled, std::max(field, 1) - bias() - mantissa_bits);
    return (code & sign_bit()) != 0 ? -result : result;
  }
};

constexpr SmallFloat half{"F16", 5, 10, true};
constexpr SmallFloat brain{"BF16", 8, 7, true};
constexpr SmallFloat e4m3{"F8_E4M3", 4, 3, false};
constexpr SmallFloat e5m2{"F8_E5M2", 5, 2, true};

template <class Widen>
void expect_decodes(const SmallFloat& type, Widen widen) {
  for (unsigned code = 0; code < 2 * type.sign_bit(); ++code) {
    const float got = widen(code);
    if (type.is_nan(code)) {
      EXPECT_TRUE(std::isnan(got)) << type.name << ' ' << code;
      EXPECT_TRUE(std::bit_cast<std::uint32_t>(got) & 0x00400000U)
          << "not quiet: " << type.name << ' ' << code;
    } else if ((code & (type.sign_bit() - 1)) == type.overflow()) {
      EXPECT_TRUE(std::isinf(got)) << type.name << ' ' << code;
    } else {
      EXPECT_EQ(static_cast<double>(got), type.value(code)) << type.name << ' ' << code;
    }
    EXPECT_EQ(std::signbit(got), (code & type.sign_bit()) != 0) << type.name << ' ' << code;
  }
}

TEST(Dtype, every_code_decodes_to_its_value) {
  expect_decodes(half, [](unsigned code) { return f16_to_f32(static_cast<std::uint16_t>(code)); });
  expect_decodes(brain, [](unsigned code) { return bf16_to_f32(static_cast<std::uint16_t>(code)); });
  expect_decodes(e4m3, [](unsigned code) { return f8_e4m3_to_f32(static_cast<std::uint8_t>(code)); });
  expect_decodes(e5m2, [](unsigned code) { return f8_e5m2_to_f32(static_cast<std::uint8_t>(code)); });
}

/// Codes, the midpoints between neighbours and the values just beside them, both signs, in `Float`.
template <class Float, class Narrow>
void expect_rounds(const SmallFloat& type, Narrow narrow) {
  constexpr Float up = std::numeric_limits<Float>::infinity();
  const auto check = [&](Float value, unsigned code) {
    ASSERT_EQ(unsigned{narrow(value)}, code) << type.name << ' ' << static_cast<double>(value);
    ASSERT_EQ(unsigned{narrow(-value)}, code | type.sign_bit())
        << type.name << " -" << static_cast<double>(value);
  };
  for (unsigned code = 0; code <= type.largest(); ++code) {
    const double here = type.value(code);
    // One step above the largest value lies what overflow starts from: value() continues the pattern.
    const double above = code == type.largest() ? here + (here - type.value(code - 1)) : type.value(code + 1);
    const unsigned next = code == type.largest() ? type.overflow() : code + 1;
    check(static_cast<Float>(here), code);
    const double middle = (here + above) / 2;
    ASSERT_EQ(static_cast<double>(static_cast<Float>(middle)), middle);
    const auto exact = static_cast<Float>(middle);
    check(exact, code % 2 == 0 ? code : next);
    check(std::nextafter(exact, Float{0}), code);
    check(std::nextafter(exact, up), next);
  }
  check(std::numeric_limits<Float>::max(), type.overflow());
  check(up, type.overflow());
  check(std::numeric_limits<Float>::denorm_min(), 0);
}

TEST(Dtype, neighbours_midpoints_and_overflow_round_to_nearest_even) {
  expect_rounds<float>(half, f32_to_f16);
  expect_rounds<double>(half, f64_to_f16);
  expect_rounds<float>(e4m3, f32_to_f8_e4m3);
  expect_rounds<double>(e4m3, f64_to_f8_e4m3);
  expect_rounds<float>(e5m2, f32_to_f8_e5m2);
  expect_rounds<double>(e5m2, f64_to_f8_e5m2);
  expect_rounds<float>(brain, f32_to_bf16);
  expect_rounds<double>(brain, f64_to_bf16);
}

TEST(Dtype, both_roads_to_small_types_agree) {
  std::mt19937 random(7);
  for (int i = 0; i < 2'000'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    ASSERT_EQ(f32_to_f16(value), f64_to_f16(static_cast<double>(value))) << value;
    ASSERT_EQ(f32_to_bf16(value), f64_to_bf16(static_cast<double>(value))) << value;
  }
}

/// What the merges of float64 go through, many values at once.
TEST(Dtype, runs_of_float64_round_like_single_values) {
  std::mt19937_64 random(11);
  std::vector<double> values;
  for (unsigned code = 0; code < 65536; ++code) {
    for (const float decoded :
         {f16_to_f32(static_cast<std::uint16_t>(code)), bf16_to_f32(static_cast<std::uint16_t>(code))}) {
      // The value, the way to its neighbour of 10 and of 7 bits, and the values just beside these.
      for (const double factor : {1.0, 1 + 0x1p-11, 1 + 0x1p-8, 1 + 0x1p-9, 1 - 0x1p-12, 1.25, 1.5}) {
        const double value = double{decoded} * factor;
        values.insert(values.end(), {value, std::nextafter(value, 0.0), std::nextafter(value, 1e300)});
      }
    }
  }
  for (int i = 0; i < 300'000; ++i) values.push_back(std::bit_cast<double>(random()));
  std::vector<std::uint16_t> out(values.size());
  const auto bytes = std::as_bytes(std::span(values));
  for (const auto& [type, single] :
       {std::pair{DType::f16, &f64_to_f16}, std::pair{DType::bf16, &f64_to_bf16}}) {
    convert_plain(DType::f64, bytes.data(), type, std::as_writable_bytes(std::span(out)).data(),
                  values.size());
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(out[i], single(values[i])) << values[i];
  }
}

TEST(Dtype, nan_keeps_sign_and_upper_payload_and_becomes_quiet) {
  const auto nan32 = [](std::uint32_t bits) { return std::bit_cast<float>(bits); };
  EXPECT_EQ(f32_to_f16(nan32(0x7FC00000U)), 0x7E00U);
  EXPECT_EQ(f32_to_f16(nan32(0xFF800001U)), 0xFE00U);
  EXPECT_EQ(f32_to_f16(nan32(0x7FA54000U)), 0x7F2AU);
  EXPECT_EQ(f32_to_bf16(nan32(0x7F800001U)), 0x7FC0U);
  EXPECT_EQ(f32_to_bf16(nan32(0xFFFFFFFFU)), 0xFFFFU);
  EXPECT_EQ(f32_to_bf16(nan32(0x7FA30000U)), 0x7FE3U);
  EXPECT_EQ(f32_to_f8_e4m3(nan32(0xFFC00000U)), 0xFFU);
  EXPECT_EQ(f32_to_f8_e5m2(nan32(0x7FA00000U)), 0x7FU);
  EXPECT_EQ(f64_to_f16(std::bit_cast<double>(std::uint64_t{0xFFF0000000000001U})), 0xFE00U);
  EXPECT_EQ(f64_to_f16(std::bit_cast<double>(std::uint64_t{0x7FF4A80000000000U})), 0x7F2AU);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(f16_to_f32(0xFD2AU)), 0xFFE54000U);
}

TEST(Dtype, float64_is_rounded_once) {
  // Just above the midpoint of two halves: float32 would land on the midpoint and round down to even.
  const double value = 1.0 + 0x1p-11 + 0x1p-40;
  EXPECT_EQ(f32_to_f16(static_cast<float>(value)), 0x3C00U);
  EXPECT_EQ(f64_to_f16(value), 0x3C01U);
  std::uint16_t out = 0;
  convert_plain(DType::f64, std::as_bytes(std::span(&value, 1)).data(), DType::f16,
                std::as_writable_bytes(std::span(&out, 1)).data(), 1);
  EXPECT_EQ(out, 0x3C01U);
  EXPECT_EQ(f64_to_bf16(1.0 + 0x1p-8 + 0x1p-40), 0x3F81U);
}

template <class From, class To>
To convert_one(DType from, From value, DType to) {
  To out{};
  convert_plain(from, std::as_bytes(std::span(&value, 1)).data(), to,
                std::as_writable_bytes(std::span(&out, 1)).data(), 1);
  return out;
}

TEST(Dtype, integers_round_to_even_and_saturate) {
  EXPECT_EQ((convert_one<float, std::int8_t>(DType::f32, 2.5F, DType::i8)), 2);
  EXPECT_EQ((convert_one<float, std::int8_t>(DType::f32, -3.5F, DType::i8)), -4);
  EXPECT_EQ((convert_one<float, std::int8_t>(DType::f32, 1e9F, DType::i8)), 127);
  EXPECT_EQ((convert_one<float, std::int8_t>(DType::f32, -1e9F, DType::i8)), -128);
  EXPECT_EQ((convert_one<float, std::uint8_t>(DType::f32, -1.0F, DType::u8)), 0);
  EXPECT_EQ((convert_one<float, std::uint8_t>(DType::f32, 255.6F, DType::u8)), 255);
  EXPECT_EQ((convert_one<double, std::int64_t>(DType::f64, 0x1p63, DType::i64)), INT64_MAX);
  EXPECT_EQ((convert_one<double, std::int64_t>(DType::f64, -0x1p63, DType::i64)), INT64_MIN);
  EXPECT_EQ((convert_one<float, std::int32_t>(DType::f32, 0x1p31F, DType::i32)), INT32_MAX);
  EXPECT_EQ((convert_one<double, std::int32_t>(DType::f64, std::nan(""), DType::i32)), 0);
  EXPECT_EQ((convert_one<std::int64_t, std::int32_t>(DType::i64, INT64_MIN, DType::i32)), INT32_MIN);
  EXPECT_EQ((convert_one<std::int64_t, std::int32_t>(DType::i64, -70000, DType::i32)), -70000);
  EXPECT_EQ((convert_one<std::int64_t, std::int16_t>(DType::i64, 70000, DType::i16)), 32767);
  EXPECT_EQ((convert_one<float, std::uint16_t>(DType::f32, 70000.0F, DType::u16)), 65535);
  EXPECT_EQ((convert_one<std::uint16_t, float>(DType::u16, 65535, DType::f32)), 65535.0F);
  EXPECT_EQ((convert_one<std::uint32_t, double>(DType::u32, UINT32_MAX, DType::f64)), 4294967295.0);
  EXPECT_EQ((convert_one<double, std::uint32_t>(DType::f64, 0x1p32, DType::u32)), UINT32_MAX);
  EXPECT_EQ((convert_one<double, std::uint64_t>(DType::f64, 0x1p64, DType::u64)), UINT64_MAX);
  EXPECT_EQ((convert_one<double, std::uint64_t>(DType::f64, -1.0, DType::u64)), 0U);
  EXPECT_EQ((convert_one<std::int64_t, std::uint64_t>(DType::i64, -1, DType::u64)), 0U);
  EXPECT_EQ((convert_one<std::uint64_t, std::int64_t>(DType::u64, UINT64_MAX, DType::i64)), INT64_MAX);
  EXPECT_EQ((convert_one<std::uint64_t, std::int64_t>(DType::u64, (1ULL << 62U) + 1, DType::i64)),
            (std::int64_t{1} << 62) + 1);
  EXPECT_EQ((convert_one<float, std::uint8_t>(DType::f32, 0.25F, DType::boolean)), 1);
  EXPECT_EQ((convert_one<float, std::uint8_t>(DType::f32, -0.0F, DType::boolean)), 0);
  EXPECT_EQ((convert_one<std::uint8_t, float>(DType::boolean, 3, DType::f32)), 1.0F);
}

TEST(Dtype, large_integers_are_rounded_once) {
  const std::uint64_t top = (std::uint64_t{1} << 63U) + (std::uint64_t{1} << 39U) + 1;
  EXPECT_EQ((convert_one<std::uint64_t, float>(DType::u64, top, DType::f32)), 0x1p63F + 0x1p40F);
  EXPECT_EQ((convert_one<std::uint64_t, float>(DType::u64, top - 1, DType::f32)), 0x1p63F);
  // 2^62 + 2^38 + 1: just above the midpoint of two float32; float64 cannot hold the one.
  const std::int64_t value = (std::int64_t{1} << 62) + (std::int64_t{1} << 38) + 1;
  EXPECT_EQ(static_cast<float>(static_cast<double>(value)), 0x1p62F);
  EXPECT_EQ((convert_one<std::int64_t, float>(DType::i64, value, DType::f32)), 0x1p62F + 0x1p39F);
  EXPECT_EQ((convert_one<std::int64_t, float>(DType::i64, -value, DType::f32)), -0x1p62F - 0x1p39F);
  EXPECT_EQ((convert_one<std::int64_t, float>(DType::i64, INT64_MIN, DType::f32)), -0x1p63F);
  const std::int64_t for_bf16 = (std::int64_t{1} << 62) + (std::int64_t{1} << 54) + 1;
  EXPECT_EQ((convert_one<std::int64_t, std::uint16_t>(DType::i64, for_bf16, DType::bf16)), 0x5E81U);
  std::mt19937_64 random(3);
  for (int i = 0; i < 200'000; ++i) {
    const auto any = static_cast<std::int64_t>(random() >> (random() % 60U));
    ASSERT_EQ((convert_one<std::int64_t, float>(DType::i64, any, DType::f32)), static_cast<float>(any))
        << any;
  }
}

TEST(Dtype, runs_give_the_bits_of_single_values) {
  std::mt19937 random(11);
  std::vector<float> values(70'001);
  for (float& value : values) value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
  for (std::size_t i = 0; i < values.size(); i += 3)
    values[i] = std::ldexp(values[i], -30);  // more ordinary ones
  std::vector<std::byte> out(values.size() * 2 + 1);
  const auto expect_run = [&](auto encode, auto single) {
    encode(values.data(), out.data() + 1, values.size());  // an odd address, too
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint16_t code = 0;
      std::memcpy(&code, out.data() + 1 + 2 * i, 2);
      ASSERT_EQ(code, single(values[i])) << values[i];
    }
  };
  expect_run(encode_f16, f32_to_f16);
  expect_run(encode_bf16, f32_to_bf16);
  std::vector<float> back(65'536);
  std::vector<std::uint16_t> codes(65'536);
  for (unsigned i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::uint16_t>(i);
  const auto expect_back = [&](auto decode, auto single) {
    decode(std::as_bytes(std::span(codes)).data(), back.data(), codes.size());
    for (std::size_t i = 0; i < codes.size(); ++i) {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(back[i]), std::bit_cast<std::uint32_t>(single(codes[i]))) << i;
    }
  };
  expect_back(decode_f16, f16_to_f32);
  expect_back(decode_bf16, bf16_to_f32);
}

TEST(Dtype, the_table_answers_by_every_name) {
  std::set<std::string_view> names;
  for (const TypeInfo& row : all_types()) {
    EXPECT_EQ(&type_info(row.type), &row);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_EQ(find_type_by_name(row.name), row.type);
    if (row.gguf_id >= 0) {
      EXPECT_EQ(find_type_by_gguf_id(static_cast<std::uint32_t>(row.gguf_id)), row.type);
    }
    if (!row.safetensors.empty()) {
      EXPECT_EQ(find_type_by_safetensors(row.safetensors), row.type);
    }
    if (!row.torch_storage.empty()) {
      EXPECT_EQ(find_type_by_torch_storage(row.torch_storage), row.type);
    }
    EXPECT_NE(row.decode, nullptr);
    EXPECT_EQ(row.encode == nullptr, row.quantized()) << row.name;
    EXPECT_EQ(row.bytes_for(3 * row.block_length), 3 * row.block_bytes);
  }
  EXPECT_EQ(find_type_by_name("q4_0"), DType::q4_0);
  EXPECT_EQ(find_type_by_name("Q4_2"), std::nullopt);
  EXPECT_EQ(find_type_by_safetensors(""), std::nullopt);
  EXPECT_EQ(find_type_by_gguf_id(40), std::nullopt);
  EXPECT_EQ(find_type_by_gguf_id(12), DType::q4_k);
  EXPECT_EQ(describe_foreign_gguf_id(12), "");
  EXPECT_EQ(describe_foreign_gguf_id(40), "NVFP4");
  EXPECT_EQ(describe_foreign_gguf_id(99), "");
  EXPECT_DOUBLE_EQ(type_info(DType::q4_0).bits_per_weight(), 4.5);
}

TEST(Dtype, sizes_that_are_no_whole_blocks_or_overflow_are_refused) {
  EXPECT_THROW(type_info(DType::q4_0).bytes_for(33), Error);
  EXPECT_THROW(type_info(DType::f64).bytes_for(UINT64_MAX / 4), Error);
}

TEST(Dtype, plain_types_convert_to_each_other_exactly_where_both_hold_the_value) {
  const std::vector<float> values{0.0F, 1.0F};
  for (const TypeInfo& from : all_types()) {
    for (const TypeInfo& to : all_types()) {
      if (from.quantized() || to.quantized()) continue;
      std::vector<std::byte> source(2 * from.block_bytes), target(2 * to.block_bytes);
      std::vector<float> back(2);
      from.encode(values.data(), source.data(), 2);
      convert_plain(from.type, source.data(), to.type, target.data(), 2);
      to.decode(target.data(), back.data(), 2);
      EXPECT_EQ(back, values) << from.name << " to " << to.name;
    }
  }
  std::byte byte{};
  EXPECT_THROW(convert_plain(DType::q4_0, &byte, DType::f32, &byte, 0), Error);
}

}  // namespace
}  // namespace galatea
