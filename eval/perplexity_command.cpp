#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "eval/commands.h"
#include "eval/perplexity_run_command.h"
#include "format/checkpoint.h"
#include "format/error.h"
#include "format/json.h"

namespace galatea {
namespace {

using perplexity_command::Expected;
using perplexity_command::Options;
using perplexity_command::Scored;

int combine_runs(const Options& options, const Expected& expected, Console& console) {
  std::vector<PerplexityResult> parts;
  Scored scored;
  scored.data = options.stream.data;
  for (const std::string& file : options.combine) {
    const nlohmann::json document = parse_json_file(file);
    try {
      parts.push_back(perplexity_from_json(document));
    } catch (Error& error) {
      throw error.file(file);
    }
    if (scored.data.empty()) scored.data = document.value("data", "");
    for (const char* key : {"model", "model_bytes"}) {
      if (document.contains(key)) scored.document[key] = document.at(key);
    }
  }
  scored.found = combine(std::move(parts));
  scored.document["combined"] = options.combine;
  scored.document["data"] = scored.data;
  scored.document.update(to_json(scored.found));
  console.print("tokens      " + stream_command::with_commas(scored.found.tokens) + ", combined from " +
                std::to_string(options.combine.size()) + " runs");
  console.print("ids sha256  " + scored.found.stream_sha256);
  scored.comparison = expected.compare(scored.data, scored.found);
  perplexity_command::print(scored, console);
  std::vector<Scored> all;
  all.push_back(std::move(scored));
  return conclude(options, all, console);
}

/// The corpora of a folder that are to be scored: those of the release, or all that are there.
std::vector<std::string> corpora_of(const Options& options, const std::optional<Release>& release) {
  std::vector<std::string> found;
  std::string missing;
  for (const CorpusKind& kind : corpus_kinds()) {
    const std::string name(kind.name);
    if (name == "text" || (release && !release->scores.contains(name))) continue;
    if (!find_corpus(options.corpora, kind).empty()) {
      found.push_back(name);
    } else if (release) {
      missing += (missing.empty() ? "" : ", ") + std::string(kind.file) + " (" + name + ")";
    }
  }
  if (!missing.empty() || found.empty()) {
    throw Error(ErrorKind::usage, "the folder lacks corpora")
        .file(options.corpora)
        .expected(missing.empty() ? "wiki.test.raw, ptb.test.txt, c4-validation...json.gz" : missing)
        .remedy("put the files there, or score one corpus with --data and --corpus-file");
  }
  return found;
}

int run(const Options& options, Console& console) {
  const Protocol& protocol = find_protocol(options.protocol);
  const std::optional<Release> release =
      options.release.empty() ? std::nullopt : std::optional(resolve_release(options.release));
  if (release && protocol.name != "gptq") {
    throw Error(ErrorKind::usage, "published scores are by the protocol gptq")
        .found("--protocol " + options.protocol);
  }
  const Expected expected(options, release);
  if (!options.combine.empty()) return combine_runs(options, expected, console);
  if (options.model.empty() && !options.runs.empty()) {
    std::vector<Scored> none;
    return conclude(options, none, console);
  }
  if (options.model.empty()) {
    throw Error(ErrorKind::usage, "which model?").remedy("galatea perplexity --help");
  }
  if (!options.save.empty() && !options.overwrite && std::filesystem::exists(options.save)) {
    throw Error(ErrorKind::usage, "the output file exists already")
        .file(options.save)
        .remedy("choose another place, remove it, or give --overwrite");
  }
  std::vector<std::string> corpora = {options.stream.data};
  const bool several = !options.corpora.empty() && options.stream.data.empty();
  if (several) {
    corpora = corpora_of(options, release);
    if (!options.kl_base.empty() || !options.write_kl_base.empty())
      throw Error(ErrorKind::usage, "a KL base is of one corpus").remedy("name it with --data");
  } else if (!options.stream.data.empty() || options.stream.corpus_file.empty()) {
    expected.require(options.stream.data);
  }
  const Checkpoint checkpoint = Checkpoint::open(options.model);
  const LlamaModel model = load_model(checkpoint);
  std::vector<Scored> all;
  for (const std::string& data : corpora) {
    Options one = options;
    one.stream.data = data;
    if (!options.corpora.empty() && one.stream.corpus_file.empty() && one.ids.empty())
      one.stream.corpus_file = find_corpus(options.corpora, corpus_kind(data)).string();
    if (!all.empty()) console.print("");
    Scored scored = score(one, release, checkpoint, model, console);
    scored.comparison = expected.compare(scored.data, scored.found);
    print(scored, console);
    all.push_back(std::move(scored));
  }
  const int code = [&] {
    try {
      return conclude(options, all, console);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::check_failed) perplexity_command::forget_journals(options, all);
      throw;
    }
  }();
  perplexity_command::forget_journals(options, all);
  return code;
}

}  // namespace

void bind_perplexity(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("perplexity", "Score a model on a text, and compare with a known score");
  command->add_option("model", options->model, "A checkpoint folder or file of any kind");
  stream_command::add_options(*command, options->stream);
  command->add_option("--corpora", options->corpora, "Score all published texts in there, or the release's")
      ->type_name("FOLDER")
      ->excludes("--corpus-file");
  command->add_option("--ids", options->ids, "Score these ids (galatea tokenize) instead")
      ->type_name("FILE")
      ->excludes("--corpus-file")
      ->excludes("--unk");
  command->add_option("--tokenizer", options->tokenizer, "A tokenizer.model or .json other than the model's")
      ->type_name("FILE");
  CLI::Option* value = command
                           ->add_option("--expect", options->expected,
                                        "Exit code 1 unless it is this, or no worse than this "
                                        "earlier run, compared window by window")
                           ->type_name("VALUE|RUN.json");
  CLI::Option* name =
      command->add_option("--expect-release", options->release, "Exit code 1 unless it is what was published")
          ->type_name("NAME");
  value->excludes(name);
  command->add_option("--tolerance", options->tolerance, "Allowed, relative (default 1e-3; of a run 5e-4)")
      ->type_name("T")
      ->check(CLI::Range(0.0, 1.0).description(""));
  command
      ->add_option(
          "--protocol", options->protocol,
          "gptq, llama.cpp, llama.cpp-stride, autogptq, exllamav2 or lm-eval: windows and what counts")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--stride", options->stride, "Of llama.cpp-stride (default: half of --ctx)")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 20U).description(""));
  command->add_flag("--emulate-fp16-loss", options->fp16_loss,
                    "Round losses as GPTQ-for-LLaMa in float16 does");
  CLI::Option* windows =
      command->add_option("--windows", options->windows, "Only these windows, A up to B")->type_name("A:B");
  command->add_option("--combine", options->combine, "The score of runs over parts (--save, --json)")
      ->type_name("RUN.json...")
      ->excludes(windows);
  command->add_option("--precision", options->precision, "Of the products: f32, exact or fast")
      ->type_name("P")
      ->check(CLI::IsMember({"f32", "exact", "fast"}).description(""))
      ->capture_default_str();
  command
      ->add_option("--max-memory", options->max_memory,
                   "For what is computed, in all: 4G, 900M (default half of what is free)")
      ->type_name("SIZE");
  command->add_flag("--times", options->times, "Tell where the time went");
  CLI::Option* base =
      command->add_option("--kl-base", options->kl_base, "Compare with the probabilities kept in this file")
          ->type_name("FILE");
  command->add_option("--write-kl-base", options->write_kl_base, "Keep this model's probabilities there")
      ->type_name("FILE")
      ->excludes(base);
  command->add_option("--kl-format", options->kl_format, "compact, or llama.cpp: as llama-perplexity's")
      ->type_name("NAME")
      ->check(CLI::IsMember({"compact", "llama.cpp"}).description(""))
      ->capture_default_str();
  command->add_option("--kl-top", options->kl_top, "Tokens that compact keeps singly")
      ->type_name("K")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 24U).description(""))
      ->capture_default_str();
  command->add_option("--save", options->save, "Write the result; if stopped, go on from there")
      ->type_name("RUN.json");
  command->add_flag("--overwrite", options->overwrite, "Replace files that are there");
  command->add_option("--junit", options->junit, "Write passes and failures as JUnit XML")->type_name("FILE");
  CLI::Option* page =
      command->add_option("--html", options->html, "Write a page about the run, and about those of --runs")
          ->type_name("FILE");
  command->add_option("--runs", options->runs, "Earlier runs, to be shown on the page too")
      ->type_name("RUN.json...")
      ->needs(page);
  command->footer(
      "Example:\n"
      "  galatea perplexity metharme-13b --corpora texts --expect-release metharme-13b");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return run(*options, console); }; });
}

}  // namespace galatea
