#include "eval/perplexity.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>

#include "format/error.h"

namespace galatea {
namespace {

/// Bytes that programs can take without swapping; 2 GiB where the system does not say.
std::uint64_t free_memory() {
  std::ifstream info("/proc/meminfo");
  std::string name;
  for (std::uint64_t kibibytes = 0; info >> name >> kibibytes; info.ignore(100, '\n')) {
    if (name == "MemAvailable:") return kibibytes << 10U;
  }
  return std::uint64_t{2} << 30U;
}

/// Windows in a batch: as many as fit, all batches about equal.
std::uint64_t windows_at_once(const LlamaConfig& config, std::uint64_t windows,
                              const PerplexityOptions& options) {
  const std::uint64_t budget = options.activation_bytes > 0
                                   ? options.activation_bytes
                                   : std::min(free_memory() / 2, std::uint64_t{2} << 30U);
  const std::uint64_t one = std::max<std::uint64_t>(forward_bytes(config, options.context), 1);
  const std::uint64_t fitting = std::clamp<std::uint64_t>(budget / one, 1, windows);
  const std::uint64_t batches = (windows + fitting - 1) / fitting;
  return (windows + batches - 1) / batches;
}

/// Turns the forward pass's steps (a token through a layer) into tokens.
class TokenProgress final : public Progress {
 public:
  TokenProgress(Progress& outer, std::uint64_t steps_per_token) : outer_(&outer), steps_(steps_per_token) {}

  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t units) override {
    const std::uint64_t before = done_.fetch_add(units);
    outer_->advance((before + units) / steps_ - before / steps_);
  }
  void end() override {}
  void note(std::string_view line) override { outer_->note(line); }
  bool stop_requested() const override { return outer_->stop_requested(); }

 private:
  Progress* outer_;
  std::uint64_t steps_;
  std::atomic<std::uint64_t> done_{0};
};

double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

/// Of the mean of `values`.
double standard_error_of_mean(std::span<const double> values) {
  if (values.size() < 2) return 0;
  const double centre = mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - centre) * (value - centre);
  const auto count = static_cast<double>(values.size());
  return std::sqrt(squares / (count - 1) / count);
}

/// The forward pass would notice too, but only hours later.
void require_known_tokens(std::span<const std::int32_t> tokens, std::uint64_t vocabulary) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && static_cast<std::uint64_t>(tokens[i]) < vocabulary) continue;
    throw Error(ErrorKind::input, "the stream holds a token that the model does not have")
        .expected("ids from 0 to " + std::to_string(vocabulary - 1))
        .found(std::to_string(tokens[i]) + " at place " + std::to_string(i))
        .remedy("the tokenizer belongs to another model, or the vocabulary was resized");
  }
}

}  // namespace

PerplexityResult perplexity(const LlamaModel& model, const TokenStream& stream,
                            const PerplexityOptions& options) {
  const std::span<const std::int32_t> tokens = stream.ids;
  const std::uint64_t context = options.context;
  if (context < 2) {
    throw Error(ErrorKind::usage, "a window must have at least 2 tokens").found(std::to_string(context));
  }
  PerplexityResult out;
  out.stream_sha256 = stream.sha256;
  out.context = context;
  out.tokens = tokens.size();
  out.windows = tokens.size() / context;
  out.scored = out.windows * (context - 1);
  if (out.windows == 0) {
    throw Error(ErrorKind::input, "the stream is shorter than one window")
        .expected("at least " + std::to_string(context) + " tokens")
        .found(std::to_string(tokens.size()))
        .remedy("a longer text, or a smaller --ctx");
  }
  require_known_tokens(tokens, model.config.vocab_size);

  Progress& progress = options.forward.progress != nullptr ? *options.forward.progress : silent_progress();
  progress.begin("perplexity", out.windows * context, "tok");
  TokenProgress by_token(progress, model.config.layers + 1);
  ForwardOptions forward_options = options.forward;
  forward_options.progress = &by_token;

  const std::uint64_t batch = windows_at_once(model.config, out.windows, options);
  std::vector<double> log_probabilities;
  for (std::uint64_t first = 0; first < out.windows; first += batch) {
    const std::uint64_t here = std::min(batch, out.windows - first);
    const auto part = tokens.subspan(first * context, here * context);
    log_probabilities.assign(part.size(), std::numeric_limits<double>::quiet_NaN());
    forward(model, part, context, 0, forward_options,
            [&](std::uint64_t window, std::uint64_t position, std::span<const float> logits) {
              if (position + 1 == context) return;  // its target belongs to the next window
              const std::uint64_t at = window * context + position;
              log_probabilities[at] = log_probability(logits, part[at + 1]);
            });
    for (std::uint64_t window = 0; window < here; ++window) {
      const double loss = -mean(std::span(log_probabilities).subspan(window * context, context - 1));
      if (std::isnan(loss)) {
        throw Error(ErrorKind::input, "the model gives no number for a window of the stream")
            .found("NaN in window " + std::to_string(first + window))
            .remedy(
                "the weights hold NaN or infinity: galatea verify, then reconstruct or download them again");
      }
      out.window_losses.push_back(loss);
    }
  }
  progress.end();

  out.perplexity = std::exp(mean(out.window_losses));
  out.standard_error = out.perplexity * standard_error_of_mean(out.window_losses);
  return out;
}

}  // namespace galatea
