#include "verify/value_scan.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace galatea {
namespace {

constexpr std::size_t block_values = 2048;

/// Without its sign bit, a floating-point number grows with its bits: zero is 0, infinity the largest that is
/// no NaN. So the largest magnitude of a block tells whether it needs a closer look at all.
template <class Bits, Bits infinity, bool has_infinity>
void scan_floats(std::span<const std::byte> bytes, ValueCounts& out) {
  constexpr Bits magnitude = static_cast<Bits>(~(Bits{1} << (8 * sizeof(Bits) - 1)));
  std::array<Bits, block_values> block;
  const std::size_t count = bytes.size() / sizeof(Bits);
  for (std::size_t first = 0; first < count; first += block_values) {
    const std::size_t here = std::min(block_values, count - first);
    std::memcpy(block.data(), bytes.data() + first * sizeof(Bits), here * sizeof(Bits));
    Bits largest = 0;
    for (std::size_t i = 0; i < here; ++i)
      largest = std::max<Bits>(largest, static_cast<Bits>(block[i] & magnitude));
    out.nonzero = out.nonzero || largest != 0;
    if (largest < infinity) continue;
    for (std::size_t i = 0; i < here; ++i) {
      const Bits bits = static_cast<Bits>(block[i] & magnitude);
      if (bits < infinity) continue;
      if (out.finite()) out.first = first + i;
      ++(has_infinity && bits == infinity ? out.infinite : out.nan);
    }
  }
  out.values = count;
}

void scan_decoded(const TypeInfo& type, std::span<const std::byte> bytes, ValueCounts& out) {
  const std::size_t blocks = bytes.size() / type.block_bytes;
  const std::size_t step = std::max<std::size_t>(1, block_values / type.block_length);
  std::vector<float> values(step * type.block_length);
  for (std::size_t first = 0; first < blocks; first += step) {
    const std::size_t here = std::min(step, blocks - first);
    const std::size_t elements = here * type.block_length;
    type.decode(bytes.data() + first * type.block_bytes, values.data(), elements);
    ValueCounts part;
    scan_floats<std::uint32_t, 0x7F800000, true>(std::as_bytes(std::span(values).first(elements)), part);
    out.add(part, first * type.block_length);
  }
}

}  // namespace

void ValueCounts::add(const ValueCounts& part, std::uint64_t begin) {
  if (!part.finite()) first = finite() ? begin + part.first : std::min(first, begin + part.first);
  values += part.values;
  nan += part.nan;
  infinite += part.infinite;
  nonzero = nonzero || part.nonzero;
}

ValueCounts scan_values(DType type, std::span<const std::byte> bytes) {
  ValueCounts out;
  switch (type) {
    case DType::f64:
      scan_floats<std::uint64_t, 0x7FF0000000000000, true>(bytes, out);
      break;
    case DType::f32:
      scan_floats<std::uint32_t, 0x7F800000, true>(bytes, out);
      break;
    case DType::f16:
      scan_floats<std::uint16_t, 0x7C00, true>(bytes, out);
      break;
    case DType::bf16:
      scan_floats<std::uint16_t, 0x7F80, true>(bytes, out);
      break;
    case DType::f8_e5m2:
      scan_floats<std::uint8_t, 0x7C, true>(bytes, out);
      break;
    case DType::f8_e4m3:
      scan_floats<std::uint8_t, 0x7F, false>(bytes, out);
      break;
    default: {
      const TypeInfo& info = type_info(type);
      if (info.quantized()) {
        scan_decoded(info, bytes, out);
        break;
      }
      out.values = bytes.size() / info.block_bytes;
      out.nonzero = std::any_of(bytes.begin(), bytes.end(), [](std::byte b) { return b != std::byte{0}; });
    }
  }
  return out;
}

}  // namespace galatea
