// How a stream of tokens becomes a score: one row of a table for each protocol in use.
//
//   name       windows                            scored predictions of a window       +/- comes from
//   gptq       ctx tokens, one after another;     all: of tokens 1 .. ctx-1            the spread of the windows
//              a remainder is dropped
//   llama.cpp  as gptq, but the first token is    of tokens ctx/2+1 .. ctx-1           the spread of the tokens
//              replaced by BOS (the targets are not)
//   autogptq   as llama.cpp                       of tokens min(512, ctx/2)+1 .. ctx-1  the spread of the tokens
//
// Each window runs by itself from position 0. As every window has as many scored predictions, the mean over
// windows of their means is the mean over all tokens. llama.cpp and AutoGPTQ take the corpus file as it is, with
// BOS before it, GPTQ-for-LLaMa joins rows (corpus.h). Sources: llama.py of GPTQ-for-LLaMa; perplexity.cpp of
// llama.cpp; auto_gptq/utils/perplexity_utils.py.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace galatea {

struct Protocol {
  std::string_view name;
  std::uint64_t context;            ///< tokens in a window unless told otherwise
  bool bos_first;                   ///< each window's first token is replaced by BOS
  bool second_half;                 ///< the first half of a window is context only
  std::uint64_t most_context_only;  ///< of such a half
  bool raw_text;                    ///< the corpus file as it is
  bool token_error;                 ///< the error bar is the spread of tokens, not of windows
  std::uint64_t fewest_windows;

  /// The first position whose prediction (of the token after it) counts.
  std::uint64_t first_position(std::uint64_t context_tokens) const;
};

std::span<const Protocol> protocols();
/// Throws Error(usage) listing the names; those known to be asked for but not built say so.
const Protocol& find_protocol(std::string_view name);

}  // namespace galatea
