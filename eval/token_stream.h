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
};

/// The corpus as one string through the tokenizer (BOS once, at the start), cut where the kind of corpus
/// keeps a number of windows of `context` tokens.
TokenStream tokenize(const Corpus& corpus, const Tokenizer& tokenizer, std::uint64_t context);

/// Throws Error(input) when the file is no whole number of ids or holds a negative one.
TokenStream read_ids(const std::filesystem::path& file);

/// The file of ids, to be written.
FileLayout ids_layout(const TokenStream& stream, std::string name);

}  // namespace galatea
