#include "converter/content_check.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "converter/record_watch.h"
#include "format/error.h"
#include "format/json.h"
#include "format/little_endian.h"
#include "format/safetensors.h"
#include "format/sentencepiece_model.h"
#include "format/zip_archive.h"

namespace galatea {
namespace {

enum class Kind { torch, safetensors, json, tokenizer, unknown };

Kind kind_of(std::string_view name) {
  if (name == "tokenizer.model") return Kind::tokenizer;
  if (name.ends_with(".json")) return Kind::json;
  if (name.ends_with(".safetensors")) return Kind::safetensors;
  for (const char* ending : {".bin", ".pth", ".pt"}) {
    if (name.ends_with(ending)) return Kind::torch;
  }
  return Kind::unknown;
}

void check_tokenizer(const SourcePtr& content) {
  if (all_zero(*content)) {
    throw Error(ErrorKind::input, "the tokenizer consists of zero bytes only").file(content->name());
  }
  read_sentencepiece_model(*content);
}

void require_zip_head(const SourcePtr& content) {
  if (looks_like_zip(*content)) return;
  throw Error(ErrorKind::input, "the weights do not begin as a file of torch.save does")
      .file(content->name())
      .at(0)
      .expected("a zip file, PK\\x03\\x04")
      .found(printable(part_of(content, 0, std::min<std::uint64_t>(content->size(), 8))->read_text(8)));
}

}  // namespace

bool all_zero(const ByteSource& content) {
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(content.size(), 1U << 16U)));
  for (std::uint64_t offset = 0; offset < content.size();) {
    const auto part = std::span(buffer).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), content.size() - offset)));
    content.read(offset, part);
    if (std::any_of(part.begin(), part.end(), [](std::byte b) { return b != std::byte{0}; })) return false;
    offset += part.size();
  }
  return content.size() > 0;
}

void check_beginning(std::string_view name, const SourcePtr& content) {
  switch (kind_of(name)) {
    case Kind::torch:
      return require_zip_head(content);
    case Kind::safetensors:
      open_safetensors(content);
      return;
    case Kind::json:
      parse_json(*content);
      return;
    case Kind::tokenizer:
      return check_tokenizer(content);
    case Kind::unknown:
      return;
  }
}

void check_content(std::string_view name, const SourcePtr& content) {
  check_beginning(name, content);
  if (kind_of(name) == Kind::torch) check_records(content);
}

void check_end(std::string_view name, const SourcePtr& content) {
  constexpr std::uint64_t end_record = 22;  // torch.save puts no comment behind it
  if (kind_of(name) != Kind::torch) return;
  if (content->size() < end_record ||
      LittleEndian(content->ByteSource::read(content->size() - end_record, 4)).u32(0) != 0x06054b50) {
    throw Error(ErrorKind::input, "the weights do not end as a file of torch.save does")
        .file(content->name())
        .at(content->size())
        .expected("an end record, PK\\5\\6, 22 bytes before the end");
  }
}

bool has_records(std::string_view name) { return kind_of(name) == Kind::torch; }

}  // namespace galatea
