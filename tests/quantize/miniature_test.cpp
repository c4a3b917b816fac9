// The miniature release, quantized: whole files against digests of files that gguf-py read and torch
// confirmed (scripts/oracles/check_gguf.py).
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "format/checkpoint.h"
#include "format/error.h"
#include "format/hash.h"
#include "quantize/importance_file.h"
#include "quantize/quantize_model.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

QuantizationPlan plan_of(const std::filesystem::path& input, std::string_view type) {
  QuantizeOptions options;
  options.mix.named = find_mix(type);
  return plan_quantization(llama_gguf_model(Checkpoint::open(input), {"miniature", {}}), "m.gguf", options);
}

std::string bytes_of(const FileLayout& layout) {
  std::string out;
  stream_layout(layout, {}, [&](std::span<const std::byte> piece) {
    out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return out;
}

std::string digest_of(const FileLayout& layout) {
  const std::string bytes = bytes_of(layout);
  return sha256_hex(std::as_bytes(std::span(bytes)));
}

TEST(Miniature, quantized_files_are_those_that_gguf_py_confirmed) {
  const std::map<std::string_view, std::string> digests = {
      {"F32", "55e8e97a7d5106bf170a7a634ba9dc09bed7274d1aa2582156d862f6a8227e14"},
      {"F16", "6478d37f684d9ab6c88cb2a3e30d5f006263e3a0c9df1ae0113cbd4618497a22"},
      {"BF16", "14038eb2c6bcebbcf675ef73a3d63aaa37b67cba13b5e9aedeacc2aaf9e60e0f"},
      {"Q8_0", "dcb485c055d61ad0cb8f7a3015acc72bc4bd667b7b97e44194a0ab526402968e"},
      {"Q6_K", "72a66e72bf4ffa80d9398924eca046f291645de4acac96649bbd8f44fd5c875c"},
      {"Q5_1", "ca243ad46e263b308c936b21f1f5b1796170055b831551a9b07de2179d1f1695"},
      {"Q5_K_M", "805379d1289e9b65b83c8d1bf25a4ac286b727735bf3212ab1b24f2913fb18aa"},
      {"Q5_K_S", "ab569ef7ef9d17872b84d25aeac9c40b05540a0a27772fd54cc7f523a51dec2e"},
      {"Q5_0", "e490ea78adab8fd23c2905df467a73aee438ca7017a45cd13e9ee87a97f5a12a"},
      {"Q4_1", "6ccad2924b839fa939be7840bb3888f5c9e6be288673bc0f47786c1a48709df4"},
      {"Q4_K_M", "2cbccda1ff612db3f21314ed2defd11a408459c6e5d9555108cc7a0f0c5e68cb"},
      {"Q4_K_S", "5e0a929f0dfdc6da1e98f000524e9ff7d8657c2ebaf6a697203c3d4c560fb148"},
      {"Q4_0", "fc90db6e019e295e16919eabed6687049ae0f1b0ec7b689f39dd4f1b5cc1bac2"},
      {"IQ4_NL", "945e5aad70c509c0d0b50775278e8137bc23524c672347026f47bc6529abd8b3"},
      {"IQ4_XS", "be5d9c65dfc96c0173ca670d2a144686feafadb1ca2af24b374c4fc644fb70a5"},
      {"MXFP4", "0c2cead330841c030192f8e8e897466d2da717162693c3b81f5958e2fe171202"},
      {"Q3_K_L", "b4d8f9a15f409347ef56a51b4196f831f049487abb38688a77ca2bad4f430d06"},
      {"Q3_K_M", "81b3d3b32d57e9afb7aa12eca697bb53015aba2f2d170058fd0335f3a214fcef"},
      {"Q3_K_S", "cb03b19a4a5f8b3e153e0b08306a81e558a33fc4ea6c41f504d84c9b1084fb9f"},
      {"IQ3_M", "f8e8f91dc4a0640ab9c16c1fba0fcac9418441e8104fbe2dff1eb26e8ebfb279"},
      {"IQ3_S", "4a0a2965d7e2c19bc24a4b046f0cd43e03cfd4f24e89323373c79f016d5f0de2"},
      {"IQ3_XS", "738024a67d8f7e2111fdbec7f6c110a08406417a0d426ff8d21e9d55115465bd"},
      {"Q2_K", "be462a44d8118d40d4be97ee188cec2d207c7045f1f8a5eb4df9b6024ac39546"},
      {"TQ2_0", "9b6a3a10a6336d787e7cc5750dbc58921627980cae33ab9ababe536c532a73e4"},
      {"TQ1_0", "0e7a64dfeb3dcfdeb05410167d97845304cd8cf15265d71737eb28dc54b3eea6"},
  };
  for (const NamedMix& mix : all_mixes()) {
    if (!digests.contains(mix.name)) continue;  // below, with importance
    const QuantizationPlan plan = plan_of(test::test_data("miniature/base-hf"), mix.name);
    EXPECT_EQ(digest_of(plan.files.front()), digests.at(mix.name)) << mix.name;
  }
}

// The same through an importance matrix: the weights as the command gives them, without the entries it adds.
TEST(Miniature, mixes_that_need_importance_have_it_or_are_refused) {
  const ImportanceFile importance = read_importance_file(test::test_data("imatrix/miniature.imatrix.gguf"));
  const std::map<std::string_view, std::string> digests = {
      {"Q4_K_M", "526c9612ab96e47fb8908edb2947d66496c13525afd8a99051db1f02d8fa24d9"},
      {"Q2_K_S", "56df9a88a3a307b43f3dd2effb613e99da1ae701317aee609b69c2aad19b4eff"},
      {"IQ3_XXS", "08d2bcef74de1722fd0589e0c09f1261fd3d2b1793a06485595462ae67a7ff1e"},
      {"IQ2_M", "1999b2b51b24a8ab8a4d47419fa05608a54dcf12fe44d0f581560e64ebfbd795"},
      {"IQ2_S", "e1f45b3b3b93d739cfb91a20f84eebb719a993186c7a6432d1bb796622822002"},
      {"IQ2_XS", "1a95c35d32794c4e2f1f52bc7803cc51c93cd7120ab48e54b72a3b2ab73eb6bf"},
      {"IQ2_XXS", "82f74997178c1aa9f314bc55894e4a9b797ffaaf03f2aff66eddb09e90e71712"},
      {"IQ1_M", "fa0444418e0a55918f79e349ad7bbbb94d79ee5812d2bf2185c01e1a6aecc729"},
      {"IQ1_S", "11dedd8b67e7917e27e393fcc9563b63364bda3c15c5ab1bdba75571d056e42b"},
  };
  for (const auto& [name, digest] : digests) {
    QuantizeOptions options;
    options.mix.named = find_mix(name);
    GgufModel model =
        llama_gguf_model(Checkpoint::open(test::test_data("miniature/base-hf")), {"miniature", {}});
    if (name != "Q4_K_M") {
      EXPECT_THROW(plan_quantization(model, "m.gguf", options), Error) << name;
    }
    options.importance = importance.weights;
    EXPECT_EQ(digest_of(plan_quantization(std::move(model), "m.gguf", options).files.front()), digest)
        << name;
  }
}

TEST(Miniature, meta_and_hugging_face_weights_give_the_same_tensors) {
  const QuantizationPlan meta = plan_of(test::test_data("miniature/meta"), "Q4_1");
  const QuantizationPlan hf = plan_of(test::test_data("miniature/base-hf"), "Q4_1");
  ASSERT_EQ(meta.files.front().tensors.size(), hf.files.front().tensors.size());
  for (std::size_t i = 0; i < meta.files.front().tensors.size(); ++i) {
    const Tensor& a = meta.files.front().tensors[i];
    const Tensor& b = hf.files.front().tensors[i];
    ASSERT_EQ(a.name, b.name);
    ASSERT_EQ(a.bytes(), b.bytes());
    std::vector<std::byte> left(a.bytes()), right(b.bytes());
    a.data->read(0, a.data->rows(), left);
    b.data->read(0, b.data->rows(), right);
    EXPECT_EQ(std::memcmp(left.data(), right.data(), left.size()), 0) << a.name;
  }
}

TEST(Miniature, the_way_through_gguf_changes_nothing) {
  test::TempFolder folder;
  test::write_bytes(folder / "f16.gguf",
                    bytes_of(plan_of(test::test_data("miniature/base-hf"), "F16").files.front()));
  for (const char* type : {"Q4_0", "Q5_1", "F32"}) {
    EXPECT_EQ(bytes_of(plan_of(folder / "f16.gguf", type).files.front()),
              bytes_of(plan_of(test::test_data("miniature/base-hf"), type).files.front()))
        << type;
  }
}

TEST(Miniature, rotary_rows_are_interleaved) {
  const Checkpoint checkpoint = Checkpoint::open(test::test_data("miniature/base-hf"));
  const GgufModel model = llama_gguf_model(checkpoint);
  const auto rows_of = [](const Tensor& tensor) { return read_all_f32(tensor); };
  const Tensor* query = nullptr;
  for (const Tensor& tensor : model.tensors) {
    if (tensor.name == "blk.1.attn_q.weight") query = &tensor;
  }
  ASSERT_NE(query, nullptr);
  const std::vector<float> gguf = rows_of(*query);
  const std::vector<float> hf = rows_of(*checkpoint.find("model.layers.1.self_attn.q_proj.weight"));
  const std::size_t cols = 256, head_dim = 64;
  for (std::size_t row = 0; row < 256; ++row) {
    const std::size_t head = row / head_dim, place = row % head_dim;
    const std::size_t source = head * head_dim + (place % 2) * head_dim / 2 + place / 2;
    ASSERT_EQ(std::memcmp(&gguf[row * cols], &hf[source * cols], cols * sizeof(float)), 0) << row;
  }
}

}  // namespace
}  // namespace galatea
