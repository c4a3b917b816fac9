#include "eval/stream_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "format/error.h"

namespace galatea::stream_command {

void add_options(CLI::App& command, StreamOptions& options) {
  command
      .add_option("--data", options.data, "wikitext2, ptb, ptb-new, c4, c4-new, text for any text; or a file")
      ->type_name("NAME|FILE");
  command
      .add_option("--corpus-file", options.corpus_file,
                  "The text, packed or not: wiki.test.raw, ptb.test.txt, c4-validation...json.gz or .jsonl")
      ->type_name("FILE");
  command
      .add_option("--unk", options.unk,
                  "How <unk>, <s>, </s> in it are taken: no-strip, strip, legacy-false, plain "
                  "(default: by the model's files)")
      ->type_name("RULE");
  command.add_option("--ctx", options.context, "Tokens in a window")
      ->type_name("N")
      ->check(CLI::Range(std::uint64_t{2}, std::uint64_t{1} << 20U).description(""));
}

std::optional<UnkRule> unk_rule(const StreamOptions& options) {
  if (options.unk.empty()) return {};
  std::string names;
  for (std::size_t i = 0; i < std::size(unk_rule_names); ++i) {
    if (options.unk == unk_rule_names[i]) return static_cast<UnkRule>(i);
    names += (names.empty() ? "" : ", ") + std::string(unk_rule_names[i]);
  }
  throw Error(ErrorKind::usage, "there is no rule '" + printable(options.unk) + "' for --unk")
      .expected("one of " + names);
}

MadeStream make_stream(const StreamOptions& asked, const Protocol& protocol, const Tokenizer& tokenizer,
                       std::uint64_t context, Console& console) {
  StreamOptions options = asked;
  const auto kinds = corpus_kinds();
  const bool a_name = std::any_of(kinds.begin(), kinds.end(),
                                  [&](const CorpusKind& kind) { return kind.name == options.data; });
  if (options.corpus_file.empty() && !a_name) options.corpus_file = std::exchange(options.data, "");
  if (options.corpus_file.empty()) {
    throw Error(ErrorKind::usage, "which text?")
        .remedy("--data wikitext2 --corpus-file wiki.test.raw, or another of the corpora");
  }
  if (options.data.empty()) {
    std::error_code ignored;
    if (asked.corpus_file.empty() && !std::filesystem::exists(options.corpus_file, ignored))
      corpus_kind(options.corpus_file);  // throws, listing the names
    const CorpusKind* known = recognise_corpus(options.corpus_file);
    options.data = known != nullptr ? known->name : "text";
  }
  MadeStream made;
  made.corpus = read_corpus(corpus_kind(options.data), options.corpus_file, protocol.text);
  made.corpus_file = options.corpus_file;
  made.stream = tokenize(made.corpus, tokenizer, context);
  made.special = tokenizer.special();
  made.corpus.text.clear();
  const CorpusKind& kind = *made.corpus.kind;
  const bool short_draw = kind.draws && made.corpus.rows < kind.rows_wanted;
  if (short_draw ||
      (made.corpus.rows < kind.rows_wanted && made.stream.ids.size() < kind.windows_kept * context)) {
    console.progress().note("note: " + options.data + " has " + with_commas(made.corpus.rows) + " of " +
                            with_commas(kind.rows_wanted) + " documents here: " +
                            (short_draw ? "other windows are drawn" : "the stream is short"));
  }
  return made;
}

std::string with_commas(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t place = digits.size(); place > 3;) digits.insert(place -= 3, ",");
  return digits;
}

void print_stream(const MadeStream& made, std::uint64_t tokens, Console& console) {
  const Corpus& corpus = made.corpus;
  const std::optional<bool> published = corpus.published();
  std::string known;
  if (!corpus.recognised.empty()) {
    known =
        corpus.kind->name == "text" ? ", the published file: " + corpus.recognised : ", the published text";
  } else if (corpus.kind->name == "text") {
    known = ", none of the published ones";
  } else if (published) {
    known = ", not the published text";
  }
  console.print("text        " + std::string(corpus.kind->name) + ", " + with_commas(corpus.rows) +
                (corpus.rows == 1 ? " row" : " rows") + known);
  console.print("text sha256 " + corpus.text_sha256);
  console.print("specials    " + made.special.variant + " (" + made.special.source + ")");
  console.print("tokens      " + with_commas(tokens));
  console.print("ids sha256  " + made.stream.sha256);
}

nlohmann::json stream_json(const MadeStream& made) {
  nlohmann::json out = {{"data", made.corpus.kind->name},   {"corpus_file", made.corpus_file},
                        {"rows", made.corpus.rows},         {"text_sha256", made.corpus.text_sha256},
                        {"unk", made.special.variant},      {"unk_source", made.special.source},
                        {"tokens", made.stream.ids.size()}, {"stream_sha256", made.stream.sha256}};
  if (const auto published = made.corpus.published()) out["published_text"] = *published;
  if (!made.corpus.recognised.empty()) out["recognised"] = made.corpus.recognised;
  return out;
}

}  // namespace galatea::stream_command
