#include "converter/lora_adapter.h"

#include <array>
#include <cstring>

#include "converter/lora_foreign.h"
#include "format/checkpoint.h"
#include "format/error.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

LoraAdapter read_file(const fs::path& path) {
  const SourcePtr source = open_file(path);
  std::array<std::byte, 4> head{};
  if (source->size() >= head.size()) source->read(0, head);
  if (std::memcmp(head.data(), "GGUF", 4) == 0) return read_gguf_adapter(path);
  if (std::memcmp(head.data(), "algg", 4) == 0) return read_ggla_adapter(path);
  const Checkpoint weights = Checkpoint::open(path);
  if (has_kohya_names(weights.tensors())) return read_kohya_adapter(path);
  throw Error(ErrorKind::input,
              weights.tensors().empty() ? "the adapter is empty" : "an adapter needs its configuration")
      .file(path)
      .expected("a folder with adapter_config.json, or a file of llama.cpp (GGUF, ggla) or kohya")
      .found(weights.tensors().empty() ? "no tensors" : "weights alone")
      .remedy("give the folder that PEFT's save_pretrained wrote");
}

}  // namespace

LoraAdapter read_lora_adapter(const fs::path& path) {
  if (fs::is_regular_file(path)) return read_file(path);
  const bool configured = fs::is_regular_file(path / "adapter_config.json") ||
                          fs::is_regular_file(path.lexically_normal() / ".." / "adapter_config.json");
  if (configured && fs::is_regular_file(path / "adapters.safetensors")) return read_mlx_adapter(path);
  if (configured && fs::is_directory(path)) return read_peft_adapter(path);
  throw Error(ErrorKind::input, "this is no adapter of PEFT")
      .file(path)
      .expected("a folder with adapter_config.json")
      .remedy("give the folder that PEFT's save_pretrained wrote");
}

}  // namespace galatea
