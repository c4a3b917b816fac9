#include "format/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "format/checked.h"
#include "format/json.h"
#include "format/python_json.h"

namespace galatea {
namespace {

using nlohmann::json;

constexpr std::uint64_t length_bytes = 8;
constexpr std::uint64_t header_limit = 100'000'000;
constexpr std::string_view metadata_name = "__metadata__";
constexpr const char* download_again = "the file is incomplete or damaged: download it again";

/// In the library's order of types, the first to be stored last.
constexpr std::array stored_last_first = {DType::boolean, DType::u8,  DType::i8,  DType::f8_e5m2,
                                          DType::f8_e4m3, DType::i16, DType::u16, DType::f16,
                                          DType::bf16,    DType::i32, DType::u32, DType::f32,
                                          DType::f64,     DType::i64, DType::u64};

/// Types of the format that galatea has no use for yet.
constexpr std::array<std::string_view, 6> foreign_types = {"C64",     "F8_E8M0", "F6_E2M3",
                                                           "F6_E3M2", "F4",      "F8_E4M3FNUZ"};

struct Entry {
  std::string name;
  DType type;
  Shape shape;
  std::uint64_t begin, end;
};

std::uint64_t read_length(const ByteSource& source) {
  if (source.size() < length_bytes) {
    throw Error(ErrorKind::input, "too short for a safetensors file")
        .file(source.name())
        .expected("at least 8 bytes")
        .found(std::to_string(source.size()))
        .remedy(download_again);
  }
  std::array<std::byte, length_bytes> bytes{};
  source.read(0, bytes);
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i)
    length |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  if (length > header_limit) {
    throw Error(ErrorKind::input, "the safetensors header is said to be longer than the format allows")
        .file(source.name())
        .at(0)
        .expected("at most " + std::to_string(header_limit) + " bytes")
        .found(std::to_string(length))
        .remedy("is this a safetensors file at all?");
  }
  if (length > source.size() - length_bytes) {
    throw Error(ErrorKind::input, "the safetensors header ends past the end of the file")
        .file(source.name())
        .at(0)
        .expected("a header of at most " + std::to_string(source.size() - length_bytes) + " bytes")
        .found(std::to_string(length))
        .remedy(download_again);
  }
  return length;
}

/// Reads the members of one tensor's entry; every fault names the tensor.
class EntryReader {
 public:
  EntryReader(const ByteSource& source, const std::string& name, const json& value)
      : source_(source), name_(name), value_(value) {}

  Entry read() const {
    if (!value_.is_object()) throw fault("the entry of a tensor is not an object").found(shown(value_));
    for (const auto& [key, unused] : value_.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets")
        throw fault("the entry of a tensor has an unknown member").found("\"" + printable(key) + "\"");
    }
    Entry entry{name_, type(), shape(), 0, 0};
    const json& offsets = member("data_offsets");
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned()) {
      throw fault("data_offsets are not two whole numbers").found(shown(offsets));
    }
    entry.begin = offsets[0].get<std::uint64_t>();
    entry.end = offsets[1].get<std::uint64_t>();
    if (entry.begin > entry.end) throw fault("data_offsets end before they begin").found(shown(offsets));
    check_size(entry);
    return entry;
  }

 private:
  Error fault(const std::string& problem) const {
    return std::move(Error(ErrorKind::input, problem).file(source_.name()).tensor(name_).at(length_bytes));
  }
  static std::string shown(const json& value) {
    return printable(value.dump(-1, ' ', true, json::error_handler_t::replace));
  }

  const json& member(const char* key) const {
    const auto it = value_.find(key);
    if (it == value_.end()) throw fault("the entry of a tensor lacks \"" + std::string(key) + "\"");
    return *it;
  }

  DType type() const {
    const json& value = member("dtype");
    if (!value.is_string()) throw fault("dtype is not a text").found(shown(value));
    const auto& text = value.get_ref<const std::string&>();
    if (const auto found = find_type_by_safetensors(text)) return *found;
    const bool foreign = std::find(foreign_types.begin(), foreign_types.end(), text) != foreign_types.end();
    throw fault(foreign ? "the tensor has a type that galatea cannot read" : "unknown dtype")
        .expected("one of I64 F64 F32 I32 BF16 F16 I16 F8_E4M3 F8_E5M2 I8 U8 BOOL")
        .found("\"" + printable(text) + "\"");
  }

  Shape shape() const {
    const json& value = member("shape");
    if (!value.is_array()) throw fault("shape is not a list").found(shown(value));
    Shape out;
    for (const json& extent : value) {
      if (!extent.is_number_unsigned())
        throw fault("shape holds something else than whole numbers").found(shown(value));
      out.push_back(extent.get<std::uint64_t>());
    }
    return out;
  }

  void check_size(const Entry& entry) const {
    std::uint64_t bytes = 0;
    try {
      bytes = type_info(entry.type).bytes_for(element_count(entry.shape));
    } catch (const Error&) {
      throw fault("the size of a tensor does not fit in 64 bits").found("shape " + to_string(entry.shape));
    }
    if (bytes != entry.end - entry.begin) {
      throw fault("shape and dtype do not give the size that data_offsets give")
          .expected(std::to_string(bytes) + " bytes for " + std::string(type_info(entry.type).name) + " " +
                    to_string(entry.shape))
          .found(std::to_string(entry.end - entry.begin) + " bytes");
    }
  }

  const ByteSource& source_;
  const std::string& name_;
  const json& value_;
};

std::map<std::string, std::string> read_metadata(const ByteSource& source, const json& value) {
  std::map<std::string, std::string> out;
  if (value.is_null()) return out;  // as the official library reads it
  if (!value.is_object())
    throw Error(ErrorKind::input, "__metadata__ is not an object").file(source.name()).at(length_bytes);
  for (const auto& [key, text] : value.items()) {
    if (!text.is_string()) {
      throw Error(ErrorKind::input, "__metadata__ holds something else than text")
          .file(source.name())
          .at(length_bytes)
          .found("\"" + printable(key) + "\": " + printable(text.dump()));
    }
    out[key] = text.get<std::string>();
  }
  return out;
}

/// The ranges must follow each other from 0 to the end of the data.
void check_cover(const ByteSource& source, const std::vector<Entry>& entries, std::uint64_t data_begin) {
  std::uint64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end) {
      throw Error(ErrorKind::input, entry.begin < end ? "the data of two tensors overlap"
                                                      : "there is a hole before the data of a tensor")
          .file(source.name())
          .tensor(entry.name)
          .at(data_begin + std::min(entry.begin, source.size()))
          .expected("data that begin at offset " + std::to_string(end))
          .found(std::to_string(entry.begin));
    }
    end = entry.end;
  }
  const std::uint64_t data_size = source.size() - data_begin;
  if (end != data_size) {
    throw Error(ErrorKind::input, end > data_size ? "the data of the tensors end past the end of the file"
                                                  : "there are bytes after the data of the last tensor")
        .file(source.name())
        .at(data_begin + std::min(end, data_size))
        .expected("a file of " + std::to_string(checked_add(data_begin, end, "the size of the file")) +
                  " bytes")
        .found(std::to_string(source.size()))
        .remedy(download_again);
  }
}

std::size_t storage_rank(DType type) {
  const auto* const it = std::find(stored_last_first.begin(), stored_last_first.end(), type);
  return static_cast<std::size_t>(stored_last_first.end() - it);
}

void check_storable(const Tensor& tensor) {
  if (type_info(tensor.type()).safetensors.empty()) {
    throw Error(ErrorKind::usage, "safetensors has no type for this tensor")
        .tensor(tensor.name)
        .found(type_info(tensor.type()).name)
        .remedy("convert it to F32, F16 or BF16");
  }
  if (tensor.name == metadata_name)
    throw Error(ErrorKind::input, "a tensor of this name cannot be stored in safetensors")
        .tensor(tensor.name);
}

std::string header_text(const std::vector<Tensor>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  std::string out = "{";
  const auto member = [&](std::string_view name) {
    if (out.size() > 1) out += ',';
    out += json_string(name, false) + ":";
  };
  if (!metadata.empty()) {
    member(metadata_name);
    std::string body;
    const auto put = [&](const std::string& key, const std::string& text) {
      body += (body.empty() ? "" : ",") + json_string(key, false) + ":" + json_string(text, false);
    };
    for (const auto& [key, text] : metadata) put(key, text);
    out += "{" + body + "}";
  }
  std::uint64_t begin = 0;
  for (const Tensor& tensor : tensors) {
    const std::uint64_t end = checked_add(begin, tensor.bytes(), "the size of the file");
    member(tensor.name);
    out += "{\"dtype\":\"" + std::string(type_info(tensor.type()).safetensors) + "\",\"shape\":[";
    for (std::size_t i = 0; i < tensor.shape.size(); ++i)
      out += (i == 0 ? "" : ",") + std::to_string(tensor.shape[i]);
    out += "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
    begin = end;
  }
  out += '}';
  out.resize(static_cast<std::size_t>(align_up(out.size(), 8)), ' ');
  return out;
}

}  // namespace

SafetensorsFile open_safetensors(const SourcePtr& source) {
  const std::uint64_t length = read_length(*source);
  const std::vector<std::byte> bytes = source->ByteSource::read(length_bytes, length);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty() || text.front() != '{') {
    throw Error(ErrorKind::input, "the safetensors header does not start with '{'")
        .file(source->name())
        .at(length_bytes)
        .remedy("is this a safetensors file at all?");
  }
  const json header = parse_json(text, source->name(), length_bytes, {header_limit, 8, false});

  SafetensorsFile out;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == metadata_name) {
      out.metadata = read_metadata(*source, value);
    } else {
      entries.push_back(EntryReader(*source, name, value).read());
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  const std::uint64_t data_begin = length_bytes + length;
  check_cover(*source, entries, data_begin);
  for (Entry& entry : entries) {
    const MatrixShape matrix = matrix_shape(entry.shape, entry.type);
    const std::uint64_t offset = data_begin + entry.begin;
    RowsPtr rows = stored_rows(source, offset, entry.type, matrix.rows, matrix.cols);
    out.tensors.push_back(
        {std::move(entry.name), std::move(entry.shape), std::move(rows), source->name(), offset});
  }
  return out;
}

FileLayout safetensors_layout(std::string name, std::vector<Tensor> tensors,
                              const std::map<std::string, std::string>& metadata) {
  for (const Tensor& tensor : tensors) check_storable(tensor);
  std::sort(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
    const std::size_t rank_a = storage_rank(a.type());
    const std::size_t rank_b = storage_rank(b.type());
    return rank_a != rank_b ? rank_a < rank_b : a.name < b.name;
  });
  std::set<std::string_view> names;
  for (const Tensor& tensor : tensors) {
    if (!names.insert(tensor.name).second)
      throw Error(ErrorKind::input, "two tensors of one file have the same name").tensor(tensor.name);
  }

  const std::string header = header_text(tensors, metadata);
  if (header.size() > header_limit) {
    throw Error(ErrorKind::input, "the names of the tensors do not fit into a safetensors header")
        .file(name)
        .expected("at most " + std::to_string(header_limit) + " bytes")
        .found(std::to_string(header.size()));
  }
  std::vector<std::byte> head(length_bytes + header.size());
  for (std::size_t i = 0; i < length_bytes; ++i) head[i] = static_cast<std::byte>(header.size() >> (8 * i));
  std::memcpy(head.data() + length_bytes, header.data(), header.size());

  FileLayout layout;
  layout.name = std::move(name);
  layout.segments.emplace_back(LiteralSegment{std::move(head)});
  for (std::size_t i = 0; i < tensors.size(); ++i) layout.segments.emplace_back(TensorSegment{i});
  layout.tensors = std::move(tensors);
  layout.check = [](const SourcePtr& finished) { (void)open_safetensors(finished); };
  return layout;
}

}  // namespace galatea
