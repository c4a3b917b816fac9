#include "format/gguf_rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "format/error.h"
#include "format/gguf_llama.h"
#include "format/plan.h"
#include "format/rows.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using Kind = RopeScaling::Kind;

/// The configuration of a model of Llama 3's shape that is all metadata, and of its factors where there are some.
LlamaConfig config_of(const GgufMetadata& more, const std::vector<float>& factors = {}) {
  GgufMetadata metadata = {
      {"general.architecture", std::string("llama")},      {"llama.block_count", std::uint32_t{16}},
      {"llama.context_length", std::uint32_t{131072}},     {"llama.embedding_length", std::uint32_t{2048}},
      {"llama.feed_forward_length", std::uint32_t{8192}},  {"llama.attention.head_count", std::uint32_t{32}},
      {"llama.attention.head_count_kv", std::uint32_t{8}}, {"llama.rope.freq_base", 500000.0F},
      {"llama.attention.layer_norm_rms_epsilon", 1e-5F},   {"llama.vocab_size", std::uint32_t{128256}}};
  metadata.insert(metadata.end(), more.begin(), more.end());
  std::vector<Tensor> tensors;
  if (!factors.empty()) {
    Tensor tensor;
    tensor.name = rope_factors_name;
    tensor.shape = {factors.size()};
    tensor.data = memory_rows(factors, 1, factors.size());
    tensors.push_back(std::move(tensor));
  }
  const test::TempFolder folder;
  write_file(gguf_layout("m.gguf", metadata, std::move(tensors)), folder / "m.gguf", {});
  return config_from_gguf(GgufFile::open(folder / "m.gguf"));
}

/// As generate_extra_tensors of convert_hf_to_gguf.py computes them, step by step in float32.
std::vector<float> written_factors(float factor, float low, float high, float context) {
  std::vector<float> out;
  for (int i = 0; i < 32; ++i) {
    const float frequency = 1.0F / std::pow(500000.0F, static_cast<float>(2 * i) / 64.0F);
    const float wave = static_cast<float>(2 * M_PI) / frequency;
    if (wave < context / high) {
      out.push_back(1);
    } else if (wave > context / low) {
      out.push_back(factor);
    } else {
      const float smooth = (context / wave - low) / (high - low);
      out.push_back(1 / ((1 - smooth) / factor + smooth));
    }
  }
  return out;
}

void expect_refused(const GgufMetadata& more, const std::vector<float>& factors, const std::string& named) {
  test::expect_refused([&] { config_of(more, factors); }, named);
}

TEST(GgufRope, LinearScaling) {
  const GgufEntry type{"llama.rope.scaling.type", std::string("linear")};
  for (const GgufMetadata& more :
       {GgufMetadata{type, {"llama.rope.scaling.factor", 2.6F}},
        GgufMetadata{{"llama.rope.scaling.factor", 2.6F}}, GgufMetadata{{"llama.rope.scale_linear", 2.6F}}}) {
    const RopeScaling scaling = config_of(more).rope_scaling;
    EXPECT_EQ(scaling.kind, Kind::linear);
    EXPECT_EQ(scaling.factor, 2.6) << "the decimal that was meant";
  }
  EXPECT_EQ(config_of({type}).rope_scaling.kind, Kind::none);
  EXPECT_EQ(config_of({{"llama.rope.scaling.type", std::string("none")}, {"llama.rope.scaling.factor", 2.0F}})
                .rope_scaling.kind,
            Kind::none);
}

TEST(GgufRope, FactorsOfLlama3) {
  for (const float factor : {8.0F, 32.0F}) {
    const LlamaConfig config = config_of({}, written_factors(factor, 1, 4, 8192));
    EXPECT_EQ(config.rope_scaling.kind, Kind::llama3);
    EXPECT_EQ(config.rope_scaling.factor, static_cast<double>(factor));
    EXPECT_EQ(config.rope_scaling.original_context, 8192.0);
    EXPECT_EQ(config.rope_scaling.low_frequency, 1.0);
    EXPECT_EQ(config.rope_scaling.high_frequency, 4.0);
  }
  EXPECT_EQ(config_of({}, written_factors(8, 1, 4, 4096)).rope_scaling.original_context, 4096.0);
  EXPECT_EQ(config_of({{"llama.rope.scaling.original_context_length", std::uint32_t{5000}}},
                      written_factors(8, 1, 4, 5000))
                .rope_scaling.original_context,
            5000.0);
  EXPECT_EQ(config_of({}, std::vector<float>(32, 1)).rope_scaling.kind, Kind::none);
}

TEST(GgufRope, SlidingWindow) {
  EXPECT_EQ(config_of({}).sliding_window, 0U);
  EXPECT_EQ(config_of({{"llama.attention.sliding_window", std::uint32_t{4096}}}).sliding_window, 4096U);
}

TEST(GgufRope, WhatIsNotKnownIsRefusedByName) {
  for (const char* kind : {"yarn", "longrope", "dynamic", "new\nkind"}) {
    expect_refused({{"llama.rope.scaling.type", std::string(kind)}, {"llama.rope.scaling.factor", 4.0F}}, {},
                   printable(kind));
  }
  expect_refused({{"llama.rope.scaling.factor", -2.0F}}, {}, "factor");
  expect_refused({{"llama.rope.scaling.factor", NAN}}, {}, "factor");
  std::vector<float> other = written_factors(8, 1, 4, 8192);
  other[20] *= 1.01F;
  expect_refused({}, other, rope_factors_name);
  expect_refused({}, written_factors(8, 1, 8, 8192), rope_factors_name);
  expect_refused({}, {1, 2, 3}, "32 numbers");
  other[20] = 0;
  expect_refused({}, other, "32 numbers");
  expect_refused({{"llama.rope.scaling.factor", 2.0F}}, written_factors(8, 1, 4, 8192), "twice");
}

}  // namespace
}  // namespace galatea
