// Independent pieces of work on all threads, the largest first.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <numeric>
#include <span>
#include <vector>

#include "format/error.h"
#include "format/progress.h"

namespace galatea {

/// Throws Error(system) once the user asked to stop.
inline void throw_if_stopped(const Progress& progress) {
  if (progress.stop_requested()) throw Error(ErrorKind::system, "interrupted");
}

/// Calls work(i) for each i in `order` (a permutation of 0 ... order.size() - 1), from `threads` threads (0: as many as OpenMP would take), begun in that
/// order. Every piece is tried; then the exception of the lowest i that threw is thrown again.
template <class Work>
void for_each_in_order(std::span<const std::size_t> order, int threads, const Work& work) {
  std::vector<std::exception_ptr> failures(order.size());
  const auto count = static_cast<std::int64_t>(order.size());
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads > 0 ? threads : omp_get_max_threads())
  for (std::int64_t i = 0; i < count; ++i) {
    const std::size_t piece = order[static_cast<std::size_t>(i)];
    try {
      work(piece);
    } catch (...) {
      failures[piece] = std::current_exception();
    }
  }
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

/// The same for i = 0 ... count - 1.
template <class Work>
void for_each_in_order(std::size_t count, int threads, const Work& work) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for_each_in_order(std::span<const std::size_t>(order), threads, work);
}

/// The same for each i below sizes.size(), the largest size first.
template <class Work>
void for_each_largest_first(std::span<const std::uint64_t> sizes, int threads, const Work& work) {
  std::vector<std::size_t> order(sizes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });
  for_each_in_order(std::span<const std::size_t>(order), threads, work);
}

}  // namespace galatea
