#include "verify/recognise.h"

#include <algorithm>
#include <map>
#include <set>

#include "format/error.h"
#include "format/lfs_pointer.h"
#include "format/source.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_to_read(const fs::path& path) {
  if (fs::is_regular_file(path)) return {path};
  if (!fs::is_directory(path)) throw Error(ErrorKind::input, "there is no such file or folder").file(path);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored) && !entry.path().filename().string().starts_with('.'))
      files.push_back(entry);
  }
  if (files.empty()) throw Error(ErrorKind::input, "the folder has no files").file(path);
  std::sort(files.begin(), files.end());
  return files;
}

FileCheck look_up(const fs::path& path, Digests digests, std::map<std::string, std::size_t>& matches) {
  FileCheck check;
  check.name = path.filename().string();
  check.size = fs::file_size(path);
  check.digests = std::move(digests);
  if (const auto pointer = read_lfs_pointer(*open_file(path))) {
    check.status = FileStatus::known_bad;
    check.pointer = true;
    check.detail = "a Git LFS pointer, not the file itself (" + std::to_string(pointer->size) +
                   " bytes, SHA-256 " + pointer->sha256 + ")";
    std::set<std::string> places;
    for (const Publication& publication : find_publications({{HashKind::sha256, pointer->sha256}}))
      places.insert(publication.release->name + "/" + publication.file->name);
    for (const std::string& place : places) check.detail += (place == *places.begin() ? ": " : ", ") + place;
    check.remedy = "install git-lfs and run \"git lfs pull\" in the folder, or download the file itself";
    check.failed = true;
    return check;
  }
  if (const KnownBad* bad = find_known_bad(check.name, check.size, check.digests)) {
    check.status = FileStatus::known_bad;
    check.detail = bad->meaning;
    check.remedy = bad->remedy;
    check.failed = true;
    return check;
  }
  std::set<std::string> places;
  for (const Publication& publication : find_publications(check.digests)) {
    const bool own_name = publication.file->name == check.name;
    if (own_name) ++matches[publication.release->name];
    places.insert(publication.release->name + (own_name ? "" : "/" + publication.file->name));
  }
  check.status = places.empty() ? FileStatus::not_listed : FileStatus::ok;
  for (const std::string& place : places) check.detail += (check.detail.empty() ? "" : ", ") + place;
  return check;
}

}  // namespace

Recognition recognise(const fs::path& path, Progress& progress, int threads) {
  std::vector<DigestRequest> requests;
  for (const fs::path& file : files_to_read(path))
    requests.push_back({file, {HashKind::md5, HashKind::sha256}});
  Recognition out;
  std::vector<Digests> digests = digest_files(requests, progress, threads, &out.work);
  std::map<std::string, std::size_t> matches;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    out.files.push_back(look_up(requests[i].path, std::move(digests[i]), matches));
  }
  for (const Release& release : known_releases()) {
    const std::size_t matching = matches[release.name], listed = release_part(release, "files").size();
    if (matching <= out.matching || 2 * matching < listed) continue;
    out.release = release.name;
    out.matching = matching;
    out.listed = listed;
  }
  return out;
}

}  // namespace galatea
