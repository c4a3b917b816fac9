// LoRA adapters of every format, and importance matrices.
#include <nlohmann/json.hpp>
#include "converter/lora_adapter.h"
#include "converter/lora_config.h"
#include "format/json.h"

#include "quantize/importance_file.h"
#include "tests/fuzz/target.h"

using namespace galatea;  // NOLINT(google-build-using-namespace)

namespace {

void read_targets(const LoraAdapter& adapter, std::uint64_t limit) {
  for (const LoraTarget& target : adapter.targets) {
    for (const Tensor* tensor : {&target.down, &target.up}) {
      if (tensor->data == nullptr || tensor->data->rows() == 0) continue;
      fuzz::promise(tensor->data->row_bytes() <= limit, "a row of an adapter is longer than its file");
      std::vector<std::byte> row(tensor->data->row_bytes());
      tensor->data->read(tensor->data->rows() - 1, 1, row);
    }
  }
}

}  // namespace

FUZZ_TARGET(adapter_config, "data/miniature/adapter", "attacks/adapters") {
  const LoraConfig config =
      lora_config(parse_ordered_json(fuzz::as_text(input), "adapter_config.json"), "adapter_config.json");
  for (const char* module : {"model.layers.0.self_attn.q_proj", "model.embed_tokens", "lm_head"}) {
    (void)config.rank_of(module);
    (void)config.scaling_of(module);
    (void)config.targets_module(module, true);
  }
}

// GGUF and ggla adapters, kohya's names in a single file; a folder's .bin is the target "torch".
FUZZ_TARGET(adapter_file, "data/lora", "data/gguf", "data/safetensors", "attacks/adapters") {
  read_targets(read_lora_adapter(fuzz::as_file("adapter.bin", input)), input.size());
}

FUZZ_TARGET(adapter_safetensors, "data/safetensors", "attacks/adapters") {
  read_targets(read_lora_adapter(fuzz::as_file("adapter.safetensors", input)), input.size());
}

FUZZ_TARGET(imatrix, "data/imatrix", "attacks/gguf") {
  const ImportanceFile file = read_importance_file(fuzz::as_file("imatrix.dat", input));
  for (const auto& [name, weights] : file.weights)
    for (const float weight : *weights)
      fuzz::promise(weight >= 0, "a weight of an importance matrix is negative");
}
