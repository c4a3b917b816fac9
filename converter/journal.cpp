#include "converter/journal.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "format/error.h"
#include "format/hash.h"
#include "format/plan.h"
#include "format/source.h"
#include "format/version.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// {"path", "size", "changed"}; size -1 when there is no such file.
json state_of(const fs::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return {{"path", file.string()}, {"size", -1}};
  const auto nanoseconds =
      static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec;
  return {
      {"path", file.string()}, {"size", static_cast<std::int64_t>(status.st_size)}, {"changed", nanoseconds}};
}

json states_of(const std::vector<fs::path>& paths) {
  std::vector<fs::path> files;
  for (const fs::path& path : paths) {
    if (!fs::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    for (const auto& entry : fs::directory_iterator(path)) {
      if (entry.is_regular_file() && !entry.path().filename().string().starts_with("."))
        files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  json states = json::array();
  for (const fs::path& file : files) states.push_back(state_of(file));
  return states;
}

bool still_there(const json& outputs) {
  return outputs.is_array() && std::all_of(outputs.begin(), outputs.end(), [](const json& output) {
           return output.is_object() && output.value("path", json()).is_string() &&
                  state_of(output.at("path").get<std::string>()) == output &&
                  output.value("size", json(-1)) != json(-1);
         });
}

}  // namespace

Journal::Journal(fs::path path) : path_(std::move(path)), steps_(std::make_unique<json>(json::object())) {
  if (!fs::is_regular_file(path_)) return;
  json read = json::parse(read_text_file(path_), nullptr, false);
  if (read.is_object()) *steps_ = std::move(read);
}

Journal::~Journal() = default;

const json* Journal::find(std::string_view step, std::string_view fingerprint) const {
  const auto entry = steps_->find(std::string(step));
  if (entry == steps_->end() || !entry->is_object()) return nullptr;
  if (entry->value("fingerprint", json()) != json(std::string(fingerprint)) || !entry->contains("result"))
    return nullptr;
  return still_there(entry->value("outputs", json())) ? &entry->at("result") : nullptr;
}

void Journal::record(std::string_view step, std::string_view fingerprint, json result,
                     const std::vector<fs::path>& outputs) {
  (*steps_)[std::string(step)] = {{"fingerprint", std::string(fingerprint)},
                                  {"result", std::move(result)},
                                  {"outputs", states_of(outputs)}};
  WriteOptions options;
  options.overwrite = true;
  options.digests.clear();
  write_file(literal_layout("journal", steps_->dump(1, ' ', false, json::error_handler_t::replace) + "\n"),
             path_, options);
}

std::string fingerprint(const json& options, const std::vector<fs::path>& inputs) {
  const json document = {
      {"galatea", std::string(version())}, {"options", options}, {"inputs", states_of(inputs)}};
  const std::string text = document.dump(-1, ' ', false, json::error_handler_t::replace);
  return sha256_hex(std::as_bytes(std::span(text)));
}

}  // namespace galatea
