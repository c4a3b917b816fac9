// Reading tokenizer.json, and the byte-level vocabulary of a GGUF.
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "eval/fast_tokenizer.h"
#include "format/error.h"
#include "format/json.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t largest_file = std::uint64_t{256} << 20U;
constexpr std::size_t most_tokens = std::size_t{1} << 22U;
constexpr const char* remedy = "tokenize with transformers and score the ids: --ids";

/// LLaMA 3's words.
constexpr const char* llama3_words =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

[[noreturn]] void refuse(const std::string& what, const json& found) {
  throw Error(ErrorKind::input, "the tokenizer's " + what + " is not known")
      .found(printable(found.dump(-1, ' ', true, json::error_handler_t::replace)))
      .remedy(remedy);
}

std::int32_t id_in(const json& value) {
  const bool usable =
      value.is_number_integer() && value >= 0 && value <= std::numeric_limits<std::int32_t>::max();
  if (!usable) refuse("id", value);
  return value.get<std::int32_t>();
}

bool set(const json& object, const char* field) {
  return object.contains(field) && !object.at(field).is_null() && object.at(field) != json("") &&
         object.at(field) != json(false);
}

BytePairModel model_of(const json& model) {
  if (!model.is_object() || model.value("type", json("BPE")) != "BPE" || !model.contains("vocab") ||
      !model.contains("merges") || !model.at("vocab").is_object() || !model.at("merges").is_array()) {
    refuse("model", model.is_object() ? model.value("type", json()) : model);
  }
  for (const char* field : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    if (set(model, field)) refuse(std::string("model's ") + field, model.at(field));
  }
  BytePairModel out;
  for (const auto& [token, id] : model.at("vocab").items()) out.vocabulary.emplace_back(token, id_in(id));
  for (const json& merge : model.at("merges")) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      out.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const std::string text = merge.is_string() ? merge.get<std::string>() : "";
    const std::size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) refuse("merge", merge);
    out.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  if (set(model, "unk_token")) {
    if (!model.at("unk_token").is_string()) refuse("unk_token", model.at("unk_token"));
    out.unknown = model.at("unk_token").get<std::string>();
  }
  out.byte_fallback = set(model, "byte_fallback");
  out.fuse_unknown = set(model, "fuse_unk");
  out.whole_words_first = set(model, "ignore_merges");
  return out;
}

void read_added(const json& list, FastTokenizer::Parts& parts) {
  if (!list.is_array() || list.size() > most_tokens) refuse("added_tokens", list);
  for (const json& one : list) {
    const bool usable = one.is_object() && one.contains("id") && one.contains("content") &&
                        one.at("content").is_string() &&
                        !one.at("content").get_ref<const std::string&>().empty();
    if (!usable) refuse("added token", one);
    if (set(one, "single_word")) refuse("single_word", one);
    CutToken token{one.at("content").get<std::string>(), id_in(one.at("id")), set(one, "lstrip"),
                   set(one, "rstrip")};
    if (one.value("normalized", json(false)) == true) {
      token.text = parts.normalizer(token.text);
      if (!token.text.empty()) parts.normalized.push_back(std::move(token));
    } else {
      parts.raw.push_back(std::move(token));
    }
  }
}

/// The template of one text: tokens around "Sequence".
void read_template(const json& step, FastTokenizer::Parts& parts) {
  if (!step.contains("single") || !step.at("single").is_array() || !step.contains("special_tokens"))
    refuse("post_processor", step);
  bool behind = false;
  for (const json& item : step.at("single")) {
    if (item.is_object() && item.contains("Sequence")) {
      if (behind) refuse("post_processor", step);
      behind = true;
      continue;
    }
    const json* ids = nullptr;
    if (item.is_object() && item.contains("SpecialToken") && item.at("SpecialToken").is_object()) {
      const json& id = item.at("SpecialToken").value("id", json());
      const json& known = step.at("special_tokens");
      if (id.is_string() && known.is_object() && known.contains(id.get<std::string>())) {
        const json& token = known.at(id.get<std::string>());
        if (token.is_object() && token.contains("ids") && token.at("ids").is_array()) ids = &token.at("ids");
      }
    }
    if (ids == nullptr) refuse("post_processor", step);
    for (const json& id : *ids) (behind ? parts.after : parts.before).push_back(id_in(id));
  }
}

void read_post_processor(const json& step, FastTokenizer::Parts& parts, bool nested) {
  if (step.is_null()) return;
  const json type = step.is_object() ? step.value("type", json()) : json();
  if (type == "TemplateProcessing") {
    read_template(step, parts);
  } else if (type == "Sequence" && !nested && step.contains("processors") &&
             step.at("processors").is_array()) {
    for (const json& one : step.at("processors")) read_post_processor(one, parts, true);
  } else if (type != "ByteLevel") {  // that one moves offsets only
    refuse("post_processor", step);
  }
}

json pre_tokenizer_of_gguf(const std::string& name) {
  const json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const auto split = [](const char* pattern) {
    return json{
        {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  };
  json steps = json::array();
  if (name == "gpt-2") {
    steps.push_back(split(gpt2_words));
  } else if (name == "smollm") {
    steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
    steps.push_back(split(gpt2_words));
  } else if (name == "llama-bpe" || name == "llama3" || name == "llama-v3") {
    steps.push_back(split(llama3_words));
  } else {
    throw Error(ErrorKind::input, "the way the GGUF file's vocabulary cuts text into words is not known")
        .expected("tokenizer.ggml.pre = gpt-2, smollm or llama-bpe")
        .found(printable(name.empty() ? "nothing" : name))
        .remedy(remedy);
  }
  steps.push_back(bytes);
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

}  // namespace

FastTokenizer read_tokenizer_json(const fs::path& file) {
  JsonLimits limits;
  limits.bytes = largest_file;
  const json document = parse_json_file(file, limits);
  try {
    if (!document.is_object() || !document.contains("model")) {
      throw Error(ErrorKind::input, "is no tokenizer.json")
          .expected("an object with \"model\", as Hugging Face's tokenizers writes it");
    }
    FastTokenizer::Parts parts;
    parts.pairs = std::make_shared<const BytePairs>(model_of(document.at("model")));
    parts.normalizer = make_normalizer(document.value("normalizer", json()));
    parts.pre_tokenizer = make_pre_tokenizer(document.value("pre_tokenizer", json()));
    read_added(document.value("added_tokens", json::array()), parts);
    read_post_processor(document.value("post_processor", json()), parts, false);
    return FastTokenizer(std::move(parts));
  } catch (Error& error) {
    error.file(file);
    throw;
  }
}

FastTokenizer byte_level_tokenizer_of(const GgufFile& file) {
  const fs::path name = file.files().front();
  try {
    const auto* tokens = file.get_strings("tokenizer.ggml.tokens");
    const auto* merges = file.get_strings("tokenizer.ggml.merges");
    const auto types = file.get_integers("tokenizer.ggml.token_type");
    if (tokens == nullptr || merges == nullptr || (types && types->size() != tokens->size()) ||
        tokens->size() > most_tokens) {
      throw Error(ErrorKind::input, "the vocabulary of the GGUF file is not whole")
          .expected("tokenizer.ggml.tokens, .merges and .token_type");
    }
    const std::string* pre = file.get_string("tokenizer.ggml.pre");
    const std::string words = pre == nullptr ? "" : *pre;
    FastTokenizer::Parts parts;
    BytePairModel model;
    for (std::size_t i = 0; i < tokens->size(); ++i) {
      const std::int64_t type = types ? (*types)[i] : 1;
      const auto id = static_cast<std::int32_t>(i);
      model.vocabulary.emplace_back((*tokens)[i], id);
      const bool special = type == 3 || type == 4;  // control, user-defined
      if (special && !(*tokens)[i].empty()) parts.raw.push_back({(*tokens)[i], id});
    }
    for (const std::string& merge : *merges) {
      const std::size_t space = merge.find(' ', 1);
      if (space == std::string::npos)
        throw Error(ErrorKind::input, "a merge has no two parts").found(printable(merge));
      model.merges.emplace_back(merge.substr(0, space), merge.substr(space + 1));
    }
    parts.normalizer = make_normalizer({});
    parts.pre_tokenizer = make_pre_tokenizer(pre_tokenizer_of_gguf(words));
    const bool llama3 = words.starts_with("llama");
    model.whole_words_first = llama3;
    parts.pairs = std::make_shared<const BytePairs>(model);
    const auto take = [&](const char* flag, bool fallback, const char* key, std::vector<std::int32_t>& out) {
      if (!file.get_boolean(flag).value_or(fallback)) return;
      const std::int64_t id = file.get_signed(key).value_or(-1);
      if (id >= 0 && static_cast<std::size_t>(id) < tokens->size())
        out.push_back(static_cast<std::int32_t>(id));
    };
    take("tokenizer.ggml.add_bos_token", llama3, "tokenizer.ggml.bos_token_id", parts.before);
    take("tokenizer.ggml.add_eos_token", false, "tokenizer.ggml.eos_token_id", parts.after);
    return FastTokenizer(std::move(parts));
  } catch (Error& error) {
    error.file(name);
    throw;
  }
}

}  // namespace galatea
