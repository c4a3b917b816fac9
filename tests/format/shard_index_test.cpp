#include "format/shard_index.h"

#include <gtest/gtest.h>

#include "format/error.h"
#include "tests/support/errors.h"

namespace galatea {
namespace {

TEST(ShardIndex, IsWrittenAsTransformersWritesIt) {
  ShardIndex index;
  index.weight_map = {{"layers.10.w", "pytorch_model-00002-of-00002.bin"},
                      {"layers.2.w", "pytorch_model-00001-of-00002.bin"},
                      {"a", "pytorch_model-00001-of-00002.bin"}};
  index.total_size = 13476839424;
  const std::string text =
      "{\n  \"metadata\": {\n    \"total_size\": 13476839424\n  },\n  \"weight_map\": {\n"
      "    \"a\": \"pytorch_model-00001-of-00002.bin\",\n"
      "    \"layers.10.w\": \"pytorch_model-00002-of-00002.bin\",\n"
      "    \"layers.2.w\": \"pytorch_model-00001-of-00002.bin\"\n  }\n}\n";
  EXPECT_EQ(shard_index_text(index), text);
  const ShardIndex again = read_shard_index(*memory_source(text, "index.json"));
  EXPECT_EQ(again.weight_map, index.weight_map);
  EXPECT_EQ(again.total_size, index.total_size);
  EXPECT_EQ(again.files(), (std::vector<std::string>{"pytorch_model-00001-of-00002.bin",
                                                     "pytorch_model-00002-of-00002.bin"}));
}

TEST(ShardIndex, TotalSizeMayBeAFloatOrMissing) {
  EXPECT_EQ(
      read_shard_index(*memory_source(R"({"metadata":{"total_size":64.0},"weight_map":{}})", "i")).total_size,
      64U);
  EXPECT_EQ(read_shard_index(*memory_source(R"({"weight_map":{}})", "i")).total_size, std::nullopt);
}

class HostileIndex : public testing::TestWithParam<const char*> {};

TEST_P(HostileIndex, IsRefused) {
  SCOPED_TRACE(GetParam());
  const Error error = test::error_of([&] { read_shard_index(*memory_source(GetParam(), "index.json")); });
  EXPECT_EQ(error.kind(), ErrorKind::input);
  EXPECT_EQ(error.file_name(), "index.json");
}

INSTANTIATE_TEST_SUITE_P(
    Texts, HostileIndex,
    testing::Values("", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})",
                    R"({"weight_map":{"a":"../x.bin"}})", R"({"weight_map":{"a":"/etc/passwd"}})",
                    R"({"weight_map":{"a":".."}})", R"({"weight_map":{"a":""}})",
                    R"({"weight_map":{"a":"x\\y.bin"}})", R"({"weight_map":{"a":"x\u0000.bin"}})",
                    R"({"weight_map":{"a":"x\n.bin"}})", R"({"weight_map":{"a":"x","a":"y"}})",
                    R"({"metadata":{"total_size":-1},"weight_map":{}})",
                    R"({"metadata":{"total_size":"9"},"weight_map":{}})"));

TEST(ShardNumber, OfNames) {
  const auto number = shard_number("pytorch_model-00002-of-00003.bin");
  ASSERT_TRUE(number.has_value());
  EXPECT_EQ(number->number, 2U);
  EXPECT_EQ(number->count, 3U);
  for (const char* name :
       {"pytorch_model.bin", "x-00004-of-00003.bin", "x-00000-of-00003.bin", "-of-", "x-0a001-of-00003.bin",
        "x-00001-of-00003", "x-00001-of-003.bin", "00001-of-00003.bin", ""})
    EXPECT_FALSE(shard_number(name).has_value()) << name;
  EXPECT_EQ(shard_file_name("pytorch_model", 2, 3, ".bin"), "pytorch_model-00002-of-00003.bin");
  EXPECT_EQ(shard_file_name("model", 1, 1, ".safetensors"), "model.safetensors");
}

}  // namespace
}  // namespace galatea
