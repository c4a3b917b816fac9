#include "converter/json_repair.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "converter/content_check.h"
#include "converter/hf_side_files.h"
#include "converter/xor_codec.h"
#include "format/error.h"
#include "verify/compare.h"

namespace galatea {
namespace {

constexpr std::uint64_t text_limit = std::uint64_t{1} << 20U;
constexpr std::string_view stamp_key = "\"transformers_version\": \"";

struct Trial {
  std::string text, how;
};

std::vector<Trial> trials(const std::string& name, const std::string& base) {
  std::vector<Trial> out;
  for (const std::string_view version : transformers_versions_of_2023()) {
    const std::string as(version);
    if (const auto stamped = with_version(base, version))
      out.push_back({*stamped, "the base's file stamped " + as + " in place of " + version_in(base)});
  }
  if (name == "generation_config.json") {
    LlamaConfig config;
    config.pad_id = 0;
    for (const std::string_view version : transformers_versions_of_2023()) {
      out.push_back({generation_config_json(config, version),
                     "the file as transformers " + std::string(version) + " wrote it"});
    }
  } else if (name == "tokenizer_config.json") {
    out.push_back({tokenizer_config_json(2048), "the published file with model_max_length 2048"});
    out.push_back({tokenizer_config_json(0), "the published file without a model_max_length"});
  } else if (name == "special_tokens_map.json") {
    out.push_back({special_tokens_map_json(), "the published file"});
  }
  return out;
}

bool is_published(const SourcePtr& content, const ReleaseFile& expected) {
  return !judge_content(expected, content->size(), digest_source(*content, kinds_needed(expected))).failed;
}

/// No digest tells: the stamp of what came out must at least be one that there was.
bool is_plausible(const SourcePtr& content) {
  const std::string version = version_in(content->read_text(text_limit));
  const auto known = transformers_versions_of_2023();
  return version.empty() || std::find(known.begin(), known.end(), version) != known.end();
}

}  // namespace

std::optional<std::string> with_version(const std::string& text, std::string_view version) {
  const std::size_t begin = text.find(stamp_key);
  if (begin == std::string::npos) return std::nullopt;
  const std::size_t end = text.find('"', begin + stamp_key.size());
  if (end == std::string::npos) return std::nullopt;
  return text.substr(0, begin + stamp_key.size()) + std::string(version) + text.substr(end);
}

std::string version_in(const std::string& text) {
  const std::size_t found = text.find(stamp_key);
  if (found == std::string::npos) return {};
  const std::size_t begin = found + stamp_key.size();
  return printable(text.substr(begin, text.find('"', begin) - begin), 40);
}

bool is_right_json(const SourcePtr& content, const ReleaseFile* expected) {
  try {
    check_beginning("content.json", content);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    return false;
  }
  return expected == nullptr || expected->variants.empty() || is_published(content, *expected);
}

std::optional<JsonRepair> repair_json(const DecodedFile& file, const ReleaseFile* expected) {
  if (!file.name.ends_with(".json") || file.payload->size() > text_limit || file.base->size() > text_limit)
    return std::nullopt;
  const bool with_digests = expected != nullptr && !expected->variants.empty();
  for (Trial& trial : trials(file.name, file.base->read_text(text_limit))) {
    JsonRepair repair;
    repair.base = memory_source(trial.text, file.base->name());
    repair.decoded = xor_source(file.payload, repair.base);
    if (!is_right_json(repair.decoded, expected)) continue;
    if (!with_digests && !is_plausible(repair.decoded)) continue;
    repair.how = std::move(trial.how);
    repair.confirmed = with_digests;
    return repair;
  }
  return std::nullopt;
}

}  // namespace galatea
