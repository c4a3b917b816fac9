// The loops of elementwise_<isa>.cpp. Static: each file keeps its own, compiled for its own instructions.
#pragma once

#include <cmath>

#include "eval/elementwise.h"
#include "eval/exponential.h"

namespace galatea::kernel {

constexpr std::uint64_t kLanes = 16;

static inline double sum_of_lanes(const double (&lanes)[kLanes]) {
  double sums[kLanes];
  for (std::uint64_t l = 0; l < kLanes; ++l) sums[l] = lanes[l];
  for (std::uint64_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::uint64_t l = 0; l < half; ++l) sums[l] += sums[l + half];
  }
  return sums[0];
}

static void norm(const float* in, const float* weight, std::uint64_t count, double eps, float* out) {
  double lanes[kLanes] = {};
  const std::uint64_t whole = count / kLanes * kLanes;
  for (std::uint64_t c = 0; c < whole; c += kLanes) {
    for (std::uint64_t l = 0; l < kLanes; ++l) {
      const double value = in[c + l];
      lanes[l] += value * value;
    }
  }
  for (std::uint64_t c = whole; c < count; ++c)
    lanes[c - whole] += static_cast<double>(in[c]) * static_cast<double>(in[c]);
  const auto scale =
      static_cast<float>(1.0 / std::sqrt(sum_of_lanes(lanes) / static_cast<double>(count) + eps));
  for (std::uint64_t c = 0; c < count; ++c) out[c] = in[c] * scale * weight[c];
}

static void gate(float* __restrict gate, const float* __restrict up, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) gate[i] = gate[i] / (1.0F + exponential(-gate[i])) * up[i];
}

static void add(float* __restrict to, const float* __restrict change, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) to[i] += change[i];
}

static void rotate(float* __restrict first, float* __restrict second, const float* __restrict cosines,
                   const float* __restrict sines, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const float a = first[i];
    const float b = second[i];
    first[i] = a * cosines[i] - b * sines[i];
    second[i] = b * cosines[i] + a * sines[i];
  }
}

static double log_sum(const float* values, std::uint64_t count, float& largest) {
  const std::uint64_t whole = count / kLanes * kLanes;
  float most[kLanes];
  for (std::uint64_t l = 0; l < kLanes; ++l) most[l] = values[0];
  for (std::uint64_t i = 0; i < whole; i += kLanes) {
    for (std::uint64_t l = 0; l < kLanes; ++l) most[l] = values[i + l] > most[l] ? values[i + l] : most[l];
  }
  float top = most[0];
  for (std::uint64_t l = 1; l < kLanes; ++l) top = most[l] > top ? most[l] : top;
  for (std::uint64_t i = whole; i < count; ++i) top = values[i] > top ? values[i] : top;
  double lanes[kLanes] = {};
  for (std::uint64_t i = 0; i < whole; i += kLanes) {
    for (std::uint64_t l = 0; l < kLanes; ++l)
      lanes[l] += exponential(static_cast<double>(values[i + l]) - top);
  }
  for (std::uint64_t i = whole; i < count; ++i)
    lanes[i - whole] += exponential(static_cast<double>(values[i]) - top);
  largest = top;
  return static_cast<double>(top) + std::log(sum_of_lanes(lanes));
}

}  // namespace galatea::kernel
