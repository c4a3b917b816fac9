#include "format/checkpoint.h"

#include <gtest/gtest.h>

#include <functional>

#include "format/error.h"
#include "format/llama_tensors.h"
#include "format/plan.h"
#include "format/safetensors.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using test::TempFolder;
using test::test_data;
using test::write_bytes;

constexpr const char* kConfig =
    R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 8, "intermediate_size": 12, "num_attention_heads": 2,
        "num_hidden_layers": 1, "vocab_size": 5, "hidden_act": "silu", "rms_norm_eps": 1e-06})";

/// Every tensor of a small model, in Hugging Face's names; value i of a tensor is i.
std::vector<Tensor> small_model() {
  LlamaConfig config;
  config.vocab_size = 5;
  config.hidden_size = 8;
  config.intermediate_size = 12;
  config.layers = 1;
  config.heads = config.kv_heads = 2;
  config.head_dim = 4;
  std::vector<Tensor> tensors;
  for (const LlamaTensorId id : llama_tensor_order(1, true)) {
    const Shape shape = expected_shape(id, config);
    std::vector<float> values(element_count(shape));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
    const auto [rows, cols] = matrix_shape(shape, DType::f32);
    tensors.push_back({tensor_name(id, Naming::hf), shape, memory_rows(values, rows, cols), {}, 0});
  }
  return tensors;
}

/// The model in two safetensors shards with an index.
void write_sharded(const fs::path& folder) {
  std::vector<Tensor> all = small_model();
  const std::vector<Tensor> first(all.begin(), all.begin() + 4);
  const std::vector<Tensor> second(all.begin() + 4, all.end());
  std::string map;
  const auto add = [&](const std::vector<Tensor>& part, const std::string& file) {
    write_file(safetensors_layout(file, part, {}), folder / file, {});
    for (const Tensor& tensor : part)
      map += (map.empty() ? "\"" : ", \"") + tensor.name + "\": \"" + file + "\"";
  };
  add(first, "model-00001-of-00002.safetensors");
  add(second, "model-00002-of-00002.safetensors");
  write_bytes(folder / "model.safetensors.index.json",
              R"({"metadata": {"total_size": 1}, "weight_map": {)" + map + "}}");
  write_bytes(folder / "config.json", kConfig);
}

std::vector<float> values_of(const Tensor& tensor) { return read_all_f32(tensor); }

/// The error of opening `path`, which must be one about the input.
std::string refusal(const fs::path& path) {
  return test::refusal_of([&] { LlamaWeights weights(Checkpoint::open(path)); });
}

TEST(Checkpoint, ShardedFolderWithIndex) {
  const TempFolder folder;
  write_sharded(folder.path());
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.kind(), CheckpointKind::hf);
  EXPECT_EQ(checkpoint.files().size(), 2U);
  EXPECT_EQ(checkpoint.tensors().size(), small_model().size());
  const LlamaWeights weights(checkpoint);
  const Tensor q = weights.get({LlamaRole::q, 0}, LlamaWeights::Rotary::interleaved);
  // Rows 0..3 are head 0 in halves; interleaved they are 0 2 1 3.
  EXPECT_EQ(values_of(q)[8], 16.0F);
  EXPECT_FALSE(weights.tied());
}

TEST(Checkpoint, FaultsOfShardedFoldersAreNamed) {
  const auto with = [](const std::function<void(const fs::path&)>& damage) {
    const TempFolder folder;
    write_sharded(folder.path());
    damage(folder.path());
    return refusal(folder.path());
  };
  EXPECT_NE(
      with([](const fs::path& f) { fs::remove(f / "model-00002-of-00002.safetensors"); }).find("missing"),
      std::string::npos);
  EXPECT_NE(with([](const fs::path& f) {
              fs::remove(f / "model-00002-of-00002.safetensors");
              fs::remove(f / "model.safetensors.index.json");
            }).find("shards of the checkpoint are missing"),
            std::string::npos);
  EXPECT_NE(with([](const fs::path& f) {
              fs::copy_file(f / "model-00001-of-00002.safetensors", f / "model-00002-of-00002.safetensors",
                            fs::copy_options::overwrite_existing);
            }).find("same name"),
            std::string::npos);
  EXPECT_NE(with([](const fs::path& f) { fs::remove(f / "config.json"); }).find("configuration"),
            std::string::npos);
  EXPECT_NE(with([](const fs::path& f) {
              std::string config = kConfig;
              config.replace(config.find("\"vocab_size\": 5"), 15, "\"vocab_size\": 6");
              write_bytes(f / "config.json", config);
            }).find("another shape"),
            std::string::npos);
}

// A header of 0x280 bytes begins with 80 02, as a pickle of protocol 2 does.
TEST(Checkpoint, SafetensorsWhoseLengthLooksLikeAPickleAreKnown) {
  const TempFolder folder;
  std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  header.resize(0x280, ' ');
  write_bytes(folder / "a.safetensors",
              std::string("\x80\x02\0\0\0\0\0\0", 8) + header + std::string(4, '\0'));
  EXPECT_EQ(Checkpoint::open(folder / "a.safetensors").tensors().size(), 1U);
}

TEST(Checkpoint, WhatIsNoCheckpointIsRefused) {
  const TempFolder folder;
  EXPECT_NE(refusal(folder / "absent").find("No such file"), std::string::npos);
  EXPECT_NE(refusal(folder.path()).find("holds no checkpoint"), std::string::npos);
  for (const std::string& bytes :
       {std::string(), std::string("version https://git-lfs.github.com/spec/v1\n"), std::string(100, 'x'),
        std::string("lmgg0000"), std::string("PK\x03\x04"), std::string("GGUF"), std::string("\x80\x02}")}) {
    write_bytes(folder / "file.bin", bytes);
    EXPECT_FALSE(refusal(folder / "file.bin").empty());
  }
}

TEST(Checkpoint, MetaFolderEqualsWhatTheConverterMadeOfIt) {
  const Checkpoint meta = Checkpoint::open(test_data("miniature/meta"));
  const Checkpoint hf = Checkpoint::open(test_data("miniature/base-hf"));
  EXPECT_EQ(meta.kind(), CheckpointKind::meta);
  EXPECT_EQ(hf.kind(), CheckpointKind::hf);
  EXPECT_TRUE(meta.tokenizer_model().has_value());
  EXPECT_EQ(meta.config().intermediate_size, 768U);
  EXPECT_EQ(meta.config().vocab_size, 512U);
  const LlamaWeights from_meta(meta);
  const LlamaWeights from_hf(hf);
  for (const LlamaTensorId id : llama_tensor_order(2, true)) {
    for (const auto rotary : {LlamaWeights::Rotary::half, LlamaWeights::Rotary::interleaved}) {
      EXPECT_EQ(values_of(from_meta.get(id, rotary)), values_of(from_hf.get(id, rotary)))
          << tensor_name(id, Naming::hf);
    }
  }
}

TEST(Checkpoint, MetaFolderWithoutAShardOrParams) {
  const TempFolder folder;
  const fs::path meta = folder / "meta";
  const auto fresh = [&] {
    fs::remove_all(meta);
    fs::copy(test_data("miniature/meta"), meta);
  };
  fresh();
  fs::remove(meta / "consolidated.00.pth");
  EXPECT_NE(refusal(meta).find("consolidated.00.pth"), std::string::npos);
  fresh();
  fs::remove(meta / "consolidated.01.pth");
  EXPECT_NE(refusal(meta).find("2 files consolidated"), std::string::npos);
  fresh();
  fs::remove(meta / "params.json");
  EXPECT_NE(refusal(meta).find("params.json"), std::string::npos);
}

TEST(Checkpoint, Stories260K) {
  GALATEA_SHARED_DATA_OR_SKIP(path, "stories260K.bin");
  const Checkpoint checkpoint = Checkpoint::open(path);
  EXPECT_EQ(checkpoint.kind(), CheckpointKind::llama2c);
  EXPECT_EQ(checkpoint.config().kv_heads, 4U);
  EXPECT_TRUE(LlamaWeights(checkpoint).tied());
}

}  // namespace
}  // namespace galatea
