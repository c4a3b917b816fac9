#include "converter/base.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "format/error.h"
#include "format/hash.h"
#include "tests/support/files.h"

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
  try {
    base_plan(meta, {});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("tokenizer.model"), std::string::npos);
  }
}

}  // namespace
}  // namespace galatea
