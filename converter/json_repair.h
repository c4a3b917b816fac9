// A JSON whose XOR came out as garbage because the base's file carries another version stamp, or another
// known content, than the one the payload was made from.
//
// Tried in place of the base's file: the same JSON under every version of transformers that stamped bases of
// spring 2023, and, for generation_config.json, tokenizer_config.json and special_tokens_map.json, the contents
// that are known by their published digests. A trial is taken when it decodes to JSON (whose own stamp, if it
// has one, is a known version) and, where digests were published, to one of the published contents.
#pragma once

#include <optional>
#include <string>

#include "converter/decode_causes.h"
#include "format/source.h"
#include "verify/releases.h"

namespace galatea {

struct JsonRepair {
  SourcePtr base;          ///< the bytes to XOR with
  SourcePtr decoded;       ///< what comes out
  std::string how;         ///< "the base's file stamped 4.28.1 in place of 4.30.2"
  bool confirmed = false;  ///< by a published digest
};

/// Nothing when no trial is taken. `expected` is nullptr when no digests of this file are known. For files of
/// any name but *.json, and large ones: nothing.
std::optional<JsonRepair> repair_json(const DecodedFile& file, const ReleaseFile* expected);

/// True when `content` is JSON and, where digests were published, one of the published contents.
bool is_right_json(const SourcePtr& content, const ReleaseFile* expected);

/// The text with the value of "transformers_version" replaced; nothing when it has none.
std::optional<std::string> with_version(const std::string& text, std::string_view version);
/// That value, made printable; empty when there is none.
std::string version_in(const std::string& text);

}  // namespace galatea
