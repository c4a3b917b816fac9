#include "format/plan.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <set>
#include <utility>

#include "format/checked.h"
#include "format/job.h"
#include "format/output_file.h"
#include "format/plan_producer.h"
#include "format/plan_writer.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

/// Names of the engine's own files.
bool is_working_name(const std::string& name) {
  return name.starts_with('.') && (name.ends_with(".partial") || name.ends_with(".journal"));
}

/// GALATEA_MARK_BYTES=N, for tests: marks every N bytes and chunks no longer than that, so that small files are
/// resumed midway too.
WriteOptions with_environment(WriteOptions options) {
  const char* text = std::getenv("GALATEA_MARK_BYTES");
  std::uint64_t bytes = 0;
  if (text != nullptr && std::from_chars(text, text + std::strlen(text), bytes).ec == std::errc() &&
      bytes > 0) {
    options.mark_bytes = bytes;
    options.chunk_bytes = std::min(options.chunk_bytes, bytes);
  }
  return options;
}

void require_plain_name(const std::string& name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos || name.size() > 255 || is_working_name(name)) {
    throw Error(ErrorKind::input, "a file of this name cannot be written")
        .found("\"" + printable(name) + "\"")
        .expected("a plain file name without folders");
  }
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

std::vector<WrittenFile> write_plan(const Plan& plan, const fs::path& folder, const WriteOptions& given) {
  const WriteOptions options = with_environment(given);
  std::set<std::string_view> names;
  std::vector<fs::path> paths;
  for (const FileLayout& file : plan.files) {
    require_plain_name(file.name);
    if (!names.insert(file.name).second)
      throw Error(ErrorKind::input, "two output files have the same name").file(file.name);
    paths.push_back(folder / file.name);
  }
  make_folder(folder);
  PlanWriter writer(plan.files, std::move(paths), journal_path(folder), options);
  writer.require_room(folder);
  const ProgressScope scope(options, "writing " + folder.string(), writer.bytes_to_do());
  return writer.run();
}

WrittenFile write_file(FileLayout layout, const fs::path& path, const WriteOptions& given) {
  const WriteOptions options = with_environment(given);
  const fs::path folder = folder_of(path);
  layout.name = path.filename().string();
  require_plain_name(layout.name);
  if (!fs::is_directory(folder)) {
    throw Error(ErrorKind::usage, "the folder of the output file does not exist")
        .file(folder)
        .remedy("make it first");
  }
  PlanWriter writer(std::span(&layout, 1), {path}, journal_path(path), options);
  writer.require_room(folder);
  const ProgressScope scope(options, "writing " + path.string(), writer.bytes_to_do());
  return writer.run().front();
}

void stream_layout(const FileLayout& layout, const WriteOptions& options,
                   const std::function<void(std::span<const std::byte>)>& sink) {
  PlanProducer(
      layout, options, [](std::uint64_t, std::span<const std::byte>) {},
      [&sink](std::uint64_t, std::span<const std::byte> bytes) { sink(bytes); })
      .run();
}

}  // namespace galatea
