// The blocks of the GGML files of spring 2023 that GGUF no longer has, and what becomes of them.
//
//   type   values  bytes  layout                                             until GGJT  value of element j
//   Q4_0       32     20  d F32, nibbles[16]                                          2  d * (q - 8)
//   Q4_1       32     24  d F32, m F32, nibbles[16]                                   2  d * q + m
//   Q4_2       16     10  d F16, nibbles[8]                                           1  d * (q - 8)
//   Q4_3       16     12  d F16, m F16, nibbles[8]                                    1  d * q + m
//   Q5_0       32     22  d F16, high bits u32, nibbles[16]                           1  d * (q - 16)
//   Q5_1       32     24  d F16, m F16, high bits u32, nibbles[16]                    1  d * q + m
//   Q8_0       32     36  d F32, i8[32]                                               2  d * q
//
// GGML, GGMF and GGJT 1 keep nibbles in pairs: byte j has element 2j in its low and 2j + 1 in its high half. GGJT 2
// has them as today, element j and j + 16. Bit j of `high bits` is bit 4 of element j in all of them.
//
//   Q5_0, Q5_1            become today's by moving nibbles
//   Q4_0, Q4_1, Q8_0      become today's when float16 holds their scales exactly, or else rounded
//   Q4_2, Q4_3            have no counterpart: two scales where Q4_0 and Q4_1 have one
//
// d * q + m is the sum of two products rounded once each (d * q is not exact in float32 with a float32 d), without
// contraction. Source: ggml.c of llama.cpp, 2023-03-11 to 2023-05-19 (pull requests 1405 and 1508). Files of the very
// first day (2023-03-10), whose rows kept all scales before all nibbles, cannot be told from later ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "format/rows.h"

namespace galatea {

/// Which blocks a file has: `pairs` up to GGJT 1, `wide` in GGJT 2 (scales still F32), `present` from GGJT 3 on.
enum class GgmlBlocks : std::uint8_t { pairs, wide, present };

struct GgmlType {
  std::uint32_t id = 0;  ///< ggml_type in the file
  GgmlBlocks blocks = GgmlBlocks::present;
  std::string_view name;
  std::uint32_t block_length = 1, block_bytes = 4;
  std::optional<DType> present;  ///< the type of today that it is or can become

  /// Stored as today, or the same after moving nibbles.
  bool exact() const;
  /// Bytes of `elements` values. Throws Error(input) when they are not whole blocks or overflow.
  std::uint64_t bytes_for(std::uint64_t elements) const;
};

/// What the number of a type means in a file of such blocks; nothing when there was none.
std::optional<GgmlType> find_ggml_type(std::uint32_t id, GgmlBlocks blocks);

/// Rows of a tensor of an old file. `stored` are its bytes as U8, in rows of `type.bytes_for(cols)`. What is exact()
/// has today's type; other blocks are decoded to F32, bit for bit as ggml's plain loops did.
RowsPtr ggml_rows(const GgmlType& type, RowsPtr stored, std::uint64_t cols);

/// The type whose blocks are decoded to give `rows`; nullptr for all that does not come from ggml_rows() so.
const GgmlType* decoded_from(const Rows& rows);

/// Blocks of today's type instead of their decoded values: the same codes, scales rounded to F16. Precondition:
/// decoded_from(*rows) has a type of today. read() throws Error(input) for a scale that is too large for F16.
RowsPtr repacked_rows(const RowsPtr& rows);

/// How many blocks of `rows`, as above, have a scale that F16 does not hold exactly. Reads all of it, on several
/// threads.
std::uint64_t count_inexact_scales(const Rows& rows);

}  // namespace galatea
