#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "eval/commands.h"
#include "eval/model.h"
#include "eval/perplexity.h"
#include "eval/stream_command.h"
#include "format/checkpoint.h"
#include "format/error.h"
#include "format/json.h"
#include "verify/releases.h"

namespace galatea {
namespace {

using stream_command::MadeStream;
using stream_command::StreamOptions;

struct PerplexityCommand {
  std::string model, ids, tokenizer, release, precision = "exact", protocol = "gptq", windows;
  std::vector<std::string> combine;
  std::optional<double> expected;
  double tolerance = 1e-3;
  StreamOptions stream;
};

Precision precision_named(const std::string& name) {
  for (const Precision precision : {Precision::f32, Precision::exact}) {
    if (to_string(precision) == name) return precision;
  }
  return Precision::fast;
}

std::string described(const std::string& precision) {
  if (precision == "exact") return "exact: bfloat16 in two parts, within 1e-5 of float32";
  if (precision == "fast") return "fast: bfloat16; a screening, not a score to publish";
  return "f32: float32 throughout";
}

/// What the score shall be, and who says so.
struct Expectation {
  double value;
  std::string source;
};

std::string number(const char* pattern, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), pattern, value);
  return text.data();
}

std::optional<Expectation> expectation(const PerplexityCommand& options,
                                       const std::optional<Release>& release) {
  if (options.expected) return Expectation{*options.expected, "--expect"};
  if (!release) return {};
  const auto score = release->scores.find(options.stream.data);
  if (score != release->scores.end()) return Expectation{score->second, release->name};
  std::string names;
  for (const auto& [name, value] : release->scores) names += (names.empty() ? "" : ", ") + name;
  throw Error(ErrorKind::usage, options.stream.data.empty() ? "which of the release's scores?"
                                                            : "no score of " + release->name + " on " +
                                                                  options.stream.data + " is known")
      .expected(names.empty() ? "a release with published scores" : "--data with one of " + names);
}

std::uint64_t context_of(const PerplexityCommand& options, const std::optional<Release>& release,
                         const LlamaConfig& config, Console& console) {
  const std::uint64_t usual =
      release ? release->score_context : std::min(find_protocol(options.protocol).context, config.context);
  const std::uint64_t context = options.stream.context == 0 ? usual : options.stream.context;
  if (context > config.context) {
    console.progress().note("note: windows of " + std::to_string(context) +
                            " tokens, but the model was made for " + std::to_string(config.context));
  }
  return context;
}

MadeStream stream_of(const PerplexityCommand& options, const Checkpoint& checkpoint, std::uint64_t context,
                     Console& console) {
  if (!options.ids.empty()) {
    MadeStream made;
    made.stream = read_ids(options.ids);
    return made;
  }
  const auto rule = stream_command::unk_rule(options.stream);
  const Tokenizer tokenizer =
      options.tokenizer.empty() ? open_tokenizer(checkpoint, rule) : open_tokenizer(options.tokenizer, rule);
  StreamOptions stream = options.stream;
  if (find_protocol(options.protocol).raw_text && !stream.data.empty()) {
    if (stream.data.starts_with("c4")) {
      throw Error(ErrorKind::usage, "the protocol " + options.protocol + " takes a file of plain text")
          .found("--data " + stream.data)
          .remedy("--data wikitext2, ptb, ptb-new or text");
    }
    stream.data = "text";
  }
  return stream_command::make_stream(stream, tokenizer, context, console);
}

/// "A:B"; either may be left out. `windows` is how many there are.
std::optional<WindowRange> window_range(const std::string& text, std::uint64_t windows) {
  if (text.empty()) return {};
  WindowRange range{0, windows};
  const std::size_t colon = text.find(':');
  const auto read = [&](std::size_t begin, std::size_t end, std::uint64_t& value) {
    if (begin == end) return true;
    const auto parsed = std::from_chars(text.data() + begin, text.data() + end, value);
    return parsed.ec == std::errc() && parsed.ptr == text.data() + end;
  };
  if (colon == std::string::npos || !read(0, colon, range.begin) ||
      !read(colon + 1, text.size(), range.end)) {
    throw Error(ErrorKind::usage, "--windows is not understood")
        .expected("A:B, the windows from A up to but not including B")
        .found(printable(text));
  }
  return range;
}

/// Prints and returns whether `found` is within the tolerance.
bool compare(const Expectation& expected, double found, double tolerance, Console& console,
             nlohmann::json& document) {
  const double difference = found / expected.value - 1;
  const bool passed = std::fabs(difference) <= tolerance;
  console.print("expected    " + number("%.6f", expected.value) + " (" + expected.source + ")");
  console.print("difference  " + number("%+.2e", difference) + " relative, allowed " +
                number("%.1e", tolerance));
  console.print(passed ? "PASS" : "FAIL");
  document["expected"] = expected.value;
  document["expected_from"] = expected.source;
  document["relative_difference"] = difference;
  document["tolerance"] = tolerance;
  document["passed"] = passed;
  return passed;
}

/// The score itself, said, compared and put into `document`.
int report(const PerplexityCommand& options, const PerplexityResult& found,
           const std::optional<Expectation>& expected, nlohmann::json document, Console& console) {
  document.update(to_json(found));
  console.print("protocol    " + found.protocol + ", " + stream_command::with_commas(found.windows) +
                " windows of " + std::to_string(found.context) + ", " +
                stream_command::with_commas(found.scored) + " tokens scored");
  if (!found.whole()) {
    console.print("windows     " + std::to_string(found.first_window) + " to " +
                  std::to_string(found.first_window + found.window_losses.size() - 1) + " only");
  }
  console.print("products    " + described(found.precision));
  console.print("perplexity  " + number("%.6f", found.perplexity) + " +/- " +
                number("%.4f", found.standard_error));
  const bool passed = !expected || compare(*expected, found.perplexity, options.tolerance, console, document);
  console.print_json(document);
  if (passed) return 0;
  Error error(ErrorKind::check_failed, "the perplexity is not what it should be");
  if (!options.model.empty()) error.file(options.model);
  throw error
      .expected(number("%.6f", expected->value) + " within " + number("%g", 100 * options.tolerance) + " %")
      .found(number("%.6f", found.perplexity));
}

int combine_runs(const PerplexityCommand& options, const std::optional<Expectation>& expected,
                 Console& console) {
  std::vector<PerplexityResult> parts;
  for (const std::string& file : options.combine) {
    try {
      parts.push_back(perplexity_from_json(parse_json_file(file)));
    } catch (Error& error) {
      throw error.file(file);
    }
  }
  const PerplexityResult found = combine(std::move(parts));
  console.print("tokens      " + stream_command::with_commas(found.tokens) + ", combined from " +
                std::to_string(options.combine.size()) + " runs");
  console.print("ids sha256  " + found.stream_sha256);
  return report(options, found, expected, {{"combined", options.combine}, {"data", options.stream.data}},
                console);
}

int run(const PerplexityCommand& options, Console& console) {
  if (options.ids.empty() && !options.stream.data.empty()) corpus_kind(options.stream.data);
  const Protocol& protocol = find_protocol(options.protocol);
  const std::optional<Release> release =
      options.release.empty() ? std::nullopt : std::optional(resolve_release(options.release));
  if (release && protocol.name != "gptq") {
    throw Error(ErrorKind::usage, "published scores are by the protocol gptq")
        .found("--protocol " + options.protocol);
  }
  const std::optional<Expectation> expected = expectation(options, release);
  if (!options.combine.empty()) return combine_runs(options, expected, console);
  if (options.model.empty()) {
    throw Error(ErrorKind::usage, "which model?").remedy("galatea perplexity --help");
  }
  const Checkpoint checkpoint = Checkpoint::open(options.model);
  const LlamaModel model = load_model(checkpoint);
  const std::uint64_t context = context_of(options, release, model.config, console);
  const MadeStream made = stream_of(options, checkpoint, context, console);

  PerplexityOptions how;
  how.protocol = &protocol;
  how.context = context;
  how.windows = window_range(options.windows, made.stream.ids.size() / context);
  how.bos_id = model.config.bos_id;
  how.forward.progress = &console.progress();
  how.forward.precision = precision_named(options.precision);
  const PerplexityResult found = perplexity(model, made.stream, how);

  nlohmann::json document = options.ids.empty()
                                ? stream_command::stream_json(made, options.stream)
                                : nlohmann::json{{"ids_file", options.ids}, {"data", options.stream.data}};
  document["model"] = options.model;
  if (options.ids.empty()) {
    stream_command::print_stream(made, console);
  } else {
    console.print("tokens      " + stream_command::with_commas(found.tokens) + " from " + options.ids);
    console.print("ids sha256  " + found.stream_sha256);
  }
  return report(options, found, expected, std::move(document), console);
}

}  // namespace

void bind_perplexity(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<PerplexityCommand>();
  CLI::App* command =
      app.add_subcommand("perplexity", "Score a model on a text, and compare with a known score");
  command->add_option("model", options->model, "A checkpoint folder or file of any kind, quantized GGUF too");
  stream_command::add_options(*command, options->stream);
  command->add_option("--ids", options->ids, "Score these ids (galatea tokenize) instead")
      ->type_name("FILE")
      ->excludes("--corpus-file")
      ->excludes("--unk");
  command->add_option("--tokenizer", options->tokenizer, "A tokenizer.model other than the model's own")
      ->type_name("FILE");
  CLI::Option* value =
      command->add_option("--expect", options->expected, "Exit code 1 unless it is this")->type_name("VALUE");
  CLI::Option* name = command
                          ->add_option("--expect-release", options->release,
                                       "Exit code 1 unless it is what was published for this release")
                          ->type_name("NAME");
  value->excludes(name);
  command->add_option("--tolerance", options->tolerance, "Allowed difference, relative")
      ->type_name("T")
      ->check(CLI::Range(0.0, 1.0).description(""))
      ->capture_default_str();
  command->add_option("--protocol", options->protocol, "gptq, llama.cpp or autogptq: windows and what counts")
      ->type_name("NAME")
      ->capture_default_str();
  CLI::Option* windows =
      command->add_option("--windows", options->windows, "Only these windows, A up to B")->type_name("A:B");
  command->add_option("--combine", options->combine, "The score of runs over parts, from their --json output")
      ->type_name("RUN.json...")
      ->excludes(windows);
  command->add_option("--precision", options->precision, "Of the products: f32, exact or fast")
      ->type_name("P")
      ->check(CLI::IsMember({"f32", "exact", "fast"}).description(""))
      ->capture_default_str();
  command->footer(
      "Example:\n"
      "  galatea perplexity metharme-13b --data wikitext2 --corpus-file wiki.test.raw \\\n"
      "      --expect-release metharme-13b");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return run(*options, console); }; });
}

}  // namespace galatea
