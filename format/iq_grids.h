// The grids of the i-quants: the points of 8 or 4 elements that their indexes stand for.
//
//   grid      points  elements  levels
//   IQ2_XXS      256         8  8 25 43
//   IQ2_XS       512         8  8 25 43
//   IQ2_S       1024         8  8 25 43
//   IQ1         2048         8  -1 0 1                     (IQ1_S and IQ1_M)
//   IQ3_XXS      256         4  4 12 20 28 36 44 52 62
//   IQ3_S        512         4  1 3 5 7 9 11 13 15
//
// A point is stored as the places of its levels: 2 bits an element for grids of 8, 3 bits for grids of 4,
// element 0 lowest. The codes are data, format/iq_grids.bin, which the build puts into the library
// (scripts/oracles/make_iq_grids.py made it from the tables of gguf-py).
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace galatea {

enum class IqGrid { iq2_xxs, iq2_xs, iq2_s, iq1, iq3_xxs, iq3_s };

inline constexpr std::size_t iq_grid_points = 256 + 512 + 1024 + 2048 + 256 + 512;

/// All grids one after another, in the order of IqGrid.
extern const std::array<std::uint16_t, iq_grid_points> iq_grid_codes;

/// The codes of one grid, by index.
std::span<const std::uint16_t> iq_codes(IqGrid grid);

/// The points of a grid of 8 (IQ2, IQ1): their levels as bytes, two's complement.
using IqPoint8 = std::array<std::int8_t, 8>;
std::span<const IqPoint8> iq_points8(IqGrid grid);

/// The points of a grid of 4 (IQ3).
using IqPoint4 = std::array<std::int8_t, 4>;
std::span<const IqPoint4> iq_points4(IqGrid grid);

/// The signs of 8 elements from 7 bits: bit j is set when element j is negative; the eighth makes their
/// number even.
constexpr std::uint8_t iq_even_signs(unsigned seven) {
  unsigned parity = seven ^ (seven >> 4U);
  parity ^= parity >> 2U;
  parity ^= parity >> 1U;
  return static_cast<std::uint8_t>((seven & 127U) | ((parity & 1U) << 7U));
}

/// The levels of IQ4_NL and IQ4_XS, in units of their scale.
inline constexpr std::array<std::int8_t, 16> iq4_levels{-127, -104, -83, -65, -49, -35, -22, -10,
                                                        1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace galatea
