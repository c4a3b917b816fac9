// The matrix product of the forward pass: shapes of LLaMA 7B, stored types, instruction sets, one thread.
// FLOP counts a multiplication and an addition for each product; decoding the weights is part of the time.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "eval/matmul.h"
#include "format/isa.h"
#include "format/rows.h"
#include "quantize/encoder.h"
#include "tests/bench/bench_main.h"

namespace {

using galatea::DType;
using galatea::Isa;
using galatea::RowsPtr;

/// A slice of a weight's rows, all of its columns: every row costs the same.
struct BenchShape {
  const char* name;
  std::uint64_t rows, cols, tokens;
};

constexpr std::array shapes = {
    BenchShape{"attention", 512, 4096, 128},
    BenchShape{"many_tokens", 1024, 4096, 2048},
    BenchShape{"down", 512, 11008, 128},
    BenchShape{"one_token", 512, 4096, 1},
};

std::vector<float> random_values(std::uint64_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 0.02F);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

/// A weight in memory in the given type, encoded before the clock runs.
RowsPtr weight_of(const BenchShape& shape, DType type) {
  const RowsPtr encoded = galatea::quantize_rows(
      galatea::memory_rows(random_values(shape.rows * shape.cols), shape.rows, shape.cols), type);
  std::vector<std::byte> bytes(shape.rows * encoded->row_bytes());
  encoded->read(0, shape.rows, bytes);
  return galatea::memory_rows(std::move(bytes), type, shape.rows, shape.cols);
}

void run_matmul(benchmark::State& state, const BenchShape& shape, DType type, Isa isa,
                galatea::Precision precision) {
  const RowsPtr weight = weight_of(shape, type);
  const std::vector<float> in = random_values(shape.tokens * shape.cols);
  std::vector<float> out(shape.tokens * shape.rows);
  for (auto _ : state) {
    galatea::matmul(*weight, in.data(), shape.tokens, out.data(), 1, isa, precision);
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  const double flops = 2.0 * static_cast<double>(shape.rows * shape.cols * shape.tokens);
  state.counters["FLOP/s"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}

void register_all() {
  for (const BenchShape& shape : shapes) {
    for (const DType type : {DType::f32, DType::f16, DType::q4_0}) {
      for (const Isa isa : galatea::available_isas()) {
        std::vector<galatea::Precision> precisions;  // float32 on the tiles' processors is that of AVX-512
        if (isa <= Isa::avx512) precisions.push_back(galatea::Precision::f32);
        for (const galatea::Precision precision : {galatea::Precision::exact, galatea::Precision::fast}) {
          if (galatea::precision_on(isa, precision) == precision) precisions.push_back(precision);
        }
        for (const galatea::Precision precision : precisions) {
          const std::string name =
              std::string("matmul/") + shape.name + "/" + std::string(galatea::type_info(type).name) + "/" +
              std::string(galatea::to_string(isa)) + "/" + std::string(galatea::to_string(precision));
          benchmark::RegisterBenchmark(name.c_str(), [&shape, type, isa, precision](benchmark::State& state) {
            run_matmul(state, shape, type, isa, precision);
          });
        }
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) { return run_benches(argc, argv, register_all); }
