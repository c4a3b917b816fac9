#include "eval/corpus.h"

#include <array>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "eval/python_text.h"
#include "eval/text_lines.h"
#include "eval/unpacked_text.h"
#include "eval/wikitext_articles.h"
#include "format/error.h"
#include "format/hash.h"
#include "format/json.h"
#include "format/source.h"

namespace galatea {
namespace {

constexpr std::uint64_t longest_text = std::uint64_t{1} << 30U;
constexpr std::size_t longest_line = std::size_t{64} << 20U;

constexpr std::uint64_t all_documents = ~std::uint64_t{0};
/// Documents of c4-new that its published_sha256 is of.
constexpr std::uint64_t c4_documents = 947;
constexpr std::string_view c4_sha256 = "5fda28baff4dbd9bb9e7bfb9ba6cdcac652e7bc6f7c8cddbc0e3378215f9e548";

constexpr std::array<CorpusKind, 6> kinds = {{
    {"wikitext2", "wiki.test.raw", "WikiText-2 raw, test part", 0, 0,
     "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83",
     "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08"},
    {"ptb", "ptb.valid.txt", "Penn Treebank, validation part", 0, 0,
     "352a9351af725c5d5d6ccdd38357a35ebfef8c79916364fdf458fa72a4fb91c3",
     "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2"},
    {"ptb-new", "ptb.test.txt", "Penn Treebank, test part", 0, 0,
     "900cfc61a7a63afcd086c5e1cce90554764eae65cb2ca9f5d4cac47be5f0f394",
     "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0"},
    {"c4-new", "c4-validation.00000-of-00008.json.gz", "C4, validation part", 256, 1100, c4_sha256, ""},
    {"c4", "c4-validation.00000-of-00008.json.gz", "C4, validation part", 256, 45576, c4_sha256, "", true},
    {"text", "any text file", "a text as it is", 0, 0, "", ""},
}};

/// Adds rows to the one string, with `separator` between them, or as pieces.
class Joiner {
 public:
  Joiner(Corpus& corpus, std::string_view separator, bool pieces, const std::filesystem::path& file)
      : corpus_(&corpus), separator_(separator), pieces_(pieces), file_(&file) {}

  void add(std::string_view row) {
    if (corpus_->rows++ > 0 && !pieces_) corpus_->text += separator_;
    corpus_->text += row;
    if (pieces_) corpus_->piece_ends.push_back(corpus_->text.size());
    if (corpus_->text.size() > longest_text)
      throw Error(ErrorKind::input, "the corpus is too long").file(*file_).expected("at most 1 GiB of text");
  }

 private:
  Corpus* corpus_;
  std::string_view separator_;
  bool pieces_;
  const std::filesystem::path* file_;
};

void read_wikitext(Joiner joiner, TextLines& lines) {
  for (std::string line; lines.next(line);)
    joiner.add(python_strip(line).empty() ? std::string_view() : std::string_view(line));
}

void read_treebank(Joiner joiner, TextLines& lines) {
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

void read_documents(Corpus& corpus, Joiner joiner, TextLines& lines, const std::filesystem::path& file) {
  const std::uint64_t wanted = corpus.kind->draws ? all_documents : corpus.kind->rows_wanted;
  std::string first;  // what the digest is of, joined
  for (std::string line; corpus.rows < wanted && lines.next(line);) {
    if (python_strip(line).empty()) continue;
    const std::string text = text_of_document(line, file, lines.position());
    if (corpus.rows < c4_documents) first += (corpus.rows > 0 ? " " : "") + text;
    joiner.add(text);
  }
  if (corpus.rows >= c4_documents && sha256_hex(std::as_bytes(std::span(first))) == c4_sha256)
    corpus.recognised = corpus.kind->summary;
}

/// Of a text that is taken as it is.
void recognise(Corpus& corpus) {
  corpus.text_sha256 = sha256_hex(std::as_bytes(std::span(corpus.text)));
  for (const CorpusKind& kind : kinds) {
    if (!kind.file_sha256.empty() && kind.file_sha256 == corpus.text_sha256) corpus.recognised = kind.summary;
  }
}

void read_articles(Corpus& corpus, const std::string& text) {
  for (const std::string& article : wikitext_articles(text)) {
    corpus.bytes += article.size();
    corpus.words += python_words(article);
    corpus.text += wikitext_unspaced(article);
    corpus.piece_ends.push_back(corpus.text.size());
    ++corpus.rows;
  }
}

[[noreturn]] void no_such_text(const CorpusKind& kind, const char* wanted, const char* remedy) {
  throw Error(ErrorKind::usage, std::string("the protocol takes ") + wanted)
      .found("--data " + std::string(kind.name))
      .remedy(remedy);
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
  // Of a beginning of the C4 shard nobody knows.
  if (kind->name.starts_with("c4") && rows < c4_documents) return {};
  return !recognised.empty();
}

Corpus read_corpus(const CorpusKind& kind, const std::filesystem::path& file, Protocol::Text how) {
  Corpus corpus;
  corpus.kind = &kind;
  const bool documents = kind.name.starts_with("c4");
  if (how == Protocol::Text::raw && documents)
    no_such_text(kind, "a file of plain text", "--data wikitext2, ptb, ptb-new or text");
  if (how == Protocol::Text::articles && kind.name != "wikitext2")
    no_such_text(kind, "the articles of WikiText", "--data wikitext2 --corpus-file wiki.test.raw");
  const std::string_view member = kind.name == "text" ? "" : kind.file;
  if (kind.name == "text" || how == Protocol::Text::raw || how == Protocol::Text::articles) {
    corpus.text = UnpackedText(open_file(file), member).rest(longest_text);
    corpus.rows = 1;
    recognise(corpus);
    if (how == Protocol::Text::articles) {
      const std::string text = std::move(corpus.text);
      corpus.text.clear();
      corpus.rows = 0;
      read_articles(corpus, text);
    } else if (how == Protocol::Text::rows) {
      corpus.piece_ends = {corpus.text.size()};
    }
  } else {
    TextLines lines(open_file(file), member);
    const bool pieces = how == Protocol::Text::rows || kind.draws;
    if (kind.name == "wikitext2") {
      read_wikitext({corpus, "\n\n", pieces, file}, lines);
    } else if (documents) {
      read_documents(corpus, {corpus, " ", pieces, file}, lines, file);
    } else {
      read_treebank({corpus, kind.name == "ptb" ? "\n\n" : " ", pieces, file}, lines);
    }
    corpus.text_sha256 = sha256_hex(std::as_bytes(std::span(corpus.text)));
    if (corpus.text_sha256 == kind.published_sha256) corpus.recognised = kind.summary;
  }
  if (corpus.text.empty()) {
    throw Error(ErrorKind::input, "the corpus gives no text")
        .file(file)
        .expected(std::string(kind.summary) + " (" + std::string(kind.file) + ")");
  }
  if (corpus.bytes == 0) {
    corpus.bytes = corpus.text.size();
    corpus.words = python_words(corpus.text);
  }
  return corpus;
}

std::filesystem::path find_corpus(const std::filesystem::path& folder, const CorpusKind& kind) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path exact = folder / kind.file;
  if (fs::is_regular_file(exact, ignored)) return exact;
  for (const char* packing : {".gz", ".zst"}) {
    fs::path packed = folder / (std::string(kind.file) + packing);
    if (fs::is_regular_file(packed, ignored)) return packed;
  }
  std::set<fs::path> others;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool archive = kind.name == "wikitext2" && name == "wikitext-2-raw-v1.zip";
    const bool shard = kind.name.starts_with("c4") && name.starts_with("c4-validation") &&
                       name.find(".json") != std::string::npos;
    if ((archive || shard) && entry.is_regular_file(ignored)) others.insert(entry.path());
  }
  return others.empty() ? fs::path() : *others.begin();
}

const CorpusKind* recognise_corpus(const std::filesystem::path& file) {
  for (const CorpusKind& kind : kinds) {
    if (kind.file_sha256.empty()) continue;
    try {
      const std::string text = UnpackedText(open_file(file), kind.file).rest(longest_text);
      if (sha256_hex(std::as_bytes(std::span(text))) == kind.file_sha256) return &kind;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::input) throw;  // a zip archive without this file, say
    }
  }
  return nullptr;
}

}  // namespace galatea
