// The texts that perplexities are published for, made from the files they come in.
//
//   name       file                      how the one string is made                               kept
//   wikitext2  wiki.test.raw             rows (lines with their "\n", blank ones empty),          all
//                                        joined with "\n\n"
//   ptb        ptb.valid.txt             lines, stripped, joined with "\n\n"                      all
//   ptb-new    ptb.test.txt              lines, stripped, joined with " "                         all
//   c4-new     c4-validation, .json.gz   "text" of the first 1,100 documents, joined with " "     256 windows
//              or .jsonl
//   text       any                       the bytes as they are                                    all
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

namespace galatea {

struct CorpusKind {
  std::string_view name, file, summary;
  std::uint64_t windows_kept;  ///< 0: all
  std::uint64_t rows_wanted;   ///< 0: all
  /// SHA-256 of the one string that the published file gives; empty when no such is known.
  std::string_view published_sha256;
};

std::span<const CorpusKind> corpus_kinds();
/// Throws Error(usage) listing the names.
const CorpusKind& corpus_kind(std::string_view name);

struct Corpus {
  const CorpusKind* kind = nullptr;
  std::string text;
  std::uint64_t rows = 0;  ///< lines or documents that went into it
  std::string text_sha256;

  /// Whether it is the published text; nothing where that is not known.
  std::optional<bool> published() const;
};

/// Throws Error(input) when the file cannot be what `kind` needs, or gives no text or more than 1 GiB.
Corpus read_corpus(const CorpusKind& kind, const std::filesystem::path& file);

}  // namespace galatea
