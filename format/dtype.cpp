#include "format/dtype.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "format/block_decode.h"
#include "format/block_decode_iq.h"
#include "format/block_decode_k.h"
#include "format/block_decode_small.h"
#include "format/checked.h"
#include "format/float_convert.h"

namespace galatea {
namespace {

template <class T>
T load(const std::byte* in, std::uint64_t i) {
  T value;
  std::memcpy(&value, in + i * sizeof value, sizeof value);
  return value;
}

template <class T>
void store(std::byte* out, std::uint64_t i, T value) {
  std::memcpy(out + i * sizeof value, &value, sizeof value);
}

/// Rounded to nearest even, saturated, 0 for NaN.
template <class Integer, class Float>
Integer to_integer(Float value) {
  using Limits = std::numeric_limits<Integer>;
  // Both limits of an integer are exact as powers of two: -2^n and 2^n, one past the largest.
  constexpr Float low = static_cast<Float>(Limits::min());
  const Float high = std::ldexp(Float{1}, Limits::digits);
  if (std::isnan(value)) return 0;
  const Float rounded = std::nearbyint(value);
  if (rounded < low) return Limits::min();
  if (rounded >= high) return Limits::max();
  return static_cast<Integer>(rounded);
}

// How each plain type becomes float32 or float64 (From), and what either becomes in it (To).
template <class T>
struct Number {
  using Stored = T;
  template <class Float>
  static Float get(T value) {
    return static_cast<Float>(value);
  }
  template <class Float>
  static T put(Float value) {
    if constexpr (std::is_integral_v<T>) {
      return to_integer<T>(value);
    } else {
      return static_cast<T>(value);
    }
  }
};

struct Boolean {
  using Stored = std::uint8_t;
  template <class Float>
  static Float get(Stored value) {
    return value != 0 ? Float{1} : Float{0};
  }
  template <class Float>
  static Stored put(Float value) {
    return value != Float{0} ? 1 : 0;
  }
};

template <class Bits, float (*widen)(Bits), Bits (*narrow32)(float), Bits (*narrow64)(double)>
struct Small {
  using Stored = Bits;
  template <class Float>
  static Float get(Bits bits) {
    return static_cast<Float>(widen(bits));
  }
  static Bits put(float value) { return narrow32(value); }
  static Bits put(double value) { return narrow64(value); }
};

using F16 = Small<std::uint16_t, f16_to_f32, f32_to_f16, f64_to_f16>;
using Bf16 = Small<std::uint16_t, bf16_to_f32, f32_to_bf16, f64_to_bf16>;
using E4m3 = Small<std::uint8_t, f8_e4m3_to_f32, f32_to_f8_e4m3, f64_to_f8_e4m3>;
using E5m2 = Small<std::uint8_t, f8_e5m2_to_f32, f32_to_f8_e5m2, f64_to_f8_e5m2>;

template <class Kind, class Float>
void decode_as(const std::byte* in, Float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; ++i) {
    out[i] = Kind::template get<Float>(load<typename Kind::Stored>(in, i));
  }
}

template <class Kind, class Float>
void encode_as(const Float* in, std::byte* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; ++i) store<typename Kind::Stored>(out, i, Kind::put(in[i]));
}

/// NaNs of the two 8-byte-or-less IEEE types are made quiet by the conversion; a plain copy must not
/// change bits.
void copy_f32_in(const std::byte* in, float* out, std::uint64_t elements) {
  if (elements > 0) std::memcpy(out, in, elements * 4);
}
void copy_f32_out(const float* in, std::byte* out, std::uint64_t elements) {
  if (elements > 0) std::memcpy(out, in, elements * 4);
}

void decode_i64_odd(const std::byte* in, double* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; ++i) out[i] = i64_to_f64_odd(load<std::int64_t>(in, i));
}

/// The same of u64: halved with the lost bit kept, which rounding to odd does not see, and doubled again.
void decode_u64_odd(const std::byte* in, double* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; ++i) {
    const auto value = load<std::uint64_t>(in, i);
    const bool large = value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    out[i] = large ? 2 * i64_to_f64_odd(static_cast<std::int64_t>(value >> 1U | (value & 1U)))
                   : i64_to_f64_odd(static_cast<std::int64_t>(value));
  }
}

void decode_i64(const std::byte* in, float* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; ++i) out[i] = static_cast<float>(load<std::int64_t>(in, i));
}

constexpr std::array table{
    TypeInfo{DType::f64, "F64", 1, 8, 28, "F64", "DoubleStorage", true, decode_as<Number<double>, float>,
             encode_as<Number<double>, float>},
    TypeInfo{DType::f32, "F32", 1, 4, 0, "F32", "FloatStorage", true, copy_f32_in, copy_f32_out},
    TypeInfo{DType::f16, "F16", 1, 2, 1, "F16", "HalfStorage", true, decode_f16, encode_f16},
    TypeInfo{DType::bf16, "BF16", 1, 2, 30, "BF16", "BFloat16Storage", true, decode_bf16, encode_bf16},
    TypeInfo{DType::f8_e4m3, "F8_E4M3", 1, 1, -1, "F8_E4M3", "", true, decode_as<E4m3, float>,
             encode_as<E4m3, float>},
    TypeInfo{DType::f8_e5m2, "F8_E5M2", 1, 1, -1, "F8_E5M2", "", true, decode_as<E5m2, float>,
             encode_as<E5m2, float>},
    TypeInfo{DType::i64, "I64", 1, 8, 27, "I64", "LongStorage", false, decode_i64,
             encode_as<Number<std::int64_t>, float>},
    TypeInfo{DType::i32, "I32", 1, 4, 26, "I32", "IntStorage", false, decode_as<Number<std::int32_t>, float>,
             encode_as<Number<std::int32_t>, float>},
    TypeInfo{DType::i16, "I16", 1, 2, 25, "I16", "ShortStorage", false,
             decode_as<Number<std::int16_t>, float>, encode_as<Number<std::int16_t>, float>},
    TypeInfo{DType::i8, "I8", 1, 1, 24, "I8", "CharStorage", false, decode_as<Number<std::int8_t>, float>,
             encode_as<Number<std::int8_t>, float>},
    TypeInfo{DType::u64, "U64", 1, 8, -1, "U64", "", false, decode_as<Number<std::uint64_t>, float>,
             encode_as<Number<std::uint64_t>, float>},
    TypeInfo{DType::u32, "U32", 1, 4, -1, "U32", "", false, decode_as<Number<std::uint32_t>, float>,
             encode_as<Number<std::uint32_t>, float>},
    TypeInfo{DType::u16, "U16", 1, 2, -1, "U16", "", false, decode_as<Number<std::uint16_t>, float>,
             encode_as<Number<std::uint16_t>, float>},
    TypeInfo{DType::u8, "U8", 1, 1, -1, "U8", "ByteStorage", false, decode_as<Number<std::uint8_t>, float>,
             encode_as<Number<std::uint8_t>, float>},
    TypeInfo{DType::boolean, "BOOL", 1, 1, -1, "BOOL", "BoolStorage", false, decode_as<Boolean, float>,
             encode_as<Boolean, float>},
    TypeInfo{DType::q4_0, "Q4_0", 32, 18, 2, "", "", false, decode_q4_0, nullptr},
    TypeInfo{DType::q4_1, "Q4_1", 32, 20, 3, "", "", false, decode_q4_1, nullptr},
    TypeInfo{DType::q5_0, "Q5_0", 32, 22, 6, "", "", false, decode_q5_0, nullptr},
    TypeInfo{DType::q5_1, "Q5_1", 32, 24, 7, "", "", false, decode_q5_1, nullptr},
    TypeInfo{DType::q8_0, "Q8_0", 32, 34, 8, "", "", false, decode_q8_0, nullptr},
    TypeInfo{DType::q2_k, "Q2_K", 256, 84, 10, "", "", false, decode_q2_k, nullptr},
    TypeInfo{DType::q3_k, "Q3_K", 256, 110, 11, "", "", false, decode_q3_k, nullptr},
    TypeInfo{DType::q4_k, "Q4_K", 256, 144, 12, "", "", false, decode_q4_k, nullptr},
    TypeInfo{DType::q5_k, "Q5_K", 256, 176, 13, "", "", false, decode_q5_k, nullptr},
    TypeInfo{DType::q6_k, "Q6_K", 256, 210, 14, "", "", false, decode_q6_k, nullptr},
    TypeInfo{DType::iq2_xxs, "IQ2_XXS", 256, 66, 16, "", "", false, decode_iq2_xxs, nullptr},
    TypeInfo{DType::iq2_xs, "IQ2_XS", 256, 74, 17, "", "", false, decode_iq2_xs, nullptr},
    TypeInfo{DType::iq2_s, "IQ2_S", 256, 82, 22, "", "", false, decode_iq2_s, nullptr},
    TypeInfo{DType::iq3_xxs, "IQ3_XXS", 256, 98, 18, "", "", false, decode_iq3_xxs, nullptr},
    TypeInfo{DType::iq3_s, "IQ3_S", 256, 110, 21, "", "", false, decode_iq3_s, nullptr},
    TypeInfo{DType::iq1_s, "IQ1_S", 256, 50, 19, "", "", false, decode_iq1_s, nullptr},
    TypeInfo{DType::iq1_m, "IQ1_M", 256, 56, 29, "", "", false, decode_iq1_m, nullptr},
    TypeInfo{DType::iq4_nl, "IQ4_NL", 32, 18, 20, "", "", false, decode_iq4_nl, nullptr},
    TypeInfo{DType::iq4_xs, "IQ4_XS", 256, 136, 23, "", "", false, decode_iq4_xs, nullptr},
    TypeInfo{DType::tq1_0, "TQ1_0", 256, 54, 34, "", "", false, decode_tq1_0, nullptr},
    TypeInfo{DType::tq2_0, "TQ2_0", 256, 66, 35, "", "", false, decode_tq2_0, nullptr},
    TypeInfo{DType::mxfp4, "MXFP4", 32, 17, 39, "", "", false, decode_mxfp4, nullptr},
};

constexpr bool table_is_in_order() {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (static_cast<std::size_t>(table[i].type) != i) return false;
  }
  return true;
}
static_assert(table_is_in_order(), "type_info() finds a row by the value of its DType");

template <class Matches>
std::optional<DType> find_type(Matches matches) {
  const auto row = std::find_if(table.begin(), table.end(), matches);
  if (row == table.end()) return std::nullopt;
  return row->type;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

void decode_f64(DType type, const std::byte* in, double* out, std::uint64_t elements) {
  switch (type) {
    case DType::f64:
      return decode_as<Number<double>, double>(in, out, elements);
    case DType::i64:
      return decode_i64_odd(in, out, elements);
    case DType::i32:
      return decode_as<Number<std::int32_t>, double>(in, out, elements);
    case DType::u64:
      return decode_u64_odd(in, out, elements);
    case DType::u32:
      return decode_as<Number<std::uint32_t>, double>(in, out, elements);
    default:
      throw Error(ErrorKind::usage, "only types that float32 cannot hold go through float64");
  }
}

void encode_f64(DType type, const double* in, std::byte* out, std::uint64_t elements) {
  switch (type) {
    case DType::f64:
      return encode_as<Number<double>, double>(in, out, elements);
    case DType::f32:
      return encode_as<Number<float>, double>(in, out, elements);
    case DType::f16:
      return encode_f16_of_f64(in, out, elements);
    case DType::bf16:
      return encode_bf16_of_f64(in, out, elements);
    case DType::f8_e4m3:
      return encode_as<E4m3, double>(in, out, elements);
    case DType::f8_e5m2:
      return encode_as<E5m2, double>(in, out, elements);
    case DType::i64:
      return encode_as<Number<std::int64_t>, double>(in, out, elements);
    case DType::i32:
      return encode_as<Number<std::int32_t>, double>(in, out, elements);
    case DType::i16:
      return encode_as<Number<std::int16_t>, double>(in, out, elements);
    case DType::i8:
      return encode_as<Number<std::int8_t>, double>(in, out, elements);
    case DType::u64:
      return encode_as<Number<std::uint64_t>, double>(in, out, elements);
    case DType::u32:
      return encode_as<Number<std::uint32_t>, double>(in, out, elements);
    case DType::u16:
      return encode_as<Number<std::uint16_t>, double>(in, out, elements);
    case DType::u8:
      return encode_as<Number<std::uint8_t>, double>(in, out, elements);
    case DType::boolean:
      return encode_as<Boolean, double>(in, out, elements);
    default:
      throw Error(ErrorKind::usage, "a quantized type is written by its encoder only");
  }
}

/// Values of 8 bytes, saturated where integers do not fit.
template <class From, class To>
void number_by_number(const std::byte* in, std::byte* out, std::uint64_t elements) {
  for (std::uint64_t i = 0; i < elements; ++i) {
    const From value = load<From>(in, i);
    if constexpr (std::is_integral_v<To>) {
      const bool fits = std::in_range<To>(value);
      store(out, i,
            fits              ? static_cast<To>(value)
            : value > From{0} ? std::numeric_limits<To>::max()
                              : std::numeric_limits<To>::min());
    } else {
      store(out, i, static_cast<To>(value));
    }
  }
}

}  // namespace

std::uint64_t TypeInfo::bytes_for(std::uint64_t elements) const {
  if (elements % block_length != 0) {
    throw Error(ErrorKind::input, std::to_string(elements) + " values are not whole blocks of " +
                                      std::to_string(block_length) + " as " + std::string(name) + " needs");
  }
  return checked_mul(elements / block_length, block_bytes, "size of a tensor");
}

std::span<const TypeInfo> all_types() { return table; }

const TypeInfo& type_info(DType type) { return table.at(static_cast<std::size_t>(type)); }

std::optional<DType> find_type_by_name(std::string_view name) {
  return find_type([&](const TypeInfo& row) { return equal_ignoring_case(row.name, name); });
}

std::optional<DType> find_type_by_gguf_id(std::uint32_t id) {
  return find_type(
      [&](const TypeInfo& row) { return row.gguf_id >= 0 && static_cast<std::uint32_t>(row.gguf_id) == id; });
}

std::optional<DType> find_type_by_safetensors(std::string_view name) {
  return find_type([&](const TypeInfo& row) { return !row.safetensors.empty() && row.safetensors == name; });
}

std::optional<DType> find_type_by_torch_storage(std::string_view name) {
  return find_type(
      [&](const TypeInfo& row) { return !row.torch_storage.empty() && row.torch_storage == name; });
}

std::string_view describe_foreign_gguf_id(std::uint32_t id) {
  struct Foreign {
    std::uint32_t id;
    std::string_view name;
  };
  static constexpr Foreign known[] = {
      {4, "Q4_2 (removed from ggml)"},
      {5, "Q4_3 (removed from ggml)"},
      {9, "Q8_1"},
      {15, "Q8_K"},
      {31, "Q4_0_4_4 (removed from ggml)"},
      {32, "Q4_0_4_8 (removed from ggml)"},
      {33, "Q4_0_8_8 (removed from ggml)"},
      {36, "IQ4_NL_4_4 (removed from ggml)"},
      {37, "IQ4_NL_4_8 (removed from ggml)"},
      {38, "IQ4_NL_8_8 (removed from ggml)"},
      {40, "NVFP4"},
      {41, "Q1_0"},
      {42, "Q2_0"},
      {133, "Q6_0 (of ik_llama.cpp)"},
      {134, "IQ1_BN (of ik_llama.cpp)"},
      {135, "IQ2_BN (of ik_llama.cpp)"},
      {137, "IQ2_K (of ik_llama.cpp)"},
      {138, "IQ3_K (of ik_llama.cpp)"},
      {139, "IQ4_K (of ik_llama.cpp)"},
      {140, "IQ5_K (of ik_llama.cpp)"},
      {141, "IQ6_K (of ik_llama.cpp)"},
      {144, "IQ4_KS (of ik_llama.cpp)"},
      {145, "IQ2_KS (of ik_llama.cpp)"},
      {146, "IQ4_KSS (of ik_llama.cpp)"},
      {152, "IQ5_KS (of ik_llama.cpp)"},
      {153, "IQ2_KT (of ik_llama.cpp)"},
      {154, "IQ3_KT (of ik_llama.cpp)"},
      {155, "IQ4_KT (of ik_llama.cpp)"},
      {156, "IQ3_KS (of ik_llama.cpp)"},
      {157, "IQ2_KL (of ik_llama.cpp)"},
      {158, "IQ1_KT (of ik_llama.cpp)"},
  };
  for (const Foreign& type : known) {
    if (type.id == id) return type.name;
  }
  return id >= 200 && id < 400 ? "a row-interleaved type (of ik_llama.cpp)" : std::string_view{};
}

void convert_plain(DType from, const std::byte* in, DType to, std::byte* out, std::uint64_t elements) {
  const TypeInfo& source = type_info(from);
  const TypeInfo& target = type_info(to);
  if (source.quantized() || target.quantized()) {
    throw Error(ErrorKind::usage, "plain conversion of a quantized type");
  }
  if (from == to) {
    std::memcpy(out, in, elements * source.block_bytes);
    return;
  }
  if (from == DType::i64 && to == DType::f64)
    return number_by_number<std::int64_t, double>(in, out, elements);
  if (from == DType::u64 && to == DType::f64)
    return number_by_number<std::uint64_t, double>(in, out, elements);
  if (from == DType::i64 && to == DType::u64)
    return number_by_number<std::int64_t, std::uint64_t>(in, out, elements);
  if (from == DType::u64 && to == DType::i64)
    return number_by_number<std::uint64_t, std::int64_t>(in, out, elements);
  // float32 holds every value of the other types exactly, so what follows rounds once.
  const bool wide = from == DType::f64 || from == DType::i64 || from == DType::i32 || from == DType::u64 ||
                    from == DType::u32;
  constexpr std::uint64_t step = 1024;
  std::array<double, step> doubles;
  std::array<float, step> floats;
  for (std::uint64_t first = 0; first < elements; first += step) {
    const std::uint64_t count = std::min(step, elements - first);
    const std::byte* piece = in + first * source.block_bytes;
    std::byte* place = out + first * target.block_bytes;
    if (wide) {
      decode_f64(from, piece, doubles.data(), count);
      encode_f64(to, doubles.data(), place, count);
    } else {
      source.decode(piece, floats.data(), count);
      target.encode(floats.data(), place, count);
    }
  }
}

}  // namespace galatea
