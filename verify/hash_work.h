// How long hashing took, and what kept it from being faster.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace galatea {

/// What digest_files measured. Threads add to the two sums of nanoseconds.
struct HashWork {
  std::uint64_t bytes = 0;      ///< read, each once, whatever the number of algorithms
  std::uint64_t from_disk = 0;  ///< of these (and what the system read ahead); the rest was in memory
  double seconds = 0;
  int threads = 0;
  double reading = 0, hashing = 0;  ///< seconds, summed over threads

  enum class Limit { processors, disk };
  /// The disk when most of the bytes came from it and more time went into reading than into hashing: a
  /// faster processor would not have helped. Else the processors.
  Limit limit() const;
};

/// "hashed 4.0 GB in 2.4 s, 1.7 GB/s on 2 threads: the processors were the limit (12 % of their time went
/// into reading, 0 B came from the disk)"
std::string hash_work_text(const HashWork& work);
/// {"bytes", "from_disk", "seconds", "threads", "reading", "hashing", "limit": "processors" | "disk"}
nlohmann::json hash_work_json(const HashWork& work);

/// Sums times of several threads and takes the whole at its end.
class HashClock {
 public:
  HashClock();
  /// Calls work() and adds its time to the reading or the hashing.
  template <class Work>
  void reading(const Work& work) {
    timed(reading_, work);
  }
  template <class Work>
  void hashing(const Work& work) {
    timed(hashing_, work);
  }
  HashWork finish(std::uint64_t bytes, int threads) const;

 private:
  using Clock = std::chrono::steady_clock;

  template <class Work>
  static void timed(std::atomic<std::int64_t>& sum, const Work& work) {
    const auto begin = Clock::now();
    work();
    sum += std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begin).count();
  }

  Clock::time_point begin_;
  std::uint64_t disk_before_;
  std::atomic<std::int64_t> reading_{0}, hashing_{0};
};

}  // namespace galatea
