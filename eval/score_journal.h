// The journal of a scoring run: the windows that are finished, so that the same run goes on behind them.
//
//   offset  size  meaning
//   0       8     "GALSCOR1"
//   then records, each
//   0       4     length n of the body
//   4       4     CRC-32 of the body, carried on from the record before (from 0 for the first)
//   8       n     body
//
// The first body is the identity of the run: text, anything that the numbers follow from. The others are windows:
//
//   0       8     window (u64)
//   8       8     predictions (u64)
//   16      8     mean of -log p (float64)
//   24      8     mean of its square (float64)
//   32      n-32  what observers keep
//
// All little-endian. Records are appended and flushed; one that is cut off or damaged ends the journal.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "format/locked_file.h"

namespace galatea {

struct FinishedWindow {
  std::uint64_t scored = 0;
  double loss = 0, square = 0;
  std::string kept;
};

class ScoreJournal {
 public:
  /// Opens the journal, made if missing, and locks it. Windows of an earlier run of the same identity are there;
  /// what another run left is discarded. Throws Error(usage) when another run holds it, Error(system).
  ScoreJournal(const std::filesystem::path& path, std::string_view identity);
  ScoreJournal(const ScoreJournal&) = delete;
  ScoreJournal& operator=(const ScoreJournal&) = delete;

  /// True when it held windows of another run, which are gone now.
  bool discarded() const { return discarded_; }
  const std::map<std::uint64_t, FinishedWindow>& windows() const { return windows_; }
  /// Forgets what is there: nothing of it can be used.
  void clear();
  void add(std::uint64_t window, FinishedWindow finished);
  /// What was added is on the disk after it.
  void flush();
  /// The result is written: the journal goes.
  void remove();

 private:
  void append(std::span<const std::byte> body);
  void start();

  LockedFile file_;
  std::string identity_;
  std::map<std::uint64_t, FinishedWindow> windows_;
  std::uint64_t bytes_ = 0;
  std::uint32_t crc_ = 0;
  bool discarded_ = false;
};

}  // namespace galatea
