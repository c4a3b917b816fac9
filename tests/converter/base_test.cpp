#include "converter/base.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>

#include "format/error.h"
#include "format/hash.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "tests/support/layouts.h"

namespace galatea {
namespace {

/// Rows that are never read: for plans that only have to be measured.
class ShapeOnly final : public Rows {
 public:
  ShapeOnly(DType type, const MatrixShape& shape) : Rows(type, shape.rows, shape.cols) {}
  void read(std::uint64_t, std::uint64_t, std::span<std::byte>) const override {
    throw Error(ErrorKind::usage, "there are no values");
  }
};

LlamaConfig llama(std::uint64_t hidden, std::uint64_t intermediate, std::uint64_t layers,
                  std::uint64_t heads) {
  LlamaConfig config;
  config.vocab_size = 32000;
  config.hidden_size = hidden;
  config.intermediate_size = intermediate;
  config.layers = layers;
  config.heads = config.kv_heads = heads;
  config.head_dim = hidden / heads;
  return config;
}

struct Measured {
  std::string index_sha256;
  std::uint64_t total_size;
  std::vector<std::uint64_t> sizes;
  std::vector<std::size_t> tensors;
};

Measured measure(const LlamaConfig& config, DType inv_freq) {
  const auto tensors = base_state_dict(config, inv_freq, [&](LlamaTensorId id) {
    const Shape shape = expected_shape(id, config);
    return Tensor{"", shape, std::make_shared<ShapeOnly>(DType::f16, matrix_shape(shape, DType::f16)), {}, 0};
  });
  Measured out{};
  const std::vector<WeightShard> shards = shard_weights(tensors, HfContainer::bin, default_shard_bytes);
  for (const WeightShard& shard : shards) out.tensors.push_back(shard.tensors.size());
  out.total_size = index_of(shards).total_size.value_or(0);
  const std::string index = shard_index_text(index_of(shards));
  out.index_sha256 = sha256_hex(std::as_bytes(std::span(index)));
  for (const FileLayout& file : hf_weight_files(tensors, HfContainer::bin, default_shard_bytes)) {
    if (file.name.ends_with(".bin")) out.sizes.push_back(file.size());
  }
  return out;
}

using Sizes = std::vector<std::uint64_t>;
using Counts = std::vector<std::size_t>;

// Published digests of the index files, and sizes of the real shards.
TEST(Base, llama_7b_has_the_published_index_and_sizes) {
  const Measured m = measure(llama(4096, 11008, 32, 32), DType::f32);
  EXPECT_EQ(m.index_sha256, "aca3c1facc89d12311a667c32e85ac86e625990992ea8a189e3b036ba371b931");
  EXPECT_EQ(m.total_size, 13'476'839'424U);
  EXPECT_EQ(m.sizes, (Sizes{9'976'634'558, 3'500'315'539}));
  EXPECT_EQ(m.tensors, (Counts{241, 82}));
}

TEST(Base, llama_13b_has_the_published_index_and_sizes) {
  const Measured m = measure(llama(5120, 13824, 40, 40), DType::f32);
  EXPECT_EQ(m.index_sha256, "92c31ad5e853e9a6660e248871f9bd0cd273518de7ec12ca893e1b1078c10898");
  EXPECT_EQ(m.total_size, 26'031'738'880U);
  EXPECT_EQ(m.sizes, (Sizes{9'948'728'430, 9'904'165'024, 6'178'983'625}));
  EXPECT_EQ(m.tensors, (Counts{153, 155, 95}));
}

TEST(Base, two_byte_buffers_give_the_other_published_indexes) {
  const Measured thirteen = measure(llama(5120, 13824, 40, 40), DType::f16);
  EXPECT_EQ(thirteen.index_sha256, "72e91e29282dae48ea5562fcf4d6ca0d5a9c2a30ebc8d67174a19e192552a20b");
  EXPECT_EQ(thirteen.total_size, 26'031'733'760U);
  EXPECT_EQ(thirteen.sizes, (Sizes{9'948'726'510, 9'904'162'976, 6'178'982'473}));
  const Measured seven = measure(llama(4096, 11008, 32, 32), DType::f16);
  EXPECT_EQ(seven.index_sha256, "f56e69fedde5d28e4f37f2b62f74e8522bbfa13395a6d696d1ef99222a431ab7");
}

TEST(Base, inverse_frequencies_went_through_float16) {
  const std::vector<float> values = rotary_inv_freq(128, 10000.0);
  ASSERT_EQ(values.size(), 64U);
  EXPECT_EQ(values[0], 1.0F);
  EXPECT_EQ(values[16], 0.0999755859375F);  // 0.1 as float16
  for (const float value : values) EXPECT_EQ(value, f16_to_f32(f32_to_f16(value)));
}

TEST(Base, miniature_is_what_the_converter_wrote) {
  const Checkpoint meta = Checkpoint::open(test::test_data("miniature/meta"));
  BaseOptions options;
  options.generation = find_hf_generation("4.28");
  options.max_shard_bytes = parse_shard_bytes("1500KB");
  const test::TempFolder out;
  write_plan(base_plan(meta, options), out.path(), {});
  EXPECT_EQ(test::list_folder(out.path()), test::list_folder(test::test_data("miniature/base-hf")));
  for (const std::string& name : test::list_folder(test::test_data("miniature/base-hf"))) {
    EXPECT_TRUE(test::read_bytes(out / name) == test::read_bytes(test::test_data("miniature/base-hf") / name))
        << name;
  }
}

TEST(Base, a_folder_without_tokenizer_is_refused) {
  const test::TempFolder folder;
  std::filesystem::create_directories(folder / "up/meta");
  for (const char* name : {"consolidated.00.pth", "consolidated.01.pth", "params.json"})
    std::filesystem::copy_file(test::test_data("miniature/meta") / name, folder / "up/meta" / name);
  const Checkpoint meta = Checkpoint::open(folder / "up/meta");
  test::expect_refused([&] { base_plan(meta, {}); }, "tokenizer.model");
}

/// params.json of a release, byte for byte, and LLaMA's tokenizer.
void write_tables(const std::filesystem::path& folder, const std::string& params,
                  const std::filesystem::path& tokenizer) {
  test::write_bytes(folder / "params.json", params);
  std::filesystem::copy_file(tokenizer, folder / "tokenizer.model");
}

std::string sha256_of(const Plan& plan, const std::string& name) {
  for (const FileLayout& file : plan.files) {
    if (file.name != name) continue;
    const std::string bytes = test::bytes_of(file);
    return sha256_hex(std::as_bytes(std::span(bytes)));
  }
  return "no " + name;
}

std::vector<std::uint64_t> sizes_of_weights(const Plan& plan) {
  std::vector<std::uint64_t> sizes;
  for (const FileLayout& file : plan.files) {
    if (file.name.ends_with(".bin")) sizes.push_back(file.size());
  }
  return sizes;
}

// Everything that was published of the bases and follows from params.json and tokenizer.model alone.
TEST(BaseOfShapes, seven_and_thirteen_billion_have_the_published_digests_and_sizes) {
  GALATEA_SHARED_DATA_OR_SKIP(tokenizer, "tokenizer.model");
  struct Release {
    const char *params, *index;
    Sizes sizes;
  };
  const std::vector<Release> releases = {
      {R"({"dim": 4096, "multiple_of": 256, "n_heads": 32, "n_layers": 32, "norm_eps": 1e-06, "vocab_size": -1})",
       "aca3c1facc89d12311a667c32e85ac86e625990992ea8a189e3b036ba371b931",
       {9'976'634'558, 3'500'315'539}},
      {R"({"dim": 5120, "multiple_of": 256, "n_heads": 40, "n_layers": 40, "norm_eps": 1e-06, "vocab_size": -1})",
       "92c31ad5e853e9a6660e248871f9bd0cd273518de7ec12ca893e1b1078c10898",
       {9'948'728'430, 9'904'165'024, 6'178'983'625}}};
  for (const Release& release : releases) {
    const test::TempFolder folder;
    write_tables(folder.path(), release.params, tokenizer);
    const Plan plan = base_plan_of_shapes(read_meta_tables(folder.path()), {});
    EXPECT_EQ(sizes_of_weights(plan), release.sizes);
    EXPECT_EQ(sha256_of(plan, "pytorch_model.bin.index.json"), release.index);
    EXPECT_EQ(sha256_of(plan, "generation_config.json"),
              "fd7ff399e5568cc21a0a8414f43df88ef7c424995b9b97a90563165d2cf79efd");
    EXPECT_EQ(sha256_of(plan, "special_tokens_map.json"),
              "ff3b4a612c4e447acb02d40071bddd989fe0da87eb5b7fe0dbadfc4f74de7531");
    EXPECT_EQ(sha256_of(plan, "tokenizer_config.json"),
              "380608719f3af6ef2b343e2ed53bf55556678609337e88a14f58cc49177b9e18");
    EXPECT_EQ(sha256_of(plan, "tokenizer.json"),
              "f9ffc4aede0845ab65324ce5dccb823dca2427f9a0710981e5bc2398d73d8162");
    EXPECT_EQ(sha256_of(plan, "tokenizer.model"),
              "9e556afd44213b6bd1be2b850ebbbd98f5481437a8021afaf58ee7fb1818d347");
    EXPECT_THROW(sha256_of(plan, plan.files.front().name), Error);
    EXPECT_TRUE(sizes_of_weights(side_files_of(plan)).empty());
    EXPECT_EQ(side_files_of(plan).files.size() + release.sizes.size(), plan.files.size());
  }
}

TEST(BaseOfShapes, the_base_of_open_assistant_30b_has_its_published_side_files) {
  GALATEA_SHARED_DATA_OR_SKIP(tokenizer, "tokenizer.model");
  const test::TempFolder folder;
  write_tables(
      folder.path(),
      R"({"dim": 6656, "multiple_of": 256, "n_heads": 52, "n_layers": 60, "norm_eps": 1e-06, "vocab_size": -1})",
      tokenizer);
  BaseOptions options;
  options.generation = find_hf_generation("oasst");
  const Plan plan = base_plan_of_shapes(read_meta_tables(folder.path()), options);
  WriteOptions write;
  write.digests = {HashKind::md5};
  std::map<std::string, std::string> md5;
  for (const WrittenFile& file : write_plan(side_files_of(plan), folder / "out", write))
    md5[file.name] = file.digests.at(HashKind::md5);
  EXPECT_EQ(md5["config.json"], "598538f18fed1877b41f77de034c0c8a");
  EXPECT_EQ(md5["generation_config.json"], "aee09e21813368c49baaece120125ae3");
  EXPECT_EQ(md5["special_tokens_map.json"], "6b2e0a735969660e720c27061ef3f3d3");
  EXPECT_EQ(md5["tokenizer_config.json"], "edd1a5897748864768b1fab645b31491");
  EXPECT_EQ(md5["tokenizer.json"], "fdb311c39b8659a5d5c1991339bafc09");
  EXPECT_EQ(md5["tokenizer.model"], "eeec4125e9c7560836b4873b6f8e3025");
}

TEST(BaseOfShapes, the_miniature_from_its_tables_is_the_one_from_its_weights) {
  const std::filesystem::path meta = test::test_data("miniature/meta");
  BaseOptions options;
  options.max_shard_bytes = parse_shard_bytes("1500KB");
  const Plan whole = base_plan(Checkpoint::open(meta), options);
  const Plan shapes = base_plan_of_shapes(read_meta_tables(meta), options);
  EXPECT_EQ(sizes_of_weights(shapes), sizes_of_weights(whole));
  for (const FileLayout& file : side_files_of(whole).files)
    EXPECT_EQ(sha256_of(shapes, file.name), sha256_of(whole, file.name)) << file.name;
}

TEST(BaseGeneration, sizes_tell_model_torch_and_buffers) {
  const LlamaConfig seven = llama(4096, 11008, 32, 32);
  EXPECT_EQ(recognise_base(seven, {9'976'634'558, 3'500'315'539}),
            "LLaMA 7B, torch 1.6 to 2.0, 4-byte rotary buffers");
  EXPECT_EQ(recognise_base(seven, {9'976'635'045, 3'500'316'014}),
            "LLaMA 7B, torch 2.1 to 2.6, 4-byte rotary buffers");
  const LlamaConfig thirteen = llama(5120, 13824, 40, 40);
  EXPECT_EQ(recognise_base(thirteen, {9'948'726'510, 9'904'162'976, 6'178'982'473}),
            "LLaMA 13B, torch 1.6 to 2.0, 2-byte rotary buffers");
  EXPECT_EQ(recognise_base(thirteen, {9'948'726'510, 9'904'162'976, 6'178'982'474}), "");
}

TEST(BaseGeneration, versions_of_torch_and_their_containers) {
  for (const char* version : {"1.6", "1.13.1", "2.0"})
    EXPECT_EQ(find_torch_generation(version), TorchGeneration::torch_1_6) << version;
  for (const char* version : {"2.1", "2.1.2", "2.6"})
    EXPECT_EQ(find_torch_generation(version), TorchGeneration::torch_2_1) << version;
  for (const char* version : {"2.7", "2.10.0", "3.0"})
    EXPECT_EQ(find_torch_generation(version), TorchGeneration::torch_2_7) << version;
  for (const char* version : {"", "1.5", "2", "two", "2.x", "2.1x", "-1.13"})
    EXPECT_THROW(find_torch_generation(version), Error) << version;
}

}  // namespace
}  // namespace galatea
