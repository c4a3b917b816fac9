// What tokenize and perplexity share: which stream, made how.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "eval/corpus.h"
#include "eval/token_stream.h"
#include "eval/tokenizer.h"
#include "format/console.h"

namespace galatea::stream_command {

struct StreamOptions {
  std::string data, corpus_file, unk;
  std::uint64_t context = 0;  ///< 0: not given
};

/// --data --corpus-file --unk --ctx.
void add_options(CLI::App& command, StreamOptions& options);

/// The value of --unk; nothing when it was not given.
std::optional<UnkRule> unk_rule(const StreamOptions& options);

/// A stream and how it came about.
struct MadeStream {
  TokenStream stream;
  Corpus corpus;  ///< without its text
  std::string corpus_file;
  SpecialTokens special;
};

MadeStream make_stream(const StreamOptions& asked, const Protocol& protocol, const Tokenizer& tokenizer,
                       std::uint64_t context, Console& console);

/// 1234567 -> "1,234,567".
std::string with_commas(std::uint64_t number);

void print_stream(const MadeStream& made, std::uint64_t tokens, Console& console);
nlohmann::json stream_json(const MadeStream& made);

}  // namespace galatea::stream_command
