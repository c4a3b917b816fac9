#include "eval/stream_command.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "format/error.h"

namespace galatea::stream_command {

void add_options(CLI::App& command, StreamOptions& options) {
  command.add_option("--data", options.data, "wikitext2, ptb, ptb-new, c4-new, or text for any text")
      ->type_name("NAME");
  command
      .add_option("--corpus-file", options.corpus_file,
                  "The file it comes in: wiki.test.raw, ptb.valid.txt, ptb.test.txt, c4-validation...json.gz "
                  "or .jsonl")
      ->type_name("FILE");
  command
      .add_option("--unk", options.unk,
                  "How <unk>, <s> and </s> in the text are taken: no-strip, strip, legacy-false, plain "
                  "(default: as transformers would, by the model's tokenizer files)")
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

MadeStream make_stream(const StreamOptions& options, const Tokenizer& tokenizer, std::uint64_t context,
                       Console& console) {
  if (options.data.empty() || options.corpus_file.empty()) {
    throw Error(ErrorKind::usage, "which text?")
        .remedy("--data wikitext2 --corpus-file wiki.test.raw, or another of the corpora");
  }
  MadeStream made;
  made.corpus = read_corpus(corpus_kind(options.data), options.corpus_file);
  made.stream = tokenize(made.corpus, tokenizer, context);
  made.special = tokenizer.special();
  made.corpus.text.clear();
  const CorpusKind& kind = *made.corpus.kind;
  if (made.corpus.rows < kind.rows_wanted && made.stream.ids.size() < kind.windows_kept * context) {
    console.progress().note("note: " + options.data + " has " + with_commas(made.corpus.rows) + " of " +
                            with_commas(kind.rows_wanted) + " documents here: the stream is short");
  }
  return made;
}

std::string with_commas(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t place = digits.size(); place > 3;) digits.insert(place -= 3, ",");
  return digits;
}

void print_stream(const MadeStream& made, Console& console) {
  const std::optional<bool> published = made.corpus.published();
  console.print("text        " + std::string(made.corpus.kind->name) + ", " + with_commas(made.corpus.rows) +
                (made.corpus.rows == 1 ? " row" : " rows") +
                (!published   ? ""
                 : *published ? ", the published text"
                              : ", not the published text"));
  console.print("text sha256 " + made.corpus.text_sha256);
  console.print("specials    " + made.special.variant + " (" + made.special.source + ")");
  console.print("tokens      " + with_commas(made.stream.ids.size()));
  console.print("ids sha256  " + made.stream.sha256);
}

nlohmann::json stream_json(const MadeStream& made, const StreamOptions& options) {
  nlohmann::json out = {{"data", options.data},
                        {"corpus_file", options.corpus_file},
                        {"rows", made.corpus.rows},
                        {"text_sha256", made.corpus.text_sha256},
                        {"unk", made.special.variant},
                        {"unk_source", made.special.source},
                        {"tokens", made.stream.ids.size()},
                        {"stream_sha256", made.stream.sha256}};
  if (const auto published = made.corpus.published()) out["published_text"] = *published;
  return out;
}

}  // namespace galatea::stream_command
