#include "eval/token_stream.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <span>
#include <utility>

#include "eval/python_random.h"
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

/// 256 windows, each from a document drawn by Python's random after random.seed(0): documents until one is long
/// enough, then where in it the window starts.
std::vector<std::int32_t> drawn_windows(const Corpus& corpus, const Tokenizer& tokenizer,
                                        std::uint64_t context) {
  PythonRandom random(0);
  const std::uint64_t documents = corpus.piece_ends.size();
  std::map<std::uint64_t, std::vector<std::int32_t>> long_ones;  // by document; short ones are empty
  std::vector<std::int32_t> out;
  for (std::uint64_t window = 0; window < corpus.kind->windows_kept; ++window) {
    while (true) {
      const std::uint64_t chosen = random.between(0, documents - 1);
      auto [place, fresh] = long_ones.try_emplace(chosen);
      if (fresh) {
        const std::size_t begin = chosen == 0 ? 0 : corpus.piece_ends[chosen - 1];
        place->second =
            tokenizer.encode(std::string_view(corpus.text).substr(begin, corpus.piece_ends[chosen] - begin));
        if (place->second.size() < context) place->second.clear();
        const bool hopeless = long_ones.size() == documents && out.empty() &&
                              std::all_of(long_ones.begin(), long_ones.end(),
                                          [](const auto& one) { return one.second.empty(); });
        if (hopeless) {
          throw Error(ErrorKind::input, "no document of the corpus is as long as a window")
              .expected("one of " + std::to_string(context) + " tokens")
              .remedy("the whole c4-validation.00000-of-00008.json.gz, or a smaller --ctx");
        }
      }
      const std::vector<std::int32_t>& ids = place->second;
      if (ids.empty()) continue;
      if (ids.size() == context) {
        throw Error(ErrorKind::input, "a document of the corpus is exactly as long as a window")
            .found("document " + std::to_string(chosen))
            .remedy("the draw of the original stops with an error here too; another --ctx");
      }
      const std::uint64_t start = random.between(0, ids.size() - context - 1);
      const auto first = ids.begin() + static_cast<std::ptrdiff_t>(start);
      out.insert(out.end(), first, first + static_cast<std::ptrdiff_t>(context));
      break;
    }
  }
  return out;
}

}  // namespace

TokenStream tokenize(const Corpus& corpus, const Tokenizer& tokenizer, std::uint64_t context) {
  TokenStream stream;
  stream.text_bytes = corpus.bytes;
  stream.text_words = corpus.words;
  if (corpus.kind->draws) {
    stream.ids = drawn_windows(corpus, tokenizer, context);
    stream.text_bytes = stream.text_words = 0;
  } else if (corpus.piece_ends.empty()) {
    stream.ids = tokenizer.encode(corpus.text);
  } else {
    std::size_t begin = 0;
    for (const std::size_t end : corpus.piece_ends) {
      const auto ids = tokenizer.encode(std::string_view(corpus.text).substr(begin, end - begin), false);
      stream.ids.insert(stream.ids.end(), ids.begin(), ids.end());
      stream.document_ends.push_back(stream.ids.size());
      begin = end;
    }
  }
  const std::uint64_t windows = corpus.kind->windows_kept;
  if (windows > 0 && stream.ids.size() / windows > context - 1 && !corpus.kind->draws) {
    const auto kept = static_cast<std::size_t>(windows * context);
    const double share = static_cast<double>(kept) / static_cast<double>(stream.ids.size());
    stream.text_bytes = static_cast<std::uint64_t>(share * static_cast<double>(stream.text_bytes));
    stream.text_words = static_cast<std::uint64_t>(share * static_cast<double>(stream.text_words));
    if (corpus.piece_ends.empty()) stream.ids.resize(kept);
  }
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
