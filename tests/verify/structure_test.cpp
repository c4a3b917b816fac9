#include "verify/structure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include <nlohmann/json.hpp>

#include "format/gguf.h"
#include "format/safetensors.h"
#include "format/shard_index.h"
#include "format/torch_file.h"
#include "format/torch_layout.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "tests/support/layouts.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

Tensor tensor_of(const std::string& name, const std::vector<float>& values, Shape shape) {
  const MatrixShape matrix = matrix_shape(shape, DType::f32);
  return {name, std::move(shape), memory_rows(values, matrix.rows, matrix.cols), {}, 0};
}

std::vector<Tensor> two_tensors() {
  return {tensor_of("first", std::vector<float>(600, 1.5F), {20, 30}),
          tensor_of("second", {1, 2, 3, 4}, {4})};
}

StructureReport check(const fs::path& path, int threads = 0) {
  StructureOptions options;
  options.threads = threads;
  return check_structure(path, options);
}

/// The only problem there is.
StructureProblem problem_in(const fs::path& path) {
  const StructureReport report = check(path);
  EXPECT_EQ(report.problems.size(), 1U) << structure_text(report);
  return report.problems.empty() ? StructureProblem{} : report.problems.front();
}

void flip(const fs::path& file, std::uint64_t byte, char mask = 0x10) {
  std::string bytes = test::read_bytes(file);
  bytes.at(byte) = static_cast<char>(bytes.at(byte) ^ mask);
  fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
  test::write_bytes(file, bytes);
}

void copy_base(const fs::path& to) {
  fs::create_directory(to);
  for (const auto& entry : fs::directory_iterator(test::test_data("miniature/base-hf"))) {
    test::write_bytes(to / entry.path().filename(), test::read_bytes(entry.path()));
  }
}

TEST(Structure, TheMiniatureIsSoundInEveryContainer) {
  const StructureReport hf = check(test::test_data("miniature/base-hf"), 1);
  EXPECT_TRUE(hf.sound()) << structure_text(hf);
  EXPECT_EQ(hf.kind, "Hugging Face folder");
  EXPECT_EQ(hf.files.size(), 3U);
  EXPECT_EQ(hf.tensors, 23U);
  EXPECT_GT(hf.records, 23U);
  const StructureReport meta = check(test::test_data("miniature/meta"), 3);
  EXPECT_TRUE(meta.sound()) << structure_text(meta);
  EXPECT_EQ(meta.kind, "Meta folder");
  const StructureReport gguf = check(test::test_data("gguf/split-00002-of-00003.gguf"));
  EXPECT_EQ(gguf.files.size(), 3U);  // all parts, by any of them; the sample has no configuration
  ASSERT_EQ(gguf.problems.size(), 1U);
  EXPECT_NE(gguf.problems[0].problem.find("llama.block_count"), std::string::npos);
  EXPECT_EQ(structure_json(hf).at("sound"), true);
}

TEST(Structure, AChangedBitOfATorchFileNamesRecordAndTensor) {
  const test::TempFolder folder;
  const fs::path file = folder / "x.bin";
  test::write_bytes(file, test::bytes_of(torch_zip_layout("x.bin", two_tensors(), {})));
  EXPECT_TRUE(check(file).sound());
  const TorchFile torch = TorchFile::open(open_file(file));
  const std::uint64_t byte = torch.tensors().at(1).offset;
  flip(file, byte + 5);
  const StructureProblem problem = problem_in(file);
  EXPECT_EQ(problem.tensor, "second");
  EXPECT_EQ(problem.byte, byte);
  EXPECT_NE(problem.problem.find("/data/1\""), std::string::npos) << problem.problem;
  EXPECT_NE(problem.expected.find("CRC-32"), std::string::npos);
}

TEST(Structure, SharedAndStridedViewsAreRead) {
  for (const char* name : {"views.pt", "shared_storage.pt", "nested.pt", "scalar_and_empty.pt"}) {
    const StructureReport report = check(test::test_data(std::string("torch/") + name));
    EXPECT_TRUE(report.sound()) << name << "\n" << structure_text(report);
  }
  EXPECT_EQ(check(test::test_data("torch/dtypes.pt")).problems.size(), 4U);  // a NaN in each floating type
}

TEST(Structure, NanAndInfinitiesAreCountedInEveryContainer) {
  const test::TempFolder folder;
  std::vector<float> values(3'000'000, 1.0F);  // more than one piece of a record
  values[2'900'000] = std::numeric_limits<float>::quiet_NaN();
  values[2'900'001] = -std::numeric_limits<float>::infinity();
  const std::vector<Tensor> tensors = {tensor_of("good", {1, 2}, {2}), tensor_of("bad", values, {3000, 1000}),
                                       tensor_of("zeros", {0, 0}, {2})};
  test::write_bytes(folder / "x.bin", test::bytes_of(torch_zip_layout("x.bin", tensors, {})));
  test::write_bytes(folder / "x.safetensors", test::bytes_of(safetensors_layout("x", tensors, {})));
  test::write_bytes(folder / "x.gguf", test::bytes_of(gguf_layout("x", {}, tensors)));
  for (const char* name : {"x.bin", "x.safetensors", "x.gguf"}) {
    const StructureReport report = check(folder / name);
    ASSERT_EQ(report.problems.size(), 1U) << name;
    EXPECT_EQ(report.problems[0].tensor, "bad");
    EXPECT_EQ(report.problems[0].found.substr(0, 41), "1 NaN and 1 infinite of 3000000 values, t") << name;
    const SourcePtr source = open_file(folder / name);
    float at_byte = 0;
    source->read(report.problems[0].byte.value(), std::as_writable_bytes(std::span(&at_byte, 1)));
    EXPECT_TRUE(std::isnan(at_byte)) << name;
    ASSERT_EQ(report.notes.size(), 1U) << name;
    EXPECT_EQ(report.notes[0], "zeros has nothing but zeros");
  }
}

TEST(Structure, ManyTensorsOfZerosAreCounted) {
  const test::TempFolder folder;
  std::vector<Tensor> tensors;
  tensors.reserve(15);
  for (int i = 0; i < 15; ++i) tensors.push_back(tensor_of("t" + std::to_string(i), {0, 0}, {2}));
  test::write_bytes(folder / "x.safetensors", test::bytes_of(safetensors_layout("x", tensors, {})));
  const StructureReport report = check(folder / "x.safetensors");
  EXPECT_TRUE(report.sound());
  ASSERT_EQ(report.notes.size(), 11U);
  EXPECT_EQ(report.notes.back(), "15 tensors in all have nothing but zeros");
}

TEST(Structure, TruncatedFilesAndBytesBehindTheEnd) {
  const test::TempFolder folder;
  const std::vector<std::pair<std::string, std::string>> files = {
      {"pytorch_model.bin", test::bytes_of(torch_zip_layout("x.bin", two_tensors(), {}))},
      {"x.safetensors", test::bytes_of(safetensors_layout("x", two_tensors(), {}))},
      {"x.gguf", test::bytes_of(gguf_layout("x", {}, two_tensors()))}};
  for (const auto& [name, bytes] : files) {
    SCOPED_TRACE(name);
    for (const std::size_t length : {std::size_t{0}, std::size_t{5}, bytes.size() / 2, bytes.size() - 40}) {
      test::write_bytes(folder / name, bytes.substr(0, length));
      const StructureReport report = check(folder / name);
      ASSERT_EQ(report.problems.size(), 1U) << length;
      EXPECT_NE(report.problems[0].file.find(name), std::string::npos);
    }
    for (const std::string& more : {std::string(100, '\0'), std::string(3000, 'x')}) {
      test::write_bytes(folder / name, bytes + more);
      const StructureProblem problem = problem_in(folder / name);
      EXPECT_TRUE(problem.problem.find("bytes behind") != std::string::npos ||
                  problem.problem.find("bytes after") != std::string::npos)
          << problem.problem;
      EXPECT_EQ(problem.byte, bytes.size());
    }
  }
}

TEST(Structure, ShardsAgainstTheIndex) {
  const test::TempFolder folder;
  copy_base(folder / "m");
  const fs::path second = folder / "m/pytorch_model-00002-of-00003.bin";
  const std::string shard = test::read_bytes(second);
  fs::remove(second);
  StructureProblem problem = problem_in(folder / "m");
  EXPECT_EQ(problem.problem, "a shard is missing");
  EXPECT_NE(problem.file.find("00002-of-00003"), std::string::npos);

  test::write_bytes(second, shard);
  test::write_bytes(folder / "m/pytorch_model-00004-of-00004.bin", shard);
  const StructureReport extra = check(folder / "m");
  ASSERT_FALSE(extra.sound());
  EXPECT_NE(extra.problems[0].problem.find("index does not name"), std::string::npos);
  EXPECT_NE(extra.problems[0].file.find("00004-of-00004"), std::string::npos);
  fs::remove(folder / "m/pytorch_model-00004-of-00004.bin");

  const fs::path index_path = folder / "m/pytorch_model.bin.index.json";
  const ShardIndex right = read_shard_index_file(index_path);
  ShardIndex index = right;
  const std::string moved = "model.layers.1.mlp.up_proj.weight";
  index.weight_map[moved] = "pytorch_model-00001-of-00003.bin";
  test::write_bytes(index_path, shard_index_text(index));
  problem = problem_in(folder / "m");
  EXPECT_EQ(problem.tensor, moved);
  EXPECT_NE(problem.found.find("in pytorch_model-0000"), std::string::npos);

  index = right;
  index.weight_map.erase(moved);
  index.weight_map["model.layers.9.mlp.up_proj.weight"] = "pytorch_model-00001-of-00003.bin";
  test::write_bytes(index_path, shard_index_text(index));
  const StructureReport report = check(folder / "m");
  ASSERT_EQ(report.problems.size(), 2U) << structure_text(report);
  EXPECT_EQ(report.problems[0].tensor, moved);
  EXPECT_EQ(report.problems[1].found, "in no shard");

  index = right;
  index.total_size = 5;
  test::write_bytes(index_path, shard_index_text(index));
  const StructureReport noted = check(folder / "m");
  EXPECT_TRUE(noted.sound());
  ASSERT_EQ(noted.notes.size(), 1U);
  EXPECT_NE(noted.notes[0].find("total_size is 5"), std::string::npos);

  fs::remove(index_path);
  EXPECT_TRUE(check(folder / "m").sound());
  fs::remove(second);
  problem = problem_in(folder / "m");
  EXPECT_NE(problem.file.find("00002-of-00003"), std::string::npos);
}

TEST(Structure, TheModelMustBeWholeAndInShape) {
  const test::TempFolder folder;
  copy_base(folder / "m");
  const fs::path config = folder / "m/config.json";
  const std::string text = test::read_bytes(config);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    changed.replace(changed.find(from), from.size(), to);
    test::write_bytes(config, changed);
    return check(folder / "m");
  };
  const StructureReport layers = with("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
  EXPECT_EQ(layers.problems.size(), 9U);
  EXPECT_NE(layers.problems[0].problem.find("missing"), std::string::npos);
  const StructureReport shape = with("\"intermediate_size\": 768", "\"intermediate_size\": 512");
  EXPECT_EQ(shape.problems.size(), 6U);
  EXPECT_EQ(shape.problems[0].expected, "[512, 256]");
  EXPECT_EQ(shape.problems[0].found, "[768, 256]");
}

TEST(Structure, AnotherArchitectureIsNoDamage) {
  const test::TempFolder folder;
  test::write_bytes(folder / "model.safetensors", test::bytes_of(safetensors_layout("x", two_tensors(), {})));
  test::write_bytes(folder / "config.json",
                    R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"})");
  const StructureReport other = check(folder.path());
  EXPECT_TRUE(other.sound()) << structure_text(other);
  ASSERT_EQ(other.notes.size(), 1U);
  EXPECT_NE(other.notes[0].find("GPT2LMHeadModel"), std::string::npos) << other.notes[0];
  test::write_bytes(folder / "config.json", R"({"architectures": ["LlamaFor)");
  EXPECT_NE(problem_in(folder.path()).file.find("config.json"), std::string::npos);
  const GgufMetadata experts = {{"general.architecture", std::string("llama")},
                                {"llama.expert_count", std::uint32_t{8}}};
  test::write_bytes(folder / "x.gguf", test::bytes_of(gguf_layout("x", experts, two_tensors())));
  EXPECT_TRUE(check(folder / "x.gguf").sound());
}

TEST(Structure, AFolderThatIsNoModelHasItsFilesChecked) {
  const StructureReport adapter = check(test::test_data("miniature/adapter"));
  EXPECT_TRUE(adapter.sound()) << structure_text(adapter);
  EXPECT_EQ(adapter.files.size(), 1U);
  EXPECT_GT(adapter.records, 2U);
  const test::TempFolder folder;
  test::write_bytes(folder / "mine.safetensors", "damaged");
  EXPECT_NE(problem_in(folder.path()).file.find("mine.safetensors"), std::string::npos);
}

TEST(Structure, EveryDamagedFileOfAFolderIsNamed) {
  const test::TempFolder folder;
  copy_base(folder / "m");
  flip(folder / "m/pytorch_model-00001-of-00003.bin", 200'000);
  test::write_bytes(folder / "m/pytorch_model-00002-of-00003.bin", "PK\3\4 and then nothing");
  test::write_bytes(
      folder / "m/pytorch_model-00003-of-00003.bin",
      "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') + "\nsize 5\n");
  const StructureReport report = check(folder / "m");
  ASSERT_EQ(report.problems.size(), 3U) << structure_text(report);
  EXPECT_NE(report.problems[0].file.find("00002-of"), std::string::npos);
  EXPECT_NE(report.problems[1].remedy.find("git lfs pull"), std::string::npos);
  EXPECT_NE(report.problems[2].file.find("00001-of"), std::string::npos);
  EXPECT_NE(report.problems[2].expected.find("CRC-32"), std::string::npos);
}

TEST(Structure, WhatIsNoCheckpointIsAnError) {
  const test::TempFolder folder;
  fs::create_directory(folder / "empty");
  test::write_bytes(folder / "text.txt", "text");
  for (const char* name : {"empty", "text.txt", "absent"}) {
    SCOPED_TRACE(name);
    test::expect_refused([&] { (void)check(folder / name); });
  }
}

TEST(Structure, HostileFilesAreProblemsAndNoMore) {
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(GALATEA_SOURCE_DIR) / "tests/attacks")) {
    const std::string extension = entry.path().extension().string();
    if (extension != ".pt" && extension != ".bin" && extension != ".safetensors") continue;
    ++files;
    try {
      const StructureReport report = check(entry.path());
      EXPECT_FALSE(report.sound() && report.tensors > 1'000'000) << entry.path();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input) << entry.path();
    }
  }
  EXPECT_GT(files, 30U);
}

}  // namespace
}  // namespace galatea
