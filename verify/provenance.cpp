#include "verify/provenance.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "format/output_file.h"
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

ordered_json inputs_json(const std::vector<fs::path>& inputs, const fs::path& seen_from) {
  ordered_json list = ordered_json::array();
  std::vector<DigestRequest> requests;
  std::uint64_t bytes = 0;
  const fs::path place =
      (seen_from.empty() ? fs::current_path() : fs::absolute(seen_from)).lexically_normal();
  for (const fs::path& input : inputs) {
    for (const fs::path& file : files_of(input)) {
      const FileStamp stamp = stamp_of(file).value_or(FileStamp{});
      const fs::path relative = fs::absolute(file).lexically_normal().lexically_proximate(place);
      list.push_back({{"path", file.string()},
                      {"relative", relative.string()},
                      {"size", stamp.size},
                      {"changed", stamp.changed}});
      requests.push_back({file, {HashKind::sha256}});
      bytes += stamp.size;
    }
  }
  if (bytes > hashed_inputs) return list;
  const std::vector<Digests> digests = digest_files(requests);
  for (std::size_t i = 0; i < digests.size(); ++i) list[i]["sha256"] = digests[i].at(HashKind::sha256);
  return list;
}

}  // namespace

void write_provenance(const Provenance& record, const nlohmann::json& options, const fs::path& output) {
  ordered_json document;
  document["galatea"] = version();
  document["command"] = record.command;
  document["options"] = options;
  if (!record.arithmetic.empty()) document["arithmetic"] = record.arithmetic;
  const fs::path path =
      fs::is_directory(output) ? output / provenance_name : fs::path(output.string() + ".galatea.json");
  document["inputs"] = inputs_json(record.inputs, path.parent_path());
  document["outputs"] = ordered_json::array();
  for (const WrittenFile& file : record.outputs) {
    ordered_json entry = {{"name", file.name}, {"size", file.size}};
    for (const auto& [kind, digest] : file.digests) {
      entry[lower_case(to_string(kind))] = digest;
    }
    document["outputs"].push_back(std::move(entry));
  }
  write_record(document, path);
}

void write_record(const ordered_json& document, const fs::path& path) {
  WriteOptions options;
  options.overwrite = true;
  options.digests.clear();
  write_file(literal_layout(std::string(provenance_name),
                            document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n"),
             path, options);
}

}  // namespace galatea
