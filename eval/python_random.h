// Python's `random` module after random.seed(integer): the Mersenne Twister MT19937, seeded through its array
// initialisation, and randint by rejection of getrandbits. The C4 windows of published scores are drawn with it.
#pragma once

#include <cstdint>
#include <random>

namespace galatea {

class PythonRandom {
 public:
  /// random.seed(seed)
  explicit PythonRandom(std::uint64_t seed);

  /// random.getrandbits(bits), 1 to 64 bits.
  std::uint64_t bits(unsigned count);
  /// random.randint(low, high), both included; low <= high.
  std::uint64_t between(std::uint64_t low, std::uint64_t high);

 private:
  std::mt19937 twister_;
};

}  // namespace galatea
