#include "eval/special_tokens.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "eval/python_text.h"
#include "format/error.h"
#include "format/json.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t most_special_tokens = 65536;

/// A token as Python holds it: an AddedToken with its flags, or a plain str, which is stripped on both sides.
struct NamedToken {
  std::string text;
  bool added_token = true;
  bool strip_left = false, strip_right = false;
};

/// The attributes of a tokenizer that name special tokens, in the order in which transformers walks them.
constexpr std::array<const char*, 7> attributes = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                   "pad_token", "cls_token", "mask_token"};
/// Those that LlamaTokenizer's constructor turns into AddedTokens.
bool constructor_adds(std::string_view key) {
  return key == "bos_token" || key == "eos_token" || key == "unk_token" || key == "pad_token";
}

[[noreturn]] void refuse(const fs::path& file, const std::string& key, std::string_view expected,
                         const json& found) {
  throw Error(ErrorKind::input, printable(key) + " of the tokenizer is not usable")
      .file(file)
      .expected(expected)
      .found(printable(found.dump(-1, ' ', true, json::error_handler_t::replace)));
}

bool flag(const json& object, const char* key, bool fallback, const fs::path& file) {
  const auto place = object.find(key);
  if (place == object.end() || place->is_null()) return fallback;
  if (!place->is_boolean()) refuse(file, key, "true or false", *place);
  return place->get<bool>();
}

NamedToken named_token(const json& value, const std::string& key, const fs::path& file) {
  if (value.is_string()) return {value.get<std::string>(), false, true, true};
  if (!value.is_object() || !value.contains("content") || !value.at("content").is_string())
    refuse(file, key, "a text, or an object with its \"content\"", value);
  return {value.at("content").get<std::string>(), true, flag(value, "lstrip", false, file),
          flag(value, "rstrip", false, file)};
}

class Reader {
 public:
  explicit Reader(const SentencePieceModel& model) : model_(&model) {
    for (std::size_t i = 0; i < model.pieces.size(); ++i) {
      ids_.emplace(model.pieces[i].text, static_cast<std::int32_t>(i));
      if (model.pieces[i].type == PieceType::unknown) unknown_ = static_cast<std::int32_t>(i);
    }
    named_["bos_token"] = {"<s>"};
    named_["eos_token"] = {"</s>"};
    named_["unk_token"] = {"<unk>"};
  }

  void use_names_of_vocabulary() {
    const auto name = [&](const char* key, std::int32_t id) {
      if (id < 0) {
        named_.erase(key);
      } else {
        named_[key] = {model_->pieces[static_cast<std::size_t>(id)].text};
      }
    };
    name("bos_token", model_->bos_id);
    name("eos_token", model_->eos_id);
    name("unk_token", unknown_);
  }

  void read_names(const json& object, const fs::path& file, bool constructor) {
    for (const char* key : attributes) {
      const auto place = object.find(key);
      if (place == object.end()) continue;
      if (place->is_null() || (place->is_boolean() && !place->get<bool>())) {
        named_.erase(key);
        continue;
      }
      NamedToken token = named_token(*place, key, file);
      if (constructor && constructor_adds(key) && !token.added_token) token = {token.text};
      named_[key] = token;
    }
    if (const auto place = object.find("additional_special_tokens");
        place != object.end() && !place->is_null()) {
      if (!place->is_array() || place->size() > most_special_tokens)
        refuse(file, "additional_special_tokens", "a list of tokens", *place);
      additional_.clear();
      for (const json& item : *place)
        additional_.push_back(named_token(item, "additional_special_tokens", file));
    }
  }

  void read_added(const json& object, const fs::path& file) {
    if (!object.is_object() || object.size() > most_special_tokens)
      refuse(file, "added_tokens.json", "an object of texts and ids", object);
    for (const auto& [text, id] : object.items()) {
      const bool usable = id.is_number_integer() && id.get<std::int64_t>() >= 0 &&
                          id.get<std::int64_t>() < (std::int64_t{1} << 31U);
      if (!usable || text.empty()) refuse(file, text, "an id", id);
      const auto in_vocabulary = ids_.find(text);
      if (in_vocabulary != ids_.end()) {  // later tools list the vocabulary's own tokens too
        if (in_vocabulary->second != id.get<std::int64_t>())
          refuse(file, text, "its id in the vocabulary, " + std::to_string(in_vocabulary->second), id);
      } else {
        added_[text] = static_cast<std::int32_t>(id.get<std::int64_t>());
      }
    }
  }

  /// {"32000": {"content": "<pad>", "lstrip": false, "rstrip": false, ...}, ...}
  void read_decoder(const json& object, const fs::path& file) {
    if (!object.is_object() || object.size() > most_special_tokens)
      refuse(file, "added_tokens_decoder", "an object of ids and tokens", object);
    json ids = json::object();
    for (const auto& [key, value] : object.items()) {
      const NamedToken token = named_token(value, "added_tokens_decoder", file);
      const bool number = !key.empty() && key.size() < 10 &&
                          std::all_of(key.begin(), key.end(), [](char c) { return c >= '0' && c <= '9'; });
      if (!number) refuse(file, "added_tokens_decoder", "ids", key);
      ids[token.text] = std::stoll(key);
      if (!ids_.contains(token.text)) decoder_.push_back(token);
    }
    read_added(ids, file);
  }

  SpecialTokens finish(bool add_bos, bool add_eos, bool legacy, std::string source) {
    SpecialTokens out;
    out.legacy = legacy;
    out.source = std::move(source);
    // One text may be named twice; an AddedToken wins over a str, as in transformers' own look-up.
    std::vector<NamedToken> all;
    const auto add = [&](const NamedToken& token) {
      const auto same =
          std::find_if(all.begin(), all.end(), [&](const NamedToken& t) { return t.text == token.text; });
      if (same == all.end()) {
        all.push_back(token);
      } else if (token.added_token) {
        *same = token;
      }
    };
    for (const char* key : attributes) {
      if (const auto place = named_.find(key); place != named_.end()) add(place->second);
    }
    for (const NamedToken& token : additional_) add(token);
    for (const NamedToken& token : decoder_) add(token);
    // The versions that know "legacy": false make AddedTokens of all texts, which strip nothing.
    const auto strips = [&](const NamedToken& token, bool asked) {
      return asked && (legacy || token.added_token);
    };
    for (const NamedToken& token : all) {
      const std::int32_t id = id_of(token.text);
      if (token.text.empty()) continue;
      out.tokens.push_back({token.text, id, strips(token, token.strip_left), strips(token, token.strip_right),
                            is_named(token.text)});
    }
    for (const auto& added : added_) {
      const bool known =
          std::any_of(all.begin(), all.end(), [&](const NamedToken& t) { return t.text == added.first; });
      if (!known) out.tokens.push_back({added.first, added.second, legacy, legacy, false});
    }
    if (add_bos && named_.contains("bos_token")) out.first = id_of(named_.at("bos_token").text);
    if (add_eos && named_.contains("eos_token")) out.last = id_of(named_.at("eos_token").text);
    const auto unk = std::find_if(out.tokens.begin(), out.tokens.end(),
                                  [&](const SpecialToken& token) { return token.id == unknown_; });
    out.variant = unk == out.tokens.end()               ? "plain"
                  : !legacy                             ? "legacy-false"
                  : unk->strip_left || unk->strip_right ? "strip"
                                                        : "no-strip";
    return out;
  }

 private:
  /// Whether an attribute of the tokenizer names it.
  bool is_named(const std::string& text) const {
    return std::any_of(named_.begin(), named_.end(),
                       [&](const auto& one) { return one.second.text == text; }) ||
           std::any_of(additional_.begin(), additional_.end(),
                       [&](const NamedToken& token) { return token.text == text; });
  }

  /// A special token that the vocabulary lacks gets the next id behind it, except one named like unk_token.
  std::int32_t id_of(const std::string& text) {
    if (const auto place = added_.find(text); place != added_.end()) return place->second;
    if (const auto place = ids_.find(text); place != ids_.end()) return place->second;
    const auto unk = named_.find("unk_token");
    if (text.empty() || (unk != named_.end() && unk->second.text == text)) return unknown_;
    const auto id = static_cast<std::int32_t>(ids_.size() + added_.size());
    added_.emplace(text, id);
    return id;
  }

  const SentencePieceModel* model_;
  std::unordered_map<std::string_view, std::int32_t> ids_;
  std::int32_t unknown_ = 0;
  std::map<std::string, NamedToken, std::less<>> named_;
  std::vector<NamedToken> additional_, decoder_;
  std::map<std::string, std::int32_t, std::less<>> added_;
};

/// The file as a JSON object; nothing when there is no such file.
std::optional<json> read_if_there(const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return {};
  json document = parse_json_file(file);
  if (!document.is_object()) throw Error(ErrorKind::input, "is not a JSON object").file(file);
  return document;
}

}  // namespace

SpecialTokens special_tokens_in(const fs::path& folder, const SentencePieceModel& model) {
  Reader reader(model);
  std::error_code ignored;
  bool add_bos = true, add_eos = false, legacy = true;
  const bool has_list = fs::exists(folder / "added_tokens.json", ignored);
  std::string source;
  const auto note = [&](const char* name) { source += (source.empty() ? "" : ", ") + std::string(name); };
  if (const auto config = read_if_there(folder / "tokenizer_config.json")) {
    const fs::path file = folder / "tokenizer_config.json";
    reader.read_names(*config, file, true);
    add_bos = flag(*config, "add_bos_token", true, file);
    add_eos = flag(*config, "add_eos_token", false, file);
    legacy = flag(*config, "legacy", true, file);
    const auto decoder = config->find("added_tokens_decoder");
    if (!has_list && decoder != config->end() && !decoder->is_null()) reader.read_decoder(*decoder, file);
    note("tokenizer_config.json");
  }
  if (const auto map = read_if_there(folder / "special_tokens_map.json")) {
    reader.read_names(*map, folder / "special_tokens_map.json", false);
    note("special_tokens_map.json");
  }
  if (const auto added = read_if_there(folder / "added_tokens.json")) {
    reader.read_added(*added, folder / "added_tokens.json");
    note("added_tokens.json");
  }
  if (source.empty()) source = "the default of LlamaTokenizer";
  return reader.finish(add_bos, add_eos, legacy, source);
}

SpecialTokens special_tokens_of(const SentencePieceModel& model) {
  Reader reader(model);
  reader.use_names_of_vocabulary();
  return reader.finish(true, false, true, "the default of LlamaTokenizer");
}

SpecialTokens with_rule(SpecialTokens tokens, UnkRule rule, const SentencePieceModel& model) {
  tokens.variant = unk_rule_names[static_cast<std::size_t>(rule)];
  tokens.source = "asked for";
  tokens.legacy = rule != UnkRule::legacy_false;
  const bool only_plain = tokens.tokens.empty() && rule != UnkRule::plain;
  if (only_plain) tokens.tokens = special_tokens_of(model).tokens;
  if (rule == UnkRule::plain) tokens.tokens.clear();
  if (rule == UnkRule::plain || only_plain) {  // files that name no tokens name no BOS either
    if (tokens.first && model.bos_id >= 0) tokens.first = model.bos_id;
    if (tokens.last && model.eos_id >= 0) tokens.last = model.eos_id;
  }
  for (SpecialToken& token : tokens.tokens) token.strip_left = token.strip_right = rule == UnkRule::strip;
  return tokens;
}

std::vector<Stretch> cut_at_special_tokens(std::string_view text, const SpecialTokens& special) {
  std::array<std::vector<const SpecialToken*>, 256> by_first_byte;
  for (const SpecialToken& token : special.tokens)
    by_first_byte[static_cast<unsigned char>(token.text[0])].push_back(&token);

  std::vector<Stretch> out;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const SpecialToken* match = nullptr;
    for (const SpecialToken* token : by_first_byte[static_cast<unsigned char>(text[at])]) {
      const bool longer = match == nullptr || token->text.size() > match->text.size();
      if (longer && text.substr(at).starts_with(token->text)) match = token;
    }
    if (match == nullptr) {
      ++at;
      continue;
    }
    if (at > begin) out.push_back({text.substr(begin, at - begin)});
    out.push_back({text.substr(at, match->text.size()), match});
    begin = at += match->text.size();
  }
  if (begin < text.size()) out.push_back({text.substr(begin)});

  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i].special == nullptr) continue;
    if (i + 1 < out.size() && out[i].special->strip_right && out[i + 1].special == nullptr)
      out[i + 1].text = python_lstrip(out[i + 1].text);
    if (i > 0 && out[i].special->strip_left && out[i - 1].special == nullptr)
      out[i - 1].text = python_rstrip(out[i - 1].text);
  }
  std::erase_if(out, [](const Stretch& stretch) { return stretch.text.empty(); });
  return out;
}

}  // namespace galatea
