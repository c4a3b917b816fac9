// The tokens that are scored: made from a corpus, or read from a file of ids.
//
// A file of ids is little-endian int32 after int32, nothing else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "eval/corpus.h"
#include "eval/tokenizer.h"
#include "format/plan.h"

namespace galatea {

struct TokenStream {
  std::vector<std::int32_t> ids;
  std::string sha256;  ///< of the ids as little-endian int32
  /// Where each document of a corpus of separate documents ends in `ids`; empty for one text.
  std::vector<std::uint64_t> document_ends;
  /// UTF-8 bytes and words (between white space) of the text that the ids stand for, before anything was unspaced;
  /// 0: not known.
  std::uint64_t text_bytes = 0, text_words = 0;
};

/// The corpus through the tokenizer: as one string (BOS once, at the start), piece by piece without BOS where it
/// has pieces, or, for "c4", 256 windows drawn as GPTQ-for-LLaMa does. Cut where the kind of corpus keeps a number
/// of windows of `context` tokens. Throws Error(input) when a corpus has no document that is long enough.
TokenStream tokenize(const Corpus& corpus, const Tokenizer& tokenizer, std::uint64_t context);

/// Throws Error(input) when the file is no whole number of ids or holds a negative one.
TokenStream read_ids(const std::filesystem::path& file);

/// The file of ids, to be written.
FileLayout ids_layout(const TokenStream& stream, std::string name);

}  // namespace galatea
