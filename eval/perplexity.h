// Perplexity of a model on a stream of tokens, by the protocol of GPTQ-for-LLaMa (named "gptq"):
//
//   the stream is cut into windows of `context` tokens that follow each other, a remainder is dropped;
//   each window runs by itself from position 0; positions 0 .. context-2 predict tokens 1 .. context-1;
//   loss of a window = mean of -log p over its context-1 predictions;
//   perplexity = exp(mean of the windows' losses).
//
// Logits are float32, the losses float64, summed in the order of the stream: the result is the same bits for
// any number of threads, any batch of windows and any processor (as far as the C library's exp is).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/forward.h"
#include "eval/model.h"
#include "eval/token_stream.h"

namespace galatea {

struct PerplexityOptions {
  std::uint64_t context = 2048;
  /// Activations of the windows that go through the model together take at most this (one window at least).
  /// 0: half of the memory that is free, at most 2 GiB (a batch is also how often Ctrl-C is heeded).
  std::uint64_t activation_bytes = 0;
  ForwardOptions forward;  ///< its progress gets one step, counted in tokens
};

struct PerplexityResult {
  std::string protocol = "gptq";
  std::string stream_sha256;
  std::uint64_t context = 0, tokens = 0, windows = 0, scored = 0;
  std::vector<double> window_losses;  ///< mean -log p of each window
  double perplexity = 0;
  /// Of `perplexity`, from the spread of the windows' losses; 0 when there is one window only.
  double standard_error = 0;
};

/// Throws Error: usage for a context below 2, input when the stream is shorter than one window or holds
/// tokens that the model does not know, or the model gives no number (its weights hold NaN); system when
/// progress asks to stop.
PerplexityResult perplexity(const LlamaModel& model, const TokenStream& stream,
                            const PerplexityOptions& options);

}  // namespace galatea
