#include "format/block_decode_k.h"

#include <array>
#include <cstring>

#include "format/block_bytes.h"

namespace galatea {
namespace {

using Codes = std::array<std::uint8_t, super_block_length>;

/// Eight bytes as one number: shifts of it stay within bytes under a mask.
std::uint64_t load_eight(const std::uint8_t* bytes) {
  std::uint64_t eight = 0;
  std::memcpy(&eight, bytes, sizeof eight);
  return eight;
}

/// The two bits of every element.
void take_two_bits(const std::uint8_t* bytes, Codes& codes) {
  for (unsigned half = 0; half < 2; ++half) {
    for (unsigned part = 0; part < 4; ++part) {
      for (unsigned l = 0; l < 32; l += 8) {
        const std::uint64_t eight = (load_eight(bytes + 32 * half + l) >> (2 * part)) & 0x0303030303030303U;
        std::memcpy(&codes[128 * half + 32 * part + l], &eight, sizeof eight);
      }
    }
  }
}

/// Adds 1 << place to the codes of elements whose high bit is set.
void add_high_bits(const std::uint8_t* bytes, unsigned place, Codes& codes) {
  for (unsigned part = 0; part < 8; ++part) {
    for (unsigned l = 0; l < 32; l += 8) {
      const std::uint64_t bits = ((load_eight(bytes + l) >> part) & 0x0101010101010101U) << place;
      const std::uint64_t eight = load_eight(&codes[32 * part + l]) + bits;
      std::memcpy(&codes[32 * part + l], &eight, sizeof eight);
    }
  }
}

/// `group` nibbles of low halves, then as many of the high halves of the same bytes, and so on.
void take_nibbles(const std::uint8_t* bytes, unsigned group, Codes& codes) {
  for (unsigned first = 0; first < super_block_length; first += 2 * group, bytes += group) {
    for (unsigned l = 0; l < group; ++l) {
      codes[first + l] = bytes[l] & 15U;
      codes[first + group + l] = static_cast<std::uint8_t>(bytes[l] >> 4U);
    }
  }
}

struct ScalesAndMinima {
  std::array<unsigned, 8> scale, minimum;
};

ScalesAndMinima unpack_scales(const std::uint8_t* bytes) {
  ScalesAndMinima result{};
  for (unsigned j = 0; j < 4; ++j) {
    result.scale[j] = bytes[j] & 63U;
    result.minimum[j] = bytes[j + 4] & 63U;
    result.scale[j + 4] = (bytes[j + 8] & 15U) | ((unsigned{bytes[j]} >> 6U) << 4U);
    result.minimum[j + 4] = (unsigned{bytes[j + 8]} >> 4U) | ((unsigned{bytes[j + 4]} >> 6U) << 4U);
  }
  return result;
}

void scale_codes(const std::uint8_t* codes, unsigned count, float scale, int zero, float* out) {
  for (unsigned l = 0; l < count; ++l) out[l] = scale * static_cast<float>(codes[l] - zero);
}

void scale_codes_above(const std::uint8_t* codes, unsigned count, float scale, float minimum, float* out) {
  for (unsigned l = 0; l < count; ++l) out[l] = scale * static_cast<float>(codes[l]) - minimum;
}

/// What Q4_K and Q5_K share: `head` is at d.
void scale_eight_groups(const std::uint8_t* head, const Codes& codes, float* out) {
  const float d = load_f16(head);
  const float dmin = load_f16(head + 2);
  const ScalesAndMinima scales = unpack_scales(head + 4);
  for (unsigned j = 0; j < 8; ++j) {
    scale_codes_above(&codes[32 * j], 32, d * static_cast<float>(scales.scale[j]),
                      dmin * static_cast<float>(scales.minimum[j]), out + 32 * j);
  }
}

}  // namespace

void decode_q2_k(const std::byte* in, float* out, std::uint64_t elements) {
  Codes codes;
  for_blocks<super_block_length, 84>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    const float d = load_f16(block + 80);
    const float dmin = load_f16(block + 82);
    take_two_bits(block + 16, codes);
    for (unsigned j = 0; j < 16; ++j) {
      scale_codes_above(&codes[16 * j], 16, d * static_cast<float>(block[j] & 15U),
                        dmin * static_cast<float>(block[j] >> 4U), values + 16 * j);
    }
  });
}

void decode_q3_k(const std::byte* in, float* out, std::uint64_t elements) {
  Codes codes;
  for_blocks<super_block_length, 110>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    const float d = load_f16(block + 108);
    const std::uint8_t* scales = block + 96;
    take_two_bits(block + 32, codes);
    add_high_bits(block, 2, codes);
    for (unsigned j = 0; j < 16; ++j) {
      const unsigned low = (unsigned{scales[j % 8]} >> (j < 8 ? 0U : 4U)) & 15U;
      const unsigned high = (unsigned{scales[8 + j % 4]} >> (2 * (j / 4))) & 3U;
      const float scale = d * static_cast<float>(static_cast<int>(low | (high << 4U)) - 32);
      scale_codes(&codes[16 * j], 16, scale, 4, values + 16 * j);
    }
  });
}

void decode_q4_k(const std::byte* in, float* out, std::uint64_t elements) {
  Codes codes;
  for_blocks<super_block_length, 144>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    take_nibbles(block + 16, 32, codes);
    scale_eight_groups(block, codes, values);
  });
}

void decode_q5_k(const std::byte* in, float* out, std::uint64_t elements) {
  Codes codes;
  for_blocks<super_block_length, 176>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    take_nibbles(block + 48, 32, codes);
    add_high_bits(block + 16, 4, codes);
    scale_eight_groups(block, codes, values);
  });
}

void decode_q6_k(const std::byte* in, float* out, std::uint64_t elements) {
  Codes codes, high;
  for_blocks<super_block_length, 210>(in, out, elements, [&](const std::uint8_t* block, float* values) {
    const float d = load_f16(block + 208);
    take_nibbles(block, 64, codes);
    take_two_bits(block + 128, high);
    for (unsigned i = 0; i < super_block_length; ++i) {
      codes[i] = static_cast<std::uint8_t>(codes[i] | (high[i] << 4U));
    }
    for (unsigned j = 0; j < 16; ++j) {
      const float scale = d * static_cast<float>(static_cast<std::int8_t>(block[192 + j]));
      scale_codes(&codes[16 * j], 16, scale, 32, values + 16 * j);
    }
  });
}

}  // namespace galatea
