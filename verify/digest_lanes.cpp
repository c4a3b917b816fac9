#include "verify/digest_lanes.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <exception>
#include <system_error>
#include <thread>

#include "format/error.h"
#include "verify/parallel.h"

namespace galatea {
namespace {

constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 20U;

/// About how long a byte takes, on processors that have SHA instructions; reading it from memory is 1.
int cost(HashKind kind) {
  switch (kind) {
    case HashKind::md5:
      return 10;
    case HashKind::sha512:
      return 8;
    case HashKind::sha1:
    case HashKind::sha256:
      break;
  }
  return 4;
}

/// The hashers of each lane: the dearest first, each to the lane that has least to do. Lane 0 reads.
std::vector<std::vector<Hasher>> share_out(std::span<const HashKind> kinds, int lanes) {
  std::vector<HashKind> order(kinds.begin(), kinds.end());
  std::stable_sort(order.begin(), order.end(), [](HashKind a, HashKind b) { return cost(a) > cost(b); });
  std::vector<std::vector<Hasher>> out(static_cast<std::size_t>(std::max(lanes, 1)));
  std::vector<int> load(out.size());
  load[0] = 1;
  for (const HashKind kind : order) {
    const auto lane = static_cast<std::size_t>(std::min_element(load.begin(), load.end()) - load.begin());
    out[lane].emplace_back(kind);
    load[lane] += cost(kind);
  }
  while (out.size() > 1 && out.back().empty()) out.pop_back();
  return out;
}

class Lanes {
 public:
  Lanes(const ByteSource& source, std::span<const HashKind> kinds, int lanes, Progress& progress,
        HashClock& clock)
      : source_(source),
        progress_(progress),
        clock_(clock),
        hashers_(share_out(kinds, lanes)),
        failures_(hashers_.size()),
        barrier_(static_cast<std::ptrdiff_t>(hashers_.size())) {}

  Digests run() {
    for (auto& buffer : buffers_)
      buffer.resize(static_cast<std::size_t>(std::min(source_.size(), piece_bytes)));
    std::vector<std::jthread> threads;
    try {
      for (std::size_t lane = 1; lane < hashers_.size(); ++lane)
        threads.emplace_back([this, lane] { work(lane); });
    } catch (const std::system_error&) {  // those that run must not wait for the others
      failed_at_ = 0;
      for (std::size_t lane = threads.size(); lane < hashers_.size(); ++lane) barrier_.arrive_and_drop();
      throw Error(ErrorKind::system, "cannot start another thread").remedy("use fewer threads: --threads 1");
    }
    work(0);
    threads.clear();  // joined
    for (const std::exception_ptr& failure : failures_) {
      if (failure) std::rethrow_exception(failure);
    }
    Digests out;
    for (auto& lane : hashers_) {
      for (Hasher& hasher : lane) out[hasher.kind()] = hasher.finish();
    }
    return out;
  }

 private:
  /// Every lane comes to the barrier equally often: a failure is kept until all have seen it there.
  void work(std::size_t lane) {
    if (lane == 0) attempt(lane, [&] { read(0); });
    for (std::uint64_t at = 0; at < source_.size(); at += piece_bytes) {
      barrier_.arrive_and_wait();
      if (failed_at_ <= at) return;
      attempt(
          lane,
          [&] {
            if (lane == 0) read(at + piece_bytes);
            clock_.hashing([&] {
              for (Hasher& hasher : hashers_[lane]) hasher.update(piece(at));
            });
            if (lane == 0) progress_.advance(piece(at).size());
          },
          at + piece_bytes);
    }
  }

  /// A failure counts from the barrier before the piece at `from`, so that no lane leaves before the others.
  template <class Step>
  void attempt(std::size_t lane, const Step& step, std::uint64_t from = 0) {
    try {
      step();
    } catch (...) {
      failures_[lane] = std::current_exception();
      failed_at_ = std::min(failed_at_.load(), from);
    }
  }

  std::span<std::byte> piece(std::uint64_t at) {
    auto& buffer = buffers_[(at / piece_bytes) % 2];
    return std::span(buffer).first(static_cast<std::size_t>(std::min(piece_bytes, source_.size() - at)));
  }

  void read(std::uint64_t at) {
    throw_if_stopped(progress_);
    if (at < source_.size()) clock_.reading([&] { source_.read(at, piece(at)); });
  }

  const ByteSource& source_;
  Progress& progress_;
  HashClock& clock_;
  std::vector<std::vector<Hasher>> hashers_;
  std::vector<std::exception_ptr> failures_;
  std::barrier<> barrier_;
  std::array<std::vector<std::byte>, 2> buffers_;
  std::atomic<std::uint64_t> failed_at_{UINT64_MAX};
};

}  // namespace

Digests digest_in_lanes(const ByteSource& source, std::span<const HashKind> kinds, int lanes,
                        Progress& progress, HashClock& clock) {
  return Lanes(source, kinds, lanes, progress, clock).run();
}

}  // namespace galatea
