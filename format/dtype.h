// The element types of tensors: one row of one table for each.
//
// A type is a run of blocks: `block_length` elements stored in `block_bytes` bytes. Plain types have blocks
// of one element; quantized ones (GGUF) have 32 or 256. Everything that lists types (help texts, size sums,
// tests, benches, evaluation) walks `all_types()`, so a new type is a new file and a new row there.
//
// Little-endian throughout, as every format here is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace galatea {

enum class DType : std::uint8_t {
  f64,
  f32,
  f16,
  bf16,
  f8_e4m3,
  f8_e5m2,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq2_xxs,
  iq2_xs,
  iq2_s,
  iq3_xxs,
  iq3_s,
  iq1_s,
  iq1_m,
  iq4_nl,
  iq4_xs,
  tq1_0,
  tq2_0,
  mxfp4,
};

struct TypeInfo {
  DType type;
  std::string_view name;           ///< as printed and accepted on the command line: "F16", "Q4_0"
  std::uint32_t block_length;      ///< elements in a block
  std::uint32_t block_bytes;       ///< bytes of a block
  int gguf_id;                     ///< ggml_type number, -1 when GGUF has none
  std::string_view safetensors;    ///< dtype string in a safetensors header, empty when it has none
  std::string_view torch_storage;  ///< class in module torch: "HalfStorage", empty when it has none
  bool floating;                   ///< F64 ... F8
  /// Decodes `elements` (a multiple of block_length) values to float32, exactly where float32 can hold them,
  /// else rounded to nearest even (F64 and integers of 4 and 8 bytes).
  void (*decode)(const std::byte* in, float* out, std::uint64_t elements);
  /// Encodes float32 values, rounded to nearest even; nullptr for quantized types, whose encoders live in
  /// quantize/. Integers: values are rounded to nearest even and saturate, NaN gives 0.
  void (*encode)(const float* in, std::byte* out, std::uint64_t elements);

  bool quantized() const { return block_length > 1; }
  double bits_per_weight() const { return 8.0 * block_bytes / block_length; }
  /// Bytes of `elements` values. Throws Error(input) when they are not whole blocks or overflow.
  std::uint64_t bytes_for(std::uint64_t elements) const;
};

std::span<const TypeInfo> all_types();
const TypeInfo& type_info(DType type);

/// Look-ups by the names of the containers; nothing when there is no such type. `name` ignores case.
std::optional<DType> find_type_by_name(std::string_view name);
std::optional<DType> find_type_by_gguf_id(std::uint32_t id);
std::optional<DType> find_type_by_safetensors(std::string_view name);
std::optional<DType> find_type_by_torch_storage(std::string_view name);

/// ggml_type ids that exist elsewhere but not here: "Q8_1", or for ids of other forks their name and whose
/// they are; empty when unknown. For messages.
std::string_view describe_foreign_gguf_id(std::uint32_t id);

// Single values. Each conversion to a narrower type rounds to nearest, ties to even, once; overflow gives
// infinity (E4M3, which has none: NaN), NaN stays a quiet NaN with its sign and upper payload bits,
// subnormals are kept.
float f16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_f16(float value);
std::uint16_t f64_to_f16(double value);
float bf16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_bf16(float value);
std::uint16_t f64_to_bf16(double value);
/// The "fn" variant of safetensors and torch: no infinity, NaN = x7F, max 448.
float f8_e4m3_to_f32(std::uint8_t bits);
std::uint8_t f32_to_f8_e4m3(float value);
float f8_e5m2_to_f32(std::uint8_t bits);
std::uint8_t f32_to_f8_e5m2(float value);

/// Converts plain (not quantized) values from one type to another with a single rounding: through float64
/// where that holds the source exactly, else directly. `in` and `out` must not overlap.
/// Precondition: both types are plain; buffer sizes match `elements`.
void convert_plain(DType from, const std::byte* in, DType to, std::byte* out, std::uint64_t elements);

}  // namespace galatea
