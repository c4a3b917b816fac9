#include "format/layout_source.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "format/crc32.h"
#include "format/crc_stretches.h"
#include "format/error.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

class LayoutSource final : public ByteSource {
 public:
  LayoutSource(FileLayout layout, fs::path name)
      : layout_(std::move(layout)), name_(std::move(name)), known_(layout_.tensors.size()) {
    for (const Segment& segment : layout_.segments) {
      starts_.push_back(size_);
      size_ += segment_size(segment);
      with_crcs_ = with_crcs_ || std::holds_alternative<CrcSegment>(segment);
    }
  }

  std::uint64_t size() const override { return size_; }
  const fs::path& name() const override { return name_; }

  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    check_range(offset, out.size());
    auto index =
        static_cast<std::size_t>(std::upper_bound(starts_.begin(), starts_.end(), offset) - starts_.begin()) -
        1;
    for (; !out.empty(); ++index) {
      const Segment& segment = layout_.segments[index];
      const std::uint64_t within = offset - starts_[index];
      const auto here =
          static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), segment_size(segment) - within));
      if (here > 0) read_segment(index, within, out.first(here));
      offset += here;
      out = out.subspan(here);
    }
  }

 private:
  std::uint64_t segment_size(const Segment& segment) const {
    if (const auto* literal = std::get_if<LiteralSegment>(&segment)) return literal->bytes.size();
    if (const auto* late = std::get_if<CrcSegment>(&segment)) return late->size;
    return layout_.tensors[std::get<TensorSegment>(segment).tensor].bytes();
  }

  void read_segment(std::size_t index, std::uint64_t within, std::span<std::byte> out) const {
    const Segment& segment = layout_.segments[index];
    if (const auto* literal = std::get_if<LiteralSegment>(&segment)) {
      std::memcpy(out.data(), literal->bytes.data() + within, out.size());
    } else if (const auto* late = std::get_if<CrcSegment>(&segment)) {
      const std::vector<std::byte> bytes = late->make(crcs_before(index));
      std::memcpy(out.data(), bytes.data() + within, out.size());
    } else {
      read_tensor(std::get<TensorSegment>(segment).tensor, within, out);
    }
  }

  /// Bytes [within, within + out.size()) of a tensor: whole rows directly, the ends through a row's buffer.
  void read_tensor(std::size_t tensor, std::uint64_t within, std::span<std::byte> out) const {
    const std::span<std::byte> whole = out;
    const std::uint64_t begin = within;
    const Rows& data = *layout_.tensors[tensor].data;
    const std::uint64_t width = data.row_bytes();
    std::vector<std::byte> row;
    while (!out.empty()) {
      const std::uint64_t first = within / width;
      const std::uint64_t skipped = within % width;
      std::size_t here = 0;
      if (skipped == 0 && out.size() >= width) {
        const std::uint64_t rows = out.size() / width;
        here = static_cast<std::size_t>(rows * width);
        data.read(first, rows, out.first(here));
      } else {
        row.resize(static_cast<std::size_t>(width));
        data.read(first, 1, row);
        here = static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), width - skipped));
        std::memcpy(out.data(), row.data() + skipped, here);
      }
      within += here;
      out = out.subspan(here);
    }
    if (!with_crcs_) return;
    const std::uint32_t crc = crc32_of(whole);
    const std::lock_guard lock(mutex_);
    known_[tensor].add(begin, begin + whole.size(), crc);
    readers_.insert(std::this_thread::get_id());
    if (readers_.size() > 1) changed_.notify_all();
  }

  std::vector<std::uint32_t> crcs_before(std::size_t index) const {
    std::vector<std::uint32_t> crcs(layout_.tensors.size(), 0);
    for (std::size_t i = 0; i < index; ++i) {
      if (const auto* segment = std::get_if<TensorSegment>(&layout_.segments[i]))
        crcs[segment->tensor] = crc_of_tensor(segment->tensor);
    }
    return crcs;
  }

  /// What is not known yet is read; but several threads that read front to back are about to bring it, so each
  /// change is waited for a moment.
  std::uint32_t crc_of_tensor(std::size_t tensor) const {
    constexpr std::uint64_t piece = 1U << 20U;
    constexpr std::chrono::milliseconds moment(20);
    const std::uint64_t size = layout_.tensors[tensor].bytes();
    std::vector<std::byte> buffer;
    std::unique_lock lock(mutex_);
    bool waits = readers_.size() > 1;
    for (;;) {
      const auto gap = known_[tensor].gap(size);
      if (gap.first >= gap.second) return known_[tensor].whole();
      if (waits && changed_.wait_for(lock, moment, [&] { return known_[tensor].gap(size) != gap; })) continue;
      waits = false;
      lock.unlock();
      buffer.resize(static_cast<std::size_t>(std::min(piece, gap.second - gap.first)));
      read_tensor(tensor, gap.first, buffer);
      lock.lock();
    }
  }

  FileLayout layout_;
  fs::path name_;
  std::vector<std::uint64_t> starts_;
  std::uint64_t size_ = 0;
  bool with_crcs_ = false;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable std::set<std::thread::id> readers_;  ///< threads that have read
  mutable std::vector<CrcStretches> known_;
};

}  // namespace

SourcePtr layout_source(FileLayout layout, const fs::path& name) {
  return std::make_shared<LayoutSource>(std::move(layout), name);
}

}  // namespace galatea
