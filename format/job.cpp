#include "format/job.h"

#include <algorithm>
#include <set>
#include <utility>

#include "format/error.h"
#include "format/hash.h"
#include "format/plan_journal.h"
#include "format/version.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

/// The same name from wherever the command is run.
fs::path full_path(const fs::path& path) {
  std::error_code failure;
  fs::path full = fs::weakly_canonical(path, failure);
  return failure ? path : full;
}

/// An output, or a file that goes with one (OUTPUT.galatea.json).
bool is_output(const fs::path& file, const std::vector<fs::path>& outputs) {
  return std::any_of(outputs.begin(), outputs.end(), [&](const fs::path& output) {
    return file.parent_path() == output.parent_path() &&
           file.filename().string().starts_with(output.filename().string());
  });
}

std::set<fs::path> files_of(const std::vector<fs::path>& inputs, const std::vector<fs::path>& outputs) {
  std::set<fs::path> files;
  std::error_code failure;
  for (const fs::path& input : inputs) {
    const fs::path path = full_path(input);
    if (!fs::is_directory(path, failure)) {
      files.insert(path);
      continue;
    }
    for (fs::directory_iterator at(path, failure), end; !failure && at != end; at.increment(failure)) {
      const bool hidden = at->path().filename().string().starts_with('.');
      std::error_code ignored;
      if (!hidden && at->is_regular_file(ignored) && !is_output(at->path(), outputs))
        files.insert(at->path());
    }
  }
  return files;
}

}  // namespace

Job::Job(std::string_view options, const std::vector<fs::path>& inputs,
         const std::vector<fs::path>& outputs) {
  std::vector<fs::path> full;
  full.reserve(outputs.size());
  for (const fs::path& output : outputs) full.push_back(full_path(output));
  Hasher hasher(HashKind::sha256);
  const auto add = [&hasher](std::string_view text) {
    const std::string length = std::to_string(text.size()) + ":";
    hasher.update(std::as_bytes(std::span(length)));
    hasher.update(std::as_bytes(std::span(text)));
  };
  add(version());
  add(options);
  for (const fs::path& file : files_of(inputs, full)) {
    inputs_.push_back({file, stamp_when_opened(file)});
    const std::optional<FileStamp>& stamp = inputs_.back().stamp;
    add(file.native());
    add(stamp ? std::to_string(stamp->size) + " " + std::to_string(stamp->changed) : "none");
  }
  fingerprint_ = hasher.finish();
}

Job::~Job() = default;

void Job::require_unchanged_inputs() const {
  for (const Input& input : inputs_) {
    if (stamp_of(input.path) == input.stamp) continue;
    throw Error(ErrorKind::input, "an input was changed while it was read")
        .file(input.path)
        .remedy("run the command again when nothing else writes there");
  }
}

void Job::finish() {
  for (const std::shared_ptr<PlanJournal>& journal : journals_) journal->remove();
  journals_.clear();
}

fs::path journal_path(const fs::path& output) {
  if (fs::is_directory(output)) return output / ".galatea.journal";
  return folder_of(output) / ("." + output.filename().string() + ".journal");
}

void Job::adopt(std::shared_ptr<PlanJournal> journal) { journals_.push_back(std::move(journal)); }

}  // namespace galatea
