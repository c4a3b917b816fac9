#include "quantize/type_mix.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "format/error.h"
#include "quantize/encoder.h"

namespace galatea {
namespace {

constexpr std::array known_mixes{
    NamedMix{"F32", DType::f32, 0},         NamedMix{"F16", DType::f16, 1},
    NamedMix{"BF16", DType::bf16, 32},      NamedMix{"Q8_0", DType::q8_0, 7},
    NamedMix{"Q6_K", DType::q6_k, 18},      NamedMix{"Q5_1", DType::q5_1, 9},
    NamedMix{"Q5_K_M", DType::q5_k, 17},    NamedMix{"Q5_K_S", DType::q5_k, 16},
    NamedMix{"Q5_0", DType::q5_0, 8},       NamedMix{"Q4_1", DType::q4_1, 3},
    NamedMix{"Q4_K_M", DType::q4_k, 15},    NamedMix{"Q4_K_S", DType::q4_k, 14},
    NamedMix{"Q4_0", DType::q4_0, 2},       NamedMix{"IQ4_NL", DType::iq4_nl, 25},
    NamedMix{"IQ4_XS", DType::iq4_xs, 30},  NamedMix{"MXFP4", DType::mxfp4, 38},
    NamedMix{"MXFP4_MOE", DType::q8_0, 38}, NamedMix{"Q3_K_L", DType::q3_k, 13},
    NamedMix{"Q3_K_M", DType::q3_k, 12},    NamedMix{"Q3_K_S", DType::q3_k, 11},
    NamedMix{"IQ3_M", DType::iq3_s, 27},    NamedMix{"IQ3_S", DType::iq3_s, 26},
    NamedMix{"IQ3_XS", DType::iq3_s, 22},   NamedMix{"IQ3_XXS", DType::iq3_xxs, 23},
    NamedMix{"Q2_K", DType::q2_k, 10},      NamedMix{"Q2_K_S", DType::q2_k, 21},
    NamedMix{"IQ2_M", DType::iq2_s, 29},    NamedMix{"IQ2_S", DType::iq2_xs, 28},
    NamedMix{"IQ2_XS", DType::iq2_xs, 20},  NamedMix{"IQ2_XXS", DType::iq2_xxs, 19},
    NamedMix{"TQ2_0", DType::tq2_0, 37},    NamedMix{"IQ1_M", DType::iq1_m, 31},
    NamedMix{"TQ1_0", DType::tq1_0, 36},    NamedMix{"IQ1_S", DType::iq1_s, 24},
};

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::toupper(x) == std::toupper(y); });
}

bool one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The first and last eighth of the layers, and every third between them.
bool more_bits(std::uint64_t layer, std::uint64_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

/// The mixes of types below 3 bits, which treat fewer roles apart.
bool tiny(std::string_view mix) {
  return one_of(mix, {"IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ1_S", "IQ1_M"});
}

DType output_choice(std::string_view mix, DType type, std::uint64_t cols) {
  if (mix == "MXFP4" || cols % type_info(type).block_length != 0) return DType::q8_0;
  if (tiny(mix) || mix == "IQ3_XXS") return DType::q5_k;
  return type == DType::q8_0 ? type : DType::q6_k;
}

DType embedding_choice(std::string_view mix, DType type) {
  if (one_of(mix, {"IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"})) return DType::q2_k;
  if (one_of(mix, {"IQ2_S", "IQ2_M", "IQ3_XXS"})) return DType::iq3_s;
  return one_of(mix, {"TQ1_0", "TQ2_0"}) ? DType::q4_k : type;
}

/// A tensor of one layer, for the rules below.
struct Place {
  std::string_view mix;
  DType type;
  std::uint64_t layer;
  const ModelTraits& model;

  bool shared_heads() const { return model.heads >= 4 * model.kv_heads; }
  bool in_first(std::uint64_t part) const { return layer < model.layers / part; }
};

DType tiny_choice(const Place& at, std::string_view name) {
  const bool larger = at.mix == "IQ2_S" || at.mix == "IQ2_M";
  const DType more = larger ? DType::iq3_s : DType::q2_k;
  if (name.find("attn_v.weight") != name.npos) return at.shared_heads() ? DType::q4_k : more;
  if (name.find("ffn_down") != name.npos) return at.in_first(8) ? more : at.type;
  if (name.find("attn_output.weight") != name.npos) {
    if (one_of(at.mix, {"IQ1_S", "IQ1_M"})) return DType::iq2_xxs;
    if (larger) return DType::iq3_s;
  }
  return at.type;
}

DType attn_v_by_mix(const Place& at) {
  if (at.mix == "Q2_K") return at.shared_heads() ? DType::q4_k : DType::q3_k;
  if (one_of(at.mix, {"Q2_K_S", "IQ3_XS", "IQ3_S"}) && at.shared_heads()) return DType::q4_k;
  if (at.mix == "IQ3_XXS") {
    if (at.shared_heads()) return DType::q4_k;
    return at.model.importance ? DType::iq3_xxs : DType::iq3_s;
  }
  if (at.mix == "IQ3_M") return DType::q4_k;
  if (at.mix == "Q3_K_M") return at.layer < 2 ? DType::q5_k : DType::q4_k;
  if (at.mix == "Q3_K_L") return DType::q5_k;
  if (one_of(at.mix, {"IQ4_NL", "IQ4_XS"}) && at.shared_heads()) return DType::q5_k;
  if (one_of(at.mix, {"Q4_K_M", "Q5_K_M"}) && more_bits(at.layer, at.model.layers)) return DType::q6_k;
  if (at.mix == "Q4_K_S" && at.layer < 4) return DType::q5_k;
  return at.type;
}

DType attn_v_choice(const Place& at) {
  const DType type = attn_v_by_mix(at);
  // The 70B model, by its layers: its value heads serve eight query heads each, so more bits are cheap.
  const bool of_70b = at.model.layers == 80 && at.model.heads != at.model.kv_heads;
  return of_70b && (type == DType::q3_k || type == DType::q4_k) ? DType::q5_k : type;
}

DType ffn_down_choice(const Place& at) {
  const bool more = more_bits(at.layer, at.model.layers);
  if (at.mix == "Q2_K") return DType::q3_k;
  if (at.mix == "Q2_K_S") return at.in_first(8) ? DType::q4_k : at.type;
  if (at.mix == "IQ3_XXS" && !at.model.importance) return at.in_first(8) ? DType::q4_k : DType::q3_k;
  if (at.mix == "Q3_K_M") return at.in_first(16) ? DType::q5_k : DType::q4_k;
  if (at.mix == "IQ3_M" && at.in_first(8)) return DType::q4_k;
  if (at.mix == "Q3_K_L") return DType::q5_k;
  if (one_of(at.mix, {"Q4_K_M", "Q5_K_M"}) && more) return DType::q6_k;
  if (one_of(at.mix, {"IQ4_NL", "IQ4_XS"}) && at.in_first(8) && !at.model.importance) return DType::q5_k;
  if (at.mix == "Q4_K_S" && at.in_first(8)) return DType::q5_k;
  if (at.mix == "Q4_0" && at.in_first(8) && at.model.importance) return DType::q4_1;
  if (at.mix == "Q5_0" && at.in_first(8) && at.model.importance) return DType::q5_1;
  return at.type;
}

DType attn_output_choice(const Place& at) {
  if (at.mix == "Q2_K") return DType::q3_k;
  if (at.mix == "IQ3_XXS") return DType::iq3_s;
  if (one_of(at.mix, {"Q3_K_M", "IQ3_M"})) return DType::q4_k;
  return at.mix == "Q3_K_L" ? DType::q5_k : at.type;
}

DType layer_choice(const Place& at, std::string_view name) {
  const auto has = [&](std::string_view part) { return name.find(part) != name.npos; };
  if (tiny(at.mix)) return tiny_choice(at, name);
  if (has("attn_v.weight")) return attn_v_choice(at);
  if (has("attn_k.weight") || has("attn_q.weight")) {
    if (at.mix == "IQ3_XS") return DType::iq3_xxs;
    return at.mix == "IQ3_XXS" ? DType::iq2_s : at.type;
  }
  if (has("ffn_down")) return ffn_down_choice(at);
  if (has("attn_output.weight")) return attn_output_choice(at);
  const bool middle = !at.in_first(8) && at.layer < 7 * at.model.layers / 8;
  if ((has("ffn_gate") || has("ffn_up")) && at.mix == "IQ3_XS" && middle) return DType::iq3_xxs;
  return at.type;
}

std::optional<DType> named_choice(const std::string& name, const TypeMix& mix) {
  for (const auto& [pattern, type] : mix.by_name) {
    if (pattern.found_in(name)) return type;
  }
  return std::nullopt;
}

DType wanted_type(const Tensor& tensor, const TypeMix& mix, const ModelTraits& model) {
  const bool output = tensor.name == "output.weight";
  const bool embedding = tensor.name == "token_embd.weight";
  const bool head = output || (embedding && model.tied);
  const DType type = mix.named->type;
  if (output && mix.output_type) return *mix.output_type;
  if (embedding && mix.embedding_type) return *mix.embedding_type;
  if (const auto named = named_choice(tensor.name, mix)) return *named;
  if (mix.pure || !type_info(type).quantized()) return type;
  if (head && mix.output_type) return *mix.output_type;
  if (head) return output_choice(mix.named->name, type, tensor.shape.back());
  if (embedding) return embedding_choice(mix.named->name, type);
  const auto layer = gguf_layer_of(tensor.name);
  return layer ? layer_choice({mix.named->name, type, *layer, model}, tensor.name) : type;
}

/// What llama.cpp takes when rows are no whole blocks.
DType fallback_of(DType type) {
  switch (type) {
    case DType::q4_k:
      return DType::q5_0;
    case DType::q5_k:
      return DType::q5_1;
    case DType::q6_k:
      return DType::q8_0;
    case DType::q2_k:
    case DType::q3_k:
    case DType::tq1_0:
    case DType::tq2_0:
      return DType::q4_0;
    default:
      return type_info(type).block_length == 256 ? DType::iq4_nl : DType::f16;
  }
}

std::uint64_t unsigned_entry(const GgufMetadata& metadata, std::string_view ending, std::uint64_t otherwise) {
  for (const GgufEntry& entry : metadata) {
    if (!entry.key.ends_with(ending)) continue;
    if (const auto* value = std::get_if<std::uint32_t>(&entry.value)) return *value;
  }
  return otherwise;
}

}  // namespace

std::optional<std::uint64_t> gguf_layer_of(std::string_view name) {
  if (!name.starts_with("blk.")) return std::nullopt;
  std::uint64_t layer = 0;
  const auto [end, fault] = std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  if (fault != std::errc{} || end == name.data() + name.size() || *end != '.') return std::nullopt;
  return layer;
}

std::span<const NamedMix> all_mixes() {
  static const std::vector<NamedMix> writable = [] {
    std::vector<NamedMix> found;
    std::copy_if(known_mixes.begin(), known_mixes.end(), std::back_inserter(found),
                 [](const NamedMix& mix) { return find_encoder(mix.type) != nullptr; });
    return found;
  }();
  return writable;
}

const NamedMix* find_mix(std::string_view name) {
  const std::string medium = std::string(name) + "_M";
  for (const NamedMix& mix : all_mixes()) {
    if (equal_ignoring_case(mix.name, name)) return &mix;
  }
  for (const NamedMix& mix : all_mixes()) {
    if (name.size() == 4 && equal_ignoring_case(mix.name, medium)) return &mix;
  }
  return nullptr;
}

ModelTraits traits_of(const GgufMetadata& metadata, const std::vector<Tensor>& tensors) {
  ModelTraits traits;
  traits.heads = unsigned_entry(metadata, ".attention.head_count", 1);
  traits.kv_heads = unsigned_entry(metadata, ".attention.head_count_kv", traits.heads);
  traits.tied = true;
  for (const Tensor& tensor : tensors) {
    if (tensor.name == "output.weight") traits.tied = false;
    if (const auto layer = gguf_layer_of(tensor.name)) traits.layers = std::max(traits.layers, *layer + 1);
  }
  return traits;
}

TypeChoice choose_type(const Tensor& tensor, const TypeMix& mix, const ModelTraits& model) {
  const DType stored = tensor.type();
  if (tensor.shape.size() < 2) {
    const DType type = type_info(stored).floating ? DType::f32 : stored;
    return {type, type};
  }
  if (mix.leave_output && tensor.name == "output.weight") return {stored, stored};
  const std::uint64_t cols = tensor.shape.back();
  const DType wanted = wanted_type(tensor, mix, model);
  DType type = wanted;
  while (cols % type_info(type).block_length != 0) type = fallback_of(type);
  return {type, wanted};
}

bool needs_importance(const Tensor& tensor, DType type, const TypeMix& mix) {
  switch (type) {
    case DType::iq2_xxs:
    case DType::iq2_xs:
    case DType::iq2_s:
    case DType::iq1_s:
      return true;
    case DType::iq1_m:
      return tensor.name != "token_embd.weight" && tensor.name != "output.weight";
    case DType::q2_k:
      return mix.named->name == "Q2_K_S" && tensor.name != "token_embd.weight";
    default:
      return false;
  }
}

}  // namespace galatea
