// Small Meta folders of 1, 2, 4 and 8 shards, as scripts/oracles/base_goldens.py made them, against the digests of
// what transformers' own converter wrote of them.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "converter/base.h"
#include "format/hash.h"
#include "format/json.h"
#include "format/torch_layout.h"
#include "tests/support/files.h"
#include "tests/support/layouts.h"

namespace galatea {
namespace {

constexpr std::uint64_t dim = 64, heads = 8, layers = 12, vocabulary = 32000, inner = 256;

/// Value i of tensor t of shard s is a hash of the three.
class Values {
 public:
  explicit Values(std::uint64_t shard) : shard_(shard) {}

  Tensor operator()(const std::string& name, const Shape& shape) {
    const std::uint64_t count = element_count(shape);
    std::vector<std::byte> bytes(count * 2);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto x = static_cast<std::uint32_t>(i * 2654435761U + tensors_ * 40503 + shard_ * 69069 + 12345);
      const int value = static_cast<int>((x >> 16U) % 2001) - 1000;
      const std::uint16_t half = f32_to_f16(static_cast<float>(value) / 16384.0F);
      std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
    ++tensors_;
    const MatrixShape matrix = matrix_shape(shape, DType::f16);
    return {name, shape, memory_rows(std::move(bytes), DType::f16, matrix.rows, matrix.cols), {}, 0};
  }

 private:
  std::uint64_t shard_, tensors_ = 0;
};

void write_meta(const std::filesystem::path& folder, std::uint64_t shards) {
  std::filesystem::create_directories(folder);
  test::write_bytes(folder / "params.json",
                    R"({"dim": 64, "multiple_of": 256, "n_heads": 8, "n_layers": 12, "norm_eps": 1e-06, )"
                    R"("vocab_size": -1})");
  std::filesystem::copy_file(test::test_data("miniature/meta/tokenizer.model"), folder / "tokenizer.model");
  for (std::uint64_t shard = 0; shard < shards; ++shard) {
    Values values(shard), same(100);
    std::vector<Tensor> state = {values("tok_embeddings.weight", {vocabulary, dim / shards}),
                                 same("norm.weight", {dim}),
                                 values("output.weight", {vocabulary / shards, dim})};
    for (std::uint64_t i = 0; i < layers; ++i) {
      const std::string layer = "layers." + std::to_string(i) + ".";
      for (const char* name : {"wq", "wk", "wv"})
        state.push_back(values(layer + "attention." + name + ".weight", {dim / shards, dim}));
      state.push_back(values(layer + "attention.wo.weight", {dim, dim / shards}));
      state.push_back(values(layer + "feed_forward.w1.weight", {inner / shards, dim}));
      state.push_back(values(layer + "feed_forward.w2.weight", {dim, inner / shards}));
      state.push_back(values(layer + "feed_forward.w3.weight", {inner / shards, dim}));
      state.push_back(same(layer + "attention_norm.weight", {dim}));
      state.push_back(same(layer + "ffn_norm.weight", {dim}));
    }
    const std::vector<float> zeros(dim / heads / 2);
    state.push_back({"rope.freqs", {zeros.size()}, memory_rows(zeros, zeros.size(), 1), {}, 0});
    const std::string name = "consolidated.0" + std::to_string(shard) + ".pth";
    write_file(torch_zip_layout(name, std::move(state)), folder / name, {});
  }
}

class ConverterOf2023 : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ConverterOf2023, WroteTheseDigests) {
  const test::TempFolder folder;
  write_meta(folder / "meta", GetParam());
  const Checkpoint meta = Checkpoint::open(folder / "meta");
  const auto goldens = parse_json_file(test::test_data("base/digests.json"));
  BaseOptions options;
  options.generation = find_hf_generation("4.28");
  for (const char* limit : {"10GB", "3MB"}) {
    options.max_shard_bytes = parse_shard_bytes(limit);
    std::size_t compared = 0;
    const auto& digests = goldens.at(std::to_string(GetParam())).at(limit);
    for (const FileLayout& file : base_plan(meta, options).files) {
      if (!digests.contains(file.name)) continue;
      const std::string bytes = test::bytes_of(file);
      EXPECT_EQ(sha256_hex(std::as_bytes(std::span(bytes))), digests.at(file.name).get<std::string>())
          << file.name << " of " << limit;
      ++compared;
    }
    EXPECT_EQ(compared, digests.size()) << limit;
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, ConverterOf2023, testing::Values(1U, 2U, 4U, 8U),
                         [](const auto& instance) { return std::to_string(instance.param); });

}  // namespace
}  // namespace galatea
