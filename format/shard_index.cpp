#include "format/shard_index.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <set>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/json.h"
#include "format/python_json.h"

namespace galatea {
namespace {

void require_plain_file_name(const ByteSource& source, const std::string& tensor, const std::string& file) {
  const bool control = std::any_of(file.begin(), file.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (!file.empty() && file != "." && file != ".." && file.size() <= 255 && !control &&
      file.find_first_of("/\\") == std::string::npos) {
    return;
  }
  throw Error(ErrorKind::input, "the index names a file outside of its folder")
      .file(source.name())
      .tensor(tensor)
      .expected("a plain file name")
      .found("\"" + printable(file) + "\"");
}

}  // namespace

std::vector<std::string> ShardIndex::files() const {
  std::set<std::string> names;
  for (const auto& [tensor, file] : weight_map) names.insert(file);
  return {names.begin(), names.end()};
}

ShardIndex read_shard_index(const ByteSource& source) {
  const nlohmann::json document = parse_json(source);
  if (!document.is_object() || !document.contains("weight_map") || !document.at("weight_map").is_object()) {
    throw Error(ErrorKind::input, "is not the index of a sharded checkpoint")
        .file(source.name())
        .expected("{\"metadata\": {...}, \"weight_map\": {tensor: file, ...}}");
  }
  ShardIndex out;
  for (const auto& [tensor, file] : document.at("weight_map").items()) {
    if (!file.is_string()) {
      throw Error(ErrorKind::input, "the index gives no file name for a tensor")
          .file(source.name())
          .tensor(tensor);
    }
    out.weight_map[tensor] = file.get<std::string>();
    require_plain_file_name(source, tensor, out.weight_map[tensor]);
  }
  if (const auto metadata = document.find("metadata"); metadata != document.end() && metadata->is_object()) {
    if (const auto total = metadata->find("total_size"); total != metadata->end()) {
      // Some writers of 2023 gave a float: 13476839424.0.
      const bool whole =
          total->is_number_float() && total->get<double>() >= 0 && total->get<double>() < 0x1p63;
      if (!total->is_number_unsigned() && !whole) {
        throw Error(ErrorKind::input, "total_size of the index is not a number of bytes")
            .file(source.name())
            .found(printable(total->dump()));
      }
      out.total_size = whole ? static_cast<std::uint64_t>(total->get<double>()) : total->get<std::uint64_t>();
    }
  }
  return out;
}

ShardIndex read_shard_index_file(const std::filesystem::path& path) {
  return read_shard_index(*open_file(path));
}

std::string shard_index_text(const ShardIndex& index) {
  nlohmann::ordered_json document = nlohmann::ordered_json::object();
  document["metadata"] = nlohmann::ordered_json::object();
  if (index.total_size) document["metadata"]["total_size"] = *index.total_size;
  nlohmann::ordered_json::object_t members;
  for (const auto& [tensor, file] : index.weight_map)
    static_cast<nlohmann::ordered_json::object_t::Container&>(members).emplace_back(tensor, file);
  document["weight_map"] = std::move(members);
  return python_json(document, {2, true, true}) + "\n";
}

std::optional<ShardNumber> shard_number(std::string_view file_name) {
  // ...-NNNNN-of-NNNNN.suffix
  const std::size_t of = file_name.rfind("-of-");
  if (of == std::string_view::npos || of < 6 || file_name[of - 6] != '-') return std::nullopt;
  const auto number_at = [&](std::size_t begin) -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    if (begin + 5 > file_name.size()) return std::nullopt;
    const char* end = file_name.data() + begin + 5;
    if (std::from_chars(file_name.data() + begin, end, value).ptr != end) return std::nullopt;
    return value;
  };
  const auto number = number_at(of - 5);
  const auto count = number_at(of + 4);
  const std::string_view rest = file_name.substr(std::min(of + 9, file_name.size()));
  if (!number || !count || *number < 1 || *number > *count || rest.empty() || rest.front() != '.')
    return std::nullopt;
  return ShardNumber{*number, *count};
}

std::string shard_file_name(std::string_view stem, std::uint64_t number, std::uint64_t count,
                            std::string_view suffix) {
  std::string out(stem);
  if (count > 1) {
    char text[64];
    std::snprintf(text, sizeof text, "-%05llu-of-%05llu", static_cast<unsigned long long>(number),
                  static_cast<unsigned long long>(count));
    out += text;
  }
  return out += suffix;
}

}  // namespace galatea
