// GGUF files as checkpoints.
#include "format/checkpoint_builder.h"
#include "format/error.h"
#include "format/gguf.h"
#include "format/gguf_llama.h"

namespace galatea {

Checkpoint open_gguf_checkpoint(const std::filesystem::path& path) {
  CheckpointBuilder builder(path);
  builder.set_kind(CheckpointKind::gguf);
  auto file = std::make_shared<GgufFile>(GgufFile::open(path));
  builder.add(file->tensors(), path);
  builder.set_files(file->files());
  // Another architecture is listed and converted nowhere: it goes without a configuration.
  const std::string* architecture = file->get_string("general.architecture");
  if (architecture != nullptr && *architecture == "llama") builder.set_config(config_from_gguf(*file));
  builder.set_gguf(std::move(file));
  return std::move(builder.out);
}

}  // namespace galatea
