#include "verify/provenance.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "format/version.h"
#include "verify/digest.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::vector<fs::path> files_of(const fs::path& input) {
  if (!fs::is_directory(input)) return {input};
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(input)) {
    if (entry.is_regular_file() && entry.path().filename() != provenance_name) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

void write_provenance(const Provenance& record, const nlohmann::json& options, const fs::path& output) {
  ordered_json document;
  document["galatea"] = version();
  document["command"] = record.command;
  document["options"] = options;
  if (!record.arithmetic.empty()) document["arithmetic"] = record.arithmetic;
  document["inputs"] = ordered_json::array();
  for (const fs::path& input : record.inputs) {
    for (const fs::path& file : files_of(input)) {
      document["inputs"].push_back({{"path", file.string()}, {"size", fs::file_size(file)}});
    }
  }
  document["outputs"] = ordered_json::array();
  for (const WrittenFile& file : record.outputs) {
    ordered_json entry = {{"name", file.name}, {"size", file.size}};
    for (const auto& [kind, digest] : file.digests) {
      entry[lower_case(to_string(kind))] = digest;
    }
    document["outputs"].push_back(std::move(entry));
  }
  const fs::path path =
      fs::is_directory(output) ? output / provenance_name : fs::path(output.string() + ".galatea.json");
  WriteOptions options_of_record;
  options_of_record.overwrite = true;
  options_of_record.digests.clear();
  write_file(literal_layout(std::string(provenance_name),
                            document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n"),
             path, options_of_record);
}

}  // namespace galatea
