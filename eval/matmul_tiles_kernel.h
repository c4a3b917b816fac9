// The matrix product of bfloat16 parts: tiles of 16 x 32 values, 16 x 16 sums in float32.
//
//   packed tile    1 KiB, 512 bfloat16 values, of a weight: [16 rows][32 columns]
//                                             of an input: [16 pairs of columns][16 tokens][2]
//   values         in `parts` bfloat16 numbers: x rounded, then what is left, rounded; a tile of the first parts
//                  is followed by one of the second parts
//   panel          tiles of 16 rows (or tokens), one column step of 32 after the other
//   sums           1 KiB, [16 rows][16 tokens] float32
//
// With two parts three products are summed for each column step: first * second, first * first, second * first (of the
// weight and the input); the last is left out where no weight has a second part. A float16 weight is the sum of its
// parts exactly, a bfloat16 weight has one, an input is it to 2^-17. A sum adds its columns in an order that does not
// depend on the block it is in. Plain functions only: see matmul_kernel.h.
#pragma once

#include <cstdint>

namespace galatea::kernel {

constexpr std::uint64_t kTileRows = 16;
constexpr std::uint64_t kTileCols = 32;
constexpr std::uint64_t kTileValues = kTileRows * kTileCols;
constexpr std::uint64_t kTileSums = kTileRows * kTileRows;

/// Which keys each of 16 queries sees: those from first to before end.
struct SeenKeys {
  std::int32_t first[kTileRows], end[kTileRows];
};

/// The product for one instruction set.
struct TileKernel {
  /// Sets up and gives back what the calling thread needs.
  void (*begin)();
  void (*end)();

  /// Packs `count` <= 16 rows (tokens) of `cols` values, `stride` apart, into one panel; the rest is zeros. Of weights
  /// says whether any second part is not zero.
  bool (*pack_weights)(const float* rows, std::uint64_t count, std::uint64_t cols, std::uint64_t stride,
                       std::uint64_t parts, std::uint16_t* panel);
  void (*pack_inputs)(const float* tokens, std::uint64_t count, std::uint64_t cols, std::uint64_t stride,
                      std::uint64_t parts, std::uint16_t* panel);

  /// Two panels of weights against two of inputs over `steps` column steps, `weight_stride` and `input_stride`
  /// values from one panel to the next; sums [2 of weights][2 of inputs], `sums_stride` floats from one weight's
  /// to the next, start at zero when `first`. Without `rest` the weights' second parts are taken for zeros.
  void (*block)(const std::uint16_t* weights, std::uint64_t weight_stride, const std::uint16_t* inputs,
                std::uint64_t input_stride, std::uint64_t steps, std::uint64_t parts, bool rest, float* sums,
                std::uint64_t sums_stride, bool first);

  /// Sums of `rows` x `tokens` values, `sums_stride` floats from 16 rows to the next 16, as out[token][row], `out_stride`
  /// floats from a token to the next.
  void (*store)(const float* sums, std::uint64_t sums_stride, std::uint64_t rows, std::uint64_t tokens,
                float* out, std::uint64_t out_stride);

  /// Scores of 16 queries, tiles [16 keys][16 queries] `tile_stride` floats apart over `steps` times 32 keys, become
  /// e^(score * scale - the query's largest), 0 for keys that it does not see, packed as a panel of inputs. totals[16]
  /// are the sums of these shares before they were rounded to `parts`. `scores` is scratch afterwards.
  void (*pack_shares)(float* scores, std::uint64_t tile_stride, std::uint64_t steps, const SeenKeys& seen,
                      float scale, std::uint64_t parts, std::uint16_t* panel, float* totals);
};

/// What the other two are compared with in the tests: slow, on any processor. A tile's sum adds the products of
/// its even columns in float32, in ascending order with fused multiply-add, those of its odd columns likewise,
/// and both to what was there (TDPBF16PS of the Intel architecture's manual).
extern const TileKernel tile_kernel_scalar;
#if defined(GALATEA_X86)
/// AVX-512 BF16: VDPBF16PS, a pair of columns after the other.
extern const TileKernel tile_kernel_avx512_bf16;
/// AMX tiles.
extern const TileKernel tile_kernel_amx;
#endif

}  // namespace galatea::kernel
