// The JSON files and models that lie beside weights, and lists of digests.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "converter/json_repair.h"
#include "converter/tokenizer_json.h"
#include "eval/fast_tokenizer.h"
#include "eval/segmenter.h"
#include "eval/tokenizer.h"
#include "format/json.h"
#include "format/lfs_pointer.h"
#include "format/llama_config.h"
#include "format/pattern.h"
#include "format/python_json.h"
#include "format/sentencepiece_model.h"
#include "format/shard_index.h"
#include "tests/fuzz/target.h"
#include "verify/manifest.h"
#include "verify/releases.h"

using namespace galatea;  // NOLINT(google-build-using-namespace)
using fuzz::as_text;
using fuzz::promise;

namespace {

// Text with all that a tokenizer treats specially.
constexpr std::string_view sample = " Hello  world\n<unk></s> \xF0\x9F\x98\x80 caf\xC3\xA9 \xFF 1234567";

void ids_in_range(const std::vector<std::int32_t>& ids, std::size_t vocabulary) {
  for (const std::int32_t id : ids)
    promise(id >= 0 && static_cast<std::size_t>(id) < vocabulary, "a token id outside of the vocabulary");
}

}  // namespace

FUZZ_TARGET(config_json, "data/models", "data/miniature/base-hf") {
  (void)config_from_hf(parse_json(as_text(input), "config.json"));
}

FUZZ_TARGET(params_json, "data/miniature/meta") {
  (void)config_from_meta(parse_json(as_text(input), "params.json"));
}

FUZZ_TARGET(index_json, "attacks", "data/miniature/base-hf") {
  const ShardIndex index = read_shard_index(*memory_source(as_text(input), "index.json"));
  for (const std::string& name : index.files())
    promise(!name.empty() && name.find('/') == std::string::npos && name != "..",
            "a shard outside of the folder");
  const ShardIndex again = read_shard_index(*memory_source(shard_index_text(index), "again.json"));
  promise(again.weight_map == index.weight_map, "an index differs after writing");
}

// A file of the kind that Python writes, with another version's stamp.
FUZZ_TARGET(json_repair, "data/json", "data/models") {
  (void)version_in(std::string(as_text(input)));
  (void)with_version(std::string(as_text(input)), "4.28.1");
}

FUZZ_TARGET(python_json, "data/json") {
  const nlohmann::ordered_json value = parse_ordered_json(as_text(input), "fuzz.json");
  const std::string text = python_json(value, {});
  promise(parse_ordered_json(text, "again.json") == value, "JSON differs after writing");
}

FUZZ_TARGET(tokenizer_model, "data/miniature/meta", "data/tokenizer") {
  const SentencePieceModel model =
      read_sentencepiece_model(*memory_source(as_text(input), "tokenizer.model"));
  const SentencePieceModel again =
      read_sentencepiece_model(*memory_source(write_sentencepiece_model(model), "again.model"));
  promise(again.pieces.size() == model.pieces.size(), "a tokenizer differs after writing");
  const Segmenter segmenter(model, "tokenizer.model");
  ids_in_range(segmenter.segment(sample, Segmenter::Prefix::as_model), model.pieces.size());
}

FUZZ_TARGET(tokenizer_json, "data/tokenizer") {
  const FastTokenizer tokenizer = read_tokenizer_json(fuzz::as_file("tokenizer.json", input));
  ids_in_range(tokenizer.encode(sample, true), tokenizer.vocabulary_size());
}

FUZZ_TARGET(manifest, "data/miniature/SHA256SUMS", "data/miniature/MD5SUMS", "data/verify") {
  const Manifest manifest = parse_manifest(as_text(input), "SUMS");
  for (const ManifestEntry& entry : manifest.entries) (void)checked_relative_name(entry.name);
}

FUZZ_TARGET(lfs_pointer, "data/verify") { (void)parse_lfs_pointer(as_text(input)); }

FUZZ_TARGET(release_json, "data/miniature/release.json") {
  (void)parse_release(as_text(input), "release.json");
}

// The first line is the expression, the rest is what it is tried on.
FUZZ_TARGET(pattern, ) {
  const std::string_view text = as_text(input);
  const std::size_t line = std::min(text.find('\n'), text.size());
  const Pattern pattern(text.substr(0, line));
  const std::string_view rest = text.substr(std::min(line + 1, text.size()));
  const bool whole = pattern.matches(rest);
  promise(!whole || pattern.found_in(rest), "what matches whole is found nowhere");
}
