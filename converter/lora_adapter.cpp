#include "converter/lora_adapter.h"

#include "format/error.h"

namespace galatea {

LoraAdapter read_lora_adapter(const std::filesystem::path& path) {
  if (std::filesystem::is_regular_file(path / "adapter_config.json")) return read_peft_adapter(path);
  throw Error(ErrorKind::input, "this is no adapter of PEFT")
      .file(path)
      .expected("a folder with adapter_config.json")
      .remedy("give the folder that PEFT's save_pretrained wrote");
}

}  // namespace galatea
