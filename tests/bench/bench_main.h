// What the benches' main functions share.
#pragma once

#include <benchmark/benchmark.h>

#include <cstdio>
#include <exception>

/// Google Benchmark over what `register_all` registers, with its options. Returns the exit code.
template <class Register>
int run_benches(int argc, char** argv, Register register_all) {
  try {
    register_all();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
