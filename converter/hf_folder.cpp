#include "converter/hf_folder.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <tuple>
#include <utility>

#include "format/checked.h"
#include "format/error.h"
#include "format/llama_tensors.h"
#include "format/safetensors.h"
#include "format/torch_layout.h"

namespace galatea {
namespace {

constexpr std::string_view inv_freq_prefix = "model.layers.";
constexpr std::string_view inv_freq_suffix = ".self_attn.rotary_emb.inv_freq";

/// Where a tensor stands in a state_dict: before the layers, layer, place in it, after them, unknown.
using Place = std::tuple<int, std::uint64_t, int>;

int place_in_layer(LlamaRole role) {
  constexpr std::array<LlamaRole, 4> attention = {LlamaRole::q, LlamaRole::k, LlamaRole::v, LlamaRole::o};
  constexpr std::array<LlamaRole, 5> rest = {LlamaRole::gate, LlamaRole::down, LlamaRole::up,
                                             LlamaRole::attn_norm, LlamaRole::ffn_norm};
  const auto* const first = std::find(attention.begin(), attention.end(), role);
  if (first != attention.end()) return static_cast<int>(first - attention.begin());
  return 5 + static_cast<int>(std::find(rest.begin(), rest.end(), role) - rest.begin());
}

Place place_of(const std::string& name) {
  if (is_inv_freq(name)) {
    std::uint64_t layer = 0;
    std::from_chars(name.data() + inv_freq_prefix.size(), name.data() + name.size(), layer);
    return {1, layer, 4};
  }
  const auto id = parse_tensor_name(name);
  if (!id || tensor_name(*id, Naming::hf) != name) return {4, 0, 0};
  switch (id->role) {
    case LlamaRole::embedding:
      return {0, 0, 0};
    case LlamaRole::final_norm:
      return {2, 0, 0};
    case LlamaRole::output:
      return {3, 0, 0};
    default:
      return {1, id->layer, place_in_layer(id->role)};
  }
}

}  // namespace

std::uint64_t parse_shard_bytes(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::uint64_t bytes;
  };
  constexpr std::array<Unit, 9> units = {{{"GIB", 1ULL << 30U},
                                          {"MIB", 1ULL << 20U},
                                          {"KIB", 1ULL << 10U},
                                          {"GB", 1'000'000'000},
                                          {"MB", 1'000'000},
                                          {"KB", 1'000},
                                          {"G", 1'000'000'000},
                                          {"M", 1'000'000},
                                          {"", 1}}};
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit(end, text.data() + text.size());
  for (char& c : unit) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  for (const Unit& known : units) {
    if (code == std::errc() && unit == known.name && number > 0) {
      std::uint64_t bytes = 0;
      if (!__builtin_mul_overflow(number, known.bytes, &bytes)) return bytes;
    }
  }
  throw Error(ErrorKind::usage, "this is no size of a shard")
      .expected("a number and KB, M(B), G(B), KiB, MiB or GiB, like 10GB")
      .found(text);
}

std::string inv_freq_name(std::uint64_t layer) {
  return std::string(inv_freq_prefix) + std::to_string(layer) + std::string(inv_freq_suffix);
}

bool is_inv_freq(std::string_view name) {
  if (!name.starts_with(inv_freq_prefix) || !name.ends_with(inv_freq_suffix)) return false;
  std::uint64_t layer = 0;
  const auto [end, code] =
      std::from_chars(name.data() + inv_freq_prefix.size(), name.data() + name.size(), layer);
  return code == std::errc() && inv_freq_name(layer) == name;
}

std::vector<Tensor> in_state_dict_order(std::vector<Tensor> tensors) {
  std::vector<std::pair<Place, std::size_t>> order;
  order.reserve(tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) order.emplace_back(place_of(tensors[i].name), i);
  std::sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
    if (a.first != b.first) return a.first < b.first;
    return tensors[a.second].name < tensors[b.second].name;
  });
  std::vector<Tensor> sorted;
  sorted.reserve(tensors.size());
  for (const auto& [place, index] : order) sorted.push_back(std::move(tensors[index]));
  return sorted;
}

std::vector<WeightShard> shard_weights(std::vector<Tensor> tensors, HfContainer container,
                                       std::uint64_t max_shard_bytes) {
  std::vector<WeightShard> shards(1);
  std::uint64_t filled = 0;
  for (Tensor& tensor : tensors) {
    const std::uint64_t bytes = tensor.bytes();
    if (bytes > max_shard_bytes || filled > max_shard_bytes - bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += bytes;
    shards.back().tensors.push_back(std::move(tensor));
  }
  const bool bin = container == HfContainer::bin;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    shards[i].file =
        shard_file_name(bin ? "pytorch_model" : "model", i + 1, shards.size(), bin ? ".bin" : ".safetensors");
  }
  return shards;
}

ShardIndex index_of(const std::vector<WeightShard>& shards) {
  ShardIndex index;
  std::uint64_t total = 0;
  for (const WeightShard& shard : shards) {
    for (const Tensor& tensor : shard.tensors) {
      total = checked_add(total, tensor.bytes(), "total size of the weights");
      index.weight_map[tensor.name] = shard.file;
    }
  }
  index.total_size = total;
  return index;
}

std::string_view index_file_name(HfContainer container) {
  return container == HfContainer::bin ? "pytorch_model.bin.index.json" : "model.safetensors.index.json";
}

std::vector<FileLayout> hf_weight_files(std::vector<Tensor> tensors, HfContainer container,
                                        std::uint64_t max_shard_bytes, TorchGeneration torch) {
  TorchLayoutOptions torch_options;
  torch_options.generation = torch;
  std::vector<WeightShard> shards = shard_weights(std::move(tensors), container, max_shard_bytes);
  const std::string index = shard_index_text(index_of(shards));
  std::vector<FileLayout> files;
  files.reserve(shards.size() + 1);
  for (WeightShard& shard : shards) {
    files.push_back(container == HfContainer::bin
                        ? torch_zip_layout(shard.file, std::move(shard.tensors), torch_options)
                        : safetensors_layout(shard.file, std::move(shard.tensors), {{"format", "pt"}}));
  }
  if (files.size() > 1) files.push_back(literal_layout(std::string(index_file_name(container)), index));
  return files;
}

}  // namespace galatea
