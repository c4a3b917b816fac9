#include "eval/score_journal.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string_view>
#include <utility>
#include <vector>

#include "format/crc32.h"
#include "format/error.h"
#include "format/little_endian.h"
#include "format/source.h"

namespace galatea {
namespace {

constexpr std::string_view magic = "GALSCOR1";
constexpr std::size_t record_head = 8;
constexpr std::size_t window_head = 32;
constexpr std::uint64_t longest = std::uint64_t{4} << 30U;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

ScoreJournal::ScoreJournal(const std::filesystem::path& path, std::string_view identity)
    : file_(path, path), identity_(identity) {
  if (!file_.existed() || file_.size() == 0 || file_.size() > longest) {
    start();
    return;
  }
  const std::vector<std::byte> all = open_file(file_.path())->read(0, file_.size());
  const auto head = bytes_of(magic);
  bool first = true;
  if (all.size() >= head.size() && std::equal(head.begin(), head.end(), all.begin())) {
    bytes_ = head.size();
    while (all.size() - bytes_ >= record_head) {
      const auto rest = std::span(all).subspan(bytes_);
      const LittleEndian numbers(rest);
      const std::size_t length = numbers.u32(0);
      if (length > rest.size() - record_head) break;
      const auto body = rest.subspan(record_head, length);
      const std::uint32_t crc = crc32_of(body, crc_);
      if (crc != numbers.u32(4)) break;
      if (first && text_of(body) != identity_) break;
      if (!first) {
        if (length < window_head) break;
        const LittleEndian fields(body);
        windows_[fields.u64(0)] = {fields.u64(8), std::bit_cast<double>(fields.u64(16)),
                                   std::bit_cast<double>(fields.u64(24)), text_of(body.subspan(window_head))};
      }
      first = false;
      crc_ = crc;
      bytes_ += record_head + length;
    }
  }
  if (first) {  // another run's, or none at all
    discarded_ = true;
    start();
  } else if (::ftruncate(file_.fd(), static_cast<off_t>(bytes_)) != 0) {
    throw system_error(file_.path(), "shorten the journal", errno);
  }
}

void ScoreJournal::start() {
  if (::ftruncate(file_.fd(), 0) != 0) throw system_error(file_.path(), "shorten the journal", errno);
  windows_.clear();
  bytes_ = 0;
  crc_ = 0;
  const auto head = bytes_of(magic);
  if (::pwrite(file_.fd(), head.data(), head.size(), 0) != static_cast<ssize_t>(head.size()))
    throw system_error(file_.path(), "write the journal", errno);
  bytes_ = head.size();
  append(bytes_of(identity_));
}

void ScoreJournal::clear() { start(); }

void ScoreJournal::append(std::span<const std::byte> body) {
  crc_ = crc32_of(body, crc_);
  std::vector<std::byte> record;
  append_little_endian(record, body.size(), 4);
  append_little_endian(record, crc_, 4);
  record.insert(record.end(), body.begin(), body.end());
  for (std::span<const std::byte> left = record; !left.empty();) {
    const ssize_t put = ::pwrite(file_.fd(), left.data(), left.size(), static_cast<off_t>(bytes_));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw system_error(file_.path(), "write the journal", errno);
    bytes_ += static_cast<std::uint64_t>(put);
    left = left.subspan(static_cast<std::size_t>(put));
  }
}

void ScoreJournal::add(std::uint64_t window, FinishedWindow finished) {
  std::vector<std::byte> body;
  append_little_endian(body, window, 8);
  append_little_endian(body, finished.scored, 8);
  append_little_endian(body, std::bit_cast<std::uint64_t>(finished.loss), 8);
  append_little_endian(body, std::bit_cast<std::uint64_t>(finished.square), 8);
  const auto kept = bytes_of(finished.kept);
  body.insert(body.end(), kept.begin(), kept.end());
  append(body);
  windows_[window] = std::move(finished);
}

void ScoreJournal::flush() {
  if (::fdatasync(file_.fd()) != 0) throw system_error(file_.path(), "flush the journal", errno);
}

void ScoreJournal::remove() { ::unlink(file_.path().c_str()); }

}  // namespace galatea
