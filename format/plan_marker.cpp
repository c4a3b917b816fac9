#include "format/plan_marker.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/little_endian.h"
#include "format/plan_producer.h"

namespace galatea {
namespace {

constexpr std::chrono::seconds longest_pause{3};
/// How far the disk may lag behind before the work waits for it, in units of mark_bytes.
constexpr std::uint64_t most_behind = 4;
constexpr std::size_t entry_head = 8;

void append_entry(std::string& out, std::size_t tensor, std::string_view tally) {
  std::vector<std::byte> head;
  append_little_endian(head, tensor, 4);
  append_little_endian(head, tally.size(), 4);
  out.append(reinterpret_cast<const char*>(head.data()), head.size());
  out.append(tally);
}

}  // namespace

std::string tally_of(const FileLayout& layout, std::uint64_t begin, std::uint64_t end) {
  std::string out;
  std::uint64_t offset = 0;
  for (const Segment& segment : layout.segments) {
    const std::uint64_t size = segment_size(segment, layout.tensors);
    const std::uint64_t from = std::max(begin, offset);
    const std::uint64_t to = std::min(end, offset + size);
    if (const auto* part = std::get_if<TensorSegment>(&segment); part != nullptr && from < to) {
      const Rows& data = *layout.tensors[part->tensor].data;
      const std::uint64_t width = data.row_bytes();
      const std::string tally = data.tally((from - offset) / width, (to - from) / width);
      if (!tally.empty()) append_entry(out, part->tensor, tally);
    }
    offset += size;
  }
  return out;
}

void restore_tally(const FileLayout& layout, std::string_view tally) {
  while (!tally.empty()) {
    const LittleEndian head(std::as_bytes(std::span(tally)));
    const std::uint32_t tensor = head.u32(0);
    const std::uint32_t length = head.u32(4);
    if (tally.size() < entry_head || length > tally.size() - entry_head || tensor >= layout.tensors.size())
      throw Error(ErrorKind::input, "the journal holds a tally of other tensors");
    layout.tensors[tensor].data->restore_tally(tally.substr(entry_head, length));
    tally.remove_prefix(entry_head + length);
  }
}

PlanMarker::PlanMarker(const FileLayout& layout, std::size_t index, const OutputFile& output,
                       PlanJournal& journal, const WriteOptions& options, std::uint64_t begin)
    : layout_(layout),
      index_(index),
      output_(output),
      journal_(journal),
      mark_bytes_(std::max<std::uint64_t>(options.mark_bytes, 1)),
      asked_(begin),
      marked_(begin),
      asked_at_(std::chrono::steady_clock::now()) {}

PlanMarker::~PlanMarker() { join(); }

void PlanMarker::reached(std::uint64_t end, const Hasher& hasher) {
  if (end <= asked_) return;
  const std::uint64_t unmarked = end - asked_;
  const auto now = std::chrono::steady_clock::now();
  if (unmarked < mark_bytes_ && now - asked_at_ < longest_pause) return;
  std::unique_lock lock(mutex_);
  if (pending_ && unmarked / mark_bytes_ < most_behind && !failure_) return;
  changed_.wait(lock, [this] { return !pending_ || failure_; });
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  pending_ = JournalMark{end, hasher.peek(), {}};
  asked_ = end;
  asked_at_ = now;
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
  changed_.notify_all();
}

void PlanMarker::stop() {
  join();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void PlanMarker::join() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void PlanMarker::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return pending_ || ending_; });
    if (!pending_) return;
    JournalMark mark = *pending_;
    const std::uint64_t begin = marked_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      mark.tally = tally_of(layout_, begin, mark.end);
      output_.flush();
      journal_.mark(index_, mark);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    failure_ = failure;
    if (!failure) marked_ = mark.end;
    pending_.reset();
    changed_.notify_all();
    if (failure) return;
  }
}

}  // namespace galatea
