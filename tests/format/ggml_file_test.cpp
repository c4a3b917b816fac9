// The files of tests/data/ggml were written by llama.cpp of spring 2023; scripts/oracles/make_ggml_samples.py.
#include "format/ggml_file.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <map>
#include <vector>

#include "format/checkpoint.h"
#include "format/error.h"
#include "format/gguf_llama.h"
#include "format/hash.h"
#include "format/llama_tensors.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

fs::path sample(const std::string& name) { return test::test_data("ggml/" + name); }

std::string digest_of_values(const Tensor& tensor) {
  const std::vector<float> values = read_all_f32(tensor);
  Hasher hasher(HashKind::sha256);
  hasher.update(std::as_bytes(std::span(values)));
  return hasher.finish();
}

TEST(GgmlFile, ValuesAreThoseOfTheGgmlOfTheTime) {
  std::ifstream lines(sample("digests.txt"));
  std::map<std::string, Checkpoint> opened;
  std::size_t count = 0;
  for (std::string file, name, digest; lines >> file >> name >> digest; ++count) {
    const auto place = opened.find(file);
    const Checkpoint& checkpoint = place != opened.end()
                                       ? place->second
                                       : opened.emplace(file, Checkpoint::open(sample(file))).first->second;
    const auto id = parse_tensor_name(name);
    ASSERT_TRUE(id) << name;
    const Tensor* tensor = checkpoint.find(tensor_name(*id, Naming::gguf));
    ASSERT_NE(tensor, nullptr) << file << " " << name;
    EXPECT_EQ(tensor->shape, expected_shape(*id, checkpoint.config())) << file << " " << name;
    EXPECT_EQ(digest_of_values(*tensor), digest) << file << " " << name;
  }
  EXPECT_EQ(count, 19U * 12U);
  EXPECT_EQ(opened.size(), 19U);
}

TEST(GgmlFile, TheHeadSaysWhatTheModelIs) {
  const Checkpoint checkpoint = Checkpoint::open(sample("ggjt3-q4_0.bin"));
  const LlamaConfig& config = checkpoint.config();
  EXPECT_EQ(config.hidden_size, 32U);
  EXPECT_EQ(config.intermediate_size, 96U);
  EXPECT_EQ(config.heads, 2U);
  EXPECT_EQ(config.kv_heads, 2U);
  EXPECT_EQ(config.layers, 1U);
  EXPECT_EQ(config.vocab_size, 512U);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(*checkpoint.gguf()->get_string("ggml.container"), "GGJT 3");
  EXPECT_EQ(checkpoint.gguf()->find("ggml.read_as_f32"), nullptr);
  EXPECT_EQ(checkpoint.gguf()->get_unsigned("general.file_type"), 2U);
  EXPECT_EQ(checkpoint.find("token_embd.weight")->type(), DType::q4_0);
  EXPECT_EQ(checkpoint.find("output_norm.weight")->type(), DType::f32);
}

TEST(GgmlFile, TheVocabularyIsThatOfTheTokenizer) {
  const SentencePieceModel expected =
      read_sentencepiece_model(*open_file(test::test_data("miniature/meta/tokenizer.model")));
  for (const char* name : {"ggml-q4_0.bin", "ggmf-q4_1.bin", "ggjt1-f16.bin", "ggjt3-q8_0.bin"}) {
    const SentencePieceModel found = sentencepiece_from_gguf(*Checkpoint::open(sample(name)).gguf());
    ASSERT_EQ(found.pieces.size(), expected.pieces.size()) << name;
    for (std::size_t id = 0; id < found.pieces.size(); ++id) {
      EXPECT_EQ(found.pieces[id].text, expected.pieces[id].text) << name << " " << id;
      EXPECT_EQ(found.pieces[id].type, expected.pieces[id].type) << name << " " << id;
      EXPECT_EQ(found.pieces[id].score, expected.pieces[id].score) << name << " " << id;
    }
  }
}

TEST(GgmlFile, AnyPartOpensTheWholeModel) {
  const Checkpoint first = Checkpoint::open(sample("ggml-q4_0.bin"));
  const Checkpoint second = Checkpoint::open(sample("ggml-q4_0.bin.1"));
  EXPECT_EQ(first.files().size(), 2U);
  EXPECT_EQ(first.files(), second.files());
  EXPECT_EQ(first.config().hidden_size, 64U);
  EXPECT_EQ(first.find("blk.0.ffn_down.weight")->shape, (Shape{64, 192}));

  const test::TempFolder folder;
  fs::copy(sample("ggml-q4_0.bin"), folder / "lone.bin");
  const Error error = test::error_of([&] { Checkpoint::open(folder / "lone.bin"); });
  EXPECT_NE(std::string(error.what()).find("lone.bin.1"), std::string::npos) << error.what();
  fs::copy(sample("ggmf-q4_1.bin.1"), folder / "lone.bin.1");
  EXPECT_THROW(Checkpoint::open(folder / "lone.bin"), Error) << "a part of another model is accepted";
}

std::vector<std::byte> bytes_of(const Rows& rows) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(rows.rows() * rows.row_bytes()));
  rows.read(0, rows.rows(), bytes);
  return bytes;
}

// All of them were made of the same weights, so the blocks of GGJT 2 with rounded scales are those of GGJT 3.
TEST(GgmlFile, RepackedBlocksAreThoseThatTheNextGenerationWrote) {
  for (const char* type : {"q4_0", "q4_1", "q5_0", "q5_1", "q8_0"}) {
    const Checkpoint today = Checkpoint::open(sample(std::string("ggjt3-") + type + ".bin"));
    for (const char* container : {"ggjt1-", "ggjt2-"}) {
      const fs::path path = sample(std::string(container) + type + ".bin");
      // GGJT 2 has Q5_1 as today; Q4_0 of GGJT 1 took other codes where a weight lies between two.
      if (!fs::exists(path) || path.filename() == "ggjt1-q4_0.bin") continue;
      const Checkpoint old = Checkpoint::open(path);
      for (const Tensor& tensor : old.tensors()) {
        const bool decoded = decoded_from(*tensor.data) != nullptr;
        const RowsPtr rows = decoded ? repacked_rows(tensor.data) : tensor.data;
        const Tensor* expected = today.find(tensor.name);
        EXPECT_EQ(rows->type(), expected->type()) << container << type << " " << tensor.name;
        EXPECT_EQ(bytes_of(*rows), bytes_of(*expected->data)) << container << type << " " << tensor.name;
      }
    }
  }
}

TEST(GgmlFile, ExactScalesAreToldFromOthers) {
  // Q4_0 of that time takes a weight / -8 for scale, and the weights are float16; Q8_0 divides by 127.
  const Checkpoint exact = Checkpoint::open(sample("ggjt2-q4_0.bin"));
  const Checkpoint others = Checkpoint::open(sample("ggjt2-q8_0.bin"));
  EXPECT_EQ(count_inexact_scales(*exact.find("output.weight")->data), 0U);
  const std::uint64_t inexact = count_inexact_scales(*others.find("output.weight")->data);
  EXPECT_GT(inexact, 400U);
  EXPECT_LE(inexact, 512U);
}

TEST(GgmlFile, ScalesTooLargeForFloat16AreRefused) {
  std::vector<std::byte> block(20);
  const float scale = 1e6F;
  std::memcpy(block.data(), &scale, sizeof scale);
  const GgmlType type = *find_ggml_type(2, GgmlBlocks::wide);
  const RowsPtr rows = ggml_rows(type, memory_rows(block, DType::u8, 1, 20), 32);
  EXPECT_EQ(read_all_f32({"t", {1, 32}, rows, {}, 0})[0], -8e6F);
  EXPECT_EQ(count_inexact_scales(*rows), 1U);
  std::vector<std::byte> out(18);
  EXPECT_THROW(repacked_rows(rows)->read(0, 1, out), Error);
}

TEST(GgmlFile, EveryCutIsSeen) {
  const std::string whole = test::read_bytes(sample("ggjt1-q4_0.bin"));
  std::size_t refused = 0, shorter = 0;
  for (std::size_t length = 0; length < whole.size(); length += length < 7000 ? 1 : 97) {
    try {
      const GgmlFile file =
          read_ggml_file(memory_source(std::string_view(whole).substr(0, length), "cut.bin"));
      EXPECT_LT(file.tensors.size(), 12U) << length;  // cut between two tensors
      ++shorter;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      ++refused;
    }
  }
  EXPECT_GT(refused, 6000U);
  EXPECT_LT(shorter, 13U);
}

}  // namespace
}  // namespace galatea
