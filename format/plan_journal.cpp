#include "format/plan_journal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "format/crc32.h"
#include "format/error.h"
#include "format/little_endian.h"
#include "format/source.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view magic = "GALJRNL1";
constexpr std::size_t record_head = 8;
constexpr std::uint64_t longest_journal = std::uint64_t{1} << 30U;
constexpr std::size_t shortest_digest = 32;  // MD5 in hex
constexpr std::uint32_t most_files = 100'000;

enum class Kind : std::uint8_t { plan = 1, from = 2, mark = 3, whole = 4 };

/// Fields one after another; asking for more than is there makes it bad for good.
class Fields {
 public:
  explicit Fields(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t number(std::size_t width) {
    if (width > bytes_.size()) good_ = false;
    if (!good_) return 0;
    const std::uint64_t value = LittleEndian(bytes_.first(width)).u64(0);
    bytes_ = bytes_.subspan(width);
    return value;
  }
  std::string text() {
    const std::uint64_t length = number(4);
    if (length > bytes_.size()) good_ = false;
    if (!good_) return {};
    const auto size = static_cast<std::size_t>(length);
    std::string out(reinterpret_cast<const char*>(bytes_.data()), size);
    bytes_ = bytes_.subspan(size);
    return out;
  }
  bool good() const { return good_; }
  /// Nothing was lacking and nothing is left.
  bool complete() const { return good_ && bytes_.empty(); }

 private:
  std::span<const std::byte> bytes_;
  bool good_ = true;
};

class Body {
 public:
  explicit Body(Kind kind) { number(static_cast<std::uint64_t>(kind), 1); }
  Body& number(std::uint64_t value, std::size_t width) {
    append_little_endian(bytes_, value, width);
    return *this;
  }
  Body& text(std::string_view text) {
    number(text.size(), 4);
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

void drop_marks_from(JournalledFile& file, std::uint64_t byte) {
  file.whole.reset();
  while (!file.marks.empty() && file.marks.back().end > byte) file.marks.pop_back();
}

bool read_plan(Fields& fields, JournalContent& content) {
  content.job = fields.text();
  content.identity = fields.text();
  const std::uint64_t count = fields.number(4);
  for (std::uint64_t i = 0; i < count && i < most_files && fields.good(); ++i)
    content.names.push_back(fields.text());
  content.files.resize(content.names.size());
  return fields.complete() && count == content.names.size();
}

bool read_mark(Fields& fields, JournalledFile& file) {
  JournalMark mark;
  mark.end = fields.number(8);
  mark.digest = fields.text();
  mark.tally = fields.text();
  const bool ascending = file.marks.empty() || file.marks.back().end < mark.end;
  if (!fields.complete() || !ascending || file.whole || mark.digest.size() < shortest_digest) return false;
  file.marks.push_back(std::move(mark));
  return true;
}

bool read_whole(Fields& fields, JournalledFile& file) {
  JournalWhole whole;
  whole.stamp.size = fields.number(8);
  whole.stamp.changed = static_cast<std::int64_t>(fields.number(8));
  const std::uint64_t count = fields.number(4);
  for (std::uint64_t i = 0; i < count && fields.good(); ++i) {
    const std::uint64_t kind = fields.number(1);
    if (kind > static_cast<std::uint64_t>(HashKind::sha256)) return false;
    whole.digests[static_cast<HashKind>(kind)] = fields.text();
  }
  whole.tally = fields.text();
  if (!fields.complete()) return false;
  file.whole = std::move(whole);
  return true;
}

bool read_record(std::span<const std::byte> body, JournalContent& content, bool first) {
  Fields fields(body);
  const auto kind = static_cast<Kind>(fields.number(1));
  if ((kind == Kind::plan) != first) return false;
  if (kind == Kind::plan) return read_plan(fields, content);
  const std::uint64_t index = fields.number(4);
  if (!fields.good() || index >= content.files.size()) return false;
  JournalledFile& file = content.files[static_cast<std::size_t>(index)];
  if (kind == Kind::mark) return read_mark(fields, file);
  if (kind == Kind::whole) return read_whole(fields, file);
  if (kind != Kind::from) return false;
  const std::uint64_t byte = fields.number(8);
  if (fields.complete()) drop_marks_from(file, byte);
  return fields.complete();
}

void write_all(const LockedFile& file, std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::pwrite(file.fd(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw system_error(file.path(), "write the journal", errno);
    offset += static_cast<std::uint64_t>(put);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  if (::fdatasync(file.fd()) != 0) throw system_error(file.path(), "flush the journal", errno);
}

void cut(const LockedFile& file, std::uint64_t size) {
  if (::ftruncate(file.fd(), static_cast<off_t>(size)) != 0)
    throw system_error(file.path(), "shorten the journal", errno);
}

}  // namespace

JournalContent read_journal(std::span<const std::byte> bytes) {
  JournalContent content;
  const auto head = std::as_bytes(std::span(magic));
  if (bytes.size() < head.size() || !std::equal(head.begin(), head.end(), bytes.begin())) return content;
  std::size_t at = head.size();
  while (bytes.size() - at >= record_head) {
    const LittleEndian numbers(bytes.subspan(at, record_head));
    const std::size_t length = numbers.u32(0);
    if (length > bytes.size() - at - record_head) break;
    const auto body = bytes.subspan(at + record_head, length);
    const std::uint32_t crc = crc32_of(body, content.crc);
    if (crc != numbers.u32(4) || !read_record(body, content, at == head.size())) break;
    at += record_head + length;
    content.crc = crc;
    content.valid_bytes = at;
  }
  return content.valid_bytes > 0 ? content : JournalContent{};
}

PlanJournal::PlanJournal(fs::path path, const fs::path& output) : file_(std::move(path), output) {
  if (!file_.existed() || file_.size() > longest_journal) return;
  content_ = read_journal(open_file(file_.path())->read(0, file_.size()));
}

PlanJournal::~PlanJournal() {
  if (content_.valid_bytes == 0 && !removed_) ::unlink(file_.path().c_str());
}

void PlanJournal::start(const std::string& job, const std::string& identity,
                        const std::vector<std::string>& names) {
  content_ = {job, identity, names, std::vector<JournalledFile>(names.size()), 0, 0};
  cut(file_, 0);
  write_all(file_, 0, std::as_bytes(std::span(magic)));
  content_.valid_bytes = magic.size();
  Body body(Kind::plan);
  body.text(job).text(identity).number(names.size(), 4);
  for (const std::string& name : names) body.text(name);
  append(body.take());
  sync_folder(folder_of(file_.path()));
}

void PlanJournal::go_on() { cut(file_, content_.valid_bytes); }

void PlanJournal::from(std::size_t file, std::uint64_t byte) {
  JournalledFile& state = content_.files.at(file);
  if (!state.whole && (state.marks.empty() || state.marks.back().end <= byte)) return;
  append(Body(Kind::from).number(file, 4).number(byte, 8).take());
  drop_marks_from(state, byte);
}

void PlanJournal::mark(std::size_t file, JournalMark mark) {
  append(Body(Kind::mark).number(file, 4).number(mark.end, 8).text(mark.digest).text(mark.tally).take());
  content_.files.at(file).marks.push_back(std::move(mark));
}

void PlanJournal::whole(std::size_t file, JournalWhole whole) {
  Body body(Kind::whole);
  body.number(file, 4).number(whole.stamp.size, 8).number(static_cast<std::uint64_t>(whole.stamp.changed), 8);
  body.number(whole.digests.size(), 4);
  for (const auto& [kind, digest] : whole.digests)
    body.number(static_cast<std::uint64_t>(kind), 1).text(digest);
  append(body.text(whole.tally).take());
  content_.files.at(file).whole = std::move(whole);
}

void PlanJournal::append(std::vector<std::byte> body) {
  const std::lock_guard lock(mutex_);
  const std::uint32_t crc = crc32_of(body, content_.crc);
  std::vector<std::byte> record;
  append_little_endian(record, body.size(), 4);
  append_little_endian(record, crc, 4);
  record.insert(record.end(), body.begin(), body.end());
  write_all(file_, content_.valid_bytes, record);
  content_.valid_bytes += record.size();
  content_.crc = crc;
}

void PlanJournal::remove() {
  ::unlink(file_.path().c_str());
  removed_ = true;
}

}  // namespace galatea
