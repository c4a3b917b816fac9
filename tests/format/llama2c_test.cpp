#include "format/llama2c.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/files.h"

namespace galatea {
namespace {

/// dim 4, hidden 6, 2 layers, 2 heads, 1 kv head, vocabulary 3, context 5; value i of the file is i.
std::string tiny(std::int32_t vocab) {
  const std::int32_t numbers[7] = {4, 6, 2, 2, 1, vocab, 5};
  const std::size_t values =
      3 * 4 + 2 * (4 + 16 + 8 + 8 + 16 + 4 + 24 + 24 + 24) + 4 + 5 * 2 + (vocab < 0 ? 12 : 0);
  std::string bytes(sizeof numbers + 4 * values, '\0');
  std::memcpy(bytes.data(), numbers, sizeof numbers);
  for (std::size_t i = 0; i < values; ++i) {
    const auto value = static_cast<float>(i);
    std::memcpy(bytes.data() + sizeof numbers + 4 * i, &value, 4);
  }
  return bytes;
}

TEST(Llama2c, TensorsLieWhereTheLayoutSays) {
  const auto model = read_llama2c(memory_source(tiny(-3), "tiny.bin"));
  ASSERT_TRUE(model.has_value());
  EXPECT_FALSE(model->config.tied_embeddings);
  EXPECT_EQ(model->config.vocab_size, 3U);
  EXPECT_EQ(model->config.rms_norm_eps, 1e-5);
  const auto first_value = [&](const char* name) {
    for (const Tensor& tensor : model->tensors) {
      if (tensor.name == name) return read_all_f32(tensor).front();
    }
    return -1.0F;
  };
  EXPECT_EQ(first_value("tok_embeddings.weight"), 0.0F);
  EXPECT_EQ(first_value("layers.1.attention_norm.weight"), 16.0F);
  EXPECT_EQ(first_value("layers.0.attention.wq.weight"), 20.0F);
  EXPECT_EQ(first_value("layers.1.attention.wk.weight"), 60.0F);
  EXPECT_EQ(first_value("norm.weight"), 268.0F);
  EXPECT_EQ(first_value("output.weight"), 282.0F);
}

TEST(Llama2c, OnlyTheExactSizeIsTaken) {
  EXPECT_TRUE(read_llama2c(memory_source(tiny(3), "tiny.bin")).has_value());
  EXPECT_TRUE(read_llama2c(memory_source(tiny(3), "tiny.bin"))->config.tied_embeddings);
  EXPECT_FALSE(read_llama2c(memory_source(tiny(3) + "x", "tiny.bin")).has_value());
  const std::string whole = tiny(-3);
  for (const std::size_t length : {0UL, 27UL, 28UL, 100UL, whole.size() - 1}) {
    EXPECT_FALSE(read_llama2c(memory_source(whole.substr(0, length), "tiny.bin")).has_value()) << length;
  }
}

TEST(Llama2c, AbsurdHeadersAreNobodys) {
  for (std::size_t field = 0; field < 7; ++field) {
    for (const std::int32_t value : {0, -1, INT32_MAX, INT32_MIN}) {
      std::string bytes = tiny(3);
      std::memcpy(bytes.data() + 4 * field, &value, 4);
      if (field == 5 && value == -1) continue;
      EXPECT_FALSE(read_llama2c(memory_source(bytes, "tiny.bin")).has_value()) << field << " " << value;
    }
  }
}

}  // namespace
}  // namespace galatea
