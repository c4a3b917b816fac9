#include "eval/unpacked_text.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "eval/zip_member.h"
#include "format/error.h"
#include "format/zstd_window.h"

namespace galatea {
namespace {

constexpr std::size_t chunk_bytes = std::size_t{1} << 18U;

/// How files start that hold a corpus in a form that is not read here, and what to do with them.
struct Packing {
  std::string_view magic, name, remedy;
};
constexpr Packing packings[] = {
    {"\xFD"
     "7zXZ",
     "compressed by xz", "unpack it: xz -dk FILE"},
    {"BZh", "compressed by bzip2", "unpack it: bunzip2 -k FILE"},
    {"PAR1", "a parquet file",
     "convert it: python3 -c \"import pandas; pandas.read_parquet('FILE')"
     ".to_json('FILE.jsonl', orient='records', lines=True)\""},
};

/// A source, a piece at a time.
class Pieces {
 public:
  explicit Pieces(SourcePtr source) : source_(std::move(source)) {}

  /// False at the end.
  bool next(std::vector<char>& out) {
    const auto length =
        static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, source_->size() - offset_));
    out.resize(length);
    source_->read(offset_, std::as_writable_bytes(std::span(out)));
    offset_ += length;
    return length > 0;
  }
  [[noreturn]] void damaged(const std::string& what, std::uint64_t unread,
                            const char* remedy = "download the file again") const {
    throw Error(ErrorKind::input, what)
        .file(source_->name())
        .at(source_->origin() + offset_ - unread)
        .remedy(remedy);
  }

 private:
  SourcePtr source_;
  std::uint64_t offset_ = 0;
};

}  // namespace

class UnpackedText::Unpacker {
 public:
  virtual ~Unpacker() = default;
  /// Replaces `out` by more bytes; false at the end.
  virtual bool next(std::vector<char>& out) = 0;
};

class UnpackedText::Plain final : public Unpacker {
 public:
  explicit Plain(SourcePtr source) : pieces_(std::move(source)) {}
  bool next(std::vector<char>& out) override { return pieces_.next(out); }

 private:
  Pieces pieces_;
};

/// gzip, or the deflated file of a zip archive.
class UnpackedText::Inflate final : public Unpacker {
 public:
  Inflate(SourcePtr source, std::optional<ZipMember> member)
      : pieces_(std::move(source)), member_(std::move(member)) {
    start();
  }
  Inflate(const Inflate&) = delete;
  Inflate& operator=(const Inflate&) = delete;
  ~Inflate() override {
    if (open_) inflateEnd(&stream_);
  }

  bool next(std::vector<char>& out) override {
    out.resize(chunk_bytes);
    std::size_t filled = 0;
    while (filled == 0) {
      if (stream_.avail_in == 0) {
        if (!open_ && member_) break;
        if (!pieces_.next(packed_)) {
          if (open_) pieces_.damaged("the packed text is damaged: ends early", 0);
          break;
        }
        stream_.next_in = reinterpret_cast<Bytef*>(packed_.data());
        stream_.avail_in = static_cast<uInt>(packed_.size());
      }
      if (!open_) {
        if (member_) break;
        Bytef* const rest = stream_.next_in;  // another member follows
        const uInt left = stream_.avail_in;
        start();
        stream_.next_in = rest;
        stream_.avail_in = left;
      }
      stream_.next_out = reinterpret_cast<Bytef*>(out.data());
      stream_.avail_out = static_cast<uInt>(out.size());
      const int code = inflate(&stream_, Z_NO_FLUSH);
      filled = out.size() - stream_.avail_out;
      if (code == Z_STREAM_END) {
        inflateEnd(&stream_);
        open_ = false;
      } else if (code != Z_OK && !(code == Z_BUF_ERROR && stream_.avail_in == 0)) {
        pieces_.damaged("the packed text is damaged: " +
                            printable(stream_.msg != nullptr ? stream_.msg : "not a gzip stream"),
                        stream_.avail_in);
      }
    }
    out.resize(filled);
    if (member_) check_member(out);
    return filled > 0;
  }

 private:
  void start() {
    stream_ = {};
    if (inflateInit2(&stream_, member_ ? -15 : 15 + 16) != Z_OK)
      throw Error(ErrorKind::system, "zlib cannot start to unpack");
    open_ = true;
  }

  void check_member(const std::vector<char>& out) {
    crc_ = crc32(crc_, reinterpret_cast<const Bytef*>(out.data()), static_cast<uInt>(out.size()));
    size_ += out.size();
    if (size_ > member_->size || (out.empty() && (size_ != member_->size || crc_ != member_->crc)))
      pieces_.damaged("the file inside the zip archive is damaged: size or CRC-32", 0);
  }

  Pieces pieces_;
  std::optional<ZipMember> member_;
  z_stream stream_ = {};
  bool open_ = false;
  uLong crc_ = 0;
  std::uint64_t size_ = 0;
  std::vector<char> packed_;
};

class UnpackedText::Zstd final : public Unpacker {
 public:
  explicit Zstd(const SourcePtr& source) : pieces_(source), stream_(ZSTD_createDStream(), ZSTD_freeDStream) {
    if (stream_ == nullptr) throw Error(ErrorKind::system, "zstd cannot start to unpack");
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, zstd_window_log(source->size()));
  }

  bool next(std::vector<char>& out) override {
    out.resize(chunk_bytes);
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    while (to.pos == 0) {
      if (from_.pos == from_.size && !full_) {
        if (!pieces_.next(packed_)) {
          if (inside_) pieces_.damaged("the packed text is damaged: ends early", 0);
          break;
        }
        from_ = {packed_.data(), packed_.size(), 0};
      }
      const std::size_t hint = ZSTD_decompressStream(stream_.get(), &to, &from_);
      if (ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge)
        pieces_.damaged("the packed text asks for more memory than a file of its size needs", from_.size,
                        zstd_window_remedy);
      if (ZSTD_isError(hint) != 0) {
        pieces_.damaged(std::string("the packed text is damaged: ") + ZSTD_getErrorName(hint),
                        from_.size - from_.pos);
      }
      inside_ = hint != 0;
      full_ = to.pos == to.size;
    }
    out.resize(to.pos);
    return to.pos > 0;
  }

 private:
  Pieces pieces_;
  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  ZSTD_inBuffer from_ = {nullptr, 0, 0};
  bool inside_ = false;
  bool full_ = false;  ///< zstd may hold more than there was room for
  std::vector<char> packed_;
};

UnpackedText::UnpackedText(SourcePtr source, std::string_view member) : name_(source->name()) {
  std::array<std::byte, 6> start{};
  const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(start.size(), source->size()));
  source->read(0, std::span(start).first(length));
  const std::string_view text(reinterpret_cast<const char*>(start.data()), length);
  for (const Packing& packing : packings) {
    if (text.starts_with(packing.magic)) {
      throw Error(ErrorKind::input, "the corpus is " + std::string(packing.name))
          .file(name_)
          .expected("plain text or JSON lines; packed by gzip, zstd or zip, or not at all")
          .remedy(packing.remedy);
    }
  }
  if (text.starts_with("PK\x03\x04")) {
    ZipMember found = find_zip_member(source, member);
    const SourcePtr data = found.data;
    if (found.deflated) {
      unpacker_ = std::make_unique<Inflate>(data, std::move(found));
    } else {
      unpacker_ = std::make_unique<Plain>(data);
    }
  } else if (text.starts_with("\x1F\x8B")) {
    unpacker_ = std::make_unique<Inflate>(std::move(source), std::nullopt);
  } else if (text.starts_with("\x28\xB5\x2F\xFD")) {
    unpacker_ = std::make_unique<Zstd>(std::move(source));
  } else {
    unpacker_ = std::make_unique<Plain>(std::move(source));
  }
}

UnpackedText::~UnpackedText() = default;

bool UnpackedText::fill() {
  at_ = filled_ = 0;
  if (!unpacker_->next(unpacked_)) return false;
  filled_ = unpacked_.size();
  return true;
}

std::string UnpackedText::rest(std::uint64_t limit) {
  std::string out;
  while (peek() >= 0) {
    out += ready();
    skip(ready().size());
    if (out.size() > limit) {
      throw Error(ErrorKind::input, "the text is too long")
          .file(name_)
          .expected("at most " + std::to_string(limit) + " bytes");
    }
  }
  return out;
}

}  // namespace galatea
