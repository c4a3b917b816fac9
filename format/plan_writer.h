// Writes the files of a plan, and goes on where an earlier run of the same job stopped.
//
// A digest is one chain of bytes that one processor follows, so files are written in lanes: two or more at once,
// started in the order of the plan, each with all threads; the system shares out the processors.
// Part of the engine behind plan.h; nothing else includes it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/output_file.h"
#include "format/plan.h"
#include "format/plan_journal.h"

namespace galatea {

/// Tells what several lanes do as one; asks all to stop when one has failed.
class LaneProgress final : public Progress {
 public:
  explicit LaneProgress(Progress& outer) : outer_(outer) {}
  void begin(std::string_view step, std::uint64_t total, std::string_view unit) override;
  void advance(std::uint64_t units) override { outer_.advance(units); }
  void end() override;
  void note(std::string_view line) override;
  bool stop_requested() const override { return failed_ || outer_.stop_requested(); }
  void fail() { failed_ = true; }
  bool failed() const { return failed_; }

 private:
  Progress& outer_;
  std::mutex mutex_;
  std::atomic<bool> failed_ = false;
};

class PlanWriter {
 public:
  /// `paths[i]` is where files[i] goes. With a job, opens and locks the journal and sees what it vouches for.
  /// Throws Error: usage when a file is in the way or another run is at work there; system.
  PlanWriter(std::span<const FileLayout> files, std::vector<std::filesystem::path> paths,
             const std::filesystem::path& journal, const WriteOptions& options);

  /// Bytes of the files that are still to be finished.
  std::uint64_t bytes_to_do() const;
  /// Throws Error(system) when the disk has no room for them; what nothing was written for leaves no journal.
  void require_room(const std::filesystem::path& folder) const;
  /// All files of the plan. Call it once.
  std::vector<WrittenFile> run();

 private:
  std::uint64_t bytes_to_allocate() const;
  int lanes() const;
  void run_lane(std::atomic<std::size_t>& next, std::vector<WrittenFile>& written);
  bool finished(std::size_t index) const;
  const JournalledFile* journalled(std::size_t index) const;
  void open_journal(const std::filesystem::path& path);
  void discard_stale_partials() const;
  void require_free_names(bool stale) const;
  WrittenFile recall_finished(std::size_t index) const;
  WrittenFile write_one(std::size_t index);
  void write_or_keep(std::size_t index, OutputFile& output, WrittenFile& written);
  std::vector<JournalMark> usable_marks(std::size_t index, const OutputFile& output) const;
  void produce(std::size_t index, OutputFile& output, std::vector<JournalMark> marks, WrittenFile& written);
  void seal(std::size_t index, OutputFile& output, const WrittenFile& written);
  [[noreturn]] void throw_failure() const;
  void explain(Error& error) const;

  std::span<const FileLayout> files_;
  std::vector<std::filesystem::path> paths_;
  WriteOptions options_;
  LaneProgress progress_;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;            ///< the first
  std::shared_ptr<PlanJournal> journal_;  ///< without a job: nothing
};

}  // namespace galatea
