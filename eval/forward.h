// The forward pass of LLaMA in float32: RMSNorm, rotary embedding (half-split), grouped-query
// attention, SwiGLU.
//
// Many windows go through the model together, layer by layer, so that each weight is read and decoded once
// for all of them. Every sum has a fixed order: the logits are the same bits for any number of threads, any
// batch and on every instruction set (the sines are the C library's).
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "eval/matmul.h"
#include "eval/model.h"
#include "format/isa.h"
#include "format/progress.h"

namespace galatea {

/// Seconds on the clock; what is left of `total` are norms, rotations, activations and sums.
struct ForwardTimes {
  double product = 0;    ///< of the layers' weights
  double decode = 0;     ///< of these weights, packing for tiles included
  double attention = 0;  ///< rotary embedding, scores, softmax and mixing
  double head = 0;       ///< the last norm, its product and what the sink does
  double total = 0;
};

struct ForwardOptions {
  int threads = 0;  ///< 0: as many as OpenMP would take
  Isa isa = active_isa();
  Precision precision = Precision::f32;  ///< of the products
  Progress* progress = nullptr;   ///< advanced by one for every token and layer (the head counts as a layer)
  ForwardTimes* times = nullptr;  ///< added to
};

/// Takes the logits [vocab] of position `position` of window `window`. Called once for each position, in no
/// fixed order and from several threads at once; must not throw.
using LogitsSink =
    std::function<void(std::uint64_t window, std::uint64_t position, std::span<const float> logits)>;

/// Runs tokens.size() / length windows of `length` tokens, each from position 0 and without memory of the
/// others. Logits are made for positions from `first_position` on only. Throws Error: input for a token id
/// outside of the vocabulary, system when progress asks to stop.
void forward(const LlamaModel& model, std::span<const std::int32_t> tokens, std::uint64_t length,
             std::uint64_t first_position, const ForwardOptions& options, const LogitsSink& sink);

/// Bytes that forward() takes at most for a batch of so many tokens in windows of `length`, on any processor.
std::uint64_t forward_bytes(const LlamaConfig& config, std::uint64_t tokens, std::uint64_t length,
                            int threads);

/// log softmax(logits)[target], summed in float64 in index order.
double log_probability(std::span<const float> logits, std::int32_t target);

}  // namespace galatea
