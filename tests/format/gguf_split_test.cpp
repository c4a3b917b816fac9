#include "format/gguf_split.h"

#include <gtest/gtest.h>

#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

/// Tensors of 8, 8 and 40 float32 values: 32, 32 and 160 bytes.
std::vector<Tensor> three_tensors() {
  std::vector<Tensor> tensors;
  for (const std::uint64_t count : {8U, 8U, 40U}) {
    const std::vector<float> values(count, static_cast<float>(tensors.size()));
    tensors.push_back({"t" + std::to_string(tensors.size()), {count}, memory_rows(values, count, 1), {}, 0});
  }
  return tensors;
}

std::vector<std::string> names_of(const std::vector<FileLayout>& files) {
  std::vector<std::string> out;
  for (const FileLayout& file : files) {
    std::string names;
    for (const Tensor& tensor : file.tensors) names += tensor.name;
    out.push_back(names);
  }
  return out;
}

std::vector<std::string> cut(const GgufSplit& split) {
  return names_of(gguf_split_layouts("m", {}, three_tensors(), split));
}

TEST(GgufSplit, names_are_those_of_llama_cpp) {
  EXPECT_EQ(gguf_part_name("a/model", 0, 3), "a/model-00001-of-00003.gguf");
  const auto name = parse_gguf_part_name("model-00012-of-00300.gguf");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->prefix, "model");
  EXPECT_EQ(name->number, 12U);
  EXPECT_EQ(name->count, 300U);
  for (const char* bad :
       {"model.gguf", "-00001-of-00003.gguf", "model-0001-of-00003.gguf", "model-00001-of-0000x.gguf",
        "model-00001-of-00003.ggux", "model_00001-of-00003.gguf"})
    EXPECT_FALSE(parse_gguf_part_name(bad)) << bad;
}

TEST(GgufSplit, a_part_is_full_when_the_next_tensor_would_pass_the_limit) {
  using Parts = std::vector<std::string>;
  EXPECT_EQ(cut({.max_bytes = 64}), (Parts{"t0t1", "t2"}));
  EXPECT_EQ(cut({.max_bytes = 63}), (Parts{"t0", "t1", "t2"}));
  EXPECT_EQ(cut({.max_bytes = 1}), (Parts{"t0", "t1", "t2"}));
  EXPECT_EQ(cut({.max_bytes = 224}), (Parts{"t0t1t2"}));
  EXPECT_EQ(cut({.max_tensors = 2}), (Parts{"t0t1", "t2"}));
  EXPECT_EQ(cut({.max_tensors = 2, .metadata_alone = true}), (Parts{"", "t0t1", "t2"}));
  EXPECT_EQ(cut({.ends = {1, 3}}), (Parts{"t0", "t1t2"}));
}

TEST(GgufSplit, the_parts_of_gguf_py_merge_and_come_back_byte_for_byte) {
  const fs::path first = test::test_data("gguf/split-00001-of-00003.gguf");
  const GgufFile parts = GgufFile::open(first);
  EXPECT_EQ(gguf_part_ends(parts.files(), parts.tensors()), (std::vector<std::uint64_t>{1, 2, 3}));
  test::TempFolder folder;
  write_file(gguf_layout("m.gguf", without_split_keys(parts.metadata()), parts.tensors()), folder / "m.gguf",
             {});
  const GgufFile whole = GgufFile::open(folder / "m.gguf");
  EXPECT_EQ(whole.find("split.count"), nullptr);
  write_plan({gguf_split_layouts("again", whole.metadata(), whole.tensors(), {.max_tensors = 1})},
             folder.path(), {});
  for (std::uint64_t part = 0; part < 3; ++part) {
    EXPECT_EQ(test::read_bytes(folder / gguf_part_name("again", part, 3)),
              test::read_bytes(test::test_data("gguf/" + gguf_part_name("split", part, 3))));
  }
}

TEST(GgufSplit, an_unusual_alignment_is_kept_in_every_part) {
  const fs::path path = test::test_data("gguf/values.gguf");
  const GgufFile whole = GgufFile::open(path);
  ASSERT_EQ(whole.alignment(), 64U);
  test::TempFolder folder;
  write_plan({gguf_split_layouts("v", whole.metadata(), whole.tensors(), {.max_tensors = 1})}, folder.path(),
             {});
  const GgufFile second = GgufFile::read(open_file(folder / "v-00002-of-00002.gguf"));
  EXPECT_EQ(second.alignment(), 64U);
  const GgufFile parts = GgufFile::open(folder / "v-00002-of-00002.gguf");
  write_file(gguf_layout("v.gguf", without_split_keys(parts.metadata()), parts.tensors()), folder / "v.gguf",
             {});
  EXPECT_EQ(test::read_bytes(folder / "v.gguf"), test::read_bytes(path));
}

TEST(GgufSplit, more_parts_than_the_count_can_say_are_refused) {
  std::vector<Tensor> tensors;
  const RowsPtr one = memory_rows(std::vector<float>(1), 1, 1);
  tensors.reserve(65'536);
  for (int i = 0; i < 65'536; ++i) tensors.push_back({"t" + std::to_string(i), {1}, one, {}, 0});
  test::expect_error(ErrorKind::usage,
                     [&] { gguf_split_layouts("m", {}, std::move(tensors), {.max_tensors = 1}); });
}

}  // namespace
}  // namespace galatea
