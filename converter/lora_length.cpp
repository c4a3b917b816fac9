#include "converter/lora_length.h"

#include <array>
#include <cmath>
#include <cstddef>

namespace galatea {

float torch_length(std::span<const float> values) {
  constexpr std::size_t lanes = 8;
  std::array<float, lanes> sums{};
  const std::size_t whole = values.size() - values.size() % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane)
      sums[lane] = std::fma(values[i + lane], values[i + lane], sums[lane]);
  }
  float sum = sums[0];
  for (std::size_t lane = 1; lane < lanes; ++lane) sum += sums[lane];
  for (std::size_t i = whole; i < values.size(); ++i) sum = std::fma(values[i], values[i], sum);
  return std::sqrt(sum);
}

void add_squares(std::span<const float> values, std::span<float> squares) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    float& square = squares[i % squares.size()];
    square = std::fma(values[i], values[i], square);
  }
}

void add_squares(std::span<const double> values, std::span<double> squares) {
  for (std::size_t i = 0; i < values.size(); ++i) squares[i % squares.size()] += values[i] * values[i];
}

}  // namespace galatea
