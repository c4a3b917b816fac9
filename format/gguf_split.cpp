#include "format/gguf_split.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <utility>

#include "format/checked.h"
#include "format/error.h"

namespace galatea {
namespace {

constexpr std::uint64_t most_parts = std::numeric_limits<std::uint16_t>::max();
constexpr std::uint64_t usual_alignment = 32;
constexpr std::string_view shape_of_suffix = "-NNNNN-of-NNNNN.gguf";

const GgufEntry* alignment_entry(const GgufMetadata& metadata) {
  const auto found = std::find_if(metadata.begin(), metadata.end(),
                                  [](const GgufEntry& entry) { return entry.key == "general.alignment"; });
  return found == metadata.end() ? nullptr : &*found;
}

std::vector<std::uint64_t> ends_of(const std::vector<Tensor>& tensors, const GgufSplit& split,
                                   std::uint64_t alignment) {
  if (!split.ends.empty()) return split.ends;
  std::vector<std::uint64_t> ends;
  if (split.metadata_alone) ends.push_back(0);
  std::uint64_t bytes = 0, count = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t size = align_up(tensors[i].bytes(), alignment);
    const bool too_large = split.max_bytes != 0 && size > split.max_bytes - std::min(bytes, split.max_bytes);
    const bool too_many = split.max_tensors != 0 && count == split.max_tensors;
    if (count > 0 && (too_large || too_many)) {
      ends.push_back(i);
      bytes = count = 0;
    }
    bytes += size;
    ++count;
  }
  ends.push_back(tensors.size());
  return ends;
}

}  // namespace

std::string gguf_part_name(std::string_view prefix, std::uint64_t part, std::uint64_t parts) {
  std::array<char, 64> suffix{};
  std::snprintf(suffix.data(), suffix.size(), "-%05u-of-%05u.gguf", static_cast<unsigned>(part + 1),
                static_cast<unsigned>(parts));
  return std::string(prefix) + suffix.data();
}

std::optional<GgufPartName> parse_gguf_part_name(std::string_view name) {
  if (name.size() <= shape_of_suffix.size()) return std::nullopt;
  const std::string_view suffix = name.substr(name.size() - shape_of_suffix.size());
  GgufPartName out{std::string(name.substr(0, name.size() - shape_of_suffix.size()))};
  std::uint64_t* number = &out.number;
  for (std::size_t i = 0; i < suffix.size(); ++i) {
    if (shape_of_suffix[i] != 'N') {
      if (suffix[i] != shape_of_suffix[i]) return std::nullopt;
      if (i > 0) number = &out.count;
    } else if (suffix[i] < '0' || suffix[i] > '9') {
      return std::nullopt;
    } else {
      *number = 10 * *number + static_cast<std::uint64_t>(suffix[i] - '0');
    }
  }
  return out;
}

std::vector<std::uint64_t> gguf_part_ends(const std::vector<std::filesystem::path>& files,
                                          const std::vector<Tensor>& tensors) {
  std::vector<std::uint64_t> ends;
  std::size_t tensor = 0;
  for (const std::filesystem::path& part : files) {
    while (tensor < tensors.size() && tensors[tensor].file == part) ++tensor;
    ends.push_back(tensor);
  }
  return ends;
}

std::vector<FileLayout> gguf_split_layouts(const std::string& prefix, const GgufMetadata& metadata,
                                           std::vector<Tensor> tensors, const GgufSplit& split) {
  const GgufEntry* const own = alignment_entry(metadata);
  const auto* const stated = own == nullptr ? nullptr : std::get_if<std::uint32_t>(&own->value);
  const std::uint64_t alignment =
      stated == nullptr || *stated == 0 || (*stated & (*stated - 1)) != 0 ? usual_alignment : *stated;
  const std::vector<std::uint64_t> ends = ends_of(tensors, split, alignment);
  if (ends.size() > most_parts) {
    throw Error(ErrorKind::usage, "the model would have too many parts")
        .expected("at most " + std::to_string(most_parts))
        .found(std::to_string(ends.size()))
        .remedy("allow larger parts");
  }
  const auto total = checked_cast<std::int32_t>(tensors.size(), "number of tensors");
  std::vector<FileLayout> files;
  std::uint64_t begin = 0;
  for (std::size_t part = 0; part < ends.size(); ++part) {
    GgufMetadata entries;
    if (part == 0) {
      entries = without_split_keys(metadata);
    } else if (own != nullptr) {
      entries.push_back(*own);
    }
    entries.push_back({"split.no", static_cast<std::uint16_t>(part)});
    entries.push_back({"split.count", static_cast<std::uint16_t>(ends.size())});
    entries.push_back({"split.tensors.count", total});
    std::vector<Tensor> own_tensors;
    for (std::uint64_t i = begin; i < ends[part]; ++i) own_tensors.push_back(std::move(tensors.at(i)));
    begin = ends[part];
    files.push_back(gguf_layout(gguf_part_name(prefix, part, ends.size()), entries, std::move(own_tensors)));
  }
  return files;
}

GgufMetadata without_split_keys(const GgufMetadata& metadata) {
  GgufMetadata kept;
  std::copy_if(metadata.begin(), metadata.end(), std::back_inserter(kept),
               [](const GgufEntry& entry) { return !entry.key.starts_with("split."); });
  return kept;
}

}  // namespace galatea
