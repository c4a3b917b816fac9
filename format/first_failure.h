// What goes wrong in a parallel loop, which no exception may leave: kept, and thrown behind the loop.
#pragma once

#include <atomic>
#include <exception>
#include <mutex>

namespace galatea {

class FirstFailure {
 public:
  /// Runs `work` unless something has failed before, and keeps what it throws; for any number of threads.
  template <class Work>
  void guard(const Work& work) {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      work();
    } catch (...) {
      const std::scoped_lock lock(mutex_);
      if (!failure_) failure_ = std::current_exception();
      failed_.store(true, std::memory_order_relaxed);
    }
  }

  /// Behind the loop: throws what came first, if anything.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  std::atomic<bool> failed_ = false;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace galatea
