// A piece of work that may be stopped at any moment and goes on where it was when the same command is run
// again.
//
// What tells "the same": the options that the bytes follow from, the version of galatea, and of each input
// file its path, size and time of change. write_plan with a job keeps a journal beside the output
// (plan_journal.h). The journals stay locked while the job lives, and are removed by finish(), which the
// command calls last: until then everything can be done again at no cost.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/file_stamp.h"

namespace galatea {

class PlanJournal;

class Job {
 public:
  /// `options`: everything besides the inputs that the bytes follow from, as text of any form. `inputs`: files,
  /// or folders that stand for the files in them, hidden ones and `outputs` left out.
  Job(std::string_view options, const std::vector<std::filesystem::path>& inputs,
      const std::vector<std::filesystem::path>& outputs = {});
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  ~Job();

  const std::string& fingerprint() const { return fingerprint_; }
  /// Throws Error(input) when an input has not the size and time of change that it had when it was opened.
  void require_unchanged_inputs() const;
  /// The work is done and its result reported: removes the journals.
  void finish();

  /// Keeps a journal until finish(); for write_plan.
  void adopt(std::shared_ptr<PlanJournal> journal);

 private:
  struct Input {
    std::filesystem::path path;
    std::optional<FileStamp> stamp;
  };
  std::vector<Input> inputs_;
  std::string fingerprint_;
  std::vector<std::shared_ptr<PlanJournal>> journals_;
};

/// Where write_plan keeps the journal of a folder, and write_file that of a file.
std::filesystem::path journal_path(const std::filesystem::path& output);

}  // namespace galatea
