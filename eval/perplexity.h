// Perplexity of a model on a stream of tokens, by one of the protocols of protocol.h:
//
//   loss of a window = mean of -log p over its scored predictions;
//   perplexity = exp(mean of the windows' losses).
//
// Logits are float32, the losses float64, summed in the order of the stream: the result is the same bits for
// any number of threads, any batch of windows, any split into runs that are combined, and (as far as the C
// library's exp is, and with Precision::f32) any processor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "eval/forward.h"
#include "eval/model.h"
#include "eval/protocol.h"
#include "eval/token_stream.h"

namespace galatea {

/// Windows [begin, end) of a stream.
struct WindowRange {
  std::uint64_t begin, end;
};

struct PerplexityOptions {
  const Protocol* protocol = &protocols().front();
  std::uint64_t context = 2048;
  std::optional<WindowRange> windows;  ///< all when not given
  std::int64_t bos_id = 1;             ///< for protocols that put it first
  /// Activations of the windows that go through the model together take at most this (one window at least).
  /// 0: half of the memory that is free, at most 2 GiB (a batch is also how often Ctrl-C is heeded).
  std::uint64_t activation_bytes = 0;
  ForwardOptions forward;  ///< its progress gets one step, counted in tokens
};

struct PerplexityResult {
  std::string protocol, precision;
  std::string stream_sha256;
  std::uint64_t context = 0, tokens = 0;
  std::uint64_t windows = 0;           ///< of the whole stream
  std::uint64_t first_window = 0;      ///< that was scored; window_losses.size() of them were
  std::uint64_t scored = 0;            ///< predictions
  std::vector<double> window_losses;   ///< mean -log p of each window
  std::vector<double> window_squares;  ///< mean (-log p)^2 of each window
  double perplexity = 0;
  /// Of `perplexity`, as the protocol has it; 0 when there is too little to tell.
  double standard_error = 0;

  bool whole() const { return window_losses.size() == windows; }
};

/// Throws Error: usage for a context below 2 or windows that the stream does not have, input when the stream is
/// shorter than the protocol needs or holds tokens that the model does not know, or the model gives no number
/// (its weights hold NaN); system when progress asks to stop.
PerplexityResult perplexity(const LlamaModel& model, const TokenStream& stream,
                            const PerplexityOptions& options);

/// Runs over parts of one stream as the run over all of them would have given it, to the bit. Throws
/// Error(input) when they are of different streams, protocols, contexts or precisions, overlap, or leave a gap.
PerplexityResult combine(std::vector<PerplexityResult> parts);

/// To JSON and back, without loss.
nlohmann::json to_json(const PerplexityResult& result);
/// Throws Error(input) when it is no such result.
PerplexityResult perplexity_from_json(const nlohmann::json& document);

}  // namespace galatea
