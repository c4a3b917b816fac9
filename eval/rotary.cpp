#include "eval/rotary.h"

#include <cmath>

namespace galatea {
namespace {

/// Of Llama 3.1: long waves are stretched, short ones are not.
float llama3_frequency(float frequency, const RopeScaling& scaling) {
  const auto context = static_cast<float>(scaling.original_context);
  const auto factor = static_cast<float>(scaling.factor);
  const auto low = static_cast<float>(scaling.low_frequency);
  const auto high = static_cast<float>(scaling.high_frequency);
  const float wave = static_cast<float>(2 * M_PI) / frequency;
  if (wave < context / high) return frequency;
  if (wave > context / low) return frequency / factor;
  const float share = (context / wave - low) / (high - low);
  return (1 - share) * frequency / factor + share * frequency;
}

}  // namespace

std::vector<float> rotary_frequencies(const LlamaConfig& config, std::uint64_t length) {
  const RopeScaling& scaling = config.rope_scaling;
  const auto dim = static_cast<double>(config.head_dim);
  double theta = config.rope_theta;
  if (scaling.kind == RopeScaling::Kind::dynamic && length > config.context && config.head_dim > 2) {
    const double stretch = scaling.factor * static_cast<double>(length) / static_cast<double>(config.context);
    theta *= std::pow(stretch - (scaling.factor - 1), dim / (dim - 2));
  }
  std::vector<float> out;
  for (std::uint64_t i = 0; i < config.head_dim / 2; ++i) {
    auto frequency = static_cast<float>(1.0 / std::pow(theta, static_cast<double>(2 * i) / dim));
    if (scaling.kind == RopeScaling::Kind::linear) frequency /= static_cast<float>(scaling.factor);
    if (scaling.kind == RopeScaling::Kind::llama3) frequency = llama3_frequency(frequency, scaling);
    out.push_back(frequency);
  }
  return out;
}

}  // namespace galatea
