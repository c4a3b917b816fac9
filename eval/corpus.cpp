#include "eval/corpus.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "eval/python_text.h"
#include "eval/text_lines.h"
#include "format/error.h"
#include "format/hash.h"
#include "format/json.h"
#include "format/source.h"

namespace galatea {
namespace {

constexpr std::uint64_t longest_text = std::uint64_t{1} << 30U;
constexpr std::size_t longest_line = std::size_t{64} << 20U;

constexpr std::array<CorpusKind, 5> kinds = {{
    {"wikitext2", "wiki.test.raw", "WikiText-2 raw, test part", 0, 0,
     "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83"},
    {"ptb", "ptb.valid.txt", "Penn Treebank, validation part", 0, 0,
     "352a9351af725c5d5d6ccdd38357a35ebfef8c79916364fdf458fa72a4fb91c3"},
    {"ptb-new", "ptb.test.txt", "Penn Treebank, test part", 0, 0,
     "900cfc61a7a63afcd086c5e1cce90554764eae65cb2ca9f5d4cac47be5f0f394"},
    {"c4-new", "c4-validation.00000-of-00008.json.gz", "C4, validation part", 256, 1100, ""},
    {"text", "any text file", "a text as it is", 0, 0, ""},
}};

/// Adds rows to the one string, with `separator` between them.
class Joiner {
 public:
  Joiner(Corpus& corpus, std::string_view separator, const std::filesystem::path& file)
      : corpus_(&corpus), separator_(separator), file_(&file) {}

  void add(std::string_view row) {
    if (corpus_->rows++ > 0) corpus_->text += separator_;
    corpus_->text += row;
    if (corpus_->text.size() > longest_text)
      throw Error(ErrorKind::input, "the corpus is too long").file(*file_).expected("at most 1 GiB of text");
  }

 private:
  Corpus* corpus_;
  std::string_view separator_;
  const std::filesystem::path* file_;
};

void read_wikitext(Corpus& corpus, TextLines& lines, const std::filesystem::path& file) {
  Joiner joiner(corpus, "\n\n", file);
  for (std::string line; lines.next(line);)
    joiner.add(python_strip(line).empty() ? std::string_view() : std::string_view(line));
}

void read_treebank(Corpus& corpus, TextLines& lines, const std::filesystem::path& file,
                   std::string_view separator) {
  Joiner joiner(corpus, separator, file);
  for (std::string line; lines.next(line);) joiner.add(python_strip(line));
}

std::string text_of_document(std::string_view line, const std::filesystem::path& file,
                             std::uint64_t position) {
  constexpr std::string_view expected = "{\"text\": \"...\", ...} on each line";
  JsonLimits limits;
  limits.bytes = longest_line;
  try {
    const nlohmann::json document = parse_json(line, file, position, limits);
    if (document.is_object() && document.contains("text") && document.at("text").is_string())
      return document.at("text").get<std::string>();
  } catch (Error& error) {
    error.expected(expected);
    throw;
  }
  throw Error(ErrorKind::input, "a line is no document of C4")
      .file(file)
      .at(position)
      .expected(expected)
      .found(printable(line, 80));
}

void read_documents(Corpus& corpus, TextLines& lines, const std::filesystem::path& file) {
  Joiner joiner(corpus, " ", file);
  for (std::string line; corpus.rows < corpus.kind->rows_wanted && lines.next(line);) {
    if (python_strip(line).empty()) continue;
    joiner.add(text_of_document(line, file, lines.position()));
  }
}

}  // namespace

std::span<const CorpusKind> corpus_kinds() { return kinds; }

const CorpusKind& corpus_kind(std::string_view name) {
  std::string names;
  for (const CorpusKind& kind : kinds) {
    if (kind.name == name) return kind;
    names += (names.empty() ? "" : ", ") + std::string(kind.name);
  }
  throw Error(ErrorKind::usage, "there is no data '" + printable(name) + "'").expected("one of " + names);
}

std::optional<bool> Corpus::published() const {
  if (kind->published_sha256.empty()) return {};
  return text_sha256 == kind->published_sha256;
}

Corpus read_corpus(const CorpusKind& kind, const std::filesystem::path& file) {
  Corpus corpus;
  corpus.kind = &kind;
  if (kind.name == "text") {
    corpus.text = open_file(file)->read_text(longest_text);
    corpus.rows = 1;
  } else {
    TextLines lines(open_file(file));
    if (kind.name == "wikitext2") {
      read_wikitext(corpus, lines, file);
    } else if (kind.name == "c4-new") {
      read_documents(corpus, lines, file);
    } else {
      read_treebank(corpus, lines, file, kind.name == "ptb" ? "\n\n" : " ");
    }
  }
  if (corpus.text.empty()) {
    throw Error(ErrorKind::input, "the corpus gives no text")
        .file(file)
        .expected(std::string(kind.summary) + " (" + std::string(kind.file) + ")");
  }
  corpus.text_sha256 = sha256_hex(std::as_bytes(std::span(corpus.text)));
  return corpus;
}

}  // namespace galatea
