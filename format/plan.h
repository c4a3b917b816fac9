// The one engine: what a command is going to write, known to the byte before any work starts, and the
// writer that does it.
//
// A FileLayout is a file as a list of segments: literal bytes, the rows of a tensor, or bytes that follow
// from the CRC-32s of the tensors before (zip). Formats make layouts from tensors (safetensors_layout,
// torch_zip_layout, gguf_layout, literal_layout); `write_plan` produces row ranges on several threads, puts
// them at their offsets in file order, hashes them in flight and renames each file into place when it is
// whole.
//
// With a job (WriteOptions::job) the work can be interrupted: a journal beside the output (plan_journal.h) says
// what of it is on the disk for certain, and the next run of the same job goes on there.
//
// Memory: at most `2 * threads` chunks of `chunk_bytes` (at least one row each), whatever the model's size.
// Determinism: bytes depend on the plan alone, never on threads or chunk size.
// Atomicity: a file is written as ".NAME.partial" beside its place, flushed to disk, then renamed. After an
// Error no file of the plan that was not complete has its final name. The files before it are whole and keep
// theirs. The partial one is removed, unless there is a job and the fault is not the input's: after a full disk,
// Ctrl-C or a failing disk it stays for the next run, as it does when the process is killed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "format/hash.h"
#include "format/progress.h"
#include "format/tensor.h"

namespace galatea {

/// Bytes known in advance (headers, JSON, padding).
struct LiteralSegment {
  std::vector<std::byte> bytes;
};

/// All rows of tensor number `tensor` of the layout.
struct TensorSegment {
  std::size_t tensor;
};

/// `size` bytes made from the CRC-32 of each tensor of the layout whose segment comes before this one
/// (crcs[i] for tensor i, 0 for those still to come).
struct CrcSegment {
  std::uint64_t size;
  std::function<std::vector<std::byte>(std::span<const std::uint32_t> crcs)> make;
};

using Segment = std::variant<LiteralSegment, TensorSegment, CrcSegment>;

/// One file that was written (or, in a dry run, would be).
struct WrittenFile {
  std::string name;
  std::uint64_t size = 0;
  std::map<HashKind, std::string> digests;  ///< lower-case hex, of the kinds asked for
};

struct FileLayout {
  std::string name;  ///< relative to the output folder; no "..", not absolute
  std::vector<Tensor> tensors;
  std::vector<Segment> segments;  ///< in file order, without gaps
  /// Called with the finished bytes before the file gets its name; an Error from it discards the file.
  std::function<void(const SourcePtr& finished)> check;
  /// Called after `check` with the digests of the finished file; an Error from it discards the file too.
  std::function<void(const WrittenFile& finished)> accept;

  std::uint64_t size() const;
};

/// A file of the given bytes.
FileLayout literal_layout(std::string name, std::vector<std::byte> bytes);
FileLayout literal_layout(std::string name, std::string_view text);
/// A byte-for-byte copy of `source`.
FileLayout copy_layout(std::string name, SourcePtr source);

struct Plan {
  std::vector<FileLayout> files;  ///< started in this order, two or more at once where that is faster

  std::uint64_t size() const;
};

class Job;

struct WriteOptions {
  bool overwrite = false;  ///< else an existing file of the same name is an Error(usage)
  std::vector<HashKind> digests = {HashKind::sha256};  ///< taken in flight
  std::uint64_t chunk_bytes = std::uint64_t{4} << 20U;
  int threads = 0;        ///< 0: as many as OpenMP would take
  int files_at_once = 0;  ///< 0: as many as help
  Progress* progress = nullptr;
  Job* job = nullptr;  ///< makes the work resumable; the caller finishes it when all is done
  /// With a job: how often the journal vouches for what was written; also every three seconds.
  std::uint64_t mark_bytes = std::uint64_t{256} << 20U;
};

/// Writes every file of the plan into `folder` (made if missing). Throws Error; see above for what is left
/// then. Before the work: names checked, free disk space checked (Error(system) says how much is missing). With
/// a job, files that an earlier run of it finished are not written again: their digests come from the journal,
/// and `check` and `accept` are not called. Error(usage) when another run writes there.
std::vector<WrittenFile> write_plan(const Plan& plan, const std::filesystem::path& folder,
                                    const WriteOptions& given);

/// Writes a one-file plan to exactly `path`.
WrittenFile write_file(FileLayout layout, const std::filesystem::path& path, const WriteOptions& given);

/// The same bytes without a file: calls `sink` with consecutive pieces in file order, from one thread at a
/// time.
void stream_layout(const FileLayout& layout, const WriteOptions& options,
                   const std::function<void(std::span<const std::byte>)>& sink);

}  // namespace galatea
