#include "eval/python_random.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

namespace galatea {
namespace {

constexpr std::size_t state_words = 624;

/// A seed sequence that hands out a whole state: init_by_array of the reference implementation.
class ArraySeed {
 public:
  using result_type = std::uint32_t;

  explicit ArraySeed(const std::vector<std::uint32_t>& key) {
    state_[0] = 19650218U;
    for (std::uint32_t i = 1; i < state_words; ++i)
      state_[i] = 1812433253U * (state_[i - 1] ^ (state_[i - 1] >> 30U)) + i;
    std::size_t at = 1;
    const auto step = [&](std::uint32_t factor) {
      return state_[at] ^ ((state_[at - 1] ^ (state_[at - 1] >> 30U)) * factor);
    };
    const auto next = [&] {
      if (++at < state_words) return;
      state_[0] = state_[state_words - 1];
      at = 1;
    };
    for (std::size_t k = 0, j = 0; k < std::max(state_words, key.size()); ++k) {
      state_[at] = step(1664525U) + key[j] + static_cast<std::uint32_t>(j);
      next();
      if (++j == key.size()) j = 0;
    }
    for (std::size_t k = 1; k < state_words; ++k) {
      state_[at] = step(1566083941U) - static_cast<std::uint32_t>(at);
      next();
    }
    state_[0] = 0x80000000U;
  }

  template <class Iterator>
  void generate(Iterator begin, Iterator end) {
    for (std::size_t i = 0; begin != end; ++begin, ++i) *begin = state_[i % state_words];
  }

 private:
  std::array<std::uint32_t, state_words> state_{};
};

std::mt19937 seeded(std::uint64_t seed) {
  std::vector<std::uint32_t> key = {static_cast<std::uint32_t>(seed)};
  if (seed >> 32U != 0) key.push_back(static_cast<std::uint32_t>(seed >> 32U));
  ArraySeed sequence(key);
  return std::mt19937(sequence);
}

}  // namespace

PythonRandom::PythonRandom(std::uint64_t seed) : twister_(seeded(seed)) {}

std::uint64_t PythonRandom::bits(unsigned count) {
  if (count <= 32) return static_cast<std::uint64_t>(twister_()) >> (32 - count);
  const std::uint64_t low = twister_();
  return low | (static_cast<std::uint64_t>(twister_()) >> (64 - count)) << 32U;
}

std::uint64_t PythonRandom::between(std::uint64_t low, std::uint64_t high) {
  const std::uint64_t count = high - low + 1;
  const auto width = static_cast<unsigned>(std::bit_width(count));
  std::uint64_t drawn = bits(width);
  while (drawn >= count) drawn = bits(width);
  return low + drawn;
}

}  // namespace galatea
