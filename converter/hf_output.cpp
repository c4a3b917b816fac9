#include "converter/hf_output.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "converter/hf_side_files.h"
#include "converter/tokenizer_json.h"
#include "format/error.h"
#include "format/gguf_llama.h"
#include "format/json.h"
#include "format/python_json.h"
#include "format/utf8.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::string_view version_stamp = "4.28.1";

/// Files beside the weights that belong to the model and go with it.
constexpr std::array<const char*, 8> carried = {
    "generation_config.json", "special_tokens_map.json", "tokenizer_config.json", "tokenizer.json",
    "tokenizer.model",        "added_tokens.json",       "chat_template.jinja",   "chat_template.json"};

DType written_type(const Rows& rows, const std::optional<DType>& wanted) {
  const TypeInfo& stored = type_info(rows.type());
  if (!stored.floating && !stored.quantized()) return rows.type();
  if (wanted) return *wanted;
  return stored.quantized() ? DType::f16 : rows.type();
}

/// The type that most of the values have: config.json's torch_dtype.
DType main_type(const std::vector<Tensor>& tensors) {
  const auto largest = std::max_element(tensors.begin(), tensors.end(), [](const Tensor& a, const Tensor& b) {
    return a.data->rows() * a.data->cols() < b.data->rows() * b.data->cols();
  });
  return largest == tensors.end() ? DType::f16 : largest->type();
}

/// The Hugging Face folder whose side files belong to the weights, also when a single file of it was opened.
std::optional<fs::path> hf_folder_of(const Checkpoint& source) {
  const CheckpointKind kind = source.kind();
  if (kind != CheckpointKind::hf && kind != CheckpointKind::torch && kind != CheckpointKind::safetensors)
    return {};
  const fs::path folder = fs::is_directory(source.path()) ? source.path() : source.path().parent_path();
  if (!fs::is_regular_file(folder / "config.json")) return {};
  return folder;
}

/// What the model no longer shares with its source: a merge may untie the head, add tokens or copy layers.
void bring_in_step(ordered_json& config, const Checkpoint& source, const LlamaConfig& after) {
  const LlamaConfig& before = source.config();
  if (after.vocab_size != before.vocab_size) config["vocab_size"] = after.vocab_size;
  if (after.layers != before.layers) config["num_hidden_layers"] = after.layers;
  if (!after.tied_embeddings && before.tied_embeddings && source.find("lm_head.weight") == nullptr)
    config["tie_word_embeddings"] = false;
}

std::string carried_config(const fs::path& file, const Checkpoint& source, const LlamaConfig& model,
                           DType type, const HfOutputOptions& options) {
  ordered_json config = parse_ordered_json_file(file, {.keep_big_integers = true});
  if (!config.is_object()) throw Error(ErrorKind::input, "the configuration is no JSON object").file(file);
  const char* const key =
      config.contains("dtype") && !config.contains("torch_dtype") ? "dtype" : "torch_dtype";
  config[key] = torch_dtype_name(type);
  bring_in_step(config, source, model);
  if (!options.name_or_path.empty()) config["_name_or_path"] = options.name_or_path;
  return python_json(config, {.indent = 2, .sort_keys = true, .ensure_ascii = true}) + "\n";
}

void carry_side_files(const Checkpoint& source, const LlamaConfig& config, DType type,
                      const HfOutputOptions& options, HfOutput& out) {
  const fs::path folder = hf_folder_of(source).value();
  out.plan.files.push_back(
      literal_layout("config.json", carried_config(folder / "config.json", source, config, type, options)));
  for (const char* name : carried) {
    if (fs::is_regular_file(folder / name))
      out.plan.files.push_back(copy_layout(name, open_file(folder / name)));
  }
}

void write_tokenizer_json(const SentencePieceModel& vocabulary, const std::vector<AddedToken>& added,
                          HfOutput& out) {
  try {
    out.plan.files.push_back(literal_layout("tokenizer.json", tokenizer_json(vocabulary, added)));
  } catch (const Error& error) {
    out.notes.push_back("tokenizer.json was not written: " + error.problem());
  }
}

/// What goes with a tokenizer.model.
void write_tokenizer_files(const SentencePieceModel& vocabulary, HfOutput& out) {
  write_tokenizer_json(vocabulary, {}, out);
  out.plan.files.push_back(literal_layout("tokenizer_config.json", tokenizer_config_json(0)));
  out.plan.files.push_back(literal_layout("special_tokens_map.json", special_tokens_map_json()));
}

/// The vocabulary of a GGUF as the files that it was made from.
void restore_tokenizer(const GgufFile& gguf, HfOutput& out) {
  GgufTokenizer tokenizer = tokenizer_from_gguf(gguf);
  TokenizerNames names{tokenizer.bos, tokenizer.eos, tokenizer.unknown, tokenizer.pad, {}, {}};
  // LLaMA's own files say pad_token_id 0 and name no padding.
  if (names.pad == names.unknown || names.pad == names.bos || names.pad == names.eos) names.pad.clear();
  if (const std::string* chat = gguf.get_string("tokenizer.chat_template"); chat != nullptr && is_utf8(*chat))
    names.chat_template = *chat;
  for (AddedToken& token : tokenizer.added) {
    const bool named = token.text == names.bos || token.text == names.eos || token.text == names.pad;
    if (token.special && !named) names.additional.push_back(token.text);
    token.special = token.special || named;
  }
  write_tokenizer_json(tokenizer.model, tokenizer.added, out);
  out.plan.files.push_back(literal_layout("tokenizer_config.json", tokenizer_config_json(0, names)));
  out.plan.files.push_back(literal_layout("special_tokens_map.json", special_tokens_map_json(names)));
  if (!tokenizer.added.empty())
    out.plan.files.push_back(literal_layout("added_tokens.json", added_tokens_json(tokenizer.added)));
  out.plan.files.push_back(literal_layout("tokenizer.model", write_sentencepiece_model(tokenizer.model)));
}

void make_side_files(const Checkpoint& source, const LlamaConfig& config, DType type,
                     const HfOutputOptions& options, HfOutput& out) {
  out.plan.files.push_back(literal_layout("config.json", config_json(config, type, version_stamp)));
  out.plan.files.push_back(
      literal_layout("generation_config.json", generation_config_json(config, version_stamp)));
  const fs::path tokenizer =
      options.tokenizer.empty() ? source.tokenizer_model().value_or(fs::path()) : options.tokenizer;
  if (!tokenizer.empty()) {
    const SourcePtr file = open_file(tokenizer);
    write_tokenizer_files(read_sentencepiece_model(*file), out);
    out.plan.files.push_back(copy_layout("tokenizer.model", file));
  } else if (source.gguf() != nullptr) {
    try {
      restore_tokenizer(*source.gguf(), out);
    } catch (const Error& error) {
      out.notes.emplace_back("no tokenizer was written: " + error.problem());
    }
  } else {
    out.notes.emplace_back("no tokenizer was written: there is none with the weights");
  }
}

/// Another tokenizer.model among files that were carried over.
void replace_tokenizer(const fs::path& tokenizer, const fs::path& folder, HfOutput& out) {
  const SourcePtr file = open_file(tokenizer);
  const SentencePieceModel vocabulary = read_sentencepiece_model(*file);
  std::erase_if(out.plan.files, [](const FileLayout& carried_file) {
    return carried_file.name == "tokenizer.model" || carried_file.name == "tokenizer.json";
  });
  std::vector<AddedToken> added = read_added_tokens(folder);
  std::erase_if(added, [&](const AddedToken& token) { return token.id < vocabulary.pieces.size(); });
  write_tokenizer_json(vocabulary, added, out);
  out.plan.files.push_back(copy_layout("tokenizer.model", file));
}

}  // namespace

void carry_tokenizer(const fs::path& folder, Plan& plan) {
  for (const char* const name : carried) {
    if (name == std::string_view("generation_config.json") || !fs::is_regular_file(folder / name)) continue;
    std::erase_if(plan.files, [&](const FileLayout& file) { return file.name == name; });
    plan.files.push_back(copy_layout(name, open_file(folder / name)));
  }
}

HfOutput hf_output(const Checkpoint& source, HfModel model, const HfOutputOptions& options) {
  HfOutput out;
  out.losses = std::make_shared<CastLosses>();
  for (Tensor& tensor : model.tensors) {
    const DType type = written_type(*tensor.data, options.type);
    tensor.data = counted_cast(std::move(tensor.data), type, out.losses);
  }
  const DType type = main_type(model.tensors);
  out.plan.files = hf_weight_files(std::move(model.tensors), options.container, options.max_shard_bytes);
  if (hf_folder_of(source)) {
    carry_side_files(source, model.config, type, options, out);
    if (!options.tokenizer.empty()) replace_tokenizer(options.tokenizer, *hf_folder_of(source), out);
  } else {
    make_side_files(source, model.config, type, options, out);
  }
  if (!options.tokenizer_folder.empty()) carry_tokenizer(options.tokenizer_folder, out.plan);
  return out;
}

}  // namespace galatea
