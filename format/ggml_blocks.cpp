#include "format/ggml_blocks.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "format/block_bytes.h"
#include "format/checked.h"
#include "format/error.h"
#include "format/first_failure.h"

namespace galatea {
namespace {

constexpr std::uint32_t longest_block = 32;

/// The old blocks; those that are not here are as today.
constexpr std::array old_types{
    GgmlType{2, GgmlBlocks::pairs, "Q4_0", 32, 20, DType::q4_0},
    GgmlType{3, GgmlBlocks::pairs, "Q4_1", 32, 24, DType::q4_1},
    GgmlType{4, GgmlBlocks::pairs, "Q4_2", 16, 10, std::nullopt},
    GgmlType{5, GgmlBlocks::pairs, "Q4_3", 16, 12, std::nullopt},
    GgmlType{6, GgmlBlocks::pairs, "Q5_0", 32, 22, DType::q5_0},
    GgmlType{7, GgmlBlocks::pairs, "Q5_1", 32, 24, DType::q5_1},
    GgmlType{8, GgmlBlocks::pairs, "Q8_0", 32, 36, DType::q8_0},
    GgmlType{2, GgmlBlocks::wide, "Q4_0", 32, 20, DType::q4_0},
    GgmlType{3, GgmlBlocks::wide, "Q4_1", 32, 24, DType::q4_1},
    GgmlType{8, GgmlBlocks::wide, "Q8_0", 32, 36, DType::q8_0},
};

/// One block taken apart.
struct Codes {
  float d = 0, m = 0;
  std::array<int, longest_block> q{};
};

void take_nibbles(const std::uint8_t* bytes, const GgmlType& type, int zero, Codes& out) {
  const std::uint32_t half = type.block_length / 2;
  const bool pairs = type.blocks == GgmlBlocks::pairs;
  for (std::uint32_t j = 0; j < half; ++j) {
    out.q[pairs ? 2 * j : j] = static_cast<int>(bytes[j] & 15U) - zero;
    out.q[pairs ? 2 * j + 1 : j + half] = static_cast<int>(bytes[j] >> 4U) - zero;
  }
}

/// A block of a type that is decoded.
Codes take_apart(const std::uint8_t* block, const GgmlType& type) {
  Codes out;
  switch (type.id) {
    case 2:
      out.d = load_le<float>(block);
      take_nibbles(block + 4, type, 8, out);
      break;
    case 3:
      out.d = load_le<float>(block);
      out.m = load_le<float>(block + 4);
      take_nibbles(block + 8, type, 0, out);
      break;
    case 4:
      out.d = load_f16(block);
      take_nibbles(block + 2, type, 8, out);
      break;
    case 5:
      out.d = load_f16(block);
      out.m = load_f16(block + 2);
      take_nibbles(block + 4, type, 0, out);
      break;
    default:
      out.d = load_le<float>(block);
      for (std::uint32_t j = 0; j < type.block_length; ++j) {
        const int byte = static_cast<int>(block[4 + j]);
        out.q[j] = byte < 128 ? byte : byte - 256;
      }
  }
  return out;
}

bool has_minimum(const GgmlType& type) { return type.id == 3 || type.id == 5; }

void store_f16(float value, std::uint8_t* out) {
  const std::uint16_t bits = f32_to_f16(value);
  std::memcpy(out, &bits, sizeof bits);
}

/// Today's block with scales rounded to F16.
void put_together(const Codes& codes, const GgmlType& type, std::uint8_t* out) {
  store_f16(codes.d, out);
  out += 2;
  if (has_minimum(type)) {
    store_f16(codes.m, out);
    out += 2;
  }
  if (type.id == 8) {
    for (std::uint32_t j = 0; j < 32; ++j) out[j] = static_cast<std::uint8_t>(codes.q[j]);
    return;
  }
  const int zero = type.id == 2 ? 8 : 0;
  for (std::uint32_t j = 0; j < 16; ++j) {
    const auto low = static_cast<unsigned>(codes.q[j] + zero);
    const auto high = static_cast<unsigned>(codes.q[j + 16] + zero);
    out[j] = static_cast<std::uint8_t>(low | high << 4U);
  }
}

/// From pairs to today's halves; `out` must not be `in`.
void move_nibbles(const std::uint8_t* in, std::uint8_t* out) {
  const auto nibble = [&](std::uint32_t j) { return (in[j / 2] >> (4 * (j % 2))) & 15; };
  for (std::uint32_t j = 0; j < 16; ++j) out[j] = static_cast<std::uint8_t>(nibble(j) | nibble(j + 16) << 4);
}

/// Today's type, with nibbles moved where the file has them in pairs.
class SameRows final : public Rows {
 public:
  SameRows(const GgmlType& type, RowsPtr stored, std::uint64_t cols)
      : Rows(*type.present, stored->rows(), cols), type_(type), stored_(std::move(stored)) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    stored_->read(first, count, out);
    if (type_.blocks != GgmlBlocks::pairs || type_.block_length == 1) return;
    const std::size_t scales = type_.block_bytes - 16;
    std::array<std::uint8_t, 16> moved{};
    auto* block = reinterpret_cast<std::uint8_t*>(out.data());
    for (std::size_t at = 0; at < out.size(); at += type_.block_bytes, block += type_.block_bytes) {
      move_nibbles(block + scales, moved.data());
      std::memcpy(block + scales, moved.data(), moved.size());
    }
  }

 private:
  GgmlType type_;
  RowsPtr stored_;
};

/// Values of blocks that are no longer.
class DecodedRows final : public Rows {
 public:
  DecodedRows(const GgmlType& type, RowsPtr stored, std::uint64_t cols)
      : Rows(DType::f32, stored->rows(), cols), type_(type), stored_(std::move(stored)) {}

  const GgmlType& type_in_file() const { return type_; }

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    std::array<float, longest_block> values{};
    std::size_t at = 0;
    for_blocks(first, count, [&](const std::uint8_t* block) {
      const Codes codes = take_apart(block, type_);
      for (std::uint32_t j = 0; j < type_.block_length; ++j) {
        values[j] = static_cast<float>(codes.q[j]) * codes.d;
        if (has_minimum(type_)) values[j] += codes.m;
      }
      std::memcpy(out.data() + at, values.data(), type_.block_length * sizeof(float));
      at += type_.block_length * sizeof(float);
    });
  }

  /// Calls take(block) for the blocks of these rows, in order.
  template <class Take>
  void for_blocks(std::uint64_t first, std::uint64_t count, const Take& take) const {
    const std::uint64_t row = stored_->row_bytes();
    const std::uint64_t step = std::max<std::uint64_t>(1, (std::uint64_t{256} << 10U) / row);
    std::vector<std::byte> bytes(static_cast<std::size_t>(std::min(step, count) * row));
    for (std::uint64_t done = 0; done < count; done += step) {
      const auto here = std::span(bytes).first(static_cast<std::size_t>(std::min(step, count - done) * row));
      stored_->read(first + done, std::min(step, count - done), here);
      for (std::size_t at = 0; at < here.size(); at += type_.block_bytes)
        take(reinterpret_cast<const std::uint8_t*>(here.data()) + at);
    }
  }

 private:
  GgmlType type_;
  RowsPtr stored_;
};

class RepackedRows final : public Rows {
 public:
  explicit RepackedRows(std::shared_ptr<const DecodedRows> source)
      : Rows(source->type_in_file().present.value(), source->rows(), source->cols()),
        source_(std::move(source)) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    const GgmlType& type = source_->type_in_file();
    const std::uint32_t bytes = type_info(this->type()).block_bytes;
    std::uint64_t block = 0;
    source_->for_blocks(first, count, [&](const std::uint8_t* stored) {
      const Codes codes = take_apart(stored, type);
      for (const float scale : {codes.d, codes.m}) {
        if (!std::isfinite(scale) || std::isfinite(f16_to_f32(f32_to_f16(scale)))) continue;
        const std::uint64_t blocks_of_row = cols() / type.block_length;
        throw Error(ErrorKind::input, "the scale of a block is too large for float16, at row " +
                                          std::to_string(first + block / blocks_of_row))
            .expected("at most 65504")
            .found(std::to_string(scale))
            .remedy("write the values as F32: --dtype F32");
      }
      put_together(codes, type, reinterpret_cast<std::uint8_t*>(out.data()) + block * bytes);
      ++block;
    });
  }

 private:
  std::shared_ptr<const DecodedRows> source_;
};

bool same_in_f16(float value) { return std::isnan(value) || f16_to_f32(f32_to_f16(value)) == value; }

}  // namespace

bool GgmlType::exact() const { return present && type_info(*present).block_bytes == block_bytes; }

std::uint64_t GgmlType::bytes_for(std::uint64_t elements) const {
  if (elements % block_length != 0) {
    throw Error(ErrorKind::input, "a tensor is not whole blocks of " + std::string(name))
        .expected("a multiple of " + std::to_string(block_length))
        .found(std::to_string(elements));
  }
  return checked_mul(elements / block_length, block_bytes, "the size of a tensor in bytes");
}

std::optional<GgmlType> find_ggml_type(std::uint32_t id, GgmlBlocks blocks) {
  const auto old = std::find_if(old_types.begin(), old_types.end(),
                                [&](const GgmlType& type) { return type.id == id && type.blocks == blocks; });
  if (old != old_types.end()) return *old;
  // Q5_0, Q5_1 are as today since GGJT 2; K-quants came in GGJT 3 and never changed.
  const bool floats = id <= 1;
  const bool fives = id == 6 || id == 7;
  const bool later = id <= 3 || id == 8 || (id >= 10 && id <= 14);
  const std::optional<DType> same = find_type_by_gguf_id(id);
  if (!same) return std::nullopt;
  if (!(floats || (fives && blocks != GgmlBlocks::pairs) || (later && blocks == GgmlBlocks::present)))
    return std::nullopt;
  const TypeInfo& info = type_info(*same);
  return GgmlType{id, blocks, info.name, info.block_length, info.block_bytes, *same};
}

RowsPtr ggml_rows(const GgmlType& type, RowsPtr stored, std::uint64_t cols) {
  if (stored->row_bytes() != type.bytes_for(cols))
    throw Error(ErrorKind::input, "the rows of a tensor have another size than its shape says");
  if (type.exact()) return std::make_shared<SameRows>(type, std::move(stored), cols);
  return std::make_shared<DecodedRows>(type, std::move(stored), cols);
}

const GgmlType* decoded_from(const Rows& rows) {
  const auto* decoded = dynamic_cast<const DecodedRows*>(&rows);
  return decoded == nullptr ? nullptr : &decoded->type_in_file();
}

RowsPtr repacked_rows(const RowsPtr& rows) {
  return std::make_shared<RepackedRows>(std::dynamic_pointer_cast<const DecodedRows>(rows));
}

std::uint64_t count_inexact_scales(const Rows& rows) {
  const auto& decoded = dynamic_cast<const DecodedRows&>(rows);
  constexpr std::uint64_t step = 64;
  const auto pieces = static_cast<std::int64_t>((rows.rows() + step - 1) / step);
  std::uint64_t count = 0;
  FirstFailure failure;
#pragma omp parallel for schedule(dynamic) reduction(+ : count)
  for (std::int64_t piece = 0; piece < pieces; ++piece) {
    failure.guard([&] {
      const std::uint64_t first = static_cast<std::uint64_t>(piece) * step;
      decoded.for_blocks(first, std::min(step, rows.rows() - first), [&](const std::uint8_t* block) {
        const Codes codes = take_apart(block, decoded.type_in_file());
        if (!same_in_f16(codes.d) || !same_in_f16(codes.m)) ++count;
      });
    });
  }
  failure.rethrow();
  return count;
}

}  // namespace galatea
