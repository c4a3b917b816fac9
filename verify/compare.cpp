#include "verify/compare.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "format/error.h"
#include "format/lfs_pointer.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t small_file = std::uint64_t{16} << 20U;

HashKind strongest(const Digests& digests) { return digests.rbegin()->first; }
static_assert(HashKind::md5 < HashKind::sha1 && HashKind::sha1 < HashKind::sha256 &&
              HashKind::sha256 < HashKind::sha512);

/// Every digest that both have is the same, and there is one.
bool same_content(const Digests& wanted, const Digests& found) {
  bool any = false;
  for (const auto& [kind, digest] : wanted) {
    const auto other = found.find(kind);
    if (other == found.end()) continue;
    if (other->second != digest) return false;
    any = true;
  }
  return any;
}

std::string named_digest(HashKind kind, const std::string& digest) {
  return std::string(to_string(kind)) + " " + digest;
}

/// Of the algorithm that the file's primary digest has, else of the strongest.
std::string found_digest(const ReleaseFile& file, const Digests& digests) {
  if (digests.empty()) return {};
  auto shown = std::prev(digests.end());
  if (!file.variants.empty()) {
    const auto same = digests.find(strongest(file.variants.front().digests));
    if (same != digests.end()) shown = same;
  }
  return named_digest(shown->first, shown->second);
}

std::string expectation(const ReleaseFile& file) {
  if (file.variants.empty()) return file.size ? std::to_string(*file.size) + " bytes" : "";
  const Digests& digests = file.variants.front().digests;
  return named_digest(strongest(digests), digests.at(strongest(digests)));
}

/// "shard 2 of llama-13b-hf", when the content was published under another name or in another release.
std::string published_elsewhere(const Digests& digests) {
  std::string out;
  std::set<std::string> seen;
  for (const Publication& publication : find_publications(digests)) {
    const std::string place = publication.file->name + " of " + publication.release->name;
    if (!seen.insert(place).second) continue;
    out += (out.empty() ? "this is " : ", ") + place;
  }
  return out;
}

std::string size_difference(const ReleaseFile& file, std::uint64_t size) {
  if (!file.size || *file.size == size) return {};
  const std::string sizes = std::to_string(size) + " bytes instead of " + std::to_string(*file.size);
  const bool cut_off = size < file.size.value() && file.size.value() > small_file;
  return cut_off ? sizes + ": is the file complete?" : sizes;
}

/// Fills status, expected, detail, remedy and failed from the digests in `check`. `bytes` is the content of a
/// small file, empty when it is not at hand.
void judge(const ReleaseFile& file, std::string_view bytes, FileCheck& check) {
  check.found = found_digest(file, check.digests);
  for (std::size_t i = 0; i < file.variants.size(); ++i) {
    if (!same_content(file.variants[i].digests, check.digests)) continue;
    check.status = i == 0 ? FileStatus::ok : FileStatus::alternate;
    check.detail = file.variants[i].note;
    if (i == 0 && file.size && *file.size != check.size) {
      check.status = FileStatus::mismatch;
      check.detail =
          "the digest is right, and the size listed beside it is another: " + std::to_string(*file.size) +
          " bytes";
      check.expected = expectation(file);
      check.failed = true;
    }
    return;
  }
  if (const KnownBad* bad = find_known_bad(file.name, check.size, check.digests, file.known_bad)) {
    check.status = FileStatus::known_bad;
    check.detail = bad->meaning;
    check.remedy = bad->remedy;
  } else if (file.variants.empty() && (!file.size || *file.size == check.size)) {
    check.status = FileStatus::not_listed;
    check.detail = file.size ? "no digest was published, the size is right" : "no digest was published";
    return;
  } else {
    check.status = FileStatus::mismatch;
    check.detail = explain_damage(bytes, file);
    if (check.detail.empty()) check.detail = published_elsewhere(check.digests);
    if (check.detail.empty()) check.detail = size_difference(file, check.size);
  }
  check.expected = expectation(file);
  check.failed = true;
}

FileCheck missing_file(const ReleaseFile& file) {
  FileCheck check;
  check.name = file.name;
  check.status = FileStatus::missing;
  check.expected = expectation(file);
  check.failed = !file.optional;
  check.detail = file.optional ? "not needed" + (file.note.empty() ? "" : ": " + file.note) : file.note;
  return check;
}

std::vector<HashKind> kinds_of(const ReleaseFile& file, std::uint64_t size, bool every_digest) {
  // A small file costs nothing, and more digests tell more about what it is.
  std::set<HashKind> kinds;
  if (size <= small_file) {
    kinds = {HashKind::md5, HashKind::sha1, HashKind::sha256};
  } else if (!every_digest) {
    return kinds_needed(file);
  }
  for (const ReleaseVariant& variant : file.variants) {
    for (const auto& [kind, digest] : variant.digests) kinds.insert(kind);
  }
  return {kinds.begin(), kinds.end()};
}

bool is_ours_or_hidden(const std::string& name) {
  return name.starts_with('.') || name.ends_with("galatea.json");
}

/// Regular files directly in `folder` that the list does not have.
std::vector<FileCheck> extra_files(const fs::path& folder, const ReleaseFiles& list) {
  std::set<std::string> names;
  for (const ReleaseFile& file : list) names.insert(file.name);
  std::vector<FileCheck> out;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    std::error_code ignored;
    if (!entry.is_regular_file(ignored) || is_ours_or_hidden(name) || names.contains(name)) continue;
    if (out.size() == 10'000) break;
    FileCheck check;
    check.name = name;
    check.status = FileStatus::extra;
    check.size = entry.file_size(ignored);
    out.push_back(std::move(check));
  }
  std::sort(out.begin(), out.end(), [](const FileCheck& a, const FileCheck& b) { return a.name < b.name; });
  return out;
}

/// A listed file that is there.
struct Present {
  const ReleaseFile* file;
  fs::path path;
};

std::vector<FileCheck> check_present(const std::vector<Present>& present, const CheckOptions& options,
                                     HashWork& work) {
  std::vector<DigestRequest> requests;
  requests.reserve(present.size());
  for (const Present& item : present) {
    requests.push_back({item.path, kinds_of(*item.file, fs::file_size(item.path), options.every_digest)});
  }
  Progress& progress = options.progress != nullptr ? *options.progress : silent_progress();
  std::vector<Digests> digests = digest_files(requests, progress, options.threads, &work);
  std::vector<FileCheck> out;
  for (std::size_t i = 0; i < present.size(); ++i) {
    const SourcePtr source = open_file(present[i].path);
    const std::string bytes = source->size() <= small_file ? source->read_text(small_file) : std::string();
    out.push_back(judge_content(*present[i].file, source->size(), std::move(digests[i]), bytes));
  }
  return out;
}

CheckReport check_folder(const fs::path& folder, const ReleaseFiles& list, const CheckOptions& options) {
  std::vector<Present> present;
  std::map<std::string, FileCheck> others;
  for (const ReleaseFile& file : list) {
    std::error_code failure;
    const fs::file_status status = fs::status(folder / file.name, failure);
    if (fs::is_regular_file(status)) {
      present.push_back({&file, folder / file.name});
    } else if (fs::exists(status)) {
      FileCheck check = missing_file(file);
      check.failed = true;
      check.detail = "there is something of this name, but no regular file";
      others.emplace(file.name, std::move(check));
    } else {
      others.emplace(file.name, missing_file(file));
    }
  }
  CheckReport report;
  std::vector<FileCheck> found = check_present(present, options, report.work);
  std::size_t next = 0;
  for (const ReleaseFile& file : list) {
    const auto other = others.find(file.name);
    report.files.push_back(other != others.end() ? std::move(other->second) : std::move(found[next++]));
  }
  for (FileCheck& extra : extra_files(folder, list)) report.files.push_back(std::move(extra));
  return report;
}

/// The entry for a single file: by its name, else the one whose content it has.
CheckReport check_single(const fs::path& path, const ReleaseFiles& list, const CheckOptions& options) {
  const std::string name = path.filename().string();
  for (const ReleaseFile& file : list) {
    if (file.name != name && !file.name.ends_with("/" + name)) continue;
    CheckReport report;
    report.files = check_present({{&file, path}}, options, report.work);
    return report;
  }
  ReleaseFile any;
  any.name = name;
  std::set<HashKind> kinds;
  for (const ReleaseFile& file : list) {
    for (const HashKind kind : kinds_needed(file)) kinds.insert(kind);
  }
  const std::vector<DigestRequest> requests = {{path, {kinds.begin(), kinds.end()}}};
  Progress& progress = options.progress != nullptr ? *options.progress : silent_progress();
  FileCheck check;
  check.name = name;
  check.size = fs::file_size(path);
  HashWork work;
  check.digests = digest_files(requests, progress, options.threads, &work).front();
  check.found = found_digest(any, check.digests);
  for (const ReleaseFile& file : list) {
    for (const ReleaseVariant& variant : file.variants) {
      if (!same_content(variant.digests, check.digests)) continue;
      check.status = &variant == &file.variants.front() ? FileStatus::ok : FileStatus::alternate;
      check.detail = "listed as " + file.name;
      return {{check}, work};
    }
  }
  check.status = FileStatus::not_listed;
  check.failed = true;
  check.detail = "the list has neither this name nor this content";
  if (const std::string place = published_elsewhere(check.digests); !place.empty())
    check.detail += "; " + place;
  return {{check}, work};
}

}  // namespace

std::string_view to_string(FileStatus status) {
  switch (status) {
    case FileStatus::ok:
      return "ok";
    case FileStatus::alternate:
      return "alternate";
    case FileStatus::known_bad:
      return "known bad";
    case FileStatus::mismatch:
      return "mismatch";
    case FileStatus::missing:
      return "missing";
    case FileStatus::extra:
      return "extra";
    case FileStatus::not_listed:
      return "not listed";
  }
  return "?";
}

std::size_t CheckReport::count(FileStatus status) const {
  return static_cast<std::size_t>(std::count_if(
      files.begin(), files.end(), [&](const FileCheck& file) { return file.status == status; }));
}

bool CheckReport::passed() const {
  const bool failed =
      std::any_of(files.begin(), files.end(), [](const FileCheck& file) { return file.failed; });
  return !failed && count(FileStatus::ok) + count(FileStatus::alternate) > 0;
}

ReleaseFiles release_files(const Manifest& manifest) {
  ReleaseFiles files;
  std::map<std::string, std::size_t> places;
  for (const ManifestEntry& entry : manifest.entries) {
    const auto [place, is_new] = places.try_emplace(entry.name, files.size());
    if (is_new) {
      files.emplace_back();
      files.back().name = entry.name;
      files.back().variants.emplace_back();
    }
    ReleaseFile& file = files[place->second];
    file.variants.front().digests[entry.kind] = entry.digest;
    if (entry.size) file.size = entry.size;
    file.optional = entry.optional;
  }
  return files;
}

std::vector<HashKind> kinds_needed(const ReleaseFile& file) {
  std::set<HashKind> kinds;
  for (const ReleaseVariant& variant : file.variants) kinds.insert(strongest(variant.digests));
  return {kinds.begin(), kinds.end()};
}

FileCheck judge_content(const ReleaseFile& file, std::uint64_t size, Digests digests,
                        std::string_view bytes) {
  FileCheck check;
  check.name = file.name;
  check.size = size;
  check.digests = std::move(digests);
  judge(file, bytes, check);
  return check;
}

CheckReport check_files(const fs::path& path, const ReleaseFiles& list, const CheckOptions& options) {
  const fs::file_status status = fs::status(path);
  if (!fs::exists(status)) throw Error(ErrorKind::input, "there is no such file or folder").file(path);
  if (fs::is_directory(status)) return check_folder(path, list, options);
  if (!fs::is_regular_file(status))
    throw Error(ErrorKind::input, "is neither a file nor a folder").file(path);
  return check_single(path, list, options);
}

CheckReport check_written(const fs::path& folder, const std::vector<WrittenFile>& written,
                          const ReleaseFiles& list) {
  CheckReport report;
  std::set<std::string> names;
  for (const ReleaseFile& file : list) {
    names.insert(file.name);
    const auto found = std::find_if(written.begin(), written.end(),
                                    [&](const WrittenFile& w) { return w.name == file.name; });
    if (found == written.end()) {
      report.files.push_back(missing_file(file));
      continue;
    }
    std::string bytes;
    if (found->size <= small_file) bytes = open_file(folder / file.name)->read_text(small_file);
    report.files.push_back(judge_content(file, found->size, found->digests, bytes));
  }
  for (const WrittenFile& file : written) {
    if (names.contains(file.name)) continue;
    FileCheck check;
    check.name = file.name;
    check.status = FileStatus::extra;
    check.size = file.size;
    check.digests = file.digests;
    report.files.push_back(std::move(check));
  }
  return report;
}

std::string explain_damage(std::string_view bytes, const ReleaseFile& file) {
  if (bytes.empty() || bytes.size() > small_file) return {};
  const auto is_right = [&](std::string_view text) {
    const std::vector<HashKind> kinds = kinds_needed(file);
    const Digests digests = digest_source(*memory_source(text, file.name), kinds);
    return std::any_of(file.variants.begin(), file.variants.end(),
                       [&](const ReleaseVariant& variant) { return same_content(variant.digests, digests); });
  };
  if (bytes.starts_with("version https://git-lfs.github.com/spec/v1\n") && bytes.size() < 1024) {
    const auto pointer = parse_lfs_pointer(bytes);
    const bool right = pointer && std::any_of(file.variants.begin(), file.variants.end(), [&](const auto& v) {
                         return same_content(v.digests, {{HashKind::sha256, pointer->sha256}});
                       });
    return std::string("this is a Git LFS pointer") + (right ? " to the right file" : "") +
           ", not the file itself: fetch it with \"git lfs pull\"";
  }
  std::string unix_text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '\r' || i + 1 == bytes.size() || bytes[i + 1] != '\n') unix_text += bytes[i];
  }
  if (unix_text.size() != bytes.size() && is_right(unix_text)) {
    return "its line ends were turned into CR LF (git on Windows does that with autocrlf): fetch it again "
           "without";
  }
  if (bytes.ends_with('\n') && is_right(bytes.substr(0, bytes.size() - 1))) {
    return "a line end was added at its end: remove it";
  }
  if (is_right(std::string(bytes) + "\n")) return "the line end at its end was lost: add it";
  return {};
}

}  // namespace galatea
