// Numbers for tests: the same in every run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace galatea {

/// Normal numbers of deviation `scale`.
inline std::vector<float> random_values(std::size_t count, unsigned seed, float scale = 1.0F) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

/// Numbers of 24 bits between -1 and 1, as matrix() in scripts/oracles/lora_product.py and low_rank.py makes them.
inline std::vector<float> oracle_matrix(std::uint64_t number, std::uint64_t elements) {
  std::vector<float> values(elements);
  for (std::uint64_t i = 0; i < elements; ++i) {
    std::uint64_t z = ((number << 32U) + i + 1) * 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    z ^= z >> 31U;
    values[i] = static_cast<float>(static_cast<double>(z >> 40U) / 8388608.0 - 1.0);
  }
  return values;
}

}  // namespace galatea
