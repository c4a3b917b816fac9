#include "eval/token_stream.h"

#include <bit>
#include <cstring>
#include <span>
#include <utility>

#include "format/error.h"
#include "format/hash.h"
#include "format/source.h"

namespace galatea {
namespace {

static_assert(std::endian::native == std::endian::little, "ids are written as they lie in memory");

constexpr std::uint64_t largest_file = std::uint64_t{4} << 30U;

std::span<const std::byte> bytes_of(const std::vector<std::int32_t>& ids) {
  return std::as_bytes(std::span(ids));
}

}  // namespace

TokenStream tokenize(const Corpus& corpus, const Tokenizer& tokenizer, std::uint64_t context) {
  TokenStream stream{tokenizer.encode(corpus.text), {}};
  const std::uint64_t windows = corpus.kind->windows_kept;
  if (windows > 0 && stream.ids.size() / windows >= context)
    stream.ids.resize(static_cast<std::size_t>(windows * context));
  stream.sha256 = sha256_hex(bytes_of(stream.ids));
  return stream;
}

TokenStream read_ids(const std::filesystem::path& file) {
  const SourcePtr source = open_file(file);
  if (source->size() % 4 != 0 || source->size() > largest_file) {
    throw Error(ErrorKind::input, "is no file of token ids")
        .file(file)
        .expected("little-endian int32 after int32, at most 4 GiB")
        .found(std::to_string(source->size()) + " bytes");
  }
  TokenStream stream;
  stream.ids.resize(static_cast<std::size_t>(source->size() / 4));
  source->read(0, std::as_writable_bytes(std::span(stream.ids)));
  for (std::size_t i = 0; i < stream.ids.size(); ++i) {
    if (stream.ids[i] < 0) {
      throw Error(ErrorKind::input, "a token id is negative")
          .file(file)
          .at(4 * i)
          .found(std::to_string(stream.ids[i]));
    }
  }
  stream.sha256 = sha256_hex(bytes_of(stream.ids));
  return stream;
}

FileLayout ids_layout(const TokenStream& stream, std::string name) {
  const std::span<const std::byte> bytes = bytes_of(stream.ids);
  return literal_layout(std::move(name), std::vector<std::byte>(bytes.begin(), bytes.end()));
}

}  // namespace galatea
