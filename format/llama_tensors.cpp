#include "format/llama_tensors.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "format/error.h"

namespace galatea {
namespace {

/// One role: its names (inside a layer without the layer's prefix) and how shards cut it.
struct RoleNames {
  LlamaRole role;
  bool in_layer;
  std::string_view hf, meta, gguf;
  Cut cut;
};

constexpr std::array<RoleNames, 12> kRoles = {{
    {LlamaRole::embedding, false, "model.embed_tokens.weight", "tok_embeddings.weight", "token_embd.weight",
     Cut::cols},
    {LlamaRole::attn_norm, true, "input_layernorm.weight", "attention_norm.weight", "attn_norm.weight",
     Cut::none},
    {LlamaRole::q, true, "self_attn.q_proj.weight", "attention.wq.weight", "attn_q.weight", Cut::rows},
    {LlamaRole::k, true, "self_attn.k_proj.weight", "attention.wk.weight", "attn_k.weight", Cut::rows},
    {LlamaRole::v, true, "self_attn.v_proj.weight", "attention.wv.weight", "attn_v.weight", Cut::rows},
    {LlamaRole::o, true, "self_attn.o_proj.weight", "attention.wo.weight", "attn_output.weight", Cut::cols},
    {LlamaRole::ffn_norm, true, "post_attention_layernorm.weight", "ffn_norm.weight", "ffn_norm.weight",
     Cut::none},
    {LlamaRole::gate, true, "mlp.gate_proj.weight", "feed_forward.w1.weight", "ffn_gate.weight", Cut::rows},
    {LlamaRole::down, true, "mlp.down_proj.weight", "feed_forward.w2.weight", "ffn_down.weight", Cut::cols},
    {LlamaRole::up, true, "mlp.up_proj.weight", "feed_forward.w3.weight", "ffn_up.weight", Cut::rows},
    {LlamaRole::final_norm, false, "model.norm.weight", "norm.weight", "output_norm.weight", Cut::none},
    {LlamaRole::output, false, "lm_head.weight", "output.weight", "output.weight", Cut::rows},
}};

const RoleNames& names_of(LlamaRole role) {
  return *std::find_if(kRoles.begin(), kRoles.end(), [&](const RoleNames& row) { return row.role == role; });
}

std::string_view layer_prefix(Naming naming) {
  switch (naming) {
    case Naming::hf:
      return "model.layers.";
    case Naming::meta:
      return "layers.";
    case Naming::gguf:
      return "blk.";
  }
  return "";
}

std::string_view name_in(const RoleNames& row, Naming naming) {
  return naming == Naming::hf ? row.hf : naming == Naming::meta ? row.meta : row.gguf;
}

/// Splits "PREFIX<number>.rest"; nothing when it is not of that form.
std::optional<std::pair<std::uint64_t, std::string_view>> split_layer(std::string_view name,
                                                                      std::string_view prefix) {
  if (!name.starts_with(prefix)) return {};
  name.remove_prefix(prefix.size());
  std::uint64_t layer = 0;
  const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (code != std::errc() || end == name.data() + name.size() || *end != '.') return {};
  const auto digits = static_cast<std::size_t>(end - name.data());
  if (digits > 1 && name[0] == '0') return {};
  return std::pair(layer, name.substr(digits + 1));
}

bool is_rotary(LlamaRole role) { return role == LlamaRole::q || role == LlamaRole::k; }

/// Which rotary layout the q and k rows of a checkpoint are stored in: a matter of who named them.
LlamaWeights::Rotary stored_rotary(Naming naming) {
  return naming == Naming::hf ? LlamaWeights::Rotary::half : LlamaWeights::Rotary::interleaved;
}

std::pair<const Tensor*, Naming> find_in(const Checkpoint& checkpoint, LlamaTensorId id) {
  for (const Naming naming : {Naming::hf, Naming::meta, Naming::gguf}) {
    if (const Tensor* tensor = checkpoint.find(tensor_name(id, naming)); tensor != nullptr)
      return {tensor, naming};
  }
  return {nullptr, Naming::hf};
}

}  // namespace

Cut tensor_parallel_cut(LlamaRole role) { return names_of(role).cut; }

std::string tensor_name(LlamaTensorId id, Naming naming) {
  const RoleNames& row = names_of(id.role);
  std::string name;
  if (row.in_layer) name = std::string(layer_prefix(naming)) + std::to_string(id.layer) + ".";
  return name += name_in(row, naming);
}

std::optional<LlamaTensorId> parse_tensor_name(std::string_view name) {
  for (const Naming naming : {Naming::hf, Naming::meta, Naming::gguf}) {
    const auto split = split_layer(name, layer_prefix(naming));
    for (const RoleNames& row : kRoles) {
      if (row.in_layer ? (split && split->second == name_in(row, naming)) : name == name_in(row, naming)) {
        return LlamaTensorId{row.role, row.in_layer ? split->first : 0};
      }
    }
  }
  return {};
}

std::vector<LlamaTensorId> llama_tensor_order(std::uint64_t layers, bool with_output) {
  std::vector<LlamaTensorId> order = {{LlamaRole::embedding, 0}};
  for (std::uint64_t layer = 0; layer < layers; ++layer) {
    for (const LlamaRole role : {LlamaRole::q, LlamaRole::k, LlamaRole::v, LlamaRole::o, LlamaRole::gate,
                                 LlamaRole::down, LlamaRole::up, LlamaRole::attn_norm, LlamaRole::ffn_norm}) {
      order.push_back({role, layer});
    }
  }
  order.push_back({LlamaRole::final_norm, 0});
  if (with_output) order.push_back({LlamaRole::output, 0});
  return order;
}

Shape expected_shape(LlamaTensorId id, const LlamaConfig& config) {
  const std::uint64_t hidden = config.hidden_size;
  const std::uint64_t queries = config.heads * config.head_dim;
  const std::uint64_t keys = config.kv_heads * config.head_dim;
  switch (id.role) {
    case LlamaRole::embedding:
    case LlamaRole::output:
      return {config.vocab_size, hidden};
    case LlamaRole::attn_norm:
    case LlamaRole::ffn_norm:
    case LlamaRole::final_norm:
      return {hidden};
    case LlamaRole::q:
      return {queries, hidden};
    case LlamaRole::k:
    case LlamaRole::v:
      return {keys, hidden};
    case LlamaRole::o:
      return {hidden, queries};
    case LlamaRole::gate:
    case LlamaRole::up:
      return {config.intermediate_size, hidden};
    case LlamaRole::down:
      return {hidden, config.intermediate_size};
  }
  return {};
}

LlamaWeights::LlamaWeights(const Checkpoint& checkpoint) : checkpoint_(&checkpoint) {
  const LlamaConfig& config = checkpoint.config();
  std::vector<std::string> missing;
  for (const LlamaTensorId id : llama_tensor_order(config.layers, true)) {
    const auto [tensor, naming] = find_in(checkpoint, id);
    if (tensor == nullptr) {
      if (id.role == LlamaRole::output) {
        tied_ = true;  // containers leave a tied head out
        continue;
      }
      missing.push_back(tensor_name(id, Naming::hf));
    } else if (tensor->shape != expected_shape(id, config)) {
      throw Error(ErrorKind::input, "a tensor has another shape than the configuration says")
          .tensor(tensor->name)
          .file(tensor->file)
          .expected(to_string(expected_shape(id, config)))
          .found(to_string(tensor->shape))
          .remedy("weights and configuration belong to different models, or the vocabulary was resized");
    }
  }
  if (tied_ && !config.tied_embeddings) {
    const bool may_be_tied =
        checkpoint.kind() != CheckpointKind::meta && checkpoint.kind() != CheckpointKind::hf;
    if (!may_be_tied) missing.push_back(tensor_name({LlamaRole::output, 0}, Naming::hf));
  }
  if (!missing.empty()) {
    std::string list;
    for (std::size_t i = 0; i < missing.size() && i < 5; ++i) list += (i == 0 ? "" : ", ") + missing[i];
    if (missing.size() > 5) list += ", ...";
    throw Error(ErrorKind::input, std::to_string(missing.size()) + " tensor(s) of the model are missing")
        .file(checkpoint.path())
        .expected(list)
        .remedy("a shard is missing, or this is not a whole LLaMA checkpoint");
  }
}

Tensor LlamaWeights::get(LlamaTensorId id, Rotary rotary) const {
  if (id.role == LlamaRole::output && tied_) id.role = LlamaRole::embedding;
  const auto [found, naming] = find_in(*checkpoint_, id);
  if (found == nullptr)
    throw Error(ErrorKind::input, "tensor is missing").tensor(tensor_name(id, Naming::hf));
  Tensor tensor = *found;
  if (is_rotary(id.role) && stored_rotary(naming) != rotary) {
    const std::uint64_t heads = id.role == LlamaRole::q ? config().heads : config().kv_heads;
    tensor.data = reorder_rows(tensor.data, rotary == Rotary::half
                                                ? rotary_interleaved_to_half(heads, config().head_dim)
                                                : rotary_half_to_interleaved(heads, config().head_dim));
  }
  return tensor;
}

}  // namespace galatea
