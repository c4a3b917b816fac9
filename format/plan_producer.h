// How the bytes of a layout come about: cut into chunks, made by several threads, put in order for digests.
// Part of the engine behind plan.h; nothing else includes it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "format/first_failure.h"
#include "format/plan.h"

namespace galatea {

/// A piece of a file that one thread produces at once.
struct PlanChunk {
  std::uint64_t offset = 0;  ///< in the file
  std::uint64_t size = 0;
  const Segment* segment = nullptr;
  std::uint64_t first_row = 0, rows = 0;  ///< of a tensor segment

  std::uint64_t end() const { return offset + size; }
};

std::uint64_t segment_size(const Segment& segment, const std::vector<Tensor>& tensors);

/// In file order, without gaps. No chunk goes across one of `cuts` (ascending), where that falls between two
/// rows.
std::vector<PlanChunk> cut_into_chunks(const FileLayout& layout, std::uint64_t chunk_bytes,
                                       std::span<const std::uint64_t> cuts = {});

/// Produces every chunk of a layout.
class PlanProducer {
 public:
  /// Pieces in any order and from any thread; each comes before in_order() has it or one behind it.
  using Place = std::function<void(std::uint64_t offset, std::span<const std::byte>)>;
  /// The same pieces in file order, one at a time.
  using InOrder = std::function<void(std::uint64_t offset, std::span<const std::byte>)>;
  /// Reads back what an earlier run placed.
  using Recall = std::function<void(std::uint64_t offset, std::span<std::byte>)>;

  PlanProducer(const FileLayout& layout, const WriteOptions& options, Place place, InOrder in_order);

  /// Chunks that end at or before cuts.back() are recalled and not produced or placed.
  void go_on_from(std::vector<std::uint64_t> cuts, Recall recall);
  /// Throws what a row, place, in_order or recall threw first; Error(system) when a stop was asked for.
  void run();

 private:
  bool recalled(const PlanChunk& chunk) const { return chunk.end() <= recalled_bytes_; }
  std::uint32_t produce(const PlanChunk& chunk, std::vector<std::byte>& buffer) const;
  void finish_in_order(const PlanChunk& chunk, std::vector<std::byte>& buffer, std::uint32_t crc);

  const FileLayout& layout_;
  const WriteOptions& options_;
  Progress& progress_;
  Place place_;
  InOrder in_order_;
  Recall recall_;
  std::uint64_t recalled_bytes_ = 0;
  std::vector<PlanChunk> chunks_;
  std::vector<std::uint32_t> crcs_;
  bool with_crcs_;
  int threads_;
  FirstFailure failure_;
};

}  // namespace galatea
