// What a fuzzer feeds: one reader a target, given bytes from anywhere. A target may refuse its input by throwing
// galatea::Error and must not do anything else to the process; what it promises beside that, it checks with
// `promise`.
#pragma once

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace galatea::fuzz {

using Bytes = std::span<const std::byte>;

struct Target {
  std::string_view name;
  void (*run)(Bytes input);
  /// Files and folders below tests/ to begin with, beside those of tests/fuzz/seeds/NAME.
  std::vector<std::string_view> seeds;
};

/// Every target of the program, in the order of the names.
const std::vector<Target>& targets();
const Target* find_target(std::string_view name);

/// Registers a target at the start of the program.
class Registered {
 public:
  Registered(std::string_view name, void (*run)(Bytes), std::initializer_list<std::string_view> seeds);
};

/// Runs `target`; an Error is a verdict, anything else that is thrown ends the program. True: accepted.
bool accepted(const Target& target, Bytes input);

/// Ends the program with a message when what must hold does not.
void promise(bool holds, std::string_view what);

/// The input under a path, for readers that want one: a file of a folder of this process, written anew for each
/// input and removed at exit.
std::filesystem::path as_file(std::string_view name, Bytes input);

/// The input as text.
inline std::string_view as_text(Bytes input) {
  return {reinterpret_cast<const char*>(input.data()), input.size()};
}

}  // namespace galatea::fuzz

/// FUZZ_TARGET(name, seed, ...) { body over `input` }
#define FUZZ_TARGET(name, ...)                                                                 \
  static void run_##name(galatea::fuzz::Bytes input);                                          \
  static const galatea::fuzz::Registered registered_##name(#name, &run_##name, {__VA_ARGS__}); \
  static void run_##name([[maybe_unused]] galatea::fuzz::Bytes input)
