#include "format/gguf_read.h"

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "format/checked.h"
#include "format/error.h"
#include "format/header_cursor.h"
#include "format/utf8.h"

namespace galatea {
namespace {

constexpr std::uint64_t largest_header = std::uint64_t{128} << 20U;
constexpr std::uint64_t most_entries = 65'536;
constexpr std::uint64_t most_tensors = 1'000'000;
constexpr std::uint64_t longest_name = 65'535;
constexpr std::uint64_t largest_alignment = std::uint64_t{1} << 20U;
constexpr std::uint32_t most_dimensions = 4;
constexpr int deepest_array = 8;

class Reader {
 public:
  explicit Reader(const SourcePtr& source) : source_(source), cursor_(source, largest_header) {}

  GgufPart read() {
    read_start();
    const std::uint64_t tensors = count(24, most_tensors, "tensors");
    const std::uint64_t entries = count(13, most_entries, "metadata entries");
    std::unordered_set<std::string> keys;
    for (std::uint64_t i = 0; i < entries; ++i) {
      const std::uint64_t start = cursor_.position();
      GgufEntry entry{name("metadata key"), {}};
      if (!keys.insert(entry.key).second) cursor_.fail("metadata key twice: " + printable(entry.key), start);
      entry.value = value(cursor_.number<std::uint32_t>(), entry.key);
      part_.metadata.push_back(std::move(entry));
    }
    find_alignment();
    read_tensors(tensors);
    return std::move(part_);
  }

 private:
  struct Info {
    std::string name;
    Shape shape;
    DType type;
    std::uint64_t offset, bytes, described_at;
  };

  void read_start() {
    char magic[4];
    cursor_.take(magic, sizeof magic);
    const std::string_view found(magic, sizeof magic);
    if (found != "GGUF") {
      const bool older = found == "lmgg" || found == "fmgg" || found == "tjgg";
      throw Error(ErrorKind::input, older ? "is a GGML file from before GGUF" : "is not a GGUF file")
          .file(source_->name())
          .at(0)
          .expected("GGUF")
          .found(found);
    }
    part_.version = cursor_.number<std::uint32_t>();
    if (part_.version != 0 && (part_.version & 0xFFFFU) == 0) {
      throw Error(ErrorKind::input, "is a big-endian GGUF file")
          .file(source_->name())
          .at(4)
          .remedy("convert it with gguf_convert_endian.py of gguf-py first");
    }
    if (part_.version < 1 || part_.version > 3) {
      throw Error(ErrorKind::input, "has a GGUF version that galatea does not know")
          .file(source_->name())
          .at(4)
          .expected("1, 2 or 3")
          .found(std::to_string(part_.version));
    }
  }

  std::uint64_t length() {
    return part_.version == 1 ? cursor_.number<std::uint32_t>() : cursor_.number<std::uint64_t>();
  }

  /// A number of things of at least `smallest` bytes each, which therefore cannot exceed what is left.
  std::uint64_t count(std::uint64_t smallest, std::uint64_t most, const char* what) {
    const std::uint64_t at = cursor_.position();
    const std::uint64_t found = length();
    if (part_.version == 1) smallest = std::min<std::uint64_t>(smallest, 9);
    if (found > most || found > cursor_.remaining() / smallest) {
      throw Error(ErrorKind::input, std::string("claims more ") + what + " than the file can hold")
          .file(source_->name())
          .at(at)
          .expected("at most " + std::to_string(std::min(most, cursor_.remaining() / smallest)))
          .found(std::to_string(found));
    }
    return found;
  }

  std::string string(const char* what) {
    const std::uint64_t at = cursor_.position();
    const std::uint64_t size = length();
    if (size > cursor_.remaining()) {
      throw Error(ErrorKind::input,
                  std::string("the length of a ") + what + " reaches past the end of the file")
          .file(source_->name())
          .at(at)
          .expected("at most " + std::to_string(cursor_.remaining()))
          .found(std::to_string(size));
    }
    std::string text(static_cast<std::size_t>(size), '\0');
    cursor_.take(text.data(), size);
    return text;
  }

  std::string name(const char* what) {
    const std::uint64_t at = cursor_.position();
    std::string text = string(what);
    if (text.empty() || text.size() > longest_name || !is_utf8(text)) {
      cursor_.fail(std::string("a ") + what + " is empty, too long or not UTF-8: " + printable(text), at);
    }
    return text;
  }

  bool boolean() {
    const std::uint64_t at = cursor_.position();
    const auto byte = cursor_.number<std::uint8_t>();
    if (byte > 1) cursor_.fail("a truth value is neither 0 nor 1", at);
    return byte == 1;
  }

  GgufValue value(std::uint32_t type, const std::string& key) {
    switch (type) {
      case 0:
        return cursor_.number<std::uint8_t>();
      case 1:
        return cursor_.number<std::int8_t>();
      case 2:
        return cursor_.number<std::uint16_t>();
      case 3:
        return cursor_.number<std::int16_t>();
      case 4:
        return cursor_.number<std::uint32_t>();
      case 5:
        return cursor_.number<std::int32_t>();
      case 6:
        return cursor_.number<float>();
      case 7:
        return boolean();
      case 8:
        return string("metadata text");
      case 9:
        return array(key, 1);
      case 10:
        return cursor_.number<std::uint64_t>();
      case 11:
        return cursor_.number<std::int64_t>();
      case 12:
        return cursor_.number<double>();
      default:
        unknown_type(type, key);
    }
  }

  [[noreturn]] void unknown_type(std::uint32_t type, const std::string& key) const {
    throw Error(ErrorKind::input, "metadata entry " + printable(key) + " has an unknown type")
        .file(source_->name())
        .at(cursor_.position() - 4)
        .expected("0 to 12")
        .found(std::to_string(type));
  }

  std::uint64_t items(std::uint64_t smallest) { return count(smallest, UINT64_MAX, "array items"); }

  template <class T>
  GgufArray numbers() {
    std::vector<T> values(static_cast<std::size_t>(items(sizeof(T))));
    cursor_.take(values.data(), values.size() * sizeof(T));
    return {std::move(values)};
  }

  GgufArray array(const std::string& key, int depth) {
    if (depth > deepest_array)
      cursor_.fail("arrays of " + printable(key) + " are nested too deep", cursor_.position());
    const auto type = cursor_.number<std::uint32_t>();
    switch (type) {
      case 0:
        return numbers<std::uint8_t>();
      case 1:
        return numbers<std::int8_t>();
      case 2:
        return numbers<std::uint16_t>();
      case 3:
        return numbers<std::int16_t>();
      case 4:
        return numbers<std::uint32_t>();
      case 5:
        return numbers<std::int32_t>();
      case 6:
        return numbers<float>();
      case 7: {
        std::vector<bool> values(static_cast<std::size_t>(items(1)));
        for (std::size_t i = 0; i < values.size(); ++i) values[i] = boolean();
        return {std::move(values)};
      }
      case 8: {
        std::vector<std::string> values(static_cast<std::size_t>(items(part_.version == 1 ? 4 : 8)));
        for (std::string& text : values) text = string("text in an array");
        return {std::move(values)};
      }
      case 9: {
        std::vector<GgufArray> values(static_cast<std::size_t>(items(part_.version == 1 ? 8 : 12)));
        for (GgufArray& inner : values) inner = array(key, depth + 1);
        return {std::move(values)};
      }
      case 10:
        return numbers<std::uint64_t>();
      case 11:
        return numbers<std::int64_t>();
      case 12:
        return numbers<double>();
      default:
        unknown_type(type, key);
    }
  }

  void find_alignment() {
    for (const GgufEntry& entry : part_.metadata) {
      if (entry.key != "general.alignment") continue;
      const auto* alignment = std::get_if<std::uint32_t>(&entry.value);
      if (alignment == nullptr || *alignment == 0 || (*alignment & (*alignment - 1)) != 0 ||
          *alignment > largest_alignment) {
        throw Error(ErrorKind::input, "general.alignment is unusable")
            .file(source_->name())
            .expected("a power of two up to 1 MiB, as u32")
            .found(to_string(entry.value));
      }
      part_.alignment = *alignment;
    }
  }

  Info read_info() {
    Info info{};
    info.described_at = cursor_.position();
    info.name = name("tensor name");
    const auto rank = cursor_.number<std::uint32_t>();
    if (rank > most_dimensions) {
      throw Error(ErrorKind::input, "a tensor has too many dimensions")
          .file(source_->name())
          .tensor(info.name)
          .at(cursor_.position() - 4)
          .expected("at most 4")
          .found(std::to_string(rank));
    }
    for (std::uint32_t i = 0; i < rank; ++i) info.shape.push_back(length());
    std::reverse(info.shape.begin(), info.shape.end());
    const auto id = cursor_.number<std::uint32_t>();
    const std::optional<DType> type = find_type_by_gguf_id(id);
    if (!type) {
      const std::string_view known = describe_foreign_gguf_id(id);
      Error error(ErrorKind::input, "a tensor has a type that galatea does not read");
      error.file(source_->name())
          .tensor(info.name)
          .at(cursor_.position() - 4)
          .found(known.empty() ? "ggml type " + std::to_string(id)
                               : std::string(known) + ", ggml type " + std::to_string(id));
      if (known.find("ik_llama.cpp") != std::string_view::npos) {
        error.remedy("only ik_llama.cpp reads it; start from a file of llama.cpp's types");
      }
      throw error;
    }
    info.type = *type;
    info.offset = cursor_.number<std::uint64_t>();
    return info;
  }

  [[noreturn]] void bad_tensor(const Info& info, const std::string& problem) const {
    throw Error(ErrorKind::input, problem).file(source_->name()).tensor(info.name).at(info.described_at);
  }

  void check_shape(Info& info) const {
    if (std::find(info.shape.begin(), info.shape.end(), 0U) != info.shape.end()) {
      bad_tensor(info, "a tensor is empty: " + to_string(info.shape));
    }
    const std::uint64_t innermost = info.shape.empty() ? 1 : info.shape.back();
    const TypeInfo& type = type_info(info.type);
    if (innermost % type.block_length != 0) {
      bad_tensor(info, "rows of " + std::to_string(innermost) + " values are not whole blocks of " +
                           std::string(type.name));
    }
    try {
      info.bytes = type.bytes_for(element_count(info.shape));
    } catch (Error& error) {
      throw error.file(source_->name()).tensor(info.name).at(info.described_at);
    }
  }

  void read_tensors(std::uint64_t number) {
    std::vector<Info> infos;
    infos.reserve(static_cast<std::size_t>(number));
    std::unordered_set<std::string> names;
    for (std::uint64_t i = 0; i < number; ++i) {
      Info info = read_info();
      check_shape(info);
      if (!names.insert(info.name).second) bad_tensor(info, "a tensor is described twice");
      infos.push_back(std::move(info));
    }
    const std::uint64_t data = align_up(cursor_.position(), part_.alignment);
    check_places(infos, data);
    for (Info& info : infos) {
      const MatrixShape matrix = matrix_shape(info.shape, info.type);
      RowsPtr rows = stored_rows(source_, data + info.offset, info.type, matrix.rows, matrix.cols);
      part_.tensors.push_back({std::move(info.name), std::move(info.shape), std::move(rows), source_->name(),
                               source_->origin() + data + info.offset});
    }
  }

  /// Every tensor aligned, within the file, and sharing no byte with another.
  void check_places(const std::vector<Info>& infos, std::uint64_t data) const {
    for (const Info& info : infos) {
      if (info.offset % part_.alignment != 0) {
        bad_tensor(info, "the offset of a tensor, " + std::to_string(info.offset) + ", is no multiple of " +
                             std::to_string(part_.alignment));
      }
      if (data > source_->size() || info.offset > source_->size() - data ||
          info.bytes > source_->size() - data - info.offset) {
        throw Error(ErrorKind::input, "the data of a tensor ends past the end of the file")
            .file(source_->name())
            .tensor(info.name)
            .at(info.described_at)
            .expected("a file of at least " + std::to_string(data) + " + " + std::to_string(info.offset) +
                      " + " + std::to_string(info.bytes) + " bytes")
            .found(std::to_string(source_->size()) + " bytes")
            .remedy("the download is probably incomplete: fetch it again");
      }
    }
    std::vector<const Info*> order;
    order.reserve(infos.size());
    for (const Info& info : infos) order.push_back(&info);
    std::sort(order.begin(), order.end(), [](const Info* a, const Info* b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset) {
        bad_tensor(*order[i], "a tensor lies over another, " + printable(order[i - 1]->name));
      }
    }
  }

  SourcePtr source_;
  HeaderCursor cursor_;
  GgufPart part_;
};

}  // namespace

GgufPart read_gguf_part(const SourcePtr& source) { return Reader(source).read(); }

}  // namespace galatea
