// The body of the matrix product, compiled once for each instruction set by matmul_<isa>.cpp.
//
// Lanes is a vector of 16 floats with zero(), load(p), load_some(p, n) (the rest 0), madd(a, b, acc) and
// store(p). Only plain loops here, no library headers: what is compiled with special instructions must not
// end up in functions that other files share.
#pragma once

#include <cstdint>

namespace galatea::kernel {

constexpr int kLanes = 16;

/// out[t * out_stride + r] = the product of in + t * in_stride and weight + r * weight_stride over `cols` columns.
struct Operands {
  const float* in;
  std::uint64_t in_stride, tokens;
  const float* weight;
  std::uint64_t weight_stride, rows, cols;
  float* out;
  std::uint64_t out_stride;
};

/// Adds the lanes in the fixed order. Static: each file keeps its own, compiled for its own instructions.
static inline float reduce(const float* lanes) {
  float sums[8];
  for (int i = 0; i < 8; ++i) sums[i] = lanes[i] + lanes[i + 8];
  for (int i = 0; i < 4; ++i) sums[i] = sums[i] + sums[i + 4];
  return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

/// `T` tokens and `R` weight rows at once: T * R sums in registers.
template <class Lanes, std::uint64_t T, std::uint64_t R>
inline void block(const Operands& a, const float* in, const float* weight, float* out) {
  const std::uint64_t cols = a.cols;
  Lanes sums[T][R];
  for (std::uint64_t t = 0; t < T; ++t) {
    for (std::uint64_t r = 0; r < R; ++r) sums[t][r] = Lanes::zero();
  }
  std::uint64_t c = 0;
  for (; c + kLanes <= cols; c += kLanes) {
    Lanes rows[R];
    for (std::uint64_t r = 0; r < R; ++r) rows[r] = Lanes::load(weight + r * a.weight_stride + c);
    for (std::uint64_t t = 0; t < T; ++t) {
      const Lanes values = Lanes::load(in + t * a.in_stride + c);
      for (std::uint64_t r = 0; r < R; ++r) sums[t][r] = Lanes::madd(values, rows[r], sums[t][r]);
    }
  }
  if (c < cols) {
    const int rest = static_cast<int>(cols - c);
    for (std::uint64_t t = 0; t < T; ++t) {
      const Lanes values = Lanes::load_some(in + t * a.in_stride + c, rest);
      for (std::uint64_t r = 0; r < R; ++r) {
        sums[t][r] =
            Lanes::madd(values, Lanes::load_some(weight + r * a.weight_stride + c, rest), sums[t][r]);
      }
    }
  }
  for (std::uint64_t t = 0; t < T; ++t) {
    for (std::uint64_t r = 0; r < R; ++r) {
      alignas(64) float lanes[kLanes];
      sums[t][r].store(lanes);
      out[t * a.out_stride + r] = reduce(lanes);
    }
  }
}

/// All tokens against all weight rows.
template <class Lanes, std::uint64_t T, std::uint64_t R>
inline void tile(const Operands& a) {
  const auto in = [&](std::uint64_t t) { return a.in + t * a.in_stride; };
  const auto weight = [&](std::uint64_t r) { return a.weight + r * a.weight_stride; };
  const auto out = [&](std::uint64_t t, std::uint64_t r) { return a.out + t * a.out_stride + r; };
  std::uint64_t t = 0;
  for (; t + T <= a.tokens; t += T) {
    std::uint64_t r = 0;
    for (; r + R <= a.rows; r += R) block<Lanes, T, R>(a, in(t), weight(r), out(t, r));
    for (; r < a.rows; ++r) block<Lanes, T, 1>(a, in(t), weight(r), out(t, r));
  }
  for (; t < a.tokens; ++t) {
    std::uint64_t r = 0;
    for (; r + R <= a.rows; r += R) block<Lanes, 1, R>(a, in(t), weight(r), out(t, r));
    for (; r < a.rows; ++r) block<Lanes, 1, 1>(a, in(t), weight(r), out(t, r));
  }
}

using TileFunction = void (*)(const Operands&);

void tile_scalar(const Operands& operands);
void tile_avx2(const Operands& operands);
void tile_avx512(const Operands& operands);

}  // namespace galatea::kernel
