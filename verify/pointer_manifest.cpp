#include "verify/pointer_manifest.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "format/error.h"
#include "format/lfs_pointer.h"
#include "format/source.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

constexpr int deepest = 4;
constexpr std::size_t most_files = 10'000;
constexpr std::uint64_t largest_content = std::uint64_t{64} << 20U;

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (auto it = fs::recursive_directory_iterator(folder); it != fs::recursive_directory_iterator(); ++it) {
    const bool hidden = it->path().filename().string().starts_with('.');
    std::error_code ignored;
    if (hidden || it->is_symlink(ignored) || it.depth() >= deepest) {
      it.disable_recursion_pending();
    }
    if (hidden || !it->is_regular_file(ignored)) continue;
    files.push_back(it->path());
    if (files.size() > most_files) {
      throw Error(ErrorKind::input, "the folder of pointers holds too many files")
          .file(folder)
          .expected("at most " + std::to_string(most_files));
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::optional<ManifestEntry> entry_of(const fs::path& file, const std::string& name) {
  const SourcePtr source = open_file(file);
  ManifestEntry entry;
  entry.name = checked_relative_name(name);
  if (const auto pointer = read_lfs_pointer(*source)) {
    entry.digest = pointer->sha256;
    entry.size = pointer->size;
    return entry;
  }
  if (source->size() > largest_content || file.extension() == ".md") return std::nullopt;
  const std::vector<std::byte> bytes = source->ByteSource::read(0, source->size());
  entry.digest = sha256_hex(bytes);
  entry.size = source->size();
  entry.optional = true;
  return entry;
}

}  // namespace

bool is_pointer_manifest(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return true;
  return fs::is_regular_file(path, ignored) && read_lfs_pointer(*open_file(path)).has_value();
}

Manifest read_pointer_manifest(const fs::path& path) {
  Manifest manifest;
  manifest.source = path;
  const bool folder = fs::is_directory(path);
  for (const fs::path& file : folder ? files_below(path) : std::vector<fs::path>{path}) {
    const std::string name =
        folder ? file.lexically_relative(path).generic_string() : path.filename().string();
    if (auto entry = entry_of(file, name)) manifest.entries.push_back(*std::move(entry));
  }
  const auto pointers = std::count_if(manifest.entries.begin(), manifest.entries.end(),
                                      [](const ManifestEntry& entry) { return !entry.optional; });
  if (pointers == 0) {
    throw Error(ErrorKind::input, "holds no Git LFS pointers")
        .file(path)
        .expected("files that begin with \"version https://git-lfs.github.com/spec/v1\"")
        .remedy("clone the repository with GIT_LFS_SKIP_SMUDGE=1 set, or give a list of digests");
  }
  return manifest;
}

}  // namespace galatea
