#include "verify/chain.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "format/amount.h"
#include "format/error.h"
#include "format/json.h"
#include "format/output_file.h"
#include "format/plan.h"
#include "verify/digest.h"
#include "verify/manifest.h"
#include "verify/provenance.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::size_t most_records = 10'000;
constexpr std::string_view record_ending = ".galatea.json";

[[noreturn]] void damaged(const fs::path& record, const std::string& problem) {
  throw Error(ErrorKind::input, problem)
      .file(record)
      .remedy("the command that wrote the output writes a new record");
}

std::string text_of(const ordered_json& object, const char* key, const fs::path& record) {
  const auto found = object.find(key);
  if (found == object.end()) return {};
  if (!found->is_string()) damaged(record, std::string("\"") + key + "\" of the record is no text");
  return found->get<std::string>();
}

const ordered_json& files_of(const ordered_json& document, const char* key, const fs::path& record) {
  const auto found = document.find(key);
  if (found == document.end() || !found->is_array())
    damaged(record, std::string("the record has no list \"") + key + "\"");
  for (const ordered_json& file : *found) {
    const auto size = file.find("size");
    if (!file.is_object() || size == file.end() || !size->is_number_unsigned())
      damaged(record, std::string("an entry of \"") + key + "\" of the record has no size");
  }
  return *found;
}

// Where the record's names begin.
fs::path folder_of(const fs::path& record) { return record.parent_path(); }

fs::path input_path(const ordered_json& input, const fs::path& record) {
  // A tree that was moved as a whole still holds what lies beside it.
  const std::string relative = text_of(input, "relative", record), path = text_of(input, "path", record);
  if (!relative.empty()) {
    fs::path beside = (folder_of(record) / relative).lexically_normal();
    std::error_code ignored;
    if (fs::is_regular_file(beside, ignored) || path.empty()) return beside;
  }
  return path;
}

ordered_json read_record(const fs::path& record) {
  ordered_json document = parse_ordered_json_file(record);
  if (!document.is_object()) damaged(record, "the record is no JSON object");
  return document;
}

bool lists(const fs::path& record, const std::string& name) {
  const ordered_json document = read_record(record);
  const ordered_json& outputs = files_of(document, "outputs", record);
  return std::any_of(outputs.begin(), outputs.end(),
                     [&](const ordered_json& file) { return text_of(file, "name", record) == name; });
}

// The record that lists `file`; empty when there is none.
fs::path record_of_file(const fs::path& file) {
  std::error_code ignored;
  fs::path own = file.string() + std::string(record_ending);
  if (fs::is_regular_file(own, ignored)) return own;
  const std::string name = file.filename().string();
  fs::path of_folder = file.parent_path() / provenance_name;
  if (fs::is_regular_file(of_folder, ignored) && lists(of_folder, name)) return of_folder;
  // The parts of a split file have one record together, under the name that was asked for.
  std::vector<fs::path> others;
  for (const auto& entry :
       fs::directory_iterator(file.parent_path().empty() ? "." : file.parent_path(), ignored)) {
    if (entry.path().filename().string().ends_with(record_ending)) others.push_back(entry.path());
  }
  std::sort(others.begin(), others.end());
  for (const fs::path& other : others)
    if (lists(other, name)) return other;
  return {};
}

fs::path record_of(const fs::path& output) {
  fs::path record = fs::is_directory(output) ? output / provenance_name : record_of_file(output);
  if (record.empty() || !fs::is_regular_file(record))
    throw Error(ErrorKind::input, "there is no record of how this was made")
        .file(output)
        .expected(fs::is_directory(output) ? "galatea.json in the folder"
                                           : "NAME.galatea.json or galatea.json beside it")
        .remedy("records are written by the commands of galatea; without one: galatea verify " +
                output.string());
  return record;
}

// One record and the paths it leads to, nothing hashed yet.
ChainLink open_link(const fs::path& record) {
  const ordered_json document = read_record(record);
  ChainLink link{record, text_of(document, "command", record), text_of(document, "galatea", record), {}, {}};
  for (const ordered_json& file : files_of(document, "outputs", record)) {
    const std::string name = checked_relative_name(text_of(file, "name", record));
    link.outputs.push_back({folder_of(record) / name,
                            file["size"].get<std::uint64_t>(),
                            lower_case(text_of(file, "sha256", record)),
                            {},
                            ChainStatus::gone,
                            true});
  }
  for (const ordered_json& file : files_of(document, "inputs", record)) {
    ChainFile input{input_path(file, record),
                    file["size"].get<std::uint64_t>(),
                    lower_case(text_of(file, "sha256", record)),
                    {},
                    ChainStatus::gone,
                    false};
    // Until it is hashed: whether it is the file of then by size and time.
    std::error_code gone;
    if (fs::is_regular_file(input.path, gone)) {
      const auto time = file.find("changed");
      const auto stamp = stamp_of(input.path);
      const bool same = time != file.end() && time->is_number_integer() && stamp &&
                        stamp->size == input.size && stamp->changed == time->get<std::int64_t>();
      input.status = same ? ChainStatus::unchanged : ChainStatus::unknown;
    }
    link.inputs.push_back(std::move(input));
  }
  return link;
}

std::vector<ChainLink> open_links(const fs::path& output) {
  std::vector<ChainLink> links;
  std::set<fs::path> known;
  std::deque<fs::path> records{record_of(output)};
  known.insert(fs::weakly_canonical(records.front()));
  while (!records.empty()) {
    if (links.size() == most_records) damaged(records.front(), "the chain of records is too long");
    links.push_back(open_link(records.front()));
    records.pop_front();
    for (ChainFile& input : links.back().inputs) {
      const fs::path record = record_of_file(input.path);
      input.made_here = !record.empty();
      if (!record.empty() && known.insert(fs::weakly_canonical(record)).second) records.push_back(record);
    }
  }
  return links;
}

template <class Use>
void for_each_file(std::vector<ChainLink>& links, const Use& use) {
  for (ChainLink& link : links) {
    for (ChainFile& file : link.outputs) use(file);
    for (ChainFile& file : link.inputs) use(file);
  }
}

// What is on the disk and is worth hashing, each file once.
std::map<fs::path, std::string> hashed(std::vector<ChainLink>& links, bool all, Progress& progress) {
  std::vector<DigestRequest> requests;
  std::set<fs::path> asked;
  for_each_file(links, [&](const ChainFile& file) {
    std::error_code ignored;
    if ((file.sha256.empty() && !all) || !fs::is_regular_file(file.path, ignored)) return;
    if (fs::file_size(file.path, ignored) != file.size) return;  // differs, whatever it holds
    if (asked.insert(fs::weakly_canonical(file.path)).second)
      requests.push_back({file.path, {HashKind::sha256}});
  });
  const std::vector<Digests> digests = digest_files(requests, progress);
  std::map<fs::path, std::string> found;
  for (std::size_t i = 0; i < requests.size(); ++i)
    found[fs::weakly_canonical(requests[i].path)] = digests[i].at(HashKind::sha256);
  return found;
}

// An input that the chain knows the maker of has at least the maker's digest.
void take_over_digests(std::vector<ChainLink>& links) {
  std::map<fs::path, std::string> made;
  for (const ChainLink& link : links)
    for (const ChainFile& file : link.outputs) made[fs::weakly_canonical(file.path)] = file.sha256;
  for (ChainLink& link : links) {
    for (ChainFile& file : link.inputs) {
      const auto maker = made.find(fs::weakly_canonical(file.path));
      if (file.sha256.empty() && maker != made.end()) file.sha256 = maker->second;
    }
  }
}

nlohmann::json file_json(const ChainFile& file) {
  nlohmann::json entry = {
      {"path", file.path.string()}, {"size", file.size}, {"status", to_string(file.status)}};
  if (!file.sha256.empty()) entry["sha256"] = file.sha256;
  if (!file.found.empty()) entry["found"] = file.found;
  return entry;
}

std::string file_text(const char* role, const ChainFile& file) {
  std::string line = std::string("  ") + role + "  " + printable(file.path.string()) + ": ";
  switch (file.status) {
    case ChainStatus::matches:
      return line + "matches";
    case ChainStatus::differs:
      return line + "DIFFERS: recorded " +
             (file.sha256.empty() ? std::to_string(file.size) + " bytes" : file.sha256) + ", found " +
             file.found;
    case ChainStatus::unchanged:
      return line + "no digest recorded; size and time are those of the record";
    case ChainStatus::unknown:
      return line + "no digest recorded, and size or time are not those of the record";
    case ChainStatus::gone:
      break;
  }
  return line + "no longer there";
}

}  // namespace

std::string_view to_string(ChainStatus status) {
  constexpr std::array<std::string_view, 5> names = {"matches", "differs", "unchanged", "unknown", "gone"};
  return names[static_cast<std::size_t>(status)];
}

std::uint64_t ChainReport::count(ChainStatus status) const {
  std::uint64_t number = 0;
  for (const ChainLink& link : links) {
    for (const auto* files : {&link.outputs, &link.inputs})
      number += static_cast<std::uint64_t>(std::count_if(
          files->begin(), files->end(), [&](const ChainFile& f) { return f.status == status; }));
  }
  return number;
}

bool ChainReport::passed() const {
  if (links.empty() || count(ChainStatus::differs) > 0) return false;
  const auto& made = links.front().outputs;
  return std::none_of(made.begin(), made.end(),
                      [](const ChainFile& f) { return f.status == ChainStatus::gone; });
}

ChainReport check_chain(const fs::path& output, Progress& progress) {
  ChainReport report{open_links(output)};
  take_over_digests(report.links);
  const std::map<fs::path, std::string> digests = hashed(report.links, false, progress);
  for_each_file(report.links, [&](ChainFile& file) {
    std::error_code ignored;
    if (!fs::is_regular_file(file.path, ignored)) {
      file.status = ChainStatus::gone;
    } else if (const std::uint64_t size = fs::file_size(file.path, ignored); size != file.size) {
      file.status = ChainStatus::differs;
      file.found = std::to_string(size) + " bytes";
    } else if (!file.sha256.empty()) {
      const std::string& found = digests.at(fs::weakly_canonical(file.path));
      file.status = found == file.sha256 ? ChainStatus::matches : ChainStatus::differs;
      if (found != file.sha256) file.found = found;
    }
  });
  return report;
}

std::uint64_t complete_chain(const fs::path& output, Progress& progress) {
  std::vector<ChainLink> links = open_links(output);
  for (ChainLink& link : links) {
    std::erase_if(link.outputs, [](const ChainFile&) { return true; });
    std::erase_if(link.inputs, [](const ChainFile& file) {
      return !file.sha256.empty() || file.status != ChainStatus::unchanged;
    });
  }
  const std::map<fs::path, std::string> digests = hashed(links, true, progress);
  std::uint64_t added = 0;
  for (const ChainLink& link : links) {
    if (link.inputs.empty()) continue;
    ordered_json document = read_record(link.record);
    for (ordered_json& input : document["inputs"]) {
      const fs::path path = input_path(input, link.record);
      const bool wanted = std::any_of(link.inputs.begin(), link.inputs.end(),
                                      [&](const ChainFile& file) { return file.path == path; });
      const auto digest = wanted ? digests.find(fs::weakly_canonical(path)) : digests.end();
      if (digest == digests.end()) continue;
      input["sha256"] = digest->second;
      ++added;
    }
    write_record(document, link.record);
  }
  return added;
}

std::string chain_text(const ChainReport& report) {
  std::string text;
  for (const ChainLink& link : report.links) {
    text += printable(link.record.string()) + ": " + printable(link.command) + ", galatea " +
            printable(link.version) + "\n";
    for (const ChainFile& file : link.outputs) text += file_text("out", file) + "\n";
    for (const ChainFile& file : link.inputs) text += file_text("in ", file) + "\n";
  }
  text += std::to_string(report.links.size()) + (report.links.size() == 1 ? " link: " : " links: ");
  text += std::to_string(report.count(ChainStatus::matches)) + " files match";
  for (const ChainStatus status :
       {ChainStatus::differs, ChainStatus::unchanged, ChainStatus::unknown, ChainStatus::gone}) {
    if (report.count(status) == 0) continue;
    constexpr std::array<const char*, 5> words = {"", "differ", "have no digest (unchanged by size and time)",
                                                  "have no digest and cannot be told", "are no longer there"};
    text += ", " + std::to_string(report.count(status)) + " " + words[static_cast<std::size_t>(status)];
  }
  return text;
}

nlohmann::json chain_json(const ChainReport& report) {
  nlohmann::json document = {{"passed", report.passed()}, {"links", nlohmann::json::array()}};
  for (const ChainLink& link : report.links) {
    nlohmann::json entry = {
        {"record", link.record.string()}, {"command", link.command}, {"galatea", link.version}};
    for (const auto& [key, files] :
         {std::pair{"outputs", &link.outputs}, std::pair{"inputs", &link.inputs}}) {
      entry[key] = nlohmann::json::array();
      for (const ChainFile& file : *files) entry[key].push_back(file_json(file));
    }
    document["links"].push_back(std::move(entry));
  }
  for (const ChainStatus status : {ChainStatus::matches, ChainStatus::differs, ChainStatus::unchanged,
                                   ChainStatus::unknown, ChainStatus::gone})
    document[std::string(to_string(status))] = report.count(status);
  return document;
}

}  // namespace galatea
