// The fuzz targets without a fuzzer: every seed, every file of tests/attacks, and mutations of them, the same ones on
// each run. For compilers without libFuzzer, for the test command, and to look at what a fuzzer found.
//
//   fuzz_replay --list
//   fuzz_replay TESTS_FOLDER TARGET [MUTATIONS_OF_EACH_SEED]      default 20
//   fuzz_replay --file TARGET FILE...
//
// Memory is counted: an input may make its reader take 4 times its length and 16 MiB at most.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <new>
#include <random>
#include <string>

#include <malloc.h>

#include "tests/fuzz/target.h"

namespace {

std::atomic<std::int64_t> held{0}, most{0};

void* counted(std::size_t bytes) {
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  const auto size = static_cast<std::int64_t>(malloc_usable_size(memory));
  const std::int64_t now = held.fetch_add(size) + size;
  std::int64_t before = most.load();
  while (now > before && !most.compare_exchange_weak(before, now)) {
  }
  return memory;
}

void released(void* memory) noexcept {
  if (memory == nullptr) return;
  held.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(memory)));
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t bytes) { return counted(bytes); }
void* operator new[](std::size_t bytes) { return counted(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  try {
    return counted(bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory) noexcept { released(memory); }
void operator delete[](void* memory) noexcept { released(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { released(memory); }
void operator delete[](void* memory, std::size_t /*bytes*/) noexcept { released(memory); }

namespace {

namespace fs = std::filesystem;
using galatea::fuzz::Target;
using Input = std::vector<std::byte>;

constexpr std::uintmax_t longest_seed = std::uintmax_t{1} << 18U;

Input read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Input bytes(text.size());
  if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

std::vector<fs::path> seed_files(const fs::path& tests, const Target& target) {
  std::vector<fs::path> files;
  std::vector<fs::path> places{tests / "fuzz/seeds" / target.name};
  for (const std::string_view seed : target.seeds) places.push_back(tests / seed);
  for (const fs::path& path : places) {
    if (fs::is_regular_file(path)) files.push_back(path);
    if (!fs::is_directory(path)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path))
      if (entry.is_regular_file() && entry.file_size() <= longest_seed) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// One to four changes of the kinds that break parsers.
Input mutated(Input bytes, std::mt19937_64& random) {
  constexpr std::uint64_t values[] = {0,          1,          0x7F,       0x80,        0xFF,
                                      0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1ULL << 63U, ~0ULL};
  const std::uint64_t changes = 1 + random() % 4;
  for (std::uint64_t i = 0; i < changes && !bytes.empty(); ++i) {
    const std::size_t at = random() % bytes.size();
    const std::size_t length = std::min<std::size_t>(bytes.size() - at, 1 + random() % 16);
    const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (random() % 6) {
      case 0:
        bytes[at] ^= static_cast<std::byte>(1U << (random() % 8));
        break;
      case 1:
        bytes.resize(at);
        break;
      case 2:
        bytes.erase(place, place + static_cast<std::ptrdiff_t>(length));
        break;
      case 3: {
        const Input copy(place, place + static_cast<std::ptrdiff_t>(length));
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(random() % bytes.size()), copy.begin(),
                     copy.end());
        break;
      }
      case 4: {
        const std::uint64_t value = values[random() % std::size(values)];
        std::memcpy(&bytes[at], &value, std::min<std::size_t>(length, sizeof value));
        break;
      }
      default:
        bytes[at] = static_cast<std::byte>(random() & 0xFFU);
    }
  }
  return bytes;
}

const Input* running = nullptr;

[[noreturn]] void died(const char* why) {
  const fs::path path = fs::temp_directory_path() / "galatea-fuzz-input";
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(running->data()), static_cast<std::streamsize>(running->size()));
  std::fprintf(stderr, "%s; the input is in %s\n", why, path.c_str());
  std::_Exit(1);
}

bool run_one(const Target& target, const Input& input) {
  running = &input;
  const std::int64_t before = held.load();
  most = before;
  bool accepted = false;
  try {
    accepted = galatea::fuzz::accepted(target, input);
  } catch (const std::exception& thrown) {
    died((std::string("not an Error: ") + thrown.what()).c_str());
  }
  const std::int64_t taken = most.load() - before;
  if (taken > 4 * static_cast<std::int64_t>(input.size()) + (16 << 20))
    died(("took " + std::to_string(taken) + " bytes for " + std::to_string(input.size())).c_str());
  return accepted;
}

int replay(const fs::path& tests, const Target& target, std::uint64_t mutations) {
  std::mt19937_64 random(20230522);
  std::uint64_t runs = 0, accepted = 0;
  const auto one = [&](const Input& input) {
    ++runs;
    if (run_one(target, input)) ++accepted;
  };
  one({});
  std::vector<Input> seeds;
  for (const fs::path& path : seed_files(tests, target)) seeds.push_back(read_file(path));
  if (seeds.empty()) seeds.emplace_back(64, std::byte{0x61});
  for (const Input& seed : seeds) {
    one(seed);
    for (std::uint64_t i = 0; i < mutations; ++i) one(mutated(seed, random));
  }
  std::printf("%s: %llu inputs, %llu accepted\n", std::string(target.name).c_str(),
              static_cast<unsigned long long>(runs), static_cast<unsigned long long>(accepted));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() == 1 && arguments[0] == "--list") {
    for (const Target& target : galatea::fuzz::targets())
      std::printf("%s\n", std::string(target.name).c_str());
    return 0;
  }
  const Target* target = arguments.size() < 2 ? nullptr : galatea::fuzz::find_target(arguments[1]);
  if (target == nullptr) {
    std::fprintf(stderr,
                 "usage: fuzz_replay --list | TESTS_FOLDER TARGET [MUTATIONS] | --file TARGET FILE...\n");
    return 2;
  }
  if (arguments[0] != "--file")
    return replay(arguments[0], *target,
                  arguments.size() > 2 ? std::strtoull(arguments[2].c_str(), nullptr, 10) : 20);
  for (std::size_t i = 2; i < arguments.size(); ++i)
    std::printf("%s: %s\n", arguments[i].c_str(),
                run_one(*target, read_file(arguments[i])) ? "accepted" : "refused");
  return 0;
}
