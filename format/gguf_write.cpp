#include <cstring>
#include <set>
#include <type_traits>

#include "format/checked.h"
#include "format/error.h"
#include "format/gguf.h"

namespace galatea {
namespace {

constexpr std::uint32_t written_version = 3;
constexpr std::size_t longest_tensor_name = 63;  // GGML_MAX_NAME of ggml, less the zero at the end

class Writer {
 public:
  template <class T>
  void number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    raw(&value, sizeof value);
  }
  void string(std::string_view text) {
    number<std::uint64_t>(text.size());
    raw(text.data(), text.size());
  }
  void value(const GgufValue& held) {
    std::visit([this](const auto& inner) { item(inner); }, held);
  }
  void zeros(std::uint64_t count) { bytes_.resize(bytes_.size() + count); }
  std::uint64_t size() const { return bytes_.size(); }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  void item(const std::string& text) { string(text); }
  void item(bool truth) { number<std::uint8_t>(truth ? 1 : 0); }
  template <class T>
  requires std::is_arithmetic_v<T>
  void item(T value) { number(value); }
  void item(const GgufArray& array) {
    number(static_cast<std::uint32_t>(array.items.index()));
    number<std::uint64_t>(array.size());
    std::visit(
        [this](const auto& values) {
          using T = typename std::decay_t<decltype(values)>::value_type;
          if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
            raw(values.data(), values.size() * sizeof(T));
          } else if constexpr (std::is_same_v<T, bool>) {
            for (const bool truth : values) item(truth);
          } else {
            for (const T& inner : values) item(inner);
          }
        },
        array.items);
  }
  void raw(const void* data, std::size_t size) {
    const auto* first = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), first, first + size);
  }

  std::vector<std::byte> bytes_;
};

std::uint64_t alignment_of(const GgufMetadata& metadata) {
  for (const GgufEntry& entry : metadata) {
    if (entry.key != "general.alignment") continue;
    const auto* alignment = std::get_if<std::uint32_t>(&entry.value);
    if (alignment == nullptr || *alignment == 0 || (*alignment & (*alignment - 1)) != 0) {
      throw Error(ErrorKind::usage, "general.alignment must be a power of two, as u32")
          .found(to_string(entry.value));
    }
    return *alignment;
  }
  return 32;
}

void check_tensor(const Tensor& tensor, std::set<std::string_view>& names) {
  const auto refuse = [&](const std::string& problem) {
    throw Error(ErrorKind::usage, problem).tensor(tensor.name);
  };
  if (tensor.name.empty() || tensor.name.size() > longest_tensor_name) {
    refuse("GGUF wants names of 1 to 63 bytes for tensors");
  }
  if (!names.insert(tensor.name).second) refuse("a tensor is given twice");
  if (tensor.shape.size() > 4)
    refuse("GGUF holds tensors of at most 4 dimensions, not " + to_string(tensor.shape));
  const TypeInfo& type = type_info(tensor.type());
  if (type.gguf_id < 0) refuse("GGUF has no type for " + std::string(type.name));
  if (type.bytes_for(element_count(tensor.shape)) != tensor.bytes()) {
    refuse("a tensor's data is not what its shape says");
  }
}

}  // namespace

FileLayout gguf_layout(std::string name, const GgufMetadata& metadata, std::vector<Tensor> tensors) {
  const std::uint64_t alignment = alignment_of(metadata);
  Writer header;
  for (const char letter : {'G', 'G', 'U', 'F'}) header.number(letter);
  header.number(written_version);
  header.number<std::uint64_t>(tensors.size());
  header.number<std::uint64_t>(metadata.size());

  std::set<std::string_view> keys;
  for (const GgufEntry& entry : metadata) {
    if (entry.key.empty() || !keys.insert(entry.key).second) {
      throw Error(ErrorKind::usage, "a metadata key is empty or given twice: " + printable(entry.key));
    }
    header.string(entry.key);
    header.number(static_cast<std::uint32_t>(entry.value.index()));
    header.value(entry.value);
  }

  std::set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const Tensor& tensor : tensors) {
    check_tensor(tensor, names);
    header.string(tensor.name);
    header.number(static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent) header.number(*extent);
    header.number(static_cast<std::uint32_t>(type_info(tensor.type()).gguf_id));
    header.number(offset);
    offset = align_up(checked_add(offset, tensor.bytes(), "size of the file"), alignment);
  }
  header.zeros(align_up(header.size(), alignment) - header.size());

  FileLayout layout;
  layout.name = std::move(name);
  layout.tensors = std::move(tensors);
  layout.segments.emplace_back(LiteralSegment{header.take()});
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    layout.segments.emplace_back(TensorSegment{i});
    const std::uint64_t bytes = layout.tensors[i].bytes();
    const std::uint64_t padding = align_up(bytes, alignment) - bytes;
    if (padding > 0) layout.segments.emplace_back(LiteralSegment{std::vector<std::byte>(padding)});
  }
  return layout;
}

}  // namespace galatea
