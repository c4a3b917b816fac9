// The journal of a long job: which steps are done, from what and with which result, so that a job that was
// stopped goes on where it was.
//
// A step counts as done while its fingerprint (options and inputs) is the same and every file it wrote is
// still there with the same size and time of change. The journal is a JSON file that is replaced atomically
// after each step; a damaged or foreign one counts as empty.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace galatea {

class Journal {
 public:
  /// Reads `path` if it is there.
  explicit Journal(std::filesystem::path path);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();

  /// The result that `step` recorded, or nullptr when it has to be done (again).
  const nlohmann::json* find(std::string_view step, std::string_view fingerprint) const;

  /// Records a finished step and the files it wrote (folders: the files in them). Throws Error(system).
  void record(std::string_view step, std::string_view fingerprint, nlohmann::json result,
              const std::vector<std::filesystem::path>& outputs);

 private:
  std::filesystem::path path_;
  std::unique_ptr<nlohmann::json> steps_;
};

/// SHA-256 over the version of galatea, a step's options and its inputs as they are on disk: path, size and time of change of each
/// file (folders: of the files in them).
std::string fingerprint(const nlohmann::json& options, const std::vector<std::filesystem::path>& inputs);

}  // namespace galatea
