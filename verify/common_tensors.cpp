#include "verify/common_tensors.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "format/error.h"
#include "format/llama_tensors.h"

namespace galatea {
namespace {

/// Place in the order of Hugging Face's state_dict; what has no role comes last.
using Place = std::tuple<int, std::uint64_t, std::size_t, std::string>;

Place place_of(const std::optional<LlamaTensorId>& id, const std::string& name) {
  if (!id) return {3, 0, 0, name};
  static const std::vector<LlamaTensorId> order = llama_tensor_order(1, true);
  const LlamaTensorId in_first_layer{id->role, 0};
  const auto found = std::find(order.begin(), order.end(), in_first_layer);
  const auto rank = static_cast<std::size_t>(found - order.begin());
  const bool tail = id->role == LlamaRole::final_norm || id->role == LlamaRole::output;
  return {id->role == LlamaRole::embedding ? 0 : tail ? 2 : 1, id->layer, rank, name};
}

/// Meta's and GGUF's q and k, whose rows are interleaved.
bool needs_heads(const std::string& name, LlamaTensorId id) {
  return (id.role == LlamaRole::q || id.role == LlamaRole::k) && tensor_name(id, Naming::hf) != name;
}

/// Puts the rows of `tensor` in half-split order; false when the heads are not known or do not fit.
bool half_split(Tensor& tensor, LlamaTensorId id, const Checkpoint& checkpoint) {
  if (!checkpoint.has_config()) return false;
  const LlamaConfig& config = checkpoint.config();
  const std::uint64_t heads = id.role == LlamaRole::q ? config.heads : config.kv_heads;
  if (tensor.shape.size() != 2 || heads * config.head_dim != tensor.data->rows()) return false;
  tensor.data = reorder_rows(tensor.data, rotary_interleaved_to_half(heads, config.head_dim));
  return true;
}

}  // namespace

void refuse_repetition(std::span<const Tensor> tensors, std::uint64_t file_bytes,
                       const std::filesystem::path& path) {
  constexpr std::uint64_t most_times = 16, always_allowed = std::uint64_t{1} << 30U;
  const std::uint64_t most =
      std::max(always_allowed, file_bytes > UINT64_MAX / most_times ? UINT64_MAX : file_bytes * most_times);
  std::uint64_t bytes = 0;
  for (const Tensor& tensor : tensors) {
    if (tensor.bytes() > most - bytes) {
      throw Error(ErrorKind::input, "the tensors are many times larger than the file: views repeat its data")
          .file(path)
          .tensor(tensor.name)
          .expected("at most " + std::to_string(most) + " bytes of tensors")
          .remedy("save the tensors as they are: tensor.contiguous()");
    }
    bytes += tensor.bytes();
  }
}

CommonTensors common_tensors(const Checkpoint& checkpoint) {
  CommonTensors out;
  std::uint64_t file_bytes = 0;
  for (const std::filesystem::path& file : checkpoint.files()) file_bytes += std::filesystem::file_size(file);
  refuse_repetition(checkpoint.tensors(), file_bytes, checkpoint.path());
  std::vector<std::pair<Place, Tensor>> placed;
  std::set<std::string> taken;
  for (const Tensor& tensor : checkpoint.tensors()) taken.insert(tensor.name);
  std::size_t interleaved = 0;
  for (Tensor tensor : checkpoint.tensors()) {
    auto id = parse_tensor_name(tensor.name);
    if (id && needs_heads(tensor.name, *id) && !half_split(tensor, *id, checkpoint)) {
      ++interleaved;
      id.reset();
    }
    if (id) {
      std::string common = tensor_name(*id, Naming::hf);
      if (common == tensor.name || taken.insert(common).second) {
        tensor.name = std::move(common);
      } else {
        out.notes.push_back(printable(tensor.name) + " keeps its name: " + common + " is there too");
        id.reset();
      }
    }
    Place place = place_of(id, tensor.name);
    placed.emplace_back(std::move(place), std::move(tensor));
  }
  const std::string head = tensor_name({LlamaRole::output, 0}, Naming::hf);
  const std::string embedding = tensor_name({LlamaRole::embedding, 0}, Naming::hf);
  if (checkpoint.has_config() && checkpoint.config().tied_embeddings && taken.insert(head).second) {
    const auto found = std::find_if(placed.begin(), placed.end(),
                                    [&](const auto& entry) { return entry.second.name == embedding; });
    if (found != placed.end()) {
      Tensor alias = found->second;
      alias.name = head;
      placed.emplace_back(place_of(LlamaTensorId{LlamaRole::output, 0}, head), std::move(alias));
      out.notes.push_back(head + " is the embedding (tied)");
    }
  }
  if (interleaved > 0) {
    out.notes.push_back(std::to_string(interleaved) +
                        " q and k tensors keep their names and their order of rows: without a configuration "
                        "the number of heads is not known");
  }
  std::stable_sort(placed.begin(), placed.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [place, tensor] : placed) out.tensors.push_back(std::move(tensor));
  return out;
}

bool is_rotary_table(std::string_view name) {
  return name == "rope.freqs" || name.ends_with(".rotary_emb.inv_freq");
}

}  // namespace galatea
