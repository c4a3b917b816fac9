#include "format/plan_producer.h"

#include <omp.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "format/crc32.h"
#include "format/error.h"

namespace galatea {
namespace {

bool needs_crcs(const FileLayout& layout) {
  return std::any_of(layout.segments.begin(), layout.segments.end(),
                     [](const Segment& segment) { return std::holds_alternative<CrcSegment>(segment); });
}

std::span<const std::byte> bytes_of(const PlanChunk& chunk, const std::vector<std::byte>& buffer) {
  if (const auto* literal = std::get_if<LiteralSegment>(chunk.segment)) return literal->bytes;
  return std::span(buffer).first(static_cast<std::size_t>(chunk.size));
}

/// Rows of a tensor at file offset `offset`, at most `step` of them a chunk.
void cut_tensor(const Segment& segment, const Rows& data, std::uint64_t offset, std::uint64_t step,
                std::span<const std::uint64_t> cuts, std::vector<PlanChunk>& chunks) {
  const std::uint64_t width = data.row_bytes();
  for (std::uint64_t row = 0; row < data.rows();) {
    std::uint64_t rows = std::min(step, data.rows() - row);
    const std::uint64_t begin = offset + row * width;
    const auto next = std::upper_bound(cuts.begin(), cuts.end(), begin);
    if (next != cuts.end() && (*next - begin) % width == 0) rows = std::min(rows, (*next - begin) / width);
    chunks.push_back({begin, rows * width, &segment, row, rows});
    row += rows;
  }
}

/// Hands out 0 ... count - 1 to threads, at most `window` of them at a time, and has them finished in that order by
/// whichever thread is there: nobody waits for a slower one while there is work within the window.
class Turns {
 public:
  Turns(std::size_t count, std::size_t window) : count_(count), window_(window), done_(window, false) {}

  /// The next one, or nothing when all are taken.
  std::optional<std::size_t> take() {
    std::unique_lock lock(mutex_);
    moved_.wait(lock, [&] { return taken_ == count_ || taken_ < finished_ + window_; });
    if (taken_ == count_) return std::nullopt;
    return taken_++;
  }

  /// Says that `turn` is done; calls `finish` with it and those behind it that are done, one at a time and in order,
  /// unless another thread is about it.
  template <class Finish>
  void done(std::size_t turn, const Finish& finish) {
    std::unique_lock lock(mutex_);
    done_[turn % window_] = true;
    if (finishing_) return;
    finishing_ = true;
    while (finished_ < count_ && done_[finished_ % window_]) {
      const std::size_t next = finished_;
      lock.unlock();
      finish(next);
      lock.lock();
      done_[next % window_] = false;
      ++finished_;
      moved_.notify_all();
    }
    finishing_ = false;
  }

 private:
  std::size_t count_, window_;
  std::mutex mutex_;
  std::condition_variable moved_;
  std::size_t taken_ = 0, finished_ = 0;
  std::vector<bool> done_;
  bool finishing_ = false;
};

struct Slot {
  std::vector<std::byte> buffer;
  std::uint32_t crc = 0;
};

}  // namespace

std::uint64_t segment_size(const Segment& segment, const std::vector<Tensor>& tensors) {
  if (const auto* literal = std::get_if<LiteralSegment>(&segment)) return literal->bytes.size();
  if (const auto* crc = std::get_if<CrcSegment>(&segment)) return crc->size;
  return tensors.at(std::get<TensorSegment>(segment).tensor).bytes();
}

std::vector<PlanChunk> cut_into_chunks(const FileLayout& layout, std::uint64_t chunk_bytes,
                                       std::span<const std::uint64_t> cuts) {
  std::vector<PlanChunk> chunks;
  std::uint64_t offset = 0;
  for (const Segment& segment : layout.segments) {
    const std::uint64_t size = segment_size(segment, layout.tensors);
    if (const auto* tensor = std::get_if<TensorSegment>(&segment); tensor != nullptr && size > 0) {
      const Rows& data = *layout.tensors[tensor->tensor].data;
      const std::uint64_t step = std::max<std::uint64_t>(1, chunk_bytes / data.row_bytes());
      cut_tensor(segment, data, offset, step, cuts, chunks);
    } else if (size > 0) {
      chunks.push_back({offset, size, &segment, 0, 0});
    }
    offset += size;
  }
  return chunks;
}

PlanProducer::PlanProducer(const FileLayout& layout, const WriteOptions& options, Place place,
                           InOrder in_order)
    : layout_(layout),
      options_(options),
      progress_(options.progress != nullptr ? *options.progress : silent_progress()),
      place_(std::move(place)),
      in_order_(std::move(in_order)),
      chunks_(cut_into_chunks(layout, options.chunk_bytes)),
      crcs_(layout.tensors.size(), 0),
      with_crcs_(needs_crcs(layout)),
      threads_(options.threads > 0 ? options.threads : omp_get_max_threads()) {}

void PlanProducer::go_on_from(std::vector<std::uint64_t> cuts, Recall recall) {
  chunks_ = cut_into_chunks(layout_, options_.chunk_bytes, cuts);
  recalled_bytes_ = cuts.empty() ? 0 : cuts.back();
  recall_ = std::move(recall);
}

void PlanProducer::run() {
  const std::size_t window = static_cast<std::size_t>(threads_) * (threads_ > 1 ? 2 : 1);
  Turns turns(chunks_.size(), window);
  std::vector<Slot> slots(window);
#pragma omp parallel num_threads(threads_)
  while (const std::optional<std::size_t> turn = turns.take()) {
    Slot& mine = slots[*turn % window];
    failure_.guard([&] { mine.crc = produce(chunks_[*turn], mine.buffer); });
    turns.done(*turn, [&](std::size_t i) {
      Slot& slot = slots[i % window];
      failure_.guard([&] { finish_in_order(chunks_[i], slot.buffer, slot.crc); });
      progress_.advance(chunks_[i].size);
    });
  }
  failure_.rethrow();
}

std::uint32_t PlanProducer::produce(const PlanChunk& chunk, std::vector<std::byte>& buffer) const {
  if (progress_.stop_requested()) throw interrupted();
  const auto* segment = std::get_if<TensorSegment>(chunk.segment);
  if (segment == nullptr && !recalled(chunk)) {
    if (std::holds_alternative<LiteralSegment>(*chunk.segment)) place_(chunk.offset, bytes_of(chunk, buffer));
    return 0;
  }
  if (buffer.size() < chunk.size) buffer.resize(static_cast<std::size_t>(chunk.size));
  const auto out = std::span(buffer).first(static_cast<std::size_t>(chunk.size));
  if (recalled(chunk)) {
    recall_(chunk.offset, out);
  } else {
    const Tensor& tensor = layout_.tensors[segment->tensor];
    try {
      tensor.data->read(chunk.first_row, chunk.rows, out);
    } catch (Error& error) {
      error.file(tensor.file).tensor(tensor.name);
      throw;
    }
    place_(chunk.offset, out);
  }
  return with_crcs_ && segment != nullptr ? crc32_of(out) : 0;
}

void PlanProducer::finish_in_order(const PlanChunk& chunk, std::vector<std::byte>& buffer,
                                   std::uint32_t crc) {
  if (const auto* segment = std::get_if<TensorSegment>(chunk.segment); segment != nullptr && with_crcs_) {
    std::uint32_t& whole = crcs_[segment->tensor];
    whole = crc32_joined(whole, crc, chunk.size);
  }
  if (recalled(chunk)) {
    if (in_order_) in_order_(chunk.offset, std::span(buffer).first(static_cast<std::size_t>(chunk.size)));
    return;
  }
  if (const auto* late = std::get_if<CrcSegment>(chunk.segment)) {
    buffer = late->make(crcs_);
    if (buffer.size() != chunk.size) {
      throw Error(ErrorKind::system, "internal error: a late segment has another size than planned")
          .file(layout_.name);
    }
    place_(chunk.offset, buffer);
  }
  if (in_order_) in_order_(chunk.offset, bytes_of(chunk, buffer));
}

}  // namespace galatea
