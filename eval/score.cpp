#include "eval/score.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "format/error.h"

namespace galatea {
namespace {

double mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double weighted_mean(std::span<const double> values, std::span<const std::uint64_t> weights) {
  double sum = 0;
  double weight = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += values[i] * static_cast<double>(weights[i]);
    weight += static_cast<double>(weights[i]);
  }
  return sum / weight;
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

/// Sums and quotient in float32, as torch has them.
double fp16_run_perplexity(const PerplexityResult& result) {
  const auto length = static_cast<float>(result.context);
  float sum = 0;
  for (const double loss : result.window_losses) sum += static_cast<float>(loss) * length;
  return static_cast<double>(std::exp(sum / (static_cast<float>(result.window_losses.size()) * length)));
}

}  // namespace

void finish(PerplexityResult& out) {
  const Protocol& protocol = find_protocol(out.protocol);
  out.scored = 0;
  for (const std::uint64_t count : out.window_scored) out.scored += count;
  const bool even = std::all_of(out.window_scored.begin(), out.window_scored.end(),
                                [&](std::uint64_t count) { return count == out.window_scored.front(); });
  const auto centre = [&](std::span<const double> values) {
    return even ? mean(values) : weighted_mean(values, out.window_scored);
  };
  const double loss = centre(out.window_losses);
  const bool by_words = protocol.windows == Protocol::Windows::rolling && out.text_words > 0;
  const double scale = by_words ? static_cast<double>(out.scored) / static_cast<double>(out.text_words) : 1.0;
  out.perplexity = out.fp16_loss ? fp16_run_perplexity(out) : std::exp(loss * scale);
  if (!protocol.token_error) {
    out.standard_error = out.perplexity * scale * standard_error_of_mean(out.window_losses);
  } else if (out.scored > 1) {
    const double variance = centre(out.window_squares) - loss * loss;
    out.standard_error =
        out.perplexity * std::sqrt(std::max(variance, 0.0) / static_cast<double>(out.scored - 1));
  }
  // The scored tokens stand for their share of the text.
  out.bits_per_byte = 0;
  if (out.text_bytes > 0 && out.tokens > 0) {
    out.bits_per_byte =
        loss / std::log(2.0) * static_cast<double>(out.tokens) / static_cast<double>(out.text_bytes);
  }
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
    same("strides", std::to_string(out.stride), std::to_string(part.stride));
    same("roundings", out.fp16_loss ? "float16" : "none", part.fp16_loss ? "float16" : "none");
    same("lengths", std::to_string(out.tokens), std::to_string(part.tokens));
    same("texts", std::to_string(out.text_bytes) + " bytes", std::to_string(part.text_bytes) + " bytes");
    const std::uint64_t next = out.first_window + out.window_losses.size();
    if (part.first_window != next) {
      throw Error(ErrorKind::input, part.first_window < next ? "two runs scored the same windows"
                                                             : "windows between two runs are missing")
          .expected("a run that starts with window " + std::to_string(next))
          .found(std::to_string(part.first_window));
    }
    const auto add = [](auto& all, const auto& more) { all.insert(all.end(), more.begin(), more.end()); };
    add(out.window_losses, part.window_losses);
    add(out.window_squares, part.window_squares);
    add(out.window_scored, part.window_scored);
  }
  if (!out.whole()) {
    throw Error(ErrorKind::input, "windows of the stream are missing")
        .expected("windows 0 to " + std::to_string(out.windows - 1))
        .found(std::to_string(out.first_window) + " to " +
               std::to_string(out.first_window + out.window_losses.size() - 1));
  }
  finish(out);
  return out;
}

nlohmann::json to_json(const PerplexityResult& result) {
  nlohmann::json out = {{"protocol", result.protocol},
                        {"precision", result.precision},
                        {"stream_sha256", result.stream_sha256},
                        {"ctx", result.context},
                        {"tokens", result.tokens},
                        {"windows", result.windows},
                        {"first_window", result.first_window},
                        {"scored_tokens", result.scored},
                        {"window_losses", result.window_losses},
                        {"window_squares", result.window_squares},
                        {"window_scored", result.window_scored},
                        {"perplexity", result.perplexity},
                        {"standard_error", result.standard_error}};
  if (result.stride > 0) out["stride"] = result.stride;
  if (result.fp16_loss) out["fp16_loss"] = true;
  if (result.text_bytes > 0) {
    out["text_bytes"] = result.text_bytes;
    out["text_words"] = result.text_words;
    out["bits_per_byte"] = result.bits_per_byte;
  }
  return out;
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
    out.window_scored = document.at("window_scored").get<std::vector<std::uint64_t>>();
    out.stride = document.value("stride", std::uint64_t{0});
    out.fp16_loss = document.value("fp16_loss", false);
    out.text_bytes = document.value("text_bytes", std::uint64_t{0});
    out.text_words = document.value("text_words", std::uint64_t{0});
  } catch (const nlohmann::json::exception& failure) {
    throw Error(ErrorKind::input, "is not the result of galatea perplexity --json")
        .found(printable(failure.what()));
  }
  const std::uint64_t count = out.window_losses.size();
  const bool possible =
      std::all_of(out.window_scored.begin(), out.window_scored.end(),
                  [&](std::uint64_t scored) { return scored > 0 && scored <= out.context + out.stride; });
  const bool disjoint = find_protocol(out.protocol).windows == Protocol::Windows::disjoint;
  if (out.context < 2 || count == 0 || (disjoint && out.windows > out.tokens / out.context) ||
      count != out.window_squares.size() || count != out.window_scored.size() || !possible ||
      count > out.windows || out.first_window > out.windows - count) {
    throw Error(ErrorKind::input, "the numbers of windows, tokens and losses do not belong together");
  }
  finish(out);
  return out;
}

}  // namespace galatea
