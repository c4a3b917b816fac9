#include "verify/releases.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "format/error.h"
#include "format/json.h"
#include "format/source.h"
#include "verify/manifest.h"
#include "verify/releases_data.h"

namespace galatea {
namespace {

using nlohmann::json;

Error bad_field(const char* field, const char* expected) {
  Error error(ErrorKind::input,
              std::string("release description: field \"") + field + "\" is not as it should be");
  error.expected(expected);
  return error;
}

std::string text_field(const json& object, const char* field) {
  const auto found = object.find(field);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_string()) throw bad_field(field, "a string");
  return found->get<std::string>();
}

const json& list_field(const json& object, const char* field) {
  static const json empty = json::array();
  const auto found = object.find(field);
  if (found == object.end()) return empty;
  if (!found->is_array()) throw bad_field(field, "a list");
  return *found;
}

std::optional<std::uint64_t> size_field(const json& object) {
  const auto found = object.find("size");
  if (found == object.end() || found->is_null()) return std::nullopt;
  if (!found->is_number_unsigned()) throw bad_field("size", "a number of bytes");
  return found->get<std::uint64_t>();
}

Digests digests_of(const json& object) {
  if (!object.is_object()) throw bad_field("alternates", "a list of objects with md5, sha1 or sha256");
  Digests digests;
  for (const char* field : {"md5", "sha1", "sha256"}) {
    const std::string hex = lower_case(text_field(object, field));
    if (hex.empty()) continue;
    const auto kind = hash_kind_of_length(hex.size());
    if (!is_hex(hex) || kind != find_hash_kind(field))
      throw bad_field(field, "as many hex digits as the algorithm has");
    digests[*kind] = hex;
  }
  return digests;
}

KnownBad known_bad_of(const json& object, const std::string& default_name) {
  KnownBad bad;
  bad.digests = digests_of(object);
  bad.name = text_field(object, "name");
  if (bad.name.empty()) bad.name = default_name;
  bad.size = size_field(object);
  bad.meaning = text_field(object, "meaning");
  bad.remedy = text_field(object, "remedy");
  if (bad.digests.empty() && !bad.size) throw bad_field("known_bad", "a digest or a size");
  return bad;
}

ReleaseFile file_of(const json& object) {
  if (!object.is_object()) throw bad_field("files", "a list of objects");
  ReleaseFile file;
  file.name = checked_relative_name(text_field(object, "name"));
  file.size = size_field(object);
  file.note = text_field(object, "note");
  if (const auto optional = object.find("optional"); optional != object.end()) {
    if (!optional->is_boolean()) throw bad_field("optional", "true or false");
    file.optional = optional->get<bool>();
  }
  if (Digests digests = digests_of(object); !digests.empty())
    file.variants.push_back({std::move(digests), {}});
  for (const json& alternate : list_field(object, "alternates")) {
    ReleaseVariant variant{digests_of(alternate), text_field(alternate, "note")};
    if (variant.digests.empty()) throw bad_field("alternates", "a digest in each");
    file.variants.push_back(std::move(variant));
  }
  for (const json& bad : list_field(object, "known_bad")) {
    if (!bad.is_object()) throw bad_field("known_bad", "a list of objects");
    file.known_bad.push_back(known_bad_of(bad, file.name));
  }
  return file;
}

ReleaseFiles files_of(const json& list) {
  ReleaseFiles files;
  std::set<std::string> names;
  for (const json& object : list) {
    files.push_back(file_of(object));
    if (!names.insert(files.back().name).second) {
      throw Error(ErrorKind::input, "release description: a file is listed twice").found(files.back().name);
    }
  }
  return files;
}

void take_scores(const json& object, Release& release) {
  const auto scores = object.find("scores");
  if (scores == object.end()) return;
  if (!scores->is_object()) throw bad_field("scores", "an object of numbers");
  for (const auto& [stream, value] : scores->items()) {
    if (stream == "ctx") {
      if (!value.is_number_unsigned() || value.get<std::uint64_t>() == 0)
        throw bad_field("ctx", "a number of tokens");
      release.score_context = value.get<std::uint64_t>();
      continue;
    }
    if (!value.is_number() || !std::isfinite(value.get<double>()))
      throw bad_field("scores", "an object of numbers");
    release.scores[stream] = value.get<double>();
  }
}

void accept_for_any_weights(const json& object, Release& release) {
  const auto files = release.parts.find("files");
  const std::string note = text_field(object, "any_weights_note");
  for (const json& digests : list_field(object, "any_weights")) {
    const ReleaseVariant variant{digests_of(digests), note};
    if (variant.digests.empty()) throw bad_field("any_weights", "a digest in each");
    if (files == release.parts.end()) continue;
    for (ReleaseFile& file : files->second) {
      if (file.name.ends_with(".bin")) file.variants.push_back(variant);
    }
  }
}

/// True for a list of FILEs; other lists (of numbers, say) are no parts.
bool is_file_list(const json& value) {
  return value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), [](const json& item) {
           return item.is_object() && item.contains("name");
         });
}

Release release_of(const json& object) {
  if (!object.is_object()) throw bad_field("releases", "an object");
  Release release;
  release.name = text_field(object, "name");
  if (release.name.empty()) throw bad_field("name", "the release's name");
  release.title = text_field(object, "title");
  release.source = text_field(object, "source");
  for (const auto& [key, value] : object.items()) {
    if (is_file_list(value)) {
      release.parts.emplace(key, files_of(value));
    } else if ((key == "base" || key == "meta") && value.is_string()) {
      release.parts_elsewhere.emplace(key, value.get<std::string>());
    } else if (key == "files" || key == "base" || key == "meta") {
      throw bad_field(key.c_str(), "a list of files, each with its name");
    }
  }
  if (!release.parts.contains("files")) throw bad_field("files", "a list of files, each with its name");
  take_scores(object, release);
  accept_for_any_weights(object, release);
  return release;
}

struct KnownReleases {
  std::vector<Release> releases;
  std::vector<KnownBad> bad;
};

const KnownReleases& known() {
  static const KnownReleases data = [] {
    const json document = parse_json(releases_json, "releases.json");
    KnownReleases out;
    for (const json& release : list_field(document, "releases")) out.releases.push_back(release_of(release));
    for (const json& bad : list_field(document, "known_bad")) out.bad.push_back(known_bad_of(bad, {}));
    return out;
  }();
  return data;
}

bool share_a_digest(const Digests& a, const Digests& b) {
  return std::any_of(a.begin(), a.end(), [&](const auto& entry) {
    const auto found = b.find(entry.first);
    return found != b.end() && found->second == entry.second;
  });
}

bool is_this_bad(const KnownBad& bad, std::string_view name, std::uint64_t size, const Digests& digests) {
  if (bad.digests.empty()) return bad.name == name && bad.size == size;
  return share_a_digest(bad.digests, digests);
}

}  // namespace

const std::vector<Release>& known_releases() { return known().releases; }

const std::vector<KnownBad>& known_bad_contents() { return known().bad; }

const Release* find_release(std::string_view name) {
  const std::string wanted = lower_case(name);
  for (const Release& release : known_releases()) {
    if (release.name == wanted) return &release;
  }
  return nullptr;
}

Release parse_release(std::string_view text, const std::filesystem::path& source) {
  try {
    return release_of(parse_json(text, source));
  } catch (Error& error) {
    error.file(source);
    throw;
  }
}

Release resolve_release(const std::string& name_or_file) {
  if (const Release* release = find_release(name_or_file)) return *release;
  if (std::filesystem::is_regular_file(name_or_file)) {
    return parse_release(read_text_file(name_or_file, 16U << 20U), name_or_file);
  }
  std::string names;
  for (const Release& release : known_releases()) names += (names.empty() ? "" : ", ") + release.name;
  throw Error(ErrorKind::usage, "there is no such release")
      .found(name_or_file)
      .expected(names + ", or a JSON file");
}

const ReleaseFiles& release_part(const Release& release, std::string_view part) {
  if (const auto found = release.parts.find(part); found != release.parts.end()) return found->second;
  if (const auto found = release.parts_elsewhere.find(part); found != release.parts_elsewhere.end()) {
    if (const Release* other = find_release(found->second)) return release_part(*other, "files");
    throw Error(ErrorKind::input, "the release refers to one that is not known").found(found->second);
  }
  std::string parts;
  for (const auto& [name, files] : release.parts) parts += (parts.empty() ? "" : ", ") + name;
  for (const auto& [name, other] : release.parts_elsewhere) parts += ", " + name;
  throw Error(ErrorKind::usage, "the release has no such part").found(part).expected(parts);
}

std::vector<Publication> find_publications(const Digests& digests) {
  std::vector<Publication> out;
  for (const Release& release : known_releases()) {
    for (const ReleaseFile& file : release_part(release, "files")) {
      for (const ReleaseVariant& variant : file.variants) {
        if (share_a_digest(variant.digests, digests)) out.push_back({&release, &file, &variant});
      }
    }
  }
  return out;
}

const KnownBad* find_known_bad(std::string_view name, std::uint64_t size, const Digests& digests,
                               const std::vector<KnownBad>& more) {
  for (const std::vector<KnownBad>* list : {&more, &known_bad_contents()}) {
    for (const KnownBad& bad : *list) {
      if (is_this_bad(bad, name, size, digests)) return &bad;
    }
  }
  return nullptr;
}

}  // namespace galatea
