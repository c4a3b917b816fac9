// How a text becomes windows and a score: one row of a table for each protocol in use.
//
//   name              text                  windows                          scored of a window      +/- is the
//                                                                            (which tokens)          spread of
//   gptq              rows joined           ctx tokens, one after another;   1 .. ctx-1              windows
//                                           a remainder is dropped
//   llama.cpp         the file as it is     as gptq, the first token         ctx/2+1 .. ctx-1        tokens
//                                           replaced by BOS
//   llama.cpp-stride  the file as it is     ctx + stride/2 tokens, starting  the last stride tokens  tokens
//                                           every stride tokens, no BOS
//   autogptq          the file as it is     as llama.cpp                     min(512, ctx/2)+1 ..    tokens
//   exllamav2         each row by itself,   the first 128 of ctx tokens      1 .. ctx-1              windows
//                     without BOS
//   lm-eval           articles, the dots    of each article: BOS, then       every token, once       words
//                     and commas unspaced   ctx tokens at a time
//
// Each window runs by itself from position 0. perplexity = exp(sum of -log p / number of scored predictions);
// of lm-eval it is the "word perplexity": exp(sum of -log p / words of the text as it came). In the last window of
// an article lm-eval fills the context with tokens that were scored before. Sources: llama.py of
// GPTQ-for-LLaMa; tools/perplexity of llama.cpp (which writes BOS into a strided chunk only after the chunk was
// decoded, so there is none); auto_gptq/utils/perplexity_utils.py; test_inference.py of exllamav2 (-ed, -er 128,
// -el 2048); lm_eval/utils.py and the task wikitext of lm-evaluation-harness.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace galatea {

struct TokenStream;

struct Protocol {
  enum class Text { joined, raw, rows, articles };  ///< what corpus.h makes of the file
  enum class Windows { disjoint, strided, rolling };

  std::string_view name;
  std::uint64_t context;  ///< tokens in a window unless told otherwise
  Text text;
  Windows windows;
  bool bos_first;                   ///< each window's first token is replaced by BOS
  bool second_half;                 ///< the first half of a window is context only
  std::uint64_t most_context_only;  ///< of such a half
  bool token_error;                 ///< the error bar is the spread of tokens, not of windows
  std::uint64_t fewest_windows;     ///< of ctx tokens, that the stream must have
  std::uint64_t most_windows;       ///< that are scored

  /// The first position whose prediction (of the token after it) counts, of disjoint windows.
  std::uint64_t first_position(std::uint64_t context_tokens) const;
};

std::span<const Protocol> protocols();
/// Throws Error(usage) listing the names.
const Protocol& find_protocol(std::string_view name);
/// "gptq, llama.cpp, ...".
std::string_view protocol_names();

/// Predictions made at the positions [first, end) of a window count.
struct ScoredPositions {
  std::uint64_t first, end;
  std::uint64_t count() const { return end - first; }
};

/// Every window of a stream. Position p of window w sees inputs[w * length + p] and what is before it in the window,
/// and predicts targets[w * length + p].
struct WindowSet {
  std::uint64_t length = 0;  ///< tokens in each
  std::vector<std::int32_t> inputs, targets;
  std::vector<ScoredPositions> scored;
  std::uint64_t count() const { return scored.size(); }
};

/// `stride` is for strided windows; 0: half of `context`. Throws Error: usage for a context below 2 or a stride
/// that does not fit, input when the stream is shorter than the protocol needs.
WindowSet make_windows(const Protocol& protocol, const TokenStream& stream, std::uint64_t context,
                       std::uint64_t stride, std::int64_t bos_id);

}  // namespace galatea
