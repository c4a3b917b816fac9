#include "quantize/row_error.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "format/isa.h"

namespace galatea {
namespace {

constexpr std::size_t lanes = 16;
using Singles = float __attribute__((vector_size(4 * lanes)));

/// Columns summed in float32, in 16 lanes, before the sums go on in float64.
constexpr std::size_t stretch = 512;

[[gnu::always_inline]] inline double sum_of(const Singles& vector) {
  double sum = 0;
  for (std::size_t lane = 0; lane < lanes; ++lane) sum += static_cast<double>(vector[lane]);
  return sum;
}

[[gnu::always_inline]] inline RowError sum_errors(const float* source, const float* decoded,
                                                  std::size_t cols) {
  double errors = 0;
  double values = 0;
  double gains = 0;
  Singles largest{};
  float tails[2][lanes] = {};
  for (std::size_t first = 0; first < cols; first += stretch) {
    const std::size_t end = std::min(cols, first + stretch);
    Singles error{};
    Singles value{};
    Singles gain{};
    for (std::size_t i = first; i < end; i += lanes) {
      const float* left = source + i;
      const float* right = decoded + i;
      if (end - i < lanes) {
        std::copy_n(left, end - i, tails[0]);
        std::copy_n(right, end - i, tails[1]);
        left = tails[0];
        right = tails[1];
      }
      Singles exact;
      Singles found;
      std::memcpy(&exact, left, sizeof exact);
      std::memcpy(&found, right, sizeof found);
      const Singles off = found - exact;
      const Singles distance = off < 0.0F ? -off : off;
      error += off * off;
      value += exact * exact;
      gain += off * (found + exact);
      largest = largest > distance ? largest : distance;
    }
    errors += sum_of(error);
    values += sum_of(value);
    gains += sum_of(gain);
  }
  float most = 0;
  for (std::size_t lane = 0; lane < lanes; ++lane) most = std::max<float>(most, largest[lane]);
  return {static_cast<float>(errors), static_cast<float>(values), static_cast<float>(gains), most, 0, 0};
}

[[gnu::always_inline]] inline std::uint32_t most_bits(const float* values, std::size_t count) {
  std::int32_t largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::int32_t bits = 0;
    std::memcpy(&bits, values + i, sizeof bits);
    bits &= 0x7FFFFFFF;
    largest = bits > largest ? bits : largest;
  }
  return static_cast<std::uint32_t>(largest);
}

#if defined(__x86_64__)
#define GALATEA_AVX2 __attribute__((target("avx2")))
#if defined(__clang__)  // which takes no width in this place
#define GALATEA_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#else
#define GALATEA_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")))
#endif

GALATEA_AVX2 RowError sum_errors_avx2(const float* source, const float* decoded, std::size_t cols) {
  return sum_errors(source, decoded, cols);
}
GALATEA_AVX512 RowError sum_errors_avx512(const float* source, const float* decoded, std::size_t cols) {
  return sum_errors(source, decoded, cols);
}
GALATEA_AVX2 std::uint32_t most_bits_avx2(const float* values, std::size_t count) {
  return most_bits(values, count);
}
#endif

}  // namespace

RowError error_of_row(const float* source, const float* decoded, std::size_t cols) {
#if defined(__x86_64__)
  static const Isa isa = active_isa();
  if (isa >= Isa::avx512) return sum_errors_avx512(source, decoded, cols);
  if (isa >= Isa::avx2) return sum_errors_avx2(source, decoded, cols);
#endif
  return sum_errors(source, decoded, cols);
}

float weighted_error_of_row(const float* source, const float* decoded, const float* weights,
                            std::size_t cols) {
  // Every eighth column, then those together: the same on every processor, and fit for vectors.
  double sums[8] = {};
  for (std::size_t i = 0; i < cols; ++i) {
    const auto off = static_cast<double>(decoded[i] - source[i]);
    sums[i % 8] += (weights == nullptr ? 1.0 : static_cast<double>(weights[i])) * off * off;
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return static_cast<float>(sum);
}

std::uint32_t largest_magnitude_bits(std::span<const float> values) {
#if defined(__x86_64__)
  static const Isa isa = active_isa();
  if (isa >= Isa::avx2) return most_bits_avx2(values.data(), values.size());
#endif
  return most_bits(values.data(), values.size());
}

}  // namespace galatea
