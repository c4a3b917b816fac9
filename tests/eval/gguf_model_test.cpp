// Models out of GGUF files are those of their Hugging Face folders.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "eval/forward.h"
#include "format/checkpoint.h"
#include "format/gguf.h"
#include "format/gguf_rope.h"
#include "format/llama_tensors.h"
#include "format/plan.h"
#include "format/rows.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

/// Logits of every position, window after window.
std::vector<float> all_logits(const LlamaModel& model, std::span<const std::int32_t> tokens,
                              std::uint64_t length, const ForwardOptions& options) {
  const std::uint64_t vocab = model.config.vocab_size;
  std::vector<float> out(tokens.size() * vocab, 0.0F);
  forward(model, tokens, length, 0, options,
          [&](std::uint64_t window, std::uint64_t position, std::span<const float> logits) {
            std::copy(logits.begin(), logits.end(),
                      out.begin() + static_cast<std::ptrdiff_t>((window * length + position) * vocab));
          });
  return out;
}

/// A GGUF of the folder's weights that says the same of its attention as `config`, as llama.cpp's converter would.
void write_gguf(const Checkpoint& checkpoint, const std::filesystem::path& file) {
  const LlamaConfig& config = checkpoint.config();
  const auto u32 = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
  GgufMetadata metadata = {
      {"general.architecture", std::string("llama")},
      {"llama.block_count", u32(config.layers)},
      {"llama.context_length", u32(config.context)},
      {"llama.embedding_length", u32(config.hidden_size)},
      {"llama.feed_forward_length", u32(config.intermediate_size)},
      {"llama.attention.head_count", u32(config.heads)},
      {"llama.attention.head_count_kv", u32(config.kv_heads)},
      {"llama.rope.freq_base", static_cast<float>(config.rope_theta)},
      {"llama.attention.layer_norm_rms_epsilon", static_cast<float>(config.rms_norm_eps)},
      {"llama.vocab_size", u32(config.vocab_size)}};
  if (config.sliding_window > 0)
    metadata.push_back({"llama.attention.sliding_window", u32(config.sliding_window)});
  std::vector<Tensor> tensors;
  if (config.rope_scaling.kind == RopeScaling::Kind::linear) {
    metadata.push_back({"llama.rope.scaling.type", std::string("linear")});
    metadata.push_back({"llama.rope.scaling.factor", static_cast<float>(config.rope_scaling.factor)});
  } else if (config.rope_scaling.kind == RopeScaling::Kind::llama3) {
    metadata.push_back({"llama.rope.scaling.original_context_length",
                        static_cast<std::uint32_t>(config.rope_scaling.original_context)});
    const std::vector<float> factors = llama3_rope_factors(config);
    Tensor tensor;
    tensor.name = rope_factors_name;
    tensor.shape = {factors.size()};
    tensor.data = memory_rows(factors, 1, factors.size());
    tensors.push_back(std::move(tensor));
  }
  const LlamaWeights weights(checkpoint);
  for (const LlamaTensorId id : llama_tensor_order(config.layers, !config.tied_embeddings)) {
    Tensor tensor = weights.get(id, LlamaWeights::Rotary::interleaved);
    tensor.name = tensor_name(id, Naming::gguf);
    tensors.push_back(std::move(tensor));
  }
  write_file(gguf_layout(file.filename().string(), metadata, std::move(tensors)), file, {});
}

/// Scaled rotary embeddings and sliding windows mean the same in a GGUF's metadata as in config.json.
TEST(GgufModel, MetadataOfAGgufAreHonouredAsConfigJsonIs) {
  const nlohmann::json golden =
      nlohmann::json::parse(test::read_bytes(test::test_data("models/logits.json")));
  const auto ids = golden.at("ids").get<std::vector<std::int32_t>>();
  const std::vector<float> plain = [&] {
    const test::TempFolder folder;
    std::filesystem::copy(test::test_data("models/weights.safetensors"), folder / "model.safetensors");
    std::filesystem::copy(test::test_data("models/mistral-open.config.json"), folder / "config.json");
    return all_logits(load_model(Checkpoint::open(folder.path())), ids, ids.size(), {.threads = 1});
  }();
  for (const char* name : {"llama2", "theta", "linear", "llama3", "smollm2", "mistral", "mistral-open"}) {
    const test::TempFolder folder;
    std::filesystem::copy(test::test_data("models/weights.safetensors"), folder / "model.safetensors");
    std::filesystem::copy(test::test_data("models/" + std::string(name) + ".config.json"),
                          folder / "config.json");
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    write_gguf(checkpoint, folder / "m.gguf");
    const auto wanted = all_logits(load_model(checkpoint), ids, ids.size(), {.threads = 1});
    const auto found =
        all_logits(load_model(Checkpoint::open(folder / "m.gguf")), ids, ids.size(), {.threads = 1});
    EXPECT_EQ(found, wanted) << name;
    if (std::string(name) == "linear" || std::string(name) == "llama3" || std::string(name) == "mistral") {
      EXPECT_NE(found, plain) << name;
    }
  }
}

}  // namespace
}  // namespace galatea
