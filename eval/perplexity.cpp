#include "eval/perplexity.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <span>
#include <utility>

#include "format/dtype.h"
#include "format/error.h"

namespace galatea {
namespace {

/// What an interruption may cost when finished windows are kept.
constexpr std::uint64_t most_tokens_unkept = 16384;

/// The number in a file of the system; nothing where there is none ("max" is none too).
std::optional<std::uint64_t> number_in(const char* file) {
  std::ifstream in(file);
  std::uint64_t number = 0;
  if (!(in >> number)) return {};
  return number;
}

/// Bytes that programs can take without swapping, no more than a container may have; 2 GiB where the system does not say.
std::uint64_t free_memory() {
  std::uint64_t bytes = std::uint64_t{2} << 30U;
  std::ifstream info("/proc/meminfo");
  std::string name;
  for (std::uint64_t kibibytes = 0; info >> name >> kibibytes; info.ignore(100, '\n')) {
    if (name == "MemAvailable:") bytes = kibibytes << 10U;
  }
  for (const char* limit : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"})
    bytes = std::min(bytes, number_in(limit).value_or(bytes));
  return bytes;
}

/// Windows in a batch: as many as fit, all batches about equal.
std::uint64_t windows_at_once(const LlamaConfig& config, std::uint64_t length, std::uint64_t windows,
                              const PerplexityOptions& options) {
  const std::uint64_t budget = options.max_memory > 0 ? options.max_memory : free_memory() / 2;
  const auto needed = [&](std::uint64_t count) {
    return forward_bytes(config, count * length, length, options.forward.threads);
  };
  if (options.max_memory > 0 && needed(1) > budget) {
    throw Error(ErrorKind::usage, "one window takes more than --max-memory")
        .expected("at least " + std::to_string(needed(1) / 1000000 + 1) + "M")
        .found(std::to_string(budget / 1000000) + "M")
        .remedy("a shorter --ctx takes less, and so do fewer --threads");
  }
  std::uint64_t fitting = 1;
  while (fitting < windows && needed(fitting + 1) <= budget) ++fitting;
  if (options.journal != nullptr)
    fitting = std::min(fitting, std::max<std::uint64_t>(most_tokens_unkept / length, 1));
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

class ProgressScope {
 public:
  ProgressScope(Progress& progress, std::uint64_t tokens) : progress_(progress) {
    progress_.begin("perplexity", tokens, "tok");
  }
  ProgressScope(const ProgressScope&) = delete;
  ProgressScope& operator=(const ProgressScope&) = delete;
  ~ProgressScope() { progress_.end(); }

 private:
  Progress& progress_;
};

WindowRange windows_to_score(std::uint64_t count, const PerplexityOptions& options) {
  if (!options.windows) return {0, count};
  const WindowRange range = *options.windows;
  if (range.begin >= range.end || range.end > count) {
    throw Error(ErrorKind::usage, "the stream does not have these windows")
        .expected("A:B with 0 <= A < B <= " + std::to_string(count))
        .found(std::to_string(range.begin) + ":" + std::to_string(range.end));
  }
  return range;
}

float through_f16(float value) { return f16_to_f32(f32_to_f16(value)); }

/// log softmax as torch gives it for float16 logits: float32 inside, float16 out.
double fp16_log_probability(std::span<const float> logits, std::int32_t target) {
  float largest = -INFINITY;
  for (const float logit : logits) largest = std::max(largest, through_f16(logit));
  float sum = 0;
  for (const float logit : logits) sum += std::exp(through_f16(logit) - largest);
  const float chosen = through_f16(logits[static_cast<std::size_t>(target)]);
  return static_cast<double>(through_f16(chosen - largest - std::log(sum)));
}

class Scoring {
 public:
  Scoring(const LlamaModel& model, const WindowSet& windows, const PerplexityOptions& options)
      : model_(model), windows_(windows), options_(options), forward_options_(options.forward) {}

  /// Windows [begin, end) through the model, their numbers appended to `out`.
  void batch(WindowRange range, Progress& progress, PerplexityResult& out) {
    const std::uint64_t length = windows_.length;
    const std::uint64_t count = range.end - range.begin;
    const auto targets = std::span(windows_.targets).subspan(range.begin * length, count * length);
    std::uint64_t first = length;
    for (std::uint64_t w = range.begin; w < range.end; ++w) first = std::min(first, windows_.scored[w].first);
    losses_.assign(targets.size(), std::numeric_limits<double>::quiet_NaN());
    forward_options_.progress = &progress;
    forward(
        model_, std::span(windows_.inputs).subspan(range.begin * length, count * length), length, first,
        forward_options_, [&](std::uint64_t window, std::uint64_t position, std::span<const float> logits) {
          const ScoredPositions scored = windows_.scored[range.begin + window];
          if (position < scored.first || position >= scored.end) return;
          const std::uint64_t at = window * length + position;
          losses_[at] = options_.fp16_loss ? -fp16_log_probability(logits, targets[at])
                                           : -log_probability(logits, targets[at]);
          if (options_.observer != nullptr) {
            options_.observer->prediction(range.begin + window, position - scored.first, logits, targets[at]);
          }
        });
    if (options_.observer != nullptr) options_.observer->done(range);
    for (std::uint64_t window = 0; window < count; ++window) add_window(range.begin + window, window, out);
    if (options_.journal != nullptr) options_.journal->flush();
  }

 private:
  void add_window(std::uint64_t window, std::uint64_t in_batch, PerplexityResult& out) {
    const ScoredPositions scored = windows_.scored[window];
    const auto here = std::span(losses_).subspan(in_batch * windows_.length + scored.first, scored.count());
    double sum = 0;
    double squares = 0;
    for (const double value : here) {
      sum += value;
      squares += value * value;
    }
    double loss = sum / static_cast<double>(here.size());
    if (options_.fp16_loss) loss = static_cast<double>(through_f16(static_cast<float>(loss)));
    if (std::isnan(loss)) {
      throw Error(ErrorKind::input, "the model gives no number for a window of the stream")
          .found("NaN in window " + std::to_string(window))
          .remedy(
              "the weights hold NaN or infinity: galatea verify, then reconstruct or download them again");
    }
    const FinishedWindow finished{here.size(), loss, squares / static_cast<double>(here.size()),
                                  options_.observer != nullptr ? options_.observer->keep(window) : ""};
    if (options_.journal != nullptr) options_.journal->add(window, finished);
    out.window_losses.push_back(finished.loss);
    out.window_squares.push_back(finished.square);
    out.window_scored.push_back(finished.scored);
  }

  const LlamaModel& model_;
  const WindowSet& windows_;
  const PerplexityOptions& options_;
  ForwardOptions forward_options_;
  std::vector<double> losses_;
};

/// The windows of an earlier run from the beginning of `range`; gives the first one that is still to be done.
std::uint64_t take_finished(const WindowSet& windows, WindowRange range, const PerplexityOptions& options,
                            PerplexityResult& out) {
  std::uint64_t next = range.begin;
  if (options.journal == nullptr) return next;
  for (; next < range.end; ++next) {
    const auto place = options.journal->windows().find(next);
    if (place == options.journal->windows().end()) break;
    const FinishedWindow& finished = place->second;
    if (finished.scored != windows.scored[next].count()) break;
    if (options.observer != nullptr) options.observer->restore(next, finished.kept);
    out.window_losses.push_back(finished.loss);
    out.window_squares.push_back(finished.square);
    out.window_scored.push_back(finished.scored);
  }
  return next;
}

}  // namespace

PerplexityResult perplexity(const LlamaModel& model, const TokenStream& stream,
                            const PerplexityOptions& options) {
  const Protocol& protocol = *options.protocol;
  const WindowSet windows = make_windows(protocol, stream, options.context, options.stride, options.bos_id);
  PerplexityResult out;
  out.protocol = protocol.name;
  out.precision = to_string(precision_on(options.forward.isa, options.forward.precision));
  out.stream_sha256 = stream.sha256;
  out.context = options.context;
  if (protocol.windows == Protocol::Windows::strided)
    out.stride = options.stride != 0 ? options.stride : std::max<std::uint64_t>(options.context / 2, 1);
  out.fp16_loss = options.fp16_loss;
  out.tokens = stream.ids.size();
  out.windows = windows.count();
  out.text_bytes = stream.text_bytes;
  out.text_words = stream.text_words;
  const WindowRange range = windows_to_score(out.windows, options);
  out.first_window = range.begin;
  require_known_tokens(stream.ids, model.config.vocab_size);
  require_known_tokens(windows.inputs, model.config.vocab_size);

  const std::uint64_t next = take_finished(windows, range, options, out);
  if (next < range.end) {
    Progress& progress = options.forward.progress != nullptr ? *options.forward.progress : silent_progress();
    const ProgressScope scope(progress, (range.end - range.begin) * windows.length);
    progress.advance((next - range.begin) * windows.length);
    TokenProgress by_token(progress, model.config.layers + 1);
    Scoring scoring(model, windows, options);
    const std::uint64_t batch = windows_at_once(model.config, windows.length, range.end - next, options);
    for (std::uint64_t first = next; first < range.end; first += batch)
      scoring.batch({first, std::min(first + batch, range.end)}, by_token, out);
  }
  finish(out);
  return out;
}

}  // namespace galatea
