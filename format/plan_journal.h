// The journal of a plan that is being written: what of it is on the disk for certain.
//
//   offset  size  meaning
//   0       8     "GALJRNL1"
//   then records, each
//   0       4     length n of the body
//   4       4     CRC-32 of the body, carried on from the record before (from 0 for the first)
//   8       n     body: a byte that tells the kind, then its fields
//
//   kind  record  fields (integers little-endian; text is a u32 length and its bytes)
//   1     plan    text: fingerprint of the job; text: identity of the plan; u32: files; text: name of each
//   2     from    u32: file; u64: byte from which it is written anew, marks beyond it are void
//   3     mark    u32: file; u64: end; text: digest of the bytes [0, end); text: tally of those since the
//                 last mark
//   4     whole   u32: file; u64: size; i64: time of change; u32: digests, each u8 kind, text; text: tally of
//                 the bytes since the last mark
//
// Records are appended and flushed after the bytes that they vouch for. A record that is cut off or damaged
// ends the journal; what came before counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "format/hash.h"
#include "format/locked_file.h"
#include "format/output_file.h"

namespace galatea {

/// The bytes [0, end) of a file are on the disk and have this digest.
struct JournalMark {
  std::uint64_t end = 0;
  std::string digest;
  std::string tally;  ///< see Rows::tally
};

/// A file was complete, had passed its checks, and was about to get its name.
struct JournalWhole {
  FileStamp stamp;
  std::map<HashKind, std::string> digests;
  std::string tally;
};

struct JournalledFile {
  std::vector<JournalMark> marks;  ///< ends ascending
  std::optional<JournalWhole> whole;
};

/// What a journal says, read from its bytes. Never throws for damage: it ends the journal.
struct JournalContent {
  std::string job, identity;
  std::vector<std::string> names;
  std::vector<JournalledFile> files;  ///< as many as names
  std::uint64_t valid_bytes = 0;      ///< 0: no journal at all
  std::uint32_t crc = 0;              ///< of the last valid record
};
JournalContent read_journal(std::span<const std::byte> bytes);

class PlanJournal {
 public:
  /// Opens the journal, made if missing, and locks it. Throws Error(usage) when another run holds it,
  /// Error(system). `output` is what messages name.
  PlanJournal(std::filesystem::path path, const std::filesystem::path& output);
  PlanJournal(const PlanJournal&) = delete;
  PlanJournal& operator=(const PlanJournal&) = delete;
  /// Removes a journal that nothing was written to.
  ~PlanJournal();

  /// What an earlier run wrote, brought up to date by the functions below. They may be called by several threads
  /// at once, each for files of its own, of which alone it reads here meanwhile.
  const JournalContent& content() const { return content_; }
  /// Starts anew with this plan.
  void start(const std::string& job, const std::string& identity, const std::vector<std::string>& names);
  /// Goes on behind the last valid record.
  void go_on();
  void from(std::size_t file, std::uint64_t byte);
  void mark(std::size_t file, JournalMark mark);
  void whole(std::size_t file, JournalWhole whole);
  void remove();

 private:
  void append(std::vector<std::byte> body);

  LockedFile file_;
  std::mutex mutex_;
  JournalContent content_;
  bool removed_ = false;
};

}  // namespace galatea
