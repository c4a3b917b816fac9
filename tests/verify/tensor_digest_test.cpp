#include "verify/tensor_digest.h"

#include <gtest/gtest.h>

#include <string>

#include <nlohmann/json.hpp>

#include "format/checkpoint.h"
#include "format/error.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "format/source.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "tests/support/layouts.h"
#include "verify/common_tensors.h"
#include "verify/tensor_compare.h"

namespace galatea {
namespace {

std::string golden(const std::string& name) { return test::read_bytes(test::test_data("verify/" + name)); }

std::vector<TensorDigest> digests_of(const std::filesystem::path& path, int threads = 0) {
  return tensor_digests(common_tensors(Checkpoint::open(path)).tensors, silent_progress(), threads);
}

Tensor tensor_of(const std::string& name, const std::vector<float>& values, Shape shape) {
  const MatrixShape matrix = matrix_shape(shape, DType::f32);
  return {name, std::move(shape), memory_rows(values, matrix.rows, matrix.cols), {}, 0};
}

Tensor cast(Tensor tensor, DType type) {
  tensor.data = cast_rows(tensor.data, type);
  return tensor;
}

// The lists under tests/data/verify are torch's and numpy's: scripts/oracles/tensor_goldens.py.
TEST(TensorDigest, HuggingFaceFolderGivesTheListOfTorch) {
  for (const int threads : {1, 3})
    EXPECT_EQ(tensor_list_text(digests_of(test::test_data("miniature/base-hf"), threads)),
              golden("miniature.tensors"));
}

TEST(TensorDigest, MetaFolderOfTwoShardsHasTheSameWeights) {
  const auto meta = digests_of(test::test_data("miniature/meta"));
  const auto hf = parse_tensor_list(golden("miniature.tensors"), "list");
  EXPECT_EQ(weights_digest(meta), weights_digest(hf));
  const auto tensors = common_tensors(Checkpoint::open(test::test_data("miniature/meta"))).tensors;
  const TensorReport report = compare_tensors(tensors, meta, hf);
  EXPECT_TRUE(report.passed());
  EXPECT_EQ(report.count(TensorStatus::same), 21U);
  EXPECT_EQ(report.count(TensorStatus::missing), 2U);  // the rotary tables of Hugging Face's files
  EXPECT_EQ(report.count(TensorStatus::extra), 1U);    // and Meta's
}

TEST(TensorDigest, TypeShapeAndValuesAreInTheDigest) {
  const std::vector<float> values = {1, 2, 3, 4};
  const std::string digest = tensor_digest(tensor_of("a", values, {2, 2})).sha256;
  EXPECT_EQ(digest, tensor_digest(tensor_of("b", values, {2, 2})).sha256);
  EXPECT_NE(digest, tensor_digest(tensor_of("a", values, {4})).sha256);
  EXPECT_NE(digest, tensor_digest(tensor_of("a", values, {4, 1})).sha256);
  EXPECT_NE(digest, tensor_digest(tensor_of("a", {1, 2, 3, 5}, {2, 2})).sha256);
  EXPECT_NE(digest, tensor_digest(cast(tensor_of("a", values, {2, 2}), DType::f16)).sha256);
}

TEST(TensorDigest, AsAnotherTypeOnlyWhereThatIsExact) {
  const Tensor exact = tensor_of("a", {1, 0.5F, -0.0F, 65504}, {2, 2});
  const Tensor half = cast(exact, DType::f16);
  EXPECT_EQ(tensor_digest_as(exact, DType::f16)->sha256, tensor_digest(half).sha256);
  EXPECT_EQ(tensor_digest_as(half, DType::f32)->sha256, tensor_digest(exact).sha256);
  EXPECT_FALSE(tensor_digest_as(tensor_of("a", {1, 0.1F, 0, 0}, {2, 2}), DType::f16));
  EXPECT_FALSE(tensor_digest_as(exact, DType::bf16));
  EXPECT_FALSE(tensor_digest_as(exact, DType::q8_0));
}

TEST(TensorDigest, WithoutHeadsInterleavedRowsKeepTheirNames) {
  const CommonTensors shard =
      common_tensors(Checkpoint::open(test::test_data("miniature/meta/consolidated.00.pth")));
  EXPECT_EQ(shard.notes.size(), 1U);
  std::size_t own = 0;
  for (const Tensor& tensor : shard.tensors) own += tensor.name.find("attention.w") != std::string::npos;
  EXPECT_EQ(own, 4U);
  EXPECT_EQ(shard.tensors.front().name, "model.embed_tokens.weight");
}

TEST(TensorDigest, ViewsThatRepeatTheirDataWithoutEndAreRefused) {
  // Strides of 0: an exabyte of tensor in a file of a few bytes.
  const RowsPtr rows = strided_rows(memory_source(std::string_view("\0\0\0\0", 4), "x"), DType::f32, 0,
                                    std::uint64_t{1} << 38U, std::uint64_t{1} << 20U, 0, 0);
  const std::vector<Tensor> endless = {
      {"x", {std::uint64_t{1} << 38U, std::uint64_t{1} << 20U}, rows, {}, 0}};
  EXPECT_THROW(refuse_repetition(endless, 1000, "x"), Error);
  const std::vector<Tensor> many(3, tensor_of("x", std::vector<float>(1000), {1000}));
  EXPECT_NO_THROW(refuse_repetition(many, 4000, "x"));
}

TEST(TensorDigest, TiedHeadIsTheEmbedding) {
  const test::TempFolder folder;
  std::vector<Tensor> tensors = {tensor_of("model.embed_tokens.weight", {1, 2, 3, 4}, {2, 2})};
  test::write_bytes(folder / "model.safetensors", test::bytes_of(safetensors_layout("x", tensors, {})));
  test::write_bytes(folder / "config.json",
                    R"({"model_type": "llama", "vocab_size": 2, "hidden_size": 2, "intermediate_size": 2,
                        "num_hidden_layers": 1, "num_attention_heads": 1, "tie_word_embeddings": true})");
  const auto digests = digests_of(folder.path());
  ASSERT_EQ(digests.size(), 2U);
  EXPECT_EQ(digests[1].name, "lm_head.weight");
  EXPECT_EQ(digests[1].sha256, digests[0].sha256);
}

TEST(TensorDigest, ListsSurviveAnyName) {
  const std::vector<std::string> names = {"a b",      "tab\there", "back\\slash", "line\nfeed", "\xFF\xFE",
                                          "\xC3\xA9", "",          "x  y"};
  std::vector<TensorDigest> digests;
  digests.reserve(names.size());
  for (const std::string& name : names) digests.push_back(tensor_digest(tensor_of(name, {1}, {})));
  const std::string text = tensor_list_text(digests);
  const auto again = parse_tensor_list(text, "list");
  ASSERT_EQ(again.size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i) EXPECT_EQ(again[i].name, names[i]);
  EXPECT_EQ(text.find('\t'), std::string::npos);
}

TEST(TensorDigest, BrokenListsAreErrorsWithTheirLine) {
  const std::string head = "# galatea tensor digests v1\n";
  const std::string hex(64, 'a');
  const std::string bad[] = {
      hex + "  F16  [2]",       hex + " F16 [2] x",       hex.substr(1) + "  F16  [2]  x",
      hex + "  F16  [2,]  x",   hex + "  F16  [-2]  x",   hex + "  F16  [99999999999999999999999]  x",
      hex + "  F16  2  x",      hex + "  F16  [2]  x\\q", hex + "    [2]  x",
      hex + "  F16  [2]  good", std::string(100'000, 'a')};
  const std::string good = head + hex + "  F16  [2]  good\n";
  for (const std::string& line : bad) {
    SCOPED_TRACE(testing::Message() << line.substr(0, 100));
    test::expect_refused([&] { (void)parse_tensor_list(good + line + "\n", "list"); }, "reading line 3");
  }
  EXPECT_THROW((void)parse_tensor_list(head, "list"), Error);
  std::string changed = golden("miniature.tensors");
  changed[changed.find("  F16") - 1] ^= 1;
  EXPECT_THROW((void)parse_tensor_list(changed, "list"), Error);
}

TEST(TensorCompare, EveryStatus) {
  const std::vector<float> values = {1, 2, 3, 4};
  const auto list = [](const std::vector<Tensor>& tensors) { return tensor_digests(tensors); };
  const std::vector<Tensor> wanted = {tensor_of("same", values, {4}),    tensor_of("type", values, {4}),
                                      tensor_of("rounded", {0.1F}, {1}), tensor_of("values", values, {4}),
                                      tensor_of("shape", values, {4}),   tensor_of("missing", values, {4})};
  const std::vector<Tensor> mine = {tensor_of("same", values, {4}),
                                    cast(tensor_of("type", values, {4}), DType::bf16),
                                    cast(tensor_of("rounded", {0.1F}, {1}), DType::bf16),
                                    tensor_of("values", {1, 2, 3, 5}, {4}),
                                    tensor_of("shape", values, {2, 2}),
                                    tensor_of("extra", values, {4})};
  const TensorReport report = compare_tensors(mine, list(mine), list(wanted));
  const std::vector<TensorStatus> expected = {
      TensorStatus::same,  TensorStatus::other_type, TensorStatus::differs, TensorStatus::differs,
      TensorStatus::shape, TensorStatus::missing,    TensorStatus::extra};
  ASSERT_EQ(report.tensors.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(report.tensors[i].status, expected[i]) << report.tensors[i].name;
    EXPECT_EQ(report.tensors[i].failed, i > 1) << report.tensors[i].name;
  }
  EXPECT_FALSE(report.passed());
  EXPECT_EQ(tensor_report_json(report).at("counts").at("differs"), 2);
  EXPECT_NE(tensor_report_text(report).find("FAILED: 1 same, 1 other type, 2 differs"), std::string::npos);
  EXPECT_FALSE(TensorReport{}.passed());
}

}  // namespace
}  // namespace galatea
