// Vouches in the journal, from time to time and on a thread of its own, for what of a file is on the disk.
// Part of the engine behind plan.h; nothing else includes it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "format/output_file.h"
#include "format/plan.h"
#include "format/plan_journal.h"

namespace galatea {

/// What the rows of the bytes [begin, end) of a file counted while they were read; both fall between rows.
std::string tally_of(const FileLayout& layout, std::uint64_t begin, std::uint64_t end);
/// Hands a tally back to the rows. Throws Error(input) for one that tally_of cannot have made.
void restore_tally(const FileLayout& layout, std::string_view tally);

class PlanMarker {
 public:
  /// `begin`: bytes that the journal vouches for already.
  PlanMarker(const FileLayout& layout, std::size_t index, const OutputFile& output, PlanJournal& journal,
             const WriteOptions& options, std::uint64_t begin);
  PlanMarker(const PlanMarker&) = delete;
  PlanMarker& operator=(const PlanMarker&) = delete;
  ~PlanMarker();

  /// All bytes [0, end) were written, and `hasher` has had just these. Every few seconds and options.mark_bytes
  /// a mark is made of it; waits when the disk is far behind. Throws what the thread threw.
  void reached(std::uint64_t end, const Hasher& hasher);
  /// Ends the thread. Throws what it threw.
  void stop();
  /// Bytes that the journal vouches for; after stop().
  std::uint64_t marked() const { return marked_; }

 private:
  void work();
  void join();

  const FileLayout& layout_;
  std::size_t index_;
  const OutputFile& output_;
  PlanJournal& journal_;
  std::uint64_t mark_bytes_;
  std::uint64_t asked_, marked_;
  std::chrono::steady_clock::time_point asked_at_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<JournalMark> pending_;
  bool ending_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace galatea
