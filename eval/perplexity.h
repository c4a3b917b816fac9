// Perplexity of a model on a stream of tokens, by one of the protocols of protocol.h:
//
//   loss of a window = mean of -log p over its scored predictions;
//   perplexity = exp(mean of the windows' losses), weighted by their predictions where these differ.
//
// Logits are float32, the losses float64, summed in the order of the stream: the result is the same bits for
// any number of threads, any batch of windows, any split into runs that are combined, any interruption, and (as far
// as the C library's exp is, and with Precision::f32) any processor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/forward.h"
#include "eval/model.h"
#include "eval/score.h"
#include "eval/score_journal.h"
#include "eval/token_stream.h"

namespace galatea {

/// Windows [begin, end) of a stream.
struct WindowRange {
  std::uint64_t begin, end;
};

/// Looks on while predictions are scored: writes them down, compares them.
class ScoreObserver {
 public:
  virtual ~ScoreObserver() = default;
  /// Prediction number `index` of those of `window` that count. Called by several threads at once, in no order; must
  /// not throw (keep the error for done()).
  virtual void prediction(std::uint64_t window, std::uint64_t index, std::span<const float> logits,
                          std::int32_t target) = 0;
  /// All predictions of these windows were given. Throws what went wrong meanwhile.
  virtual void done(WindowRange windows) = 0;
  /// What restore() needs to know of a window after an interruption.
  virtual std::string keep(std::uint64_t window) const = 0;
  virtual void restore(std::uint64_t window, std::string_view kept) = 0;
};

struct PerplexityOptions {
  const Protocol* protocol = &protocols().front();
  std::uint64_t context = 2048;
  std::uint64_t stride = 0;            ///< see make_windows
  std::optional<WindowRange> windows;  ///< all when not given
  std::int64_t bos_id = 1;             ///< for protocols that put it first
  /// Round logits, log-probabilities and each window's loss to float16, the sums to float32, as GPTQ-for-LLaMa's
  /// evaluation does when the model is in float16.
  bool fp16_loss = false;
  /// What the forward pass takes at most, which says how many windows go through the model together. 0: half of the
  /// memory that is free (in a container: of its limit, if that is less). With a journal no more than 16,384 tokens do, since a
  /// batch is what an interruption costs.
  std::uint64_t max_memory = 0;
  ForwardOptions forward;             ///< its progress gets one step, counted in tokens
  ScoreObserver* observer = nullptr;  ///< not owned
  ScoreJournal* journal = nullptr;    ///< finished windows are kept there and taken from there; not owned
};

/// Throws Error: usage for a context below 2, windows that the stream does not have or too little max_memory, input when the stream is
/// shorter than the protocol needs or holds tokens that the model does not know, or the model gives no number
/// (its weights hold NaN); system when progress asks to stop.
PerplexityResult perplexity(const LlamaModel& model, const TokenStream& stream,
                            const PerplexityOptions& options);

}  // namespace galatea
