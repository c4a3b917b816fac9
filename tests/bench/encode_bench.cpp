// How fast values turn into stored types and back: every encoder of quantize/encoder.h and every decoder of
// format/dtype.h. Rates are bytes of float32 values (made or taken), whatever the stored type.
#include <benchmark/benchmark.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "format/dtype.h"
#include "format/isa.h"
#include "quantize/block_encode.h"
#include "quantize/encoder.h"
#include "tests/bench/bench_main.h"

namespace {

using galatea::DType;
using galatea::EncodeBlocks;
using galatea::TypeInfo;

/// A multiple of every block length; 4 MiB of float32, 256 rows of a 4096-wide matrix.
constexpr std::uint64_t elements = std::uint64_t{1} << 20U;
constexpr std::uint64_t cols = 4096;
constexpr std::uint64_t rows = elements / cols;

/// Normal numbers as weights have them: finite in every type.
const std::vector<float>& weights() {
  static const std::vector<float> values = [] {
    std::mt19937 random(1);
    std::normal_distribution<float> normal(0.0F, 0.02F);
    std::vector<float> made(elements);
    for (float& value : made) value = normal(random);
    return made;
  }();
  return values;
}

/// Squared activations: a weight for each column.
const std::vector<float>& importance() {
  static const std::vector<float> values = [] {
    std::mt19937 random(2);
    std::normal_distribution<float> normal;
    std::vector<float> made(cols);
    for (float& value : made) value = std::pow(normal(random), 2.0F);
    return made;
  }();
  return values;
}

void count_bytes(benchmark::State& state) {
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations()) *
                          static_cast<std::int64_t>(elements * sizeof(float)));
}

template <class Encode>
void run_encode(benchmark::State& state, const TypeInfo& type, Encode encode) {
  std::vector<std::byte> out(type.bytes_for(elements));
  for (auto _ : state) {
    encode(weights().data(), out.data(), elements);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  count_bytes(state);
}

/// Bytes that the type's own encoder made; zeros, which every type reads, where it has none.
std::vector<std::byte> stored(const TypeInfo& type) {
  std::vector<std::byte> bytes(type.bytes_for(elements));
  if (const galatea::Encoder* encoder = galatea::find_encoder(type.type)) {
    encoder->encode_rows(weights().data(), bytes.data(), rows, cols, importance().data());
  } else if (type.encode != nullptr) {
    type.encode(weights().data(), bytes.data(), elements);
  }
  return bytes;
}

void run_decode(benchmark::State& state, const TypeInfo& type) {
  const std::vector<std::byte> in = stored(type);
  std::vector<float> out(elements);
  for (auto _ : state) {
    type.decode(in.data(), out.data(), elements);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  count_bytes(state);
}

/// The block encoders path by path: those for the base instructions, and for AVX2 where the processor has it.
void register_blocks(const std::string& path, const galatea::BlockEncoders& encoders) {
  const std::array<std::pair<DType, EncodeBlocks>, 5> all = {{{DType::q8_0, encoders.q8_0},
                                                              {DType::q5_1, encoders.q5_1},
                                                              {DType::q5_0, encoders.q5_0},
                                                              {DType::q4_1, encoders.q4_1},
                                                              {DType::q4_0, encoders.q4_0}}};
  for (const auto& [type, encode] : all) {
    const TypeInfo& info = galatea::type_info(type);
    benchmark::RegisterBenchmark(
        ("encode_blocks/" + std::string(info.name) + "/" + path).c_str(),
        [&info, run = encode](benchmark::State& state) { run_encode(state, info, run); });
  }
}

void register_rows(const std::string& name, const TypeInfo& info, galatea::EncodeRows encode,
                   const float* weights_of_columns) {
  benchmark::RegisterBenchmark(name.c_str(), [&info, encode, weights_of_columns](benchmark::State& state) {
    run_encode(state, info, [&](const float* in, std::byte* out, std::uint64_t) {
      encode(in, out, rows, cols, weights_of_columns);
    });
  });
}

void register_all() {
  // Every encoder by the path that runs, with importance where it takes any; those in lanes by every path.
  for (const galatea::Encoder& row : galatea::all_encoders()) {
    const TypeInfo& info = galatea::type_info(row.type);
    const std::string name = "encode/" + std::string(info.name);
    const std::string active(galatea::to_string(galatea::active_isa()));
    if (row.importance != galatea::Importance::required) {
      register_rows(std::string(name).append("/").append(active), info, row.encode_rows, nullptr);
    }
    if (row.importance != galatea::Importance::unused) {
      register_rows(std::string(name).append("/weighted/").append(active), info, row.encode_rows,
                    importance().data());
    }
  }
  for (const galatea::Isa isa : galatea::available_isas()) {
    if (isa > galatea::Isa::avx512) continue;
    const galatea::LaneEncoders& lanes = galatea::lane_encoders(isa);
    const std::string path(galatea::to_string(isa));
    register_rows("encode_lanes/Q6_K/" + path, galatea::type_info(DType::q6_k), lanes.q6_k, nullptr);
    register_rows("encode_lanes/Q4_K/" + path, galatea::type_info(DType::q4_k), lanes.q4_k, nullptr);
    register_rows("encode_lanes/Q3_K/" + path, galatea::type_info(DType::q3_k), lanes.q3_k, nullptr);
    register_rows("encode_lanes/IQ4_XS/" + path, galatea::type_info(DType::iq4_xs), lanes.iq4_xs, nullptr);
  }
  register_blocks("portable", galatea::block_encoders_portable());
  if (const galatea::BlockEncoders* avx2 = galatea::block_encoders_avx2()) register_blocks("avx2", *avx2);
  for (const TypeInfo& info : galatea::all_types()) {
    benchmark::RegisterBenchmark(("decode/" + std::string(info.name)).c_str(),
                                 [&info](benchmark::State& state) { run_decode(state, info); });
  }
}

}  // namespace

int main(int argc, char** argv) { return run_benches(argc, argv, register_all); }
