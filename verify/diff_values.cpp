#include "verify/diff_values.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace galatea {
namespace {

constexpr std::size_t lanes = 8;

// Eight values at once, in as many registers as the processor needs for them.
using Float8 [[gnu::vector_size(32)]] = float;
using Double8 [[gnu::vector_size(64)]] = double;
using Word8 [[gnu::vector_size(32)]] = std::int32_t;
using Long8 [[gnu::vector_size(64)]] = std::int64_t;

struct LaneSums {
  alignas(64) std::array<double, lanes> max_abs{}, d2{}, a2{}, b2{}, ab{};
  alignas(64) std::array<std::int64_t, lanes> differing{}, not_finite{}, finite{};
};

template <class Float>
struct Kind;
template <>
struct Kind<float> {
  using Values = Float8;
  using Bits = Word8;
  static constexpr std::int32_t exponent = 0x7F800000;
};
template <>
struct Kind<double> {
  using Values = Double8;
  using Bits = Long8;
  static constexpr std::int64_t exponent = 0x7FF0000000000000;
};

/// Adds `blocks` blocks of eight values. No branch depends on a value.
template <class Float>
[[gnu::always_inline]] inline void add_blocks(const Float* a, const Float* b, std::uint64_t blocks,
                                              LaneSums& out) {
  using Values = typename Kind<Float>::Values;
  using Bits = typename Kind<Float>::Bits;
  constexpr auto exponent = Kind<Float>::exponent;
  auto max_abs = __builtin_bit_cast(Double8, out.max_abs);
  auto d2 = __builtin_bit_cast(Double8, out.d2), a2 = __builtin_bit_cast(Double8, out.a2);
  auto b2 = __builtin_bit_cast(Double8, out.b2), ab = __builtin_bit_cast(Double8, out.ab);
  auto differing = __builtin_bit_cast(Long8, out.differing),
       not_finite = __builtin_bit_cast(Long8, out.not_finite);
  auto finite = __builtin_bit_cast(Long8, out.finite);
  for (std::uint64_t block = 0; block < blocks; ++block, a += lanes, b += lanes) {
    Bits x, y;
    std::memcpy(&x, a, sizeof x);
    std::memcpy(&y, b, sizeof y);
    const Bits differ = x != y;  // -1 where true, 0 elsewhere
    const Bits both = ((x & exponent) != exponent) & ((y & exponent) != exponent);
    const Double8 left = __builtin_convertvector(__builtin_bit_cast(Values, x & both), Double8);
    const Double8 right = __builtin_convertvector(__builtin_bit_cast(Values, y & both), Double8);
    const Double8 d = left - right;
    const Long8 size = __builtin_bit_cast(Long8, d) & std::int64_t{0x7FFFFFFFFFFFFFFF};
    const Long8 larger = __builtin_bit_cast(Double8, size) > max_abs;
    max_abs = __builtin_bit_cast(Double8, (larger & size) | (~larger & __builtin_bit_cast(Long8, max_abs)));
    d2 += d * d;
    a2 += left * left;
    b2 += right * right;
    ab += left * right;
    differing -= __builtin_convertvector(differ, Long8);
    not_finite -= __builtin_convertvector(differ & ~both, Long8);
    finite -= __builtin_convertvector(both, Long8);
  }
  std::memcpy(out.max_abs.data(), &max_abs, sizeof max_abs);
  std::memcpy(out.d2.data(), &d2, sizeof d2);
  std::memcpy(out.a2.data(), &a2, sizeof a2);
  std::memcpy(out.b2.data(), &b2, sizeof b2);
  std::memcpy(out.ab.data(), &ab, sizeof ab);
  std::memcpy(out.differing.data(), &differing, sizeof differing);
  std::memcpy(out.not_finite.data(), &not_finite, sizeof not_finite);
  std::memcpy(out.finite.data(), &finite, sizeof finite);
}

template <class Float>
using AddBlocks = void (*)(const Float*, const Float*, std::uint64_t, LaneSums&);

template <class Float>
void add_blocks_scalar(const Float* a, const Float* b, std::uint64_t blocks, LaneSums& out) {
  add_blocks(a, b, blocks, out);
}

#if defined(__x86_64__)
template <class Float>
__attribute__((target("avx2"))) void add_blocks_avx2(const Float* a, const Float* b, std::uint64_t blocks,
                                                     LaneSums& out) {
  add_blocks(a, b, blocks, out);
}

template <class Float>
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) void add_blocks_avx512(const Float* a,
                                                                                     const Float* b,
                                                                                     std::uint64_t blocks,
                                                                                     LaneSums& out) {
  add_blocks(a, b, blocks, out);
}
#endif

template <class Float>
AddBlocks<Float> add_blocks_of(Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::avx512) return add_blocks_avx512<Float>;
  if (isa == Isa::avx2) return add_blocks_avx2<Float>;
#endif
  (void)isa;
  return add_blocks_scalar<Float>;
}

template <class T>
T total(const std::array<T, lanes>& v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

template <class Float>
DiffSums diff(const Float* a, const Float* b, std::uint64_t n, Isa isa) {
  using Word = std::conditional_t<std::is_same_v<Float, float>, std::uint32_t, std::uint64_t>;
  LaneSums sums;
  const std::uint64_t blocks = n / lanes, rest = n % lanes;
  const AddBlocks<Float> add_blocks_here = add_blocks_of<Float>(isa);
  add_blocks_here(a, b, blocks, sums);
  if (rest > 0) {  // zeros add nothing but to the count of finite pairs
    std::array<Float, lanes> left{}, right{};
    std::copy_n(a + blocks * lanes, rest, left.begin());
    std::copy_n(b + blocks * lanes, rest, right.begin());
    add_blocks_here(left.data(), right.data(), 1, sums);
  }
  DiffSums out;
  out.values = n;
  out.differing = static_cast<std::uint64_t>(total(sums.differing));
  out.not_finite = static_cast<std::uint64_t>(total(sums.not_finite));
  out.finite = static_cast<std::uint64_t>(total(sums.finite)) - (rest > 0 ? lanes - rest : 0);
  out.max_abs = *std::max_element(sums.max_abs.begin(), sums.max_abs.end());
  out.d2 = total(sums.d2);
  out.a2 = total(sums.a2);
  out.b2 = total(sums.b2);
  out.ab = total(sums.ab);
  if (out.differing > 0) {
    while (std::bit_cast<Word>(a[out.first]) == std::bit_cast<Word>(b[out.first])) ++out.first;
  }
  return out;
}

}  // namespace

void DiffSums::add(const DiffSums& next) {
  if (differing == 0 && next.differing > 0) first = values + next.first;
  values += next.values;
  differing += next.differing;
  not_finite += next.not_finite;
  finite += next.finite;
  max_abs = std::max(max_abs, next.max_abs);
  d2 += next.d2;
  a2 += next.a2;
  b2 += next.b2;
  ab += next.ab;
}

double DiffSums::rms() const { return finite == 0 ? 0 : std::sqrt(d2 / static_cast<double>(finite)); }
double DiffSums::rms_a() const { return finite == 0 ? 0 : std::sqrt(a2 / static_cast<double>(finite)); }

std::optional<double> DiffSums::cosine() const {
  const double norms = std::sqrt(a2) * std::sqrt(b2);
  if (!(norms > 0) || !std::isfinite(norms)) return std::nullopt;
  return std::clamp(ab / norms, -1.0, 1.0);
}

DiffSums diff_values(const float* a, const float* b, std::uint64_t n, Isa isa) { return diff(a, b, n, isa); }
DiffSums diff_values(const double* a, const double* b, std::uint64_t n, Isa isa) {
  return diff(a, b, n, isa);
}

bool needs_double(DType type) { return type == DType::f64 || type == DType::i64 || type == DType::i32; }

void widen_to_double(DType type, const std::byte* in, double* out, std::uint64_t n) {
  if (needs_double(type)) {
    convert_plain(type, in, DType::f64, reinterpret_cast<std::byte*>(out), n);
    return;
  }
  constexpr std::uint64_t step = 1024;
  std::array<float, step> floats;
  const TypeInfo& info = type_info(type);
  const std::uint64_t piece = step / info.block_length * info.block_length;
  for (std::uint64_t done = 0; done < n; done += piece) {
    const std::uint64_t count = std::min(piece, n - done);
    info.decode(in + done / info.block_length * info.block_bytes, floats.data(), count);
    for (std::uint64_t i = 0; i < count; ++i) out[done + i] = static_cast<double>(floats[i]);
  }
}

}  // namespace galatea
