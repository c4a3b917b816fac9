#include "eval/text_lines.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/utf8.h"

namespace galatea {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 18U;
constexpr std::size_t longest_line = std::size_t{64} << 20U;

/// How files start that hold a corpus in a form that is not read here, and what to do with them.
struct Packing {
  std::string_view magic, name, remedy;
};
constexpr Packing packings[] = {
    {"PK\x03\x04", "a zip archive", "unpack it and give the file inside"},
    {"\x28\xB5\x2F\xFD", "compressed by zstd", "unpack it: zstd -d FILE"},
    {"\xFD"
     "7zXZ",
     "compressed by xz", "unpack it: xz -dk FILE"},
    {"BZh", "compressed by bzip2", "unpack it: bunzip2 -k FILE"},
    {"PAR1", "a parquet file",
     "convert it: python3 -c \"import pandas; pandas.read_parquet('FILE')"
     ".to_json('FILE.jsonl', orient='records', lines=True)\""},
};

}  // namespace

/// The file's bytes, unpacked when it is gzip, one after another.
class TextLines::Bytes {
 public:
  explicit Bytes(SourcePtr source) : source_(std::move(source)) {
    std::array<std::byte, 6> start{};
    const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(start.size(), source_->size()));
    source_->read(0, std::span(start).first(length));
    const std::string_view text(reinterpret_cast<const char*>(start.data()), length);
    for (const Packing& packing : packings) {
      if (text.starts_with(packing.magic)) {
        throw Error(ErrorKind::input, "the corpus is " + std::string(packing.name))
            .file(source_->name())
            .expected("plain text, JSON lines, or either compressed by gzip")
            .remedy(packing.remedy);
      }
    }
    gzip_ = text.starts_with("\x1F\x8B");
    if (gzip_) start_member();
  }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() {
    if (inflating_) inflateEnd(&stream_);
  }

  const std::filesystem::path& name() const { return source_->name(); }

  /// The next byte without taking it, -1 at the end.
  int peek() {
    if (at_ == filled_ && !fill()) return -1;
    return static_cast<unsigned char>(unpacked_[at_]);
  }
  void skip() { ++at_; }
  /// What can be taken without reading more; not empty after peek() gave a byte.
  std::string_view ready() const { return {unpacked_.data() + at_, filled_ - at_}; }
  void skip(std::size_t count) { at_ += count; }

 private:
  void start_member() {
    stream_ = {};
    if (inflateInit2(&stream_, 15 + 16) != Z_OK)
      throw Error(ErrorKind::system, "zlib cannot start to unpack").file(name());
    inflating_ = true;
  }

  bool read_packed() {
    const auto length =
        static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, source_->size() - offset_));
    packed_.resize(length);
    source_->read(offset_, std::as_writable_bytes(std::span(packed_)));
    offset_ += length;
    return length > 0;
  }

  bool fill() {
    at_ = filled_ = 0;
    if (!gzip_) {
      if (!read_packed()) return false;
      unpacked_.swap(packed_);
      filled_ = unpacked_.size();
      return true;
    }
    unpacked_.resize(chunk_bytes);
    while (filled_ == 0) {
      if (stream_.avail_in == 0) {
        if (!read_packed()) {
          if (inflating_) damaged("ends early");
          return false;
        }
        stream_.next_in = reinterpret_cast<Bytef*>(packed_.data());
        stream_.avail_in = static_cast<uInt>(packed_.size());
      }
      if (!inflating_) {  // another member follows
        const auto* rest = stream_.next_in;
        const uInt left = stream_.avail_in;
        start_member();
        stream_.next_in = const_cast<Bytef*>(rest);
        stream_.avail_in = left;
      }
      stream_.next_out = reinterpret_cast<Bytef*>(unpacked_.data());
      stream_.avail_out = static_cast<uInt>(unpacked_.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      filled_ = unpacked_.size() - stream_.avail_out;
      if (code == Z_STREAM_END) {
        inflateEnd(&stream_);
        inflating_ = false;
      } else if (code != Z_OK && !(code == Z_BUF_ERROR && stream_.avail_in == 0)) {
        damaged(stream_.msg != nullptr ? stream_.msg : "not a gzip stream");
      }
    }
    return true;
  }

  [[noreturn]] void damaged(const std::string& what) const {
    throw Error(ErrorKind::input, "the gzip stream is damaged: " + printable(what))
        .file(name())
        .at(offset_ - stream_.avail_in)
        .remedy("download the file again");
  }

  SourcePtr source_;
  std::uint64_t offset_ = 0;
  bool gzip_ = false, inflating_ = false;
  z_stream stream_ = {};
  std::vector<char> packed_, unpacked_;
  std::size_t at_ = 0, filled_ = 0;
};

TextLines::TextLines(SourcePtr source) : bytes_(std::make_unique<Bytes>(std::move(source))) {}
TextLines::~TextLines() = default;

bool TextLines::next(std::string& line) {
  line.clear();
  line_start_ = consumed_;
  while (bytes_->peek() >= 0) {
    const std::string_view ready = bytes_->ready();
    const std::size_t end = std::min(ready.find_first_of("\r\n"), ready.size());
    line += ready.substr(0, end);
    bytes_->skip(end);
    consumed_ += end;
    if (line.size() > longest_line)
      throw Error(ErrorKind::input, "a line is too long").file(bytes_->name()).expected("at most 64 MiB");
    if (end == ready.size()) continue;
    const bool carriage_return = ready[end] == '\r';
    bytes_->skip();
    ++consumed_;
    if (carriage_return && bytes_->peek() == '\n') {
      bytes_->skip();
      ++consumed_;
    }
    line += '\n';
    break;
  }
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t length = utf8_length(std::string_view(line).substr(at));
    if (length == 0) {
      throw Error(ErrorKind::input, "the corpus is not UTF-8")
          .file(bytes_->name())
          .at(line_start_ + at)
          .found(printable(line.substr(at, 4)));
    }
    at += length;
  }
  return !line.empty();
}

}  // namespace galatea
