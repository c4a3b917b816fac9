#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "eval/html_report.h"
#include "eval/junit.h"
#include "eval/perplexity_run_command.h"
#include "format/amount.h"
#include "format/error.h"
#include "format/json.h"
#include "format/plan.h"

namespace galatea::perplexity_command {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using stream_command::with_commas;

constexpr double value_tolerance = 1e-3;
constexpr double run_tolerance = 5e-4;

std::string described(const std::string& precision) {
  if (precision == "exact") return "exact: bfloat16 in two parts, within 1e-5 of float32";
  if (precision == "fast") return "fast: bfloat16; a screening, not a score to publish";
  return "f32: float32 throughout";
}

std::string with_error(const char* pattern, const Estimate& estimate) {
  return number(pattern, estimate.value) + " +/- " + number(pattern, estimate.error);
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

void print_kl(const KlSummary& kl, Console& console) {
  console.print("base        perplexity " + number("%.6f", kl.base_perplexity) + ", ln ratio " +
                with_error("%.6f", kl.log_ratio));
  std::string mean = "KL mean     " + with_error("%.6f", kl.mean);
  if (kl.mean_most > kl.mean.value) {
    mean += ", at least: the base's tail is one sum (at most " + number("%.6f", kl.mean_most) + ")";
  }
  console.print(mean);
  console.print("KL median   " + number("%.6f", kl.median) + ", maximum " + number("%.6f", kl.largest));
  std::string percentiles = "KL percent ";
  for (const auto& [percent, value] : kl.percentiles)
    percentiles += " " + number("%g", percent) + ": " + number("%.6f", value);
  console.print(percentiles);
  console.print("same top    " + number("%.3f", 100 * kl.same_top.value) + " +/- " +
                number("%.3f", 100 * kl.same_top.error) + " % of " + with_commas(kl.count) + " predictions");
  console.print("p change    RMS " + number("%.4f", 100 * kl.rms_change.value) + " +/- " +
                number("%.4f", 100 * kl.rms_change.error) + " %, mean " +
                number("%+.4f", 100 * kl.change.value) + " +/- " + number("%.4f", 100 * kl.change.error) +
                " %");
}

void print_comparison(const Comparison& comparison, Console& console) {
  console.print("expected    " + number("%.6f", comparison.expected) + " (" + comparison.source + ")");
  console.print("difference  " + number("%+.2e", comparison.change) + " relative, allowed " +
                number("%.1e", comparison.tolerance));
  if (comparison.paired) {
    console.print("paired      " + number("%+.1f", comparison.sigmas()) + " standard errors of " +
                  number("%.2e", comparison.standard_error) + ", window by window (unpaired: of " +
                  number("%.2e", comparison.unpaired_error) + ")");
  } else {
    console.print("            " + number("%+.3f", comparison.sigmas()) + " standard errors of this text");
  }
  console.print(comparison.passed ? "PASS" : "FAIL");
}

void print_table(const std::vector<Scored>& all, Console& console) {
  console.print("");
  console.print("corpus      expected     found        difference  std. errors");
  for (const Scored& scored : all) {
    std::string line = padded(scored.data, 12);
    if (scored.comparison) {
      const Comparison& comparison = *scored.comparison;
      line += padded(number("%.6f", comparison.expected), 13) + padded(number("%.6f", comparison.found), 13) +
              padded(number("%+.2e", comparison.change), 12) +
              padded(number("%+.3f", comparison.sigmas()), 13) + (comparison.passed ? "pass" : "FAIL");
    } else {
      line += padded("-", 13) + number("%.6f", scored.found.perplexity);
    }
    console.print(line);
  }
}

void write_text(const std::string& path, const std::string& text, bool overwrite) {
  WriteOptions write;
  write.overwrite = overwrite;
  write_file(literal_layout(fs::path(path).filename().string(), text), path, write);
}

std::vector<JUnitCase> junit_cases(const std::vector<Scored>& all) {
  std::vector<JUnitCase> cases;
  for (const Scored& scored : all) {
    JUnitCase one{scored.data, scored.seconds, "",
                  "perplexity " + number("%.6f", scored.found.perplexity) + " +/- " +
                      number("%.4f", scored.found.standard_error) + ", protocol " + scored.found.protocol +
                      ", stream " + scored.found.stream_sha256};
    if (scored.comparison && !scored.comparison->passed) {
      one.failure = "expected " + number("%.6f", scored.comparison->expected) + ", found " +
                    number("%.6f", scored.comparison->found) + " (" +
                    number("%+.2e", scored.comparison->change) + " relative, allowed " +
                    number("%.1e", scored.comparison->tolerance) + ")";
    }
    cases.push_back(std::move(one));
  }
  return cases;
}

}  // namespace

std::string number(const char* pattern, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), pattern, value);
  return text.data();
}

std::vector<json> runs_in(const std::string& file) {
  const json document = parse_json_file(file);
  if (!document.is_object() || !document.contains("runs")) return {document};
  const json& runs = document.at("runs");
  if (!runs.is_array() || runs.empty())
    throw Error(ErrorKind::input, "is not the result of galatea perplexity --json").file(file);
  return {runs.begin(), runs.end()};
}

Expected::Expected(const Options& options, const std::optional<Release>& release)
    : release_(release), source_(options.expected), tolerance_(options.tolerance) {
  if (options.expected.empty()) return;
  double value = 0;
  const char* end = options.expected.data() + options.expected.size();
  const auto parsed = std::from_chars(options.expected.data(), end, value);
  if (parsed.ec == std::errc() && parsed.ptr == end && value > 0) {
    value_ = value;
    source_ = "--expect";
    return;
  }
  for (const json& run : runs_in(options.expected)) {
    try {
      runs_.push_back(perplexity_from_json(run));
    } catch (Error& error) {
      throw error.file(options.expected);
    }
  }
}

void Expected::require(const std::string& data) const {
  if (!release_ || release_->scores.contains(data)) return;
  std::string names;
  for (const auto& [name, value] : release_->scores) names += (names.empty() ? "" : ", ") + name;
  throw Error(ErrorKind::usage,
              data.empty() ? "which of the release's scores?"
                           : "no score of " + release_->name + " on " + printable(data) + " is known")
      .expected(names.empty() ? "a release with published scores"
                              : "--data with one of " + names + ", or --corpora for all of them");
}

std::optional<Comparison> Expected::compare(const std::string& data, const PerplexityResult& found) const {
  if (value_) return compare_with_value(found, *value_, source_, tolerance_.value_or(value_tolerance));
  if (release_) {
    require(data);
    return compare_with_value(found, release_->scores.at(data), release_->name,
                              tolerance_.value_or(value_tolerance));
  }
  if (runs_.empty()) return {};
  const auto same = std::find_if(runs_.begin(), runs_.end(), [&](const PerplexityResult& run) {
    return run.stream_sha256 == found.stream_sha256;
  });
  return compare_with_run(found, same == runs_.end() ? runs_.front() : *same, source_,
                          tolerance_.value_or(run_tolerance));
}

void print(const Scored& scored, Console& console) {
  const PerplexityResult& found = scored.found;
  if (scored.made) {
    stream_command::print_stream(*scored.made, found.tokens, console);
  } else if (scored.document.contains("ids_file")) {
    console.print("tokens      " + with_commas(found.tokens) + " from " +
                  scored.document.at("ids_file").get<std::string>());
    console.print("ids sha256  " + found.stream_sha256);
  }
  std::string windows = with_commas(found.windows) + " windows of " + std::to_string(found.context);
  if (found.stride > 0)
    windows += " + " + std::to_string(found.stride / 2) + ", stride " + std::to_string(found.stride);
  console.print("protocol    " + found.protocol + ", " + windows + ", " + with_commas(found.scored) +
                " tokens scored");
  if (!found.whole()) {
    console.print("windows     " + std::to_string(found.first_window) + " to " +
                  std::to_string(found.first_window + found.window_losses.size() - 1) + " only");
  }
  console.print("products    " + described(found.precision));
  if (found.fp16_loss) console.print("losses      rounded to float16, as a run in float16 has them");
  const bool by_words = find_protocol(found.protocol).windows == Protocol::Windows::rolling;
  console.print("perplexity  " + number("%.6f", found.perplexity) + " +/- " +
                number("%.4f", found.standard_error) +
                (by_words ? " of a word (" + with_commas(found.text_words) + " words)" : ""));
  if (found.bits_per_byte > 0)
    console.print("bits        " + number("%.6f", found.bits_per_byte) + " per byte of text");
  if (scored.times) {
    const ForwardTimes& times = *scored.times;
    const auto share = [&](double seconds) { return number("%.0f %%", 100 * seconds / times.total); };
    console.print(
        "time        " + duration(times.total) + ", " +
        number("%.1f tokens a second: product ", scored.document.at("times").at("tokens_per_second")) +
        share(times.product) + ", decode " + share(times.decode) + ", attention " + share(times.attention) +
        ", head " + share(times.head));
  }
  if (scored.kl) print_kl(*scored.kl, console);
  if (scored.document.contains("wrote_kl_base")) {
    const json& wrote = scored.document.at("wrote_kl_base");
    console.print("KL base     " + wrote.at("file").get<std::string>() + ", " +
                  with_commas(wrote.at("bytes").get<std::uint64_t>()) + " bytes");
  }
  if (scored.comparison) print_comparison(*scored.comparison, console);
}

int conclude(const Options& options, std::vector<Scored>& all, Console& console) {
  json runs = json::array();
  const Scored* failed = nullptr;
  for (Scored& scored : all) {
    if (scored.comparison) {
      scored.document.update(to_json(*scored.comparison));
      if (!scored.comparison->passed && failed == nullptr) failed = &scored;
    }
    runs.push_back(scored.document);
  }
  if (all.size() > 1) print_table(all, console);
  const json document = all.size() == 1
                            ? runs.front()
                            : json{{"model", options.model}, {"runs", runs}, {"passed", failed == nullptr}};
  if (!options.save.empty()) write_text(options.save, document.dump(1) + "\n", options.overwrite);
  if (!options.junit.empty()) {
    const std::string suite = "galatea perplexity " + (options.model.empty() ? "" : options.model);
    write_text(options.junit, junit_xml(suite, junit_cases(all)), true);
  }
  if (!options.html.empty()) {
    std::vector<json> shown;
    for (const std::string& file : options.runs) {
      for (json& run : runs_in(file)) shown.push_back(std::move(run));
    }
    shown.insert(shown.end(), runs.begin(), runs.end());
    write_text(options.html, html_report(shown), true);
  }
  console.print_json(document);
  if (failed == nullptr) return 0;
  Error error(ErrorKind::check_failed, "the perplexity is not what it should be");
  if (!options.model.empty()) error.file(options.model);
  throw error
      .expected(number("%.6f", failed->comparison->expected) +
                (failed->comparison->paired ? ", at most " : " within ") +
                number("%g", 100 * failed->comparison->tolerance) + " %" +
                (failed->comparison->paired ? " more" : ""))
      .found(number("%.6f", failed->comparison->found) + (all.size() > 1 ? " on " + failed->data : ""));
}

}  // namespace galatea::perplexity_command
