// What a run of perplexity gives, how parts of one are put together, and how it is written down.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "eval/protocol.h"

namespace galatea {

struct PerplexityResult {
  std::string protocol, precision;
  std::string stream_sha256;
  std::uint64_t context = 0, tokens = 0;
  std::uint64_t stride = 0;                      ///< of strided windows
  bool fp16_loss = false;                        ///< rounded as a run in float16 rounds
  std::uint64_t windows = 0;                     ///< of the whole stream
  std::uint64_t first_window = 0;                ///< that was scored; window_losses.size() of them were
  std::vector<double> window_losses;             ///< mean -log p of each window
  std::vector<double> window_squares;            ///< mean (-log p)^2 of each window
  std::vector<std::uint64_t> window_scored;      ///< predictions of each window
  std::uint64_t text_bytes = 0, text_words = 0;  ///< see TokenStream

  // What follows from these.
  std::uint64_t scored = 0;  ///< predictions
  double perplexity = 0;
  /// Of `perplexity`, as the protocol has it; 0 when there is too little to tell.
  double standard_error = 0;
  double bits_per_byte = 0;  ///< 0 when the bytes are not known

  bool whole() const { return window_losses.size() == windows; }
};

/// Fills in what follows from the windows.
void finish(PerplexityResult& out);

/// Runs over parts of one stream as the run over all of them would have given it, to the bit. Throws
/// Error(input) when they are of different streams, protocols, contexts or precisions, overlap, or leave a gap.
PerplexityResult combine(std::vector<PerplexityResult> parts);

/// To JSON and back, without loss.
nlohmann::json to_json(const PerplexityResult& result);
/// Throws Error(input) when it is no such result.
PerplexityResult perplexity_from_json(const nlohmann::json& document);

}  // namespace galatea
