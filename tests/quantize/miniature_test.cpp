// The miniature release, quantized: whole files against digests of files that gguf-py read and torch
// confirmed (scripts/oracles/check_gguf.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
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
      {"F32", "ee998e6eab624e0701a31f988f35c6156e4e8a9f06d9c160de218cc5ef8cdfc8"},
      {"F16", "474dccfa5a08e7edd22577a2f82299935fc48034be2a6e15300d5e3c267ab2a6"},
      {"BF16", "abbb6add0be5fb618aa0affbde14ec305881b7c6ddb54b93ac92c2edc72d107a"},
      {"Q8_0", "875a67969af74fffb43f05a86312d632b47b4225722b173b934e482b29c0bd6a"},
      {"Q6_K", "06c71348007d83f05e9f2a38c3ce310ba5cf46e4e13266aa57ddbc5557b7d40c"},
      {"Q5_1", "824a4b76445692d65aab3e616a9044ce4214a06fd878c81d3b1040f186077024"},
      {"Q5_K_M", "0b4b9dfebe6bd48575031fb55ef62275409ac6ddb0d9f417d42c6ba979ae7860"},
      {"Q5_K_S", "c672348167a7c37f7998cffee2c10b56ef7a24fa635c88908f40ef8a2f20fef9"},
      {"Q5_0", "40d9ea18daf212ad7a8e78f6eb5d55a5ddb270e21602851a482b6758bba92b22"},
      {"Q4_1", "964544fb75412ba409b5ed5218bea9ff37d35c4bb3fac51f69cb1964d6282d48"},
      {"Q4_K_M", "109945c5f9da2b03090799f675d156dfae4f0a84837578375c856aa3c75cd3f6"},
      {"Q4_K_S", "88e259141863c85a3c5e4f27d92a1826a367b7e52dce19e89e8044f33515f568"},
      {"Q4_0", "4e4c148382f3165f3895b75cf15726f0978c4310b496e0dd15b8080fec9f79ba"},
      {"IQ4_NL", "14dc36820c2ceafe764b6c01cd69d56d7a8222bad8caa65b13a33363ac4d7f01"},
      {"IQ4_XS", "b6c98da65908226a6d2534693228ec4742ed660339e9a88f26a2134b56032f65"},
      {"MXFP4", "6956571443cb5c68061cf16e01b56de6c81fbd1f7dd76f910dca9c9988bd40cc"},
      {"Q3_K_L", "ecb1ee32797b4e6f612b34df647da053d41f8edd92b060aa373cc9fbc316295e"},
      {"Q3_K_M", "9845a08de24daffa7e78a40aaedbc10474457183ecb9ed69fa2060234947125b"},
      {"Q3_K_S", "e63f8f6fbd8876ea0463160020c1dddbe9c36e2ee8f97a9614a74c4698115330"},
      {"IQ3_M", "64376556f69483b84c3649b307e8b923211b32824b7ec83e0b979d6c28113334"},
      {"IQ3_S", "811709885f6b3fe7e9ca7ff49c19a67fb4fb606776500fc5e73c90cd875366aa"},
      {"IQ3_XS", "f0c4946352c28ab7fd8f5a3bcc864f8de1ef75777e537b29cc97c5803bf3f160"},
      {"Q2_K", "a9da93d0b43f1f77d3a213f6deaeec6e3ddef4dfa2726e42407a01fe7387baa4"},
      {"TQ2_0", "349b87da827e924343f4315cdeb57f9617bd83b530537d59bde90c11c87cd9b8"},
      {"TQ1_0", "27ef0c44e834141262c1aba73819e4de5079e5c5fb2179cf983f1ca907b48f95"},
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
      {"Q4_K_M", "59b30998ab2f62c4120dc110bcdb356f8caf7a16aee386dc344d593772cfa777"},
      {"Q2_K_S", "19babb5d055d4685cfc80c28cb0ccd4887b69548b825ef7bea347939de0f4653"},
      {"IQ3_XXS", "90078051428ea8d02a0286cefa82ad478fb5fcf636ef6d452d0ec04bd850ef4d"},
      {"IQ2_M", "cf82c3e7e59b2337d2b929177ab88be067092e8aa8b014c5279e2f1aa42ad1a6"},
      {"IQ2_S", "565989b7f3f1b9ff6adce349b1df4167d3ad40cf10ee9269e6c73eaf7bd6c082"},
      {"IQ2_XS", "11cb23ceeb24fd0dbc8dde1dfbffa6d6773715e03e4ea89ab273a67990eac243"},
      {"IQ2_XXS", "7dadede1b11498b1081f97d80cf47c46037aef15c3d8daa3380751a489bfbeff"},
      {"IQ1_M", "2dfd0690788b782caadbc20b1461335c840f04a6f924a62f526328d25bc08b3a"},
      {"IQ1_S", "9253637efa6a766975f7a066da083caec4b63db1443b63dee106367e6fa46244"},
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
    const auto at = [&](const std::vector<float>& values, std::size_t r) {
      return values.begin() + static_cast<std::ptrdiff_t>(r * cols);
    };
    ASSERT_TRUE(std::equal(at(gguf, row), at(gguf, row + 1), at(hf, source))) << row;
  }
}

}  // namespace
}  // namespace galatea
