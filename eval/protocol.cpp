#include "eval/protocol.h"

#include <algorithm>
#include <array>
#include <string>

#include "format/error.h"

namespace galatea {
namespace {

constexpr std::uint64_t no_limit = ~std::uint64_t{0};
constexpr std::array table = {
    Protocol{"gptq", 2048, false, false, no_limit, false, false, 1},
    Protocol{"llama.cpp", 512, true, true, no_limit, true, true, 2},
    Protocol{"autogptq", 512, true, true, 512, true, true, 1},
};

}  // namespace

std::uint64_t Protocol::first_position(std::uint64_t context_tokens) const {
  return second_half ? std::min(context_tokens / 2, most_context_only) : 0;
}

std::span<const Protocol> protocols() { return table; }

const Protocol& find_protocol(std::string_view name) {
  std::string names;
  for (const Protocol& protocol : table) {
    if (protocol.name == name) return protocol;
    names += (names.empty() ? "" : ", ") + std::string(protocol.name);
  }
  throw Error(ErrorKind::usage, "there is no protocol '" + printable(name) + "' to score by")
      .expected("one of " + names);
}

}  // namespace galatea
