#include "eval/perplexity.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

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

PerplexityResult describe(const TokenStream& stream, const PerplexityOptions& options) {
  const std::uint64_t context = options.context;
  if (context < 2) {
    throw Error(ErrorKind::usage, "a window must have at least 2 tokens").found(std::to_string(context));
  }
  PerplexityResult out;
  out.protocol = options.protocol->name;
  out.precision = to_string(precision_on(options.forward.isa, options.forward.precision));
  out.stream_sha256 = stream.sha256;
  out.context = context;
  out.tokens = stream.ids.size();
  out.windows = stream.ids.size() / context;
  if (out.windows < options.protocol->fewest_windows) {
    throw Error(ErrorKind::input, out.windows == 0 ? "the stream is shorter than one window"
                                                   : "the stream is shorter than the protocol asks for")
        .expected("at least " + std::to_string(options.protocol->fewest_windows * context) + " tokens")
        .found(std::to_string(stream.ids.size()))
        .remedy("a longer text, or a smaller --ctx");
  }
  return out;
}

WindowRange windows_to_score(const PerplexityResult& result, const PerplexityOptions& options) {
  if (!options.windows) return {0, result.windows};
  const WindowRange range = *options.windows;
  if (range.begin >= range.end || range.end > result.windows) {
    throw Error(ErrorKind::usage, "the stream does not have these windows")
        .expected("A:B with 0 <= A < B <= " + std::to_string(result.windows))
        .found(std::to_string(range.begin) + ":" + std::to_string(range.end));
  }
  return range;
}

/// Perplexity and error bar from the windows' numbers.
void finish(PerplexityResult& out, const Protocol& protocol) {
  const std::uint64_t each = out.context - 1 - protocol.first_position(out.context);
  out.scored = out.window_losses.size() * each;
  const double loss = mean(out.window_losses);
  out.perplexity = std::exp(loss);
  if (!protocol.token_error) {
    out.standard_error = out.perplexity * standard_error_of_mean(out.window_losses);
  } else if (out.scored > 1) {
    const double variance = mean(out.window_squares) - loss * loss;
    out.standard_error =
        out.perplexity * std::sqrt(std::max(variance, 0.0) / static_cast<double>(out.scored - 1));
  }
}

}  // namespace

PerplexityResult perplexity(const LlamaModel& model, const TokenStream& stream,
                            const PerplexityOptions& options) {
  const Protocol& protocol = *options.protocol;
  PerplexityResult out = describe(stream, options);
  const WindowRange range = windows_to_score(out, options);
  out.first_window = range.begin;
  require_known_tokens(stream.ids, model.config.vocab_size);
  std::vector<std::int32_t> inputs = stream.ids;
  const std::uint64_t context = options.context;
  if (protocol.bos_first) {
    for (std::uint64_t window = 0; window < out.windows; ++window)
      inputs[window * context] = static_cast<std::int32_t>(options.bos_id);
    require_known_tokens(inputs, model.config.vocab_size);
  }

  Progress& progress = options.forward.progress != nullptr ? *options.forward.progress : silent_progress();
  const ProgressScope scope(progress, (range.end - range.begin) * context);
  TokenProgress by_token(progress, model.config.layers + 1);
  ForwardOptions forward_options = options.forward;
  forward_options.progress = &by_token;

  const std::uint64_t first_position = protocol.first_position(context);
  const std::uint64_t batch = windows_at_once(model.config, range.end - range.begin, options);
  std::vector<double> losses;
  std::vector<double> squares;
  for (std::uint64_t first = range.begin; first < range.end; first += batch) {
    const std::uint64_t here = std::min(batch, range.end - first);
    const auto part = std::span(inputs).subspan(first * context, here * context);
    const auto targets = std::span(stream.ids).subspan(first * context, here * context);
    losses.assign(part.size(), std::numeric_limits<double>::quiet_NaN());
    forward(model, part, context, first_position, forward_options,
            [&](std::uint64_t window, std::uint64_t position, std::span<const float> logits) {
              if (position + 1 == context) return;  // its target belongs to the next window
              const std::uint64_t at = window * context + position;
              losses[at] = -log_probability(logits, targets[at + 1]);
            });
    for (std::uint64_t window = 0; window < here; ++window) {
      const auto scored =
          std::span(losses).subspan(window * context + first_position, context - 1 - first_position);
      const double loss = mean(scored);
      if (std::isnan(loss)) {
        throw Error(ErrorKind::input, "the model gives no number for a window of the stream")
            .found("NaN in window " + std::to_string(first + window))
            .remedy(
                "the weights hold NaN or infinity: galatea verify, then reconstruct or download them again");
      }
      squares.clear();
      for (const double value : scored) squares.push_back(value * value);
      out.window_losses.push_back(loss);
      out.window_squares.push_back(mean(squares));
    }
  }
  finish(out, protocol);
  return out;
}

PerplexityResult combine(std::vector<PerplexityResult> parts) {
  if (parts.empty()) throw Error(ErrorKind::usage, "there are no runs to combine");
  std::sort(parts.begin(), parts.end(), [](const PerplexityResult& a, const PerplexityResult& b) {
    return a.first_window < b.first_window;
  });
  PerplexityResult out = parts.front();
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const PerplexityResult& part = parts[i];
    const auto same = [&](const char* what, const std::string& first, const std::string& other) {
      if (first == other) return;
      throw Error(ErrorKind::input, std::string("the runs are of different ") + what)
          .expected(first)
          .found(other);
    };
    same("streams", out.stream_sha256, part.stream_sha256);
    same("protocols", out.protocol, part.protocol);
    same("precisions", out.precision, part.precision);
    same("contexts", std::to_string(out.context), std::to_string(part.context));
    same("lengths", std::to_string(out.tokens), std::to_string(part.tokens));
    const std::uint64_t next = out.first_window + out.window_losses.size();
    if (part.first_window != next) {
      throw Error(ErrorKind::input, part.first_window < next ? "two runs scored the same windows"
                                                             : "windows between two runs are missing")
          .expected("a run that starts with window " + std::to_string(next))
          .found(std::to_string(part.first_window));
    }
    out.window_losses.insert(out.window_losses.end(), part.window_losses.begin(), part.window_losses.end());
    out.window_squares.insert(out.window_squares.end(), part.window_squares.begin(),
                              part.window_squares.end());
  }
  if (!out.whole()) {
    throw Error(ErrorKind::input, "windows of the stream are missing")
        .expected("windows 0 to " + std::to_string(out.windows - 1))
        .found(std::to_string(out.first_window) + " to " +
               std::to_string(out.first_window + out.window_losses.size() - 1));
  }
  finish(out, find_protocol(out.protocol));
  return out;
}

nlohmann::json to_json(const PerplexityResult& result) {
  return {{"protocol", result.protocol},
          {"precision", result.precision},
          {"stream_sha256", result.stream_sha256},
          {"ctx", result.context},
          {"tokens", result.tokens},
          {"windows", result.windows},
          {"first_window", result.first_window},
          {"scored_tokens", result.scored},
          {"window_losses", result.window_losses},
          {"window_squares", result.window_squares},
          {"perplexity", result.perplexity},
          {"standard_error", result.standard_error}};
}

PerplexityResult perplexity_from_json(const nlohmann::json& document) {
  PerplexityResult out;
  try {
    out.protocol = find_protocol(document.at("protocol").get<std::string>()).name;
    out.precision = document.at("precision").get<std::string>();
    out.stream_sha256 = document.at("stream_sha256").get<std::string>();
    out.context = document.at("ctx").get<std::uint64_t>();
    out.tokens = document.at("tokens").get<std::uint64_t>();
    out.windows = document.at("windows").get<std::uint64_t>();
    out.first_window = document.at("first_window").get<std::uint64_t>();
    out.window_losses = document.at("window_losses").get<std::vector<double>>();
    out.window_squares = document.at("window_squares").get<std::vector<double>>();
  } catch (const nlohmann::json::exception& failure) {
    throw Error(ErrorKind::input, "is not the result of galatea perplexity --json")
        .found(printable(failure.what()));
  }
  const std::uint64_t count = out.window_losses.size();
  if (out.context < 2 || out.windows != out.tokens / out.context || count == 0 ||
      count != out.window_squares.size() || count > out.windows || out.first_window > out.windows - count) {
    throw Error(ErrorKind::input, "the numbers of windows, tokens and losses do not belong together");
  }
  finish(out, find_protocol(out.protocol));
  return out;
}

}  // namespace galatea
