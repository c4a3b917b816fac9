// The miniature's adapter in the formats of other tools must merge to the same weights.
#include "converter/lora_foreign.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "converter/lora_merge.h"
#include "format/error.h"
#include "format/gguf.h"
#include "format/llama_tensors.h"
#include "format/safetensors.h"
#include "format/torch_layout.h"
#include "tests/converter/lora_sample.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "tests/support/values.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

fs::path miniature(const char* name) { return test::test_data("miniature") / name; }

Tensor named(const Tensor& tensor, const std::string& name) {
  Tensor out = tensor;
  out.name = name;
  return out;
}

Tensor turned(const Tensor& tensor, const std::string& name) {
  const std::vector<float> values = read_all_f32(tensor);
  const std::uint64_t rows = tensor.shape[0], cols = tensor.shape[1];
  std::vector<float> out(values.size());
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t c = 0; c < cols; ++c) out[c * rows + r] = values[r * cols + c];
  }
  Tensor result;
  result.name = name;
  result.shape = {cols, rows};
  result.data = memory_rows(out, cols, rows);
  return result;
}

class ForeignAdapter : public ::testing::Test {
 protected:
  /// The merge of what `path` holds equals that of PEFT's folder.
  void expect_same(const fs::path& path, const char* format, bool with_embedding = true) {
    LoraAdapter plain = peft;
    plain.config.targets = {};
    if (!with_embedding) std::erase_if(plain.targets, [](const LoraTarget& one) { return one.embedding; });
    const LoraAdapter other = read_lora_adapter(path);
    EXPECT_EQ(other.format, format);
    HfModel expected = hf_model(base);
    HfModel found = hf_model(base);
    merge_adapters(expected, {{plain, 1}}, {.type = DType::f32});
    EXPECT_EQ(merge_adapters(found, {{other, 1}}, {.type = DType::f32}).tensors.size(), plain.targets.size());
    for (const Tensor& tensor : found.tensors)
      EXPECT_EQ(read_all_f32(tensor), read_all_f32(*find_tensor(expected, tensor.name))) << tensor.name;
  }

  const Checkpoint base = Checkpoint::open(miniature("base-hf"));
  const LoraAdapter peft = read_lora_adapter(miniature("adapter"));
  test::TempFolder folder;
};

TEST_F(ForeignAdapter, gguf) {
  std::vector<Tensor> tensors;
  for (const LoraTarget& target : peft.targets) {
    const LlamaTensorId id = parse_tensor_name(target.module + ".weight").value();
    const std::string name = tensor_name(id, Naming::gguf);
    tensors.push_back(target.embedding ? turned(target.down, name + ".lora_a")
                                       : named(target.down, name + ".lora_a"));
    Tensor up = named(target.up, name + ".lora_b");
    if (id.role == LlamaRole::q || id.role == LlamaRole::k)
      up.data =
          reorder_rows(up.data, rotary_half_to_interleaved(base.config().heads, base.config().head_dim));
    tensors.push_back(up);
  }
  const GgufMetadata metadata = {{"general.architecture", std::string("llama")},
                                 {"general.type", std::string("adapter")},
                                 {"adapter.type", std::string("lora")},
                                 {"adapter.lora.alpha", 16.0F}};
  write_file(gguf_layout("a.gguf", metadata, tensors), folder / "a.gguf", {});
  expect_same(folder / "a.gguf", "GGUF");
  write_file(gguf_layout("b.gguf", {{"general.type", std::string("model")}}, tensors), folder / "b.gguf", {});
  EXPECT_NE(test::refusal_of([&] { read_lora_adapter(folder / "b.gguf"); }).find("is no LoRA adapter"),
            std::string::npos);
}

// Three modules of the miniature's adapter, by llama.cpp's own writer (scripts/oracles/gguf_adapter.py).
TEST_F(ForeignAdapter, gguf_by_gguf_py) {
  LoraAdapter plain = peft;
  plain.config.targets = {};
  std::erase_if(plain.targets, [](const LoraTarget& one) {
    return one.module != "model.layers.0.self_attn.q_proj" && one.module != "model.layers.1.mlp.up_proj" &&
           one.module != "model.embed_tokens";
  });
  ASSERT_EQ(plain.targets.size(), 3U);
  HfModel expected = hf_model(base);
  HfModel found = hf_model(base);
  merge_adapters(expected, {{plain, 1}}, {.type = DType::f32});
  const LoraAdapter other = read_lora_adapter(test::test_data("lora/gguf_py_adapter.gguf"));
  EXPECT_EQ(merge_adapters(found, {{other, 1}}, {.type = DType::f32}).tensors.size(), 3U);
  for (const Tensor& tensor : found.tensors)
    EXPECT_EQ(read_all_f32(tensor), read_all_f32(*find_tensor(expected, tensor.name))) << tensor.name;
}

TEST_F(ForeignAdapter, ggla) {
  std::string bytes = "algg";
  const auto number = [&](std::uint64_t value) {
    for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
  };
  for (const unsigned value : {1U, 8U, 16U}) number(value);
  const auto add = [&](const Tensor& tensor) {
    number(2);
    number(tensor.name.size());
    number(0);
    number(tensor.shape[1]);
    number(tensor.shape[0]);
    bytes += tensor.name;
    bytes.resize((bytes.size() + 31) / 32 * 32, '\0');
    const std::vector<float> values = read_all_f32(tensor);
    const std::size_t at = bytes.size();
    bytes.resize(at + values.size() * sizeof(float));
    std::memcpy(bytes.data() + at, values.data(), values.size() * sizeof(float));
  };
  for (const LoraTarget& target : peft.targets) {
    if (target.embedding) continue;
    const std::string name = tensor_name(parse_tensor_name(target.module + ".weight").value(), Naming::meta);
    add(turned(target.down, name + ".loraA"));
    add(named(target.up, name + ".loraB"));
  }
  test::write_bytes(folder / "ggml-adapter-model.bin", bytes);
  expect_same(folder / "ggml-adapter-model.bin", "ggla", false);
  test::write_bytes(folder / "cut.bin", bytes.substr(0, bytes.size() - 100));
  test::expect_refused([&] { read_lora_adapter(folder / "cut.bin"); });
  bytes[8] = 0;
  test::write_bytes(folder / "zero.bin", bytes);
  EXPECT_NE(test::refusal_of([&] { read_lora_adapter(folder / "zero.bin"); }).find("rank makes no sense"),
            std::string::npos);
}

/// By llama.cpp's own converter (scripts/oracles/ggla_golden.py).
TEST_F(ForeignAdapter, ggla_by_its_converter) {
  std::vector<Tensor> tensors;
  const auto add = [&](const std::string& name, const Shape& shape) {
    Tensor tensor;
    tensor.name = "base_model.model." + name + ".weight";
    tensor.shape = shape;
    tensor.data = memory_rows(oracle_matrix(tensors.size(), shape[0] * shape[1]), shape[0], shape[1]);
    tensors.push_back(tensor);
  };
  for (const std::string layer : {"model.layers.0.", "model.layers.1."}) {
    for (const auto& [module, wide] :
         {std::pair{"self_attn.o_proj", 256U}, std::pair{"mlp.down_proj", 768U}}) {
      add(layer + module + ".lora_A", {1, wide});
      add(layer + module + ".lora_B", {256, 1});
    }
  }
  write_file(safetensors_layout("adapter_model.safetensors", tensors, {}),
             folder / "adapter_model.safetensors", {});
  test::write_bytes(folder / "adapter_config.json", R"({"r": 1, "lora_alpha": 2})");
  const LoraAdapter other = read_lora_adapter(test::test_data("lora/ggml-adapter-model.bin"));
  EXPECT_EQ(other.format, "ggla");
  HfModel before = hf_model(base);
  HfModel expected = hf_model(base);
  HfModel found = hf_model(base);
  merge_adapters(expected, {{read_lora_adapter(folder.path()), 1}}, {.type = DType::f32});
  EXPECT_EQ(merge_adapters(found, {{other, 1}}, {.type = DType::f32}).tensors.size(), 4U);
  std::size_t changed = 0;
  for (const Tensor& tensor : found.tensors) {
    const std::vector<float> values = read_all_f32(tensor);
    EXPECT_EQ(values, read_all_f32(*find_tensor(expected, tensor.name))) << tensor.name;
    changed += values != read_all_f32(*find_tensor(before, tensor.name)) ? 1U : 0U;
  }
  EXPECT_EQ(changed, 4U);
}

TEST_F(ForeignAdapter, mlx) {
  std::vector<Tensor> tensors;
  for (const LoraTarget& target : peft.targets) {
    tensors.push_back(turned(target.down, target.module + ".lora_a"));
    tensors.push_back(turned(target.up, target.module + ".lora_b"));
  }
  write_file(safetensors_layout("adapters.safetensors", tensors, {}), folder / "adapters.safetensors", {});
  test::write_bytes(
      folder / "adapter_config.json",
      R"({"fine_tune_type": "lora", "lora_parameters": {"rank": 8, "scale": 2.0, "dropout": 0.0}})");
  expect_same(folder.path(), "MLX");
  // A magnitude for each token, where PEFT has one for each column.
  tensors.push_back(tensors.front());
  tensors.back().name = "model.embed_tokens.m";
  std::filesystem::remove(folder / "adapters.safetensors");
  write_file(safetensors_layout("adapters.safetensors", tensors, {}), folder / "adapters.safetensors", {});
  test::write_bytes(
      folder / "adapter_config.json",
      R"({"fine_tune_type": "dora", "lora_parameters": {"rank": 8, "scale": 2.0, "dropout": 0.0}})");
  EXPECT_NE(test::refusal_of([&] { read_lora_adapter(folder.path()); }).find("DoRA on an embedding"),
            std::string::npos);
  test::write_bytes(folder / "adapter_config.json", R"({"fine_tune_type": "full"})");
  EXPECT_NE(test::refusal_of([&] { read_lora_adapter(folder.path()); }).find("no LoRA of MLX"),
            std::string::npos);
}

TEST_F(ForeignAdapter, kohya) {
  std::vector<Tensor> tensors;
  const std::vector<float> alpha = {16.0F};
  for (const LoraTarget& target : peft.targets) {
    std::string module = "lora_te_" + target.module;
    std::replace(module.begin(), module.end(), '.', '_');
    tensors.push_back(named(target.down, module + ".lora_down.weight"));
    tensors.push_back(named(target.up, module + ".lora_up.weight"));
    Tensor scalar;
    scalar.name = module + ".alpha";
    scalar.data = memory_rows(alpha, 1, 1);
    tensors.push_back(scalar);
  }
  const auto save = [&](const char* name) {
    write_file(safetensors_layout(name, tensors, {}), folder / name, {});
    return folder / name;
  };
  expect_same(save("kohya.safetensors"), "kohya");
  tensors.push_back(named(tensors.front(), "lora_te_model_layers_0_mlp_up_proj.hada_w1_a"));
  const fs::path lycoris = save("lycoris.safetensors");
  HfModel model = hf_model(base);
  EXPECT_NE(test::refusal_of([&] {
              merge_adapters(model, {{read_lora_adapter(lycoris), 1}}, {.type = DType::f32});
            }).find("hada_w1_a"),
            std::string::npos);
}

TEST_F(ForeignAdapter, kohya_that_makes_no_sense_is_refused) {
  const std::string module = "lora_te_model_layers_0_mlp_up_proj";
  const auto matrix = [&](const std::string& part, const Shape& shape) {
    return named(lora_sample::filled(part, shape), module + "." + part);
  };
  const Tensor down = matrix("lora_down.weight", {2, 8}), up = matrix("lora_up.weight", {8, 2});
  const auto alpha = [&](const std::vector<float>& values) {
    Tensor tensor;
    tensor.name = module + ".alpha";
    tensor.shape = {values.size()};
    tensor.data = memory_rows(values, 1, values.size());
    return tensor;
  };
  const std::vector<std::pair<std::vector<Tensor>, std::string>> cases = {
      {{down}, "lacks half of a module"},
      {{down, matrix("lora_up.weight", {8, 3})}, "do not fit together"},
      {{matrix("lora_down.weight", {16}), up}, "do not fit together"},
      {{down, up, alpha({1.0F, 2.0F})}, "alpha is no number"},
      {{down, up, alpha({std::numeric_limits<float>::quiet_NaN()})}, "scaling is not finite"},
      {{named(down, "lora_unet_down_blocks_0.lora_down.weight")}, "nothing that a LLaMA has"}};
  for (const auto& [tensors, reason] : cases) {
    const fs::path path = folder / "bad.safetensors";
    fs::remove(path);
    write_file(safetensors_layout("bad.safetensors", tensors, {}), path, {});
    const std::string text = test::refusal_of([&] { read_lora_adapter(path); });
    EXPECT_NE(text.find(reason), std::string::npos) << text;
    EXPECT_NE(text.find("bad.safetensors"), std::string::npos) << text;
  }
}

TEST_F(ForeignAdapter, weights_alone_are_no_adapter) {
  write_file(safetensors_layout("x.safetensors", {lora_sample::filled("x", {2, 2})}, {}),
             folder / "x.safetensors", {});
  const std::string text = test::refusal_of([&] { read_lora_adapter(folder / "x.safetensors"); });
  EXPECT_NE(text.find("an adapter needs its configuration"), std::string::npos) << text;
  EXPECT_NE(text.find("adapter_config.json"), std::string::npos) << text;
}

TEST_F(ForeignAdapter, activated_lora_of_llama_cpp_is_refused) {
  const std::vector<Tensor> tensors = {lora_sample::filled("blk.0.ffn_up.weight.lora_a", {2, 8})};
  write_file(gguf_layout("a.gguf",
                         {{"general.architecture", std::string("llama")},
                          {"general.type", std::string("adapter")},
                          {"adapter.type", std::string("lora")},
                          {"adapter.alora.invocation_tokens", GgufArray{std::vector<std::uint32_t>{1, 2}}}},
                         tensors),
             folder / "a.gguf", {});
  const std::string text = test::refusal_of([&] { read_lora_adapter(folder / "a.gguf"); });
  EXPECT_NE(text.find("invocation_tokens"), std::string::npos) << text;
}

TEST_F(ForeignAdapter, whole_state_of_a_training_checkpoint) {
  std::vector<Tensor> tensors = Checkpoint::open(miniature("adapter") / "adapter_model.bin").tensors();
  for (Tensor& tensor : tensors) {
    const std::size_t weight = tensor.name.rfind(".weight");
    tensor.name = weight == std::string::npos ? tensor.name + ".default"
                                              : tensor.name.substr(0, weight) + ".default.weight";
  }
  for (const Tensor& tensor : base.tensors()) {
    if (tensor.name.find("norm") != std::string::npos)
      tensors.push_back(named(tensor, "base_model.model." + tensor.name));
  }
  fs::create_directory(folder / "checkpoint-20");
  write_file(torch_zip_layout("pytorch_model.bin", tensors), folder / "checkpoint-20" / "pytorch_model.bin",
             {});
  fs::copy(miniature("adapter") / "adapter_config.json", folder / "adapter_config.json");
  expect_same(folder / "checkpoint-20", "PEFT");
}

// What torch 1.13.1 saves for an empty dictionary: alpaca-lora's adapters of spring 2023.
TEST_F(ForeignAdapter, empty_file_of_443_bytes) {
  fs::copy(test::test_data("lora/empty_adapter_model.bin"), folder / "adapter_model.bin");
  fs::copy(miniature("adapter") / "adapter_config.json", folder / "adapter_config.json");
  EXPECT_EQ(fs::file_size(folder / "adapter_model.bin"), 443U);
  const std::string text = test::refusal_of([&] { read_lora_adapter(folder.path()); });
  EXPECT_NE(text.find("the adapter is empty"), std::string::npos) << text;
  EXPECT_NE(text.find("alpaca-lora"), std::string::npos) << text;
}

/// PEFT 0.1 and 0.2: one A for each changed slice of the output, B a grouped convolution.
TEST_F(ForeignAdapter, slices_of_early_peft) {
  const std::uint64_t dim = base.config().hidden_size, slice = dim / 4;
  std::vector<float> a(4 * dim), b(2 * slice * 2);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 7) / 8.0F;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i % 5) / 4.0F - 0.5F;
  Tensor down, up;
  down.name = "base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight";
  down.shape = {4, dim};
  down.data = memory_rows(a, 4, dim);
  up.name = "base_model.model.model.layers.0.self_attn.o_proj.lora_B.weight";
  up.shape = {2 * slice, 2, 1};
  up.data = memory_rows(b, 2 * slice * 2, 1);
  write_file(torch_zip_layout("adapter_model.bin", {down, up}), folder / "adapter_model.bin", {});
  test::write_bytes(
      folder / "adapter_config.json",
      R"({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "enable_lora": [true, false, false, true],
                        "merge_weights": false, "target_modules": ["o_proj"]})");
  HfModel before = hf_model(base);
  HfModel model = hf_model(base);
  merge_adapters(model, {{read_lora_adapter(folder.path()), 1}}, {.type = DType::f32, .allow_unused = true});
  const std::string name = "model.layers.0.self_attn.o_proj.weight";
  const std::vector<float> old = read_all_f32(*find_tensor(before, name)),
                           now = read_all_f32(*find_tensor(model, name));
  for (std::uint64_t row = 0; row < dim; ++row) {
    const std::uint64_t part = row / slice, group = part == 3 ? 1 : 0;
    for (std::uint64_t col = 0; col < dim; ++col) {
      float delta = 0;
      for (std::uint64_t k = 0; k < 2 && part % 3 == 0; ++k)
        delta += b[(group * slice + row % slice) * 2 + k] * a[(group * 2 + k) * dim + col];
      ASSERT_EQ(now[row * dim + col], old[row * dim + col] + 2 * delta) << row << ", " << col;
    }
  }
}

/// What is added is what PEFT's forward pass adds (scripts/oracles/qalora_golden.py).
TEST_F(ForeignAdapter, qalora) {
  const json golden = json::parse(test::read_bytes(test::test_data("lora/qalora.json")));
  const std::uint64_t dim = base.config().hidden_size, groups = dim / golden.at("group").get<std::uint64_t>();
  ASSERT_EQ(dim, golden.at("dim").get<std::uint64_t>());
  std::vector<float> a(2 * groups), b(dim * 2);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 7) / 8.0F;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i % 5) / 4.0F - 0.5F;
  Tensor down, up;
  down.name = "base_model.model.model.layers.0.self_attn.o_proj.lora_A.weight";
  down.shape = {2, groups};
  down.data = memory_rows(a, 2, groups);
  up.name = "base_model.model.model.layers.0.self_attn.o_proj.lora_B.weight";
  up.shape = {dim, 2};
  up.data = memory_rows(b, dim, 2);
  write_file(safetensors_layout("adapter_model.safetensors", {down, up}, {}),
             folder / "adapter_model.safetensors", {});
  const json config = {{"r", golden.at("rank")},
                       {"lora_alpha", golden.at("alpha")},
                       {"use_qalora", true},
                       {"qalora_group_size", golden.at("group")}};
  test::write_bytes(folder / "adapter_config.json", config.dump());
  HfModel before = hf_model(base);
  HfModel model = hf_model(base);
  merge_adapters(model, {{read_lora_adapter(folder.path()), 1}}, {.type = DType::f32});
  const std::string name = "model.layers.0.self_attn.o_proj.weight";
  const std::vector<float> old = read_all_f32(*find_tensor(before, name)),
                           now = read_all_f32(*find_tensor(model, name));
  const auto rows = golden.at("rows").get<std::vector<std::vector<float>>>();  // all exact in float32
  for (std::uint64_t i = 0; i < now.size(); ++i) {
    ASSERT_EQ(now[i], old[i] + rows[i / dim % rows.size()][i % dim]) << i;
  }
}

/// Merges the adapter into the sample and compares with matrices that another program merged, which sums in float32 in an
/// order of its own.
void expect_merged(const std::filesystem::path& path, std::string_view format,
                   const std::filesystem::path& merged) {
  const LoraAdapter adapter = read_lora_adapter(path);
  EXPECT_EQ(adapter.format, format);
  HfModel before = lora_sample::base_model();
  HfModel model = lora_sample::base_model();
  merge_adapters(model, {{adapter, 1}}, {.arithmetic = LoraArithmetic::exact, .type = DType::f32});
  const Checkpoint golden = Checkpoint::open(merged);
  ASSERT_EQ(golden.tensors().size(), 2U);
  for (const Tensor& tensor : golden.tensors()) {
    const std::vector<float> expected = read_all_f32(tensor);
    const std::vector<float> found = read_all_f32(*find_tensor(model, tensor.name));
    const std::vector<float> old = read_all_f32(*find_tensor(before, tensor.name));
    ASSERT_EQ(found.size(), expected.size());
    double moved = 0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(found[i], expected[i], 1e-6) << path << ", " << tensor.name << ": " << i;
      moved = std::max(moved, std::abs(static_cast<double>(found[i]) - old[i]));
    }
    EXPECT_GT(moved, 0.1) << path << ", " << tensor.name;
  }
}

/// scripts/oracles/mlx_golden.py
TEST(LoraOfMlx, merges_as_it_fuses) {
  for (const char* const kind : {"lora", "dora"}) {
    const std::filesystem::path place = test::test_data("lora/mlx") / kind;
    expect_merged(place, "MLX", place / "fused.safetensors");
  }
}

/// scripts/oracles/lycoris_golden.py
TEST(LoraOfLycoris, merges_as_it_merges) {
  const std::filesystem::path place = test::test_data("lora/lycoris");
  expect_merged(place / "lora.safetensors", "kohya", place / "merged.safetensors");
}

}  // namespace
}  // namespace galatea
