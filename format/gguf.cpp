#include "format/gguf.h"

#include <type_traits>
#include <utility>

#include "format/error.h"
#include "format/gguf_read.h"
#include "format/gguf_split.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void wrong_kind(const GgufFile& file, std::string_view key, const GgufValue& value,
                             std::string_view expected) {
  throw Error(ErrorKind::input, "metadata entry " + printable(key) + " is of the wrong kind")
      .file(file.files().front())
      .expected(expected)
      .found(std::string(gguf_type_name(value.index())) + ' ' + to_string(value));
}

/// `value` as Integer when it is a whole number (not a truth value) that fits.
template <class Integer>
std::optional<Integer> as_integer(const GgufValue& value) {
  return std::visit(
      [](const auto& held) -> std::optional<Integer> {
        using T = std::decay_t<decltype(held)>;
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
          if (std::in_range<Integer>(held)) return static_cast<Integer>(held);
        }
        return std::nullopt;
      },
      value);
}

}  // namespace

bool GgufFile::recognise(const ByteSource& source) {
  if (source.size() < 4) return false;
  std::byte magic[4];
  source.read(0, magic);
  return std::string_view(reinterpret_cast<const char*>(magic), 4) == "GGUF";
}

GgufFile GgufFile::read(const SourcePtr& source) {
  GgufPart part = read_gguf_part(source);
  GgufFile file;
  file.version_ = part.version;
  file.alignment_ = part.alignment;
  file.metadata_ = std::move(part.metadata);
  for (std::size_t i = 0; i < file.metadata_.size(); ++i) file.by_key_[file.metadata_[i].key] = i;
  file.tensors_ = std::move(part.tensors);
  file.files_ = {source->name()};
  return file;
}

GgufFile GgufFile::open(const fs::path& path) {
  GgufFile opened = read(open_file(path));
  const std::uint64_t count = opened.get_unsigned("split.count").value_or(1);
  if (count <= 1) return opened;

  const std::optional<GgufPartName> name = parse_gguf_part_name(path.filename().string());
  const std::uint64_t number = opened.get_unsigned("split.no").value_or(UINT64_MAX);
  if (!name || name->count != count || number >= count || name->number != number + 1) {
    throw Error(ErrorKind::input, "a part of a split model has another name than its metadata says")
        .file(path)
        .expected(number >= count ? "NAME-NNNNN-of-NNNNN.gguf" : gguf_part_name("NAME", number, count))
        .remedy("give the parts the names under which they were published, all in one folder");
  }
  std::vector<GgufFile> parts(static_cast<std::size_t>(count));
  parts[static_cast<std::size_t>(number)] = std::move(opened);
  for (std::uint64_t i = 0; i < count; ++i) {
    if (i == number) continue;
    const fs::path place = path.parent_path() / gguf_part_name(name->prefix, i, count);
    try {
      parts[i] = read(open_file(place));
    } catch (Error& error) {
      throw error.context("opening part " + std::to_string(i + 1) + " of " + std::to_string(count) +
                          " of a split model");
    }
    if (parts[i].get_unsigned("split.count") != count || parts[i].get_unsigned("split.no") != i) {
      throw Error(ErrorKind::input, "a part of a split model belongs to another model or place").file(place);
    }
  }

  GgufFile whole = std::move(parts.front());
  std::map<std::string, std::size_t, std::less<>> names;
  for (const Tensor& tensor : whole.tensors_) names[tensor.name] = 0;
  for (std::size_t i = 1; i < parts.size(); ++i) {
    for (Tensor& tensor : parts[i].tensors_) {
      if (!names.emplace(tensor.name, i).second) {
        throw Error(ErrorKind::input, "a tensor is in two parts of a split model")
            .file(parts[i].files_.front())
            .tensor(tensor.name);
      }
      whole.tensors_.push_back(std::move(tensor));
    }
    whole.files_.push_back(parts[i].files_.front());
  }
  const std::optional<std::uint64_t> promised = whole.get_unsigned("split.tensors.count");
  if (promised && *promised != whole.tensors_.size()) {
    throw Error(ErrorKind::input, "the parts of a split model do not have all its tensors")
        .file(whole.files_.front())
        .expected(std::to_string(*promised))
        .found(std::to_string(whole.tensors_.size()));
  }
  return whole;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto place = by_key_.find(key);
  return place == by_key_.end() ? nullptr : &metadata_[place->second].value;
}

std::optional<std::uint64_t> GgufFile::get_unsigned(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = as_integer<std::uint64_t>(*value);
  if (!number) wrong_kind(*this, key, *value, "a whole number, not negative");
  return number;
}

std::optional<std::int64_t> GgufFile::get_signed(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = as_integer<std::int64_t>(*value);
  if (!number) wrong_kind(*this, key, *value, "a whole number");
  return number;
}

std::optional<double> GgufFile::get_number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* f32 = std::get_if<float>(value)) return static_cast<double>(*f32);
  if (const auto* f64 = std::get_if<double>(value)) return *f64;
  const auto number = as_integer<std::int64_t>(*value);
  if (!number) wrong_kind(*this, key, *value, "a number");
  return static_cast<double>(*number);
}

std::optional<bool> GgufFile::get_boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  const bool* truth = std::get_if<bool>(value);
  if (truth == nullptr) wrong_kind(*this, key, *value, "true or false");
  return *truth;
}

const std::string* GgufFile::get_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  const auto* text = std::get_if<std::string>(value);
  if (text == nullptr) wrong_kind(*this, key, *value, "text");
  return text;
}

const std::vector<std::string>* GgufFile::get_strings(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return nullptr;
  const auto* array = std::get_if<GgufArray>(value);
  const auto* texts = array == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&array->items);
  if (texts == nullptr) wrong_kind(*this, key, *value, "an array of texts");
  return texts;
}

std::optional<std::vector<double>> GgufFile::get_numbers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto* array = std::get_if<GgufArray>(value)) {
    if (const auto* f32 = std::get_if<std::vector<float>>(&array->items)) {
      return std::vector<double>(f32->begin(), f32->end());
    }
    if (const auto* f64 = std::get_if<std::vector<double>>(&array->items)) return *f64;
  }
  wrong_kind(*this, key, *value, "an array of floating-point numbers");
}

std::optional<std::vector<std::int64_t>> GgufFile::get_integers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return std::nullopt;
  std::vector<std::int64_t> out;
  bool fits = false;
  if (const auto* array = std::get_if<GgufArray>(value)) {
    std::visit(
        [&](const auto& items) {
          using T = typename std::decay_t<decltype(items)>::value_type;
          if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
            fits = true;
            out.reserve(items.size());
            for (const T item : items) {
              fits = fits && std::in_range<std::int64_t>(item);
              out.push_back(static_cast<std::int64_t>(item));
            }
          }
        },
        array->items);
  }
  if (!fits) wrong_kind(*this, key, *value, "an array of whole numbers");
  return out;
}

GgufMetadata without_container_keys(const GgufMetadata& metadata) {
  GgufMetadata kept;
  for (const GgufEntry& entry : metadata) {
    const bool container =
        entry.key == "general.alignment" || entry.key.starts_with("split.") || entry.key.starts_with("ggml.");
    if (!container) kept.push_back(entry);
  }
  return kept;
}

}  // namespace galatea
