// The miniature release, quantized: whole files against digests of files that gguf-py read and torch
// confirmed (scripts/oracles/check_gguf.py).
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "format/checkpoint.h"
#include "format/hash.h"
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
      {"Q5_1", "2e46b12c9a8b438b56899085f576ebd20c38e6748ab78650270526ea0145e8fe"},
      {"Q5_0", "8cfdb8a55dfde5b24675762fe53ae6ddef93b72289c140f73751c2336a1ef6b8"},
      {"Q4_1", "4d870ec3ca5b52e5ca337a4ef3c171b04789c925ac5bca8aecef3c46ff7d3455"},
      {"Q4_0", "c58b64b6d670b8976a13c20bf9920a764fa24f782b831df736ed05aa9d839682"},
  };
  for (const NamedMix& mix : all_mixes()) {
    if (find_encoder(mix.type)->importance == Importance::required || mix.name == "Q2_K_S") continue;
    const QuantizationPlan plan = plan_of(test::test_data("miniature/base-hf"), mix.name);
    EXPECT_EQ(digest_of(plan.layout), digests.count(mix.name) ? digests.at(mix.name) : "") << mix.name;
  }
}

TEST(Miniature, meta_and_hugging_face_weights_give_the_same_tensors) {
  const QuantizationPlan meta = plan_of(test::test_data("miniature/meta"), "Q4_1");
  const QuantizationPlan hf = plan_of(test::test_data("miniature/base-hf"), "Q4_1");
  ASSERT_EQ(meta.layout.tensors.size(), hf.layout.tensors.size());
  for (std::size_t i = 0; i < meta.layout.tensors.size(); ++i) {
    const Tensor& a = meta.layout.tensors[i];
    const Tensor& b = hf.layout.tensors[i];
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
                    bytes_of(plan_of(test::test_data("miniature/base-hf"), "F16").layout));
  for (const char* type : {"Q4_0", "Q5_1", "F32"}) {
    EXPECT_EQ(bytes_of(plan_of(folder / "f16.gguf", type).layout),
              bytes_of(plan_of(test::test_data("miniature/base-hf"), type).layout))
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
