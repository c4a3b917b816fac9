#include "eval/protocol.h"

#include <algorithm>
#include <array>
#include <string>

#include "eval/token_stream.h"
#include "format/error.h"

namespace galatea {
namespace {

using Text = Protocol::Text;
using Windows = Protocol::Windows;

constexpr std::uint64_t no_limit = ~std::uint64_t{0};
constexpr std::array table = {
    Protocol{"gptq", 2048, Text::joined, Windows::disjoint, false, false, no_limit, false, 1, no_limit},
    Protocol{"llama.cpp", 512, Text::raw, Windows::disjoint, true, true, no_limit, true, 2, no_limit},
    Protocol{"llama.cpp-stride", 512, Text::raw, Windows::strided, false, false, no_limit, true, 2, no_limit},
    Protocol{"autogptq", 512, Text::raw, Windows::disjoint, true, true, 512, true, 1, no_limit},
    Protocol{"exllamav2", 2048, Text::rows, Windows::disjoint, false, false, no_limit, false, 1, 128},
    Protocol{"lm-eval", 2048, Text::articles, Windows::rolling, false, false, no_limit, false, 0, no_limit},
};
constexpr std::string_view names = "gptq, llama.cpp, llama.cpp-stride, autogptq, exllamav2, lm-eval";

void require_length(const TokenStream& stream, std::uint64_t tokens) {
  if (stream.ids.size() >= tokens) return;
  throw Error(ErrorKind::input, "the stream is shorter than the protocol asks for")
      .expected("at least " + std::to_string(tokens) + " tokens")
      .found(std::to_string(stream.ids.size()))
      .remedy("a longer text, or a smaller --ctx");
}

/// Window [begin, begin + length) of `ids`; the target of the stream's last token is a filler.
void add_window(WindowSet& out, const std::vector<std::int32_t>& ids, std::uint64_t begin,
                ScoredPositions scored) {
  const auto first = ids.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto length = static_cast<std::ptrdiff_t>(out.length);
  out.inputs.insert(out.inputs.end(), first, first + length);
  out.targets.insert(out.targets.end(), first + 1, first + length);
  out.targets.push_back(begin + out.length < ids.size() ? ids[begin + out.length] : ids[begin]);
  out.scored.push_back(scored);
}

void add_disjoint(WindowSet& out, const Protocol& protocol, const TokenStream& stream, std::int64_t bos_id) {
  const std::uint64_t count = std::min(stream.ids.size() / out.length, protocol.most_windows);
  for (std::uint64_t window = 0; window < count; ++window)
    add_window(out, stream.ids, window * out.length, {protocol.first_position(out.length), out.length - 1});
  if (!protocol.bos_first) return;
  for (std::uint64_t window = 0; window < count; ++window)
    out.inputs[window * out.length] = static_cast<std::int32_t>(bos_id);
}

void add_strided(WindowSet& out, const TokenStream& stream, std::uint64_t stride) {
  const std::uint64_t room = stream.ids.size() - out.length;
  for (std::uint64_t begin = 0; begin < room; begin += stride)
    add_window(out, stream.ids, begin, {out.length - 1 - stride, out.length - 1});
}

/// The windows of one document: each token is predicted once, the first one from BOS.
void add_rolling(WindowSet& out, std::span<const std::int32_t> ids, std::int64_t bos_id) {
  std::vector<std::int32_t> all = {static_cast<std::int32_t>(bos_id)};
  all.insert(all.end(), ids.begin(), ids.end());
  const std::uint64_t length = out.length;
  for (std::uint64_t done = 0; done < ids.size();) {
    const std::uint64_t here = std::min(length, ids.size() - done);
    const std::uint64_t end = done + here;
    const std::uint64_t begin = end < length ? 0 : end - length;
    for (std::uint64_t position = 0; position < length; ++position) {
      const bool inside = begin + position < end;  // what follows a short document is never scored
      out.inputs.push_back(inside ? all[begin + position] : all[0]);
      out.targets.push_back(inside ? all[begin + position + 1] : all[0]);
    }
    out.scored.push_back({done - begin, end - begin});
    done = end;
  }
}

}  // namespace

std::uint64_t Protocol::first_position(std::uint64_t context_tokens) const {
  return second_half ? std::min(context_tokens / 2, most_context_only) : 0;
}

std::span<const Protocol> protocols() { return table; }
std::string_view protocol_names() { return names; }

const Protocol& find_protocol(std::string_view name) {
  for (const Protocol& protocol : table) {
    if (protocol.name == name) return protocol;
  }
  throw Error(ErrorKind::usage, "there is no protocol '" + printable(name) + "' to score by")
      .expected("one of " + std::string(names));
}

WindowSet make_windows(const Protocol& protocol, const TokenStream& stream, std::uint64_t context,
                       std::uint64_t stride, std::int64_t bos_id) {
  if (context < 2)
    throw Error(ErrorKind::usage, "a window must have at least 2 tokens").found(std::to_string(context));
  WindowSet out;
  out.length = context;
  require_length(stream, protocol.fewest_windows * context);
  if (protocol.windows == Windows::disjoint) {
    add_disjoint(out, protocol, stream, bos_id);
  } else if (protocol.windows == Windows::strided) {
    if (stride == 0) stride = std::max<std::uint64_t>(context / 2, 1);
    if (stride >= context) {
      throw Error(ErrorKind::usage, "--stride is too long")
          .expected("less than --ctx, " + std::to_string(context))
          .found(std::to_string(stride));
    }
    out.length = context + stride / 2;
    require_length(stream, 2 * out.length);
    add_strided(out, stream, stride);
  } else {
    std::uint64_t begin = 0;
    for (const std::uint64_t end : stream.document_ends) {
      add_rolling(out, std::span(stream.ids).subspan(begin, end - begin), bos_id);
      begin = end;
    }
    if (out.count() == 0) {
      throw Error(ErrorKind::input, "the stream has no documents")
          .expected("a text, with --data wikitext2; ids alone do not tell where articles end");
    }
  }
  return out;
}

}  // namespace galatea
