// A picture of how many bits each weight of a model has: an SVG without anything that has to be fetched.
//
//   bars    mean bits a weight of the embedding, of each layer, of the output head
//   grid    a cell for each matrix: a column a layer, a row a role, coloured by bits; the type where there is
//           room for it, and as a tooltip
//   list    the types: bits, tensors, bytes, share
//
// Tensors that are no LLaMA's are in the list only.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "format/tensor.h"

namespace galatea {

/// The text of the file. Layers from 2048 on are left out of bars and grid.
std::string bits_picture(std::string_view title, const std::vector<Tensor>& tensors);

}  // namespace galatea
