#include "converter/stream_source.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/zstd_window.h"

namespace galatea {
namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 20U;
constexpr std::size_t blocks_kept = 48;

/// Bytes that come one after another.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Fills `out` from its start; fewer bytes than that only at the end. Throws Error.
  virtual std::size_t next(std::span<std::byte> out) = 0;
};

/// Hands out the bytes of a source in pieces.
class Input {
 public:
  explicit Input(SourcePtr source) : source_(std::move(source)), buffer_(std::size_t{256} << 10U) {}

  /// The next piece, empty at the end.
  std::span<const std::byte> next() {
    const std::uint64_t left = source_->size() - offset_;
    const auto piece =
        std::span(buffer_).first(static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size())));
    source_->read(offset_, piece);
    offset_ += piece.size();
    return piece;
  }
  bool at_end() const { return offset_ == source_->size(); }

  Error damaged(const char* problem) const {
    Error error(ErrorKind::input, problem);
    error.file(source_->name()).remedy("the payload is damaged or was not fetched whole: fetch it again");
    return error;
  }

 private:
  SourcePtr source_;
  std::uint64_t offset_ = 0;
  std::vector<std::byte> buffer_;
};

// zlib wants pointers to mutable bytes for input that it does not change.
Bytef* zlib_bytes(const std::byte* bytes) { return reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes)); }

class GzipReader final : public ByteStream {
 public:
  explicit GzipReader(SourcePtr source) : input_(std::move(source)) {
    if (inflateInit2(&z_, 15 + 16) != Z_OK) throw Error(ErrorKind::system, "zlib could not start");
  }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;
  ~GzipReader() override { inflateEnd(&z_); }

  std::size_t next(std::span<std::byte> out) override {
    z_.next_out = zlib_bytes(out.data());
    z_.avail_out = static_cast<uInt>(out.size());
    while (z_.avail_out > 0 && !done_) {
      if (z_.avail_in == 0 && !refill()) throw input_.damaged("the gzip payload is cut off");
      const int result = inflate(&z_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        end_member();
      } else if (result != Z_OK) {
        throw input_.damaged("the gzip payload is damaged");
      }
    }
    return out.size() - z_.avail_out;
  }

 private:
  bool refill() {
    const auto piece = input_.next();
    z_.next_in = zlib_bytes(piece.data());
    z_.avail_in = static_cast<uInt>(piece.size());
    return !piece.empty();
  }

  void end_member() {
    if (z_.avail_in == 0 && !refill()) {
      done_ = true;
    } else if (*z_.next_in != 0x1F || inflateReset(&z_) != Z_OK) {
      throw input_.damaged("the gzip payload is followed by other bytes");
    }
  }

  Input input_;
  z_stream z_ = {};
  bool done_ = false;
};

class GzipWriter final : public ByteStream {
 public:
  explicit GzipWriter(SourcePtr source) : input_(std::move(source)) {
    // zlib's own gzip header has no name and no time.
    if (deflateInit2(&z_, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
      throw Error(ErrorKind::system, "zlib could not start");
    }
  }
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;
  ~GzipWriter() override { deflateEnd(&z_); }

  std::size_t next(std::span<std::byte> out) override {
    z_.next_out = zlib_bytes(out.data());
    z_.avail_out = static_cast<uInt>(out.size());
    while (z_.avail_out > 0 && !done_) {
      if (z_.avail_in == 0 && !input_.at_end()) {
        const auto piece = input_.next();
        z_.next_in = zlib_bytes(piece.data());
        z_.avail_in = static_cast<uInt>(piece.size());
      }
      done_ = deflate(&z_, input_.at_end() ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_END;
    }
    return out.size() - z_.avail_out;
  }

 private:
  Input input_;
  z_stream z_ = {};
  bool done_ = false;
};

class ZstdReader final : public ByteStream {
 public:
  explicit ZstdReader(const SourcePtr& source)
      : input_(source), stream_(ZSTD_createDStream(), ZSTD_freeDStream) {
    if (!stream_) throw Error(ErrorKind::system, "zstd could not start");
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, zstd_window_log(source->size()));
  }

  std::size_t next(std::span<std::byte> out) override {
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    while (to.pos < to.size) {
      if (piece_.pos == piece_.size && !input_.at_end()) {
        const auto bytes = input_.next();
        piece_ = {bytes.data(), bytes.size(), 0};
      }
      const bool starved = piece_.pos == piece_.size;
      const std::size_t before = to.pos;
      const std::size_t hint = ZSTD_decompressStream(stream_.get(), &to, &piece_);
      if (ZSTD_getErrorCode(hint) == ZSTD_error_frameParameter_windowTooLarge) {
        throw input_.damaged("the zstd payload asks for more memory than a file of its size needs")
            .replace_remedy(zstd_window_remedy);
      }
      if (ZSTD_isError(hint) != 0) throw input_.damaged("the zstd payload is damaged");
      if (hint == 0) whole_ = true;
      if (hint != 0 && (!starved || to.pos > before)) whole_ = false;
      if (starved && to.pos == before) {
        if (!whole_) throw input_.damaged("the zstd payload is cut off");
        break;
      }
    }
    return to.pos;
  }

 private:
  Input input_;
  std::unique_ptr<ZSTD_DStream, std::size_t (*)(ZSTD_DStream*)> stream_;
  ZSTD_inBuffer piece_ = {nullptr, 0, 0};
  bool whole_ = false;  ///< the last frame so far is complete
};

class ZstdWriter final : public ByteStream {
 public:
  explicit ZstdWriter(const SourcePtr& source) : input_(source), stream_(ZSTD_createCCtx(), ZSTD_freeCCtx) {
    if (!stream_) throw Error(ErrorKind::system, "zstd could not start");
    set(ZSTD_c_compressionLevel, 3);
    set(ZSTD_c_checksumFlag, 1);
    if (ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(stream_.get(), source->size())) != 0) fail();
  }

  std::size_t next(std::span<std::byte> out) override {
    ZSTD_outBuffer to = {out.data(), out.size(), 0};
    while (to.pos < to.size && !done_) {
      if (piece_.pos == piece_.size && !input_.at_end()) {
        const auto bytes = input_.next();
        piece_ = {bytes.data(), bytes.size(), 0};
      }
      const bool last = input_.at_end();
      const std::size_t left =
          ZSTD_compressStream2(stream_.get(), &to, &piece_, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left) != 0) fail();
      done_ = last && left == 0;
    }
    return to.pos;
  }

 private:
  [[noreturn]] static void fail() { throw Error(ErrorKind::system, "zstd could not compress"); }
  void set(ZSTD_cParameter parameter, int value) {
    if (ZSTD_isError(ZSTD_CCtx_setParameter(stream_.get(), parameter, value)) != 0) fail();
  }

  Input input_;
  std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> stream_;
  ZSTD_inBuffer piece_ = {nullptr, 0, 0};
  bool done_ = false;
};

using StreamFactory = std::function<std::unique_ptr<ByteStream>()>;

/// Random access to a stream by running on from where it is, keeping the last blocks, and starting over
/// otherwise.
class StreamSource final : public ByteSource {
 public:
  StreamSource(StreamFactory make, std::filesystem::path name, std::uint64_t limit, Progress& progress)
      : make_(std::move(make)), name_(std::move(name)), size_(measure(limit, progress)) {}

  std::uint64_t size() const override { return size_; }
  const std::filesystem::path& name() const override { return name_; }

  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    check_range(offset, out.size());
    const std::scoped_lock lock(mutex_);
    while (!out.empty()) {
      const std::vector<std::byte>& block = block_at(offset / block_bytes);
      const std::size_t begin = static_cast<std::size_t>(offset % block_bytes);
      const std::size_t count = std::min(out.size(), block.size() - begin);
      std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(begin), count, out.begin());
      offset += count;
      out = out.subspan(count);
    }
  }

 private:
  std::uint64_t measure(std::uint64_t limit, Progress& progress) const {
    const auto stream = make_();
    std::vector<std::byte> buffer(block_bytes);
    std::uint64_t total = 0;
    while (const std::size_t got = stream->next(buffer)) {
      if (progress.stop_requested()) throw Error(ErrorKind::system, "interrupted").file(name_);
      total += got;
      progress.advance(got);
      if (total > limit) {
        throw Error(ErrorKind::input, "the payload unpacks to more than it should")
            .file(name_)
            .expected("at most " + std::to_string(limit) + " bytes")
            .remedy("is this the payload of another model?");
      }
    }
    return total;
  }

  const std::vector<std::byte>& block_at(std::uint64_t index) const {
    const std::uint64_t oldest = next_ - kept_.size();
    if (!stream_ || index < oldest) {
      stream_ = make_();
      kept_.clear();
      next_ = 0;
    }
    while (next_ <= index) {
      std::vector<std::byte> block;
      if (kept_.size() == blocks_kept) {
        block = std::move(kept_.front());
        kept_.pop_front();
      }
      block.resize(
          static_cast<std::size_t>(std::min<std::uint64_t>(block_bytes, size_ - next_ * block_bytes)));
      if (stream_->next(block) != block.size()) {
        throw Error(ErrorKind::input, "the file became shorter while it was read").file(name_);
      }
      kept_.push_back(std::move(block));
      ++next_;
    }
    return kept_[static_cast<std::size_t>(index - (next_ - kept_.size()))];
  }

  StreamFactory make_;
  std::filesystem::path name_;
  std::uint64_t size_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<ByteStream> stream_;
  mutable std::deque<std::vector<std::byte>> kept_;  ///< the blocks before number next_
  mutable std::uint64_t next_ = 0;
};

template <class Stream>
SourcePtr stream_source(const SourcePtr& source, std::uint64_t limit, Progress& progress) {
  return std::make_shared<StreamSource>([source] { return std::make_unique<Stream>(source); }, source->name(),
                                        limit, progress);
}

}  // namespace

std::string_view to_string(Compression compression) {
  switch (compression) {
    case Compression::none:
      return "none";
    case Compression::gzip:
      return "gzip";
    case Compression::zstd:
      return "zstd";
  }
  return "?";
}

Compression detect_compression(const ByteSource& source) {
  std::array<std::byte, 4> head{};
  if (source.size() < head.size()) return Compression::none;
  source.read(0, head);
  const auto is = [&](std::initializer_list<unsigned> magic) {
    return std::equal(magic.begin(), magic.end(), head.begin(),
                      [](unsigned a, std::byte b) { return a == std::to_integer<unsigned>(b); });
  };
  if (is({0x1F, 0x8B, 0x08})) return Compression::gzip;
  if (is({0x28, 0xB5, 0x2F, 0xFD})) return Compression::zstd;
  return Compression::none;
}

SourcePtr decompressed_source(SourcePtr compressed, Compression compression, std::uint64_t limit,
                              Progress& progress) {
  switch (compression) {
    case Compression::gzip:
      return stream_source<GzipReader>(compressed, limit, progress);
    case Compression::zstd:
      return stream_source<ZstdReader>(compressed, limit, progress);
    case Compression::none:
      break;
  }
  return compressed;
}

SourcePtr beginning_of(const SourcePtr& compressed, Compression compression, std::uint64_t limit) {
  std::unique_ptr<ByteStream> stream;
  switch (compression) {
    case Compression::gzip:
      stream = std::make_unique<GzipReader>(compressed);
      break;
    case Compression::zstd:
      stream = std::make_unique<ZstdReader>(compressed);
      break;
    case Compression::none:
      return part_of(compressed, 0, std::min(limit, compressed->size()));
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(limit));
  bytes.resize(stream->next(bytes));
  return memory_source(std::move(bytes), compressed->name());
}

SourcePtr compressed_source(SourcePtr plain, Compression compression, Progress& progress) {
  constexpr std::uint64_t no_limit = ~std::uint64_t{0};
  switch (compression) {
    case Compression::gzip:
      return stream_source<GzipWriter>(plain, no_limit, progress);
    case Compression::zstd:
      return stream_source<ZstdWriter>(plain, no_limit, progress);
    case Compression::none:
      break;
  }
  return plain;
}

}  // namespace galatea
