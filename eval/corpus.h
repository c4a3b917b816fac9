// The texts that perplexities are published for, made from the files they come in.
//
//   name       file                      how the one string is made                               kept
//   wikitext2  wiki.test.raw             rows (lines with their "\n", blank ones empty),          all
//                                        joined with "\n\n"
//   ptb        ptb.valid.txt             lines, stripped, joined with "\n\n"                      all
//   ptb-new    ptb.test.txt              lines, stripped, joined with " "                         all
//   c4-new     c4-validation, .json.gz   "text" of the first 1,100 documents, joined with " "     256 windows
//              or .jsonl
//   c4         c4-validation, .json.gz   each document by itself; windows are drawn from them     256 windows
//              or .jsonl                 by Python's random.seed(0) (token_stream.h)
//   text       any                       the bytes as they are                                    all
//
// Files may be packed: see unpacked_text.h. Protocols other than gptq take the file's bytes as they are, its rows one by
// one, or its articles (wikitext_articles.h).
//
// Source: datautils.py of GPTQ-for-LLaMa and the loading scripts of the data sets on Hugging Face. ("ptb" is
// made of the validation part there, "ptb-new" of the test part.)
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/protocol.h"

namespace galatea {

struct CorpusKind {
  std::string_view name, file, summary;
  std::uint64_t windows_kept;  ///< 0: all
  std::uint64_t rows_wanted;   ///< 0: all
  /// SHA-256 of the one string that the published file gives; empty when no such is known. Of "c4-new" that of its
  /// first 947 documents, which is more than is kept for LLaMA's tokenizer.
  std::string_view published_sha256;
  /// SHA-256 of the file, unpacked.
  std::string_view file_sha256;
  bool draws = false;  ///< windows are drawn from single documents
};

std::span<const CorpusKind> corpus_kinds();
/// Throws Error(usage) listing the names.
const CorpusKind& corpus_kind(std::string_view name);

struct Corpus {
  const CorpusKind* kind = nullptr;
  std::string text;
  std::uint64_t rows = 0;  ///< lines or documents that went into it
  /// Where each piece of `text` ends that is tokenized by itself; empty: the text is one.
  std::vector<std::size_t> piece_ends;
  std::uint64_t bytes = 0,
                words = 0;  ///< of the text before anything was unspaced; words are between white space
  std::string text_sha256;

  std::string recognised;  ///< the published text that it is; empty when it is none that is known

  /// Whether it is the published text; nothing where that is not known.
  std::optional<bool> published() const;
};

/// Throws Error: usage when `how` is not defined for the kind, input when the file cannot be what `kind` needs, or
/// gives no text or more than 1 GiB.
Corpus read_corpus(const CorpusKind& kind, const std::filesystem::path& file,
                   Protocol::Text how = Protocol::Text::joined);

/// The file of `kind` in a folder, under a name that it is handed out under; empty when there is none.
std::filesystem::path find_corpus(const std::filesystem::path& folder, const CorpusKind& kind);

/// What a file is by its contents, packed or not: nullptr when it is none of the published texts.
const CorpusKind* recognise_corpus(const std::filesystem::path& file);

}  // namespace galatea
