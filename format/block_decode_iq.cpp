#include "format/block_decode_iq.h"

#include "format/block_bytes.h"
#include "format/iq_grids.h"

namespace galatea {
namespace {

constexpr std::uint32_t super = 256;
constexpr float iq1_shift = 0.125F;

/// The elements of one point times `scale`, negated where the bit of `signs` is set.
template <class Point>
void put_signed(const Point& point, unsigned signs, float scale, float* out) {
  for (unsigned j = 0; j < point.size(); ++j) {
    out[j] = scale * static_cast<float>(point[j]) * ((signs >> j) & 1U ? -1.0F : 1.0F);
  }
}

void put_shifted(const IqPoint8& point, bool down, float scale, float* out) {
  const float shift = down ? -iq1_shift : iq1_shift;
  for (unsigned j = 0; j < 8; ++j) out[j] = scale * (static_cast<float>(point[j]) + shift);
}

/// Nibble `which`, lowest first.
unsigned nibble(const std::uint8_t* bytes, unsigned which) {
  return (static_cast<unsigned>(bytes[which / 2]) >> (4 * (which % 2))) & 15U;
}

float half_step(float d, unsigned scale) { return d * (0.5F + static_cast<float>(scale)); }
float odd_step(float d, unsigned scale) { return d * static_cast<float>(2 * scale + 1); }

void put_levels(const std::uint8_t* nibbles, float scale, float* out) {
  for (unsigned j = 0; j < 16; ++j) {
    out[j] = scale * static_cast<float>(iq4_levels[nibbles[j] & 15U]);
    out[j + 16] = scale * static_cast<float>(iq4_levels[nibbles[j] >> 4U]);
  }
}

}  // namespace

void decode_iq2_xxs(const std::byte* in, float* out, std::uint64_t elements) {
  const auto grid = iq_points8(IqGrid::iq2_xxs);
  for_blocks<super, 66>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    const float d = load_f16(block);
    for (unsigned group = 0; group < 8; ++group) {
      const std::uint8_t* index = block + 2 + 8 * group;
      const auto rest = load_le<std::uint32_t>(index + 4);
      const float scale = half_step(d, rest >> 28U) * 0.25F;
      for (unsigned k = 0; k < 4; ++k) {
        put_signed(grid[index[k]], iq_even_signs((rest >> (7 * k)) & 127U), scale,
                   values + 32 * group + 8 * k);
      }
    }
  });
}

void decode_iq2_xs(const std::byte* in, float* out, std::uint64_t elements) {
  const auto grid = iq_points8(IqGrid::iq2_xs);
  for_blocks<super, 74>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    const float d = load_f16(block);
    for (unsigned k = 0; k < 32; ++k) {
      const unsigned code = load_le<std::uint16_t>(block + 2 + 2 * k);
      const float scale = half_step(d, nibble(block + 66, k / 2)) * 0.25F;
      put_signed(grid[code & 511U], iq_even_signs(code >> 9U), scale, values + 8 * k);
    }
  });
}

void decode_iq2_s(const std::byte* in, float* out, std::uint64_t elements) {
  const auto grid = iq_points8(IqGrid::iq2_s);
  for_blocks<super, 82>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    const float d = load_f16(block);
    for (unsigned k = 0; k < 32; ++k) {
      const unsigned high = (static_cast<unsigned>(block[66 + k / 4]) >> (2 * (k % 4))) & 3U;
      const float scale = half_step(d, nibble(block + 74, k / 2)) * 0.25F;
      put_signed(grid[block[2 + k] | (high << 8U)], block[34 + k], scale, values + 8 * k);
    }
  });
}

void decode_iq3_xxs(const std::byte* in, float* out, std::uint64_t elements) {
  const auto grid = iq_points4(IqGrid::iq3_xxs);
  for_blocks<super, 98>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    const float d = load_f16(block);
    for (unsigned group = 0; group < 8; ++group) {
      const auto rest = load_le<std::uint32_t>(block + 66 + 4 * group);
      const float scale = half_step(d, rest >> 28U) * 0.5F;
      for (unsigned k = 0; k < 4; ++k) {
        const unsigned signs = iq_even_signs((rest >> (7 * k)) & 127U);
        const std::uint8_t* index = block + 2 + 8 * group + 2 * k;
        float* place = values + 32 * group + 8 * k;
        put_signed(grid[index[0]], signs, scale, place);
        put_signed(grid[index[1]], signs >> 4U, scale, place + 4);
      }
    }
  });
}

void decode_iq3_s(const std::byte* in, float* out, std::uint64_t elements) {
  const auto grid = iq_points4(IqGrid::iq3_s);
  for_blocks<super, 110>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    const float d = load_f16(block);
    for (unsigned k = 0; k < 64; ++k) {
      const unsigned high = (static_cast<unsigned>(block[66 + k / 8]) >> (k % 8)) & 1U;
      const unsigned signs = nibble(block + 74, k);
      const float scale = odd_step(d, nibble(block + 106, k / 8));
      put_signed(grid[block[2 + k] | (high << 8U)], signs, scale, values + 4 * k);
    }
  });
}

void decode_iq1_s(const std::byte* in, float* out, std::uint64_t elements) {
  const auto grid = iq_points8(IqGrid::iq1);
  for_blocks<super, 50>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    const float d = load_f16(block);
    for (unsigned k = 0; k < 32; ++k) {
      const unsigned rest = load_le<std::uint16_t>(block + 34 + 2 * (k / 4));
      const unsigned high = (rest >> (3 * (k % 4))) & 7U;
      put_shifted(grid[block[2 + k] | (high << 8U)], (rest & 0x8000U) != 0, odd_step(d, (rest >> 12U) & 7U),
                  values + 8 * k);
    }
  });
}

void decode_iq1_m(const std::byte* in, float* out, std::uint64_t elements) {
  const auto grid = iq_points8(IqGrid::iq1);
  for_blocks<super, 56>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    unsigned bits = 0;
    for (unsigned j = 0; j < 4; ++j) bits |= static_cast<unsigned>(block[49 + 2 * j] >> 4U) << (4 * j);
    const float d = f16_to_f32(static_cast<std::uint16_t>(bits));
    for (unsigned k = 0; k < 32; ++k) {
      const unsigned scales = load_le<std::uint16_t>(block + 48 + 2 * (k / 8));
      const unsigned high = nibble(block + 32, k);
      put_shifted(grid[block[k] | ((high & 7U) << 8U)], (high & 8U) != 0,
                  odd_step(d, (scales >> (3 * (k / 2 % 4))) & 7U), values + 8 * k);
    }
  });
}

void decode_iq4_nl(const std::byte* in, float* out, std::uint64_t elements) {
  for_blocks<32, 18>(in, out, elements, [](const std::uint8_t* block, float* values) {
    put_levels(block + 2, load_f16(block), values);
  });
}

void decode_iq4_xs(const std::byte* in, float* out, std::uint64_t elements) {
  for_blocks<super, 136>(in, out, elements, [](const std::uint8_t* block, float* values) {
    const float d = load_f16(block);
    const unsigned high = load_le<std::uint16_t>(block + 2);
    for (unsigned group = 0; group < 8; ++group) {
      const unsigned scale = nibble(block + 4, group) | (((high >> (2 * group)) & 3U) << 4U);
      put_levels(block + 8 + 16 * group, d * static_cast<float>(static_cast<int>(scale) - 32),
                 values + 32 * group);
    }
  });
}

}  // namespace galatea
