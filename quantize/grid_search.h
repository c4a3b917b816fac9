// The grids of the i-quants made ready for encoding: for every point the index that it has, or the points of
// the grid that are near it.
//
// A point is its codes, as in format/iq_grids.h. Near are the points at the two least distances (between the
// odd numbers 2 * code + 1) for IQ2_XXS, IQ2_XS and IQ3_XXS, at the least for IQ2_S, at the three least for IQ1
// and IQ3_S; by distance, then by index. Source: iq2xs_init_impl and iq3xs_init_impl of ggml.
#pragma once

#include <cstdint>

#include "format/iq_grids.h"

namespace galatea {

/// Plain pointers, since the sources of one instruction set may call no function that others define as well.
struct GridSearch {
  /// The lists are filled up to a multiple of this with their first point.
  static constexpr int list_step = 16;

  /// By codes: the index of a point of the grid, else -1 - the start of its list in `near`.
  const std::int32_t* place;
  /// Lists one after another: their length, then points: their codes, and from bit 16 on their number in the list.
  const std::int32_t* near;
};

/// Made when it is first asked for; any number of threads may ask.
const GridSearch& grid_search(IqGrid grid);

}  // namespace galatea
