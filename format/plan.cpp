#include "format/plan.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <optional>
#include <set>
#include <utility>

#include "format/checked.h"
#include "format/crc32.h"
#include "format/output_file.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

/// A piece of a file that one thread produces at once.
struct Chunk {
  std::uint64_t offset = 0;  ///< in the file
  std::uint64_t size = 0;
  const Segment* segment = nullptr;
  std::uint64_t first_row = 0, rows = 0;  ///< of a tensor segment
};

std::uint64_t segment_size(const Segment& segment, const std::vector<Tensor>& tensors) {
  if (const auto* literal = std::get_if<LiteralSegment>(&segment)) return literal->bytes.size();
  if (const auto* crc = std::get_if<CrcSegment>(&segment)) return crc->size;
  return tensors.at(std::get<TensorSegment>(segment).tensor).bytes();
}

std::vector<Chunk> cut_into_chunks(const FileLayout& layout, std::uint64_t chunk_bytes) {
  std::vector<Chunk> chunks;
  std::uint64_t offset = 0;
  for (const Segment& segment : layout.segments) {
    const std::uint64_t size = segment_size(segment, layout.tensors);
    if (const auto* tensor = std::get_if<TensorSegment>(&segment); tensor != nullptr && size > 0) {
      const Rows& data = *layout.tensors[tensor->tensor].data;
      const std::uint64_t step = std::max<std::uint64_t>(1, chunk_bytes / data.row_bytes());
      for (std::uint64_t row = 0; row < data.rows(); row += step) {
        const std::uint64_t rows = std::min(step, data.rows() - row);
        chunks.push_back({offset + row * data.row_bytes(), rows * data.row_bytes(), &segment, row, rows});
      }
    } else if (size > 0) {
      chunks.push_back({offset, size, &segment, 0, 0});
    }
    offset += size;
  }
  return chunks;
}

bool needs_crcs(const FileLayout& layout) {
  return std::any_of(layout.segments.begin(), layout.segments.end(),
                     [](const Segment& segment) { return std::holds_alternative<CrcSegment>(segment); });
}

/// Produces every chunk of a layout. `place` gets pieces in any order and from any thread, `in_order` the
/// same pieces in file order, one at a time.
class Producer {
 public:
  using Place = std::function<void(std::uint64_t offset, std::span<const std::byte>)>;
  using InOrder = std::function<void(std::span<const std::byte>)>;

  Producer(const FileLayout& layout, const WriteOptions& options, Place place, InOrder in_order)
      : layout_(layout),
        progress_(options.progress != nullptr ? *options.progress : silent_progress()),
        place_(std::move(place)),
        in_order_(std::move(in_order)),
        chunks_(cut_into_chunks(layout, options.chunk_bytes)),
        crcs_(layout.tensors.size(), 0),
        with_crcs_(needs_crcs(layout)),
        threads_(options.threads > 0 ? options.threads : omp_get_max_threads()) {}

  void run() {
    const auto count = static_cast<std::int64_t>(chunks_.size());
#pragma omp parallel num_threads(threads_)
    {
      std::vector<std::byte> buffer;
#pragma omp for ordered schedule(static, 1)
      for (std::int64_t i = 0; i < count; ++i) {
        const Chunk& chunk = chunks_[static_cast<std::size_t>(i)];
        std::uint32_t crc = 0;
        guarded([&] { crc = produce(chunk, buffer); });
#pragma omp ordered
        guarded([&] { finish_in_order(chunk, buffer, crc); });
        guarded([&] { place_(chunk.offset, bytes_of(chunk, buffer)); });
        progress_.advance(chunk.size);
      }
    }
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  /// Runs `work` unless something failed before; keeps the first exception (an OpenMP loop cannot throw).
  template <class Work>
  void guarded(const Work& work) {
    if (failed_.load(std::memory_order_relaxed)) return;
    try {
      work();
    } catch (...) {
#pragma omp critical(galatea_plan_failure)
      if (!failure_) failure_ = std::current_exception();
      failed_.store(true, std::memory_order_relaxed);
    }
  }

  static std::span<const std::byte> bytes_of(const Chunk& chunk, const std::vector<std::byte>& buffer) {
    if (const auto* literal = std::get_if<LiteralSegment>(chunk.segment)) return literal->bytes;
    return std::span(buffer).first(static_cast<std::size_t>(chunk.size));
  }

  std::uint32_t produce(const Chunk& chunk, std::vector<std::byte>& buffer) const {
    if (progress_.stop_requested()) {
      throw Error(ErrorKind::system, "interrupted")
          .remedy("run the same command again; finished files are kept");
    }
    const auto* segment = std::get_if<TensorSegment>(chunk.segment);
    if (segment == nullptr) return 0;
    const Tensor& tensor = layout_.tensors[segment->tensor];
    if (buffer.size() < chunk.size) buffer.resize(static_cast<std::size_t>(chunk.size));
    const auto out = std::span(buffer).first(static_cast<std::size_t>(chunk.size));
    try {
      tensor.data->read(chunk.first_row, chunk.rows, out);
    } catch (Error& error) {
      error.tensor(tensor.name);
      throw;
    }
    return with_crcs_ ? crc32_of(out) : 0;
  }

  void finish_in_order(const Chunk& chunk, std::vector<std::byte>& buffer, std::uint32_t crc) {
    if (const auto* segment = std::get_if<TensorSegment>(chunk.segment); segment != nullptr && with_crcs_) {
      std::uint32_t& whole = crcs_[segment->tensor];
      whole = crc32_joined(whole, crc, chunk.size);
    } else if (const auto* late = std::get_if<CrcSegment>(chunk.segment)) {
      buffer = late->make(crcs_);
      if (buffer.size() != chunk.size) {
        throw Error(ErrorKind::system, "internal error: a late segment has another size than planned")
            .file(layout_.name);
      }
    }
    if (in_order_) in_order_(bytes_of(chunk, buffer));
  }

  const FileLayout& layout_;
  Progress& progress_;
  Place place_;
  InOrder in_order_;
  std::vector<Chunk> chunks_;
  std::vector<std::uint32_t> crcs_;
  bool with_crcs_;
  int threads_;
  std::atomic<bool> failed_ = false;
  std::exception_ptr failure_;
};

void require_plain_name(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos || name.size() > 255) {
    throw Error(ErrorKind::input, "a file of this name cannot be written")
        .found("\"" + printable(name) + "\"")
        .expected("a plain file name without folders");
  }
}

/// A file seen under another name.
class NamedSource final : public ByteSource {
 public:
  NamedSource(SourcePtr source, fs::path name) : source_(std::move(source)), name_(std::move(name)) {}
  std::uint64_t size() const override { return source_->size(); }
  const fs::path& name() const override { return name_; }
  void read(std::uint64_t offset, std::span<std::byte> out) const override { source_->read(offset, out); }

 private:
  SourcePtr source_;
  fs::path name_;
};

WrittenFile write_one(const FileLayout& layout, const fs::path& path, const WriteOptions& options) {
  WrittenFile written{layout.name, layout.size(), {}};
  OutputFile output(path, written.size, options.overwrite);
  std::vector<Hasher> hashers;
  for (const HashKind kind : options.digests) hashers.emplace_back(kind);
  Producer::InOrder hash;
  if (!hashers.empty()) {
    hash = [&](std::span<const std::byte> bytes) {
      for (Hasher& hasher : hashers) hasher.update(bytes);
    };
  }
  Producer(
      layout, options,
      [&](std::uint64_t offset, std::span<const std::byte> bytes) { output.write(offset, bytes); }, hash)
      .run();
  for (Hasher& hasher : hashers) written.digests[hasher.kind()] = hasher.finish();
  try {
    // Errors name the file by the name that it is about to get.
    if (layout.check) layout.check(std::make_shared<NamedSource>(open_file(output.partial_path()), path));
    if (layout.accept) layout.accept(written);
  } catch (Error& error) {
    error.file(path).context("checking the finished file before it gets its name");
    throw;
  }
  output.commit();
  return written;
}

class ProgressScope {
 public:
  ProgressScope(const WriteOptions& options, std::string_view step, std::uint64_t total)
      : progress_(options.progress != nullptr ? *options.progress : silent_progress()) {
    progress_.begin(step, total, "B");
  }
  ProgressScope(const ProgressScope&) = delete;
  ProgressScope& operator=(const ProgressScope&) = delete;
  ~ProgressScope() { progress_.end(); }

 private:
  Progress& progress_;
};

}  // namespace

std::uint64_t FileLayout::size() const {
  std::uint64_t total = 0;
  for (const Segment& segment : segments)
    total = checked_add(total, segment_size(segment, tensors), "file size");
  return total;
}

std::uint64_t Plan::size() const {
  std::uint64_t total = 0;
  for (const FileLayout& file : files) total = checked_add(total, file.size(), "total size");
  return total;
}

FileLayout literal_layout(std::string name, std::vector<std::byte> bytes) {
  FileLayout layout;
  layout.name = std::move(name);
  layout.segments.emplace_back(LiteralSegment{std::move(bytes)});
  return layout;
}

FileLayout literal_layout(std::string name, std::string_view text) {
  const auto bytes = std::as_bytes(std::span<const char>(text.data(), text.size()));
  return literal_layout(std::move(name), std::vector<std::byte>(bytes.begin(), bytes.end()));
}

FileLayout copy_layout(std::string name, SourcePtr source) {
  FileLayout layout;
  const std::uint64_t size = source->size();
  layout.tensors.push_back({name, {size}, stored_rows(std::move(source), 0, DType::u8, size, 1), {}, 0});
  layout.name = std::move(name);
  layout.segments.emplace_back(TensorSegment{0});
  return layout;
}

std::vector<WrittenFile> write_plan(const Plan& plan, const fs::path& folder, const WriteOptions& options) {
  std::set<std::string_view> names;
  for (const FileLayout& file : plan.files) {
    require_plain_name(file.name);
    if (!names.insert(file.name).second)
      throw Error(ErrorKind::input, "two output files have the same name").file(file.name);
    if (!options.overwrite && fs::exists(folder / file.name)) {
      throw Error(ErrorKind::usage, "the output file exists already")
          .file(folder / file.name)
          .remedy("choose another place, remove it, or give --overwrite");
    }
  }
  make_folder(folder);
  require_free_space(folder, plan.size());
  const ProgressScope scope(options, "writing " + folder.string(), plan.size());
  std::vector<WrittenFile> written;
  for (const FileLayout& file : plan.files) written.push_back(write_one(file, folder / file.name, options));
  return written;
}

WrittenFile write_file(FileLayout layout, const fs::path& path, const WriteOptions& options) {
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  layout.name = path.filename().string();
  require_plain_name(layout.name);
  if (!fs::is_directory(folder)) {
    throw Error(ErrorKind::usage, "the folder of the output file does not exist")
        .file(folder)
        .remedy("make it first");
  }
  require_free_space(folder, layout.size());
  const ProgressScope scope(options, "writing " + path.string(), layout.size());
  return write_one(layout, path, options);
}

void stream_layout(const FileLayout& layout, const WriteOptions& options,
                   const std::function<void(std::span<const std::byte>)>& sink) {
  Producer(
      layout, options, [](std::uint64_t, std::span<const std::byte>) {}, sink)
      .run();
}

}  // namespace galatea
