#include "converter/decode_base.h"

#include <gtest/gtest.h>

#include "converter/decode.h"
#include "converter/hf_output.h"
#include "converter/xor_codec.h"
#include "format/error.h"
#include "format/layout_source.h"
#include "format/torch_layout.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "tests/support/layouts.h"
#include "verify/compare.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using test::read_bytes;
using test::test_data;
using test::write_bytes;

const fs::path mini = test_data("miniature");
const std::string first_shard = "pytorch_model-00001-of-00003.bin";

/// The miniature release decoded with other forms of its base.
class OtherBase : public testing::Test {
 protected:
  OtherBase() {
    options_.base.wanted.generation = find_hf_generation("4.28");
    options_.base.wanted.max_shard_bytes = parse_shard_bytes("1500KB");
  }

  fs::path base() const { return folder_ / "base"; }

  /// Decodes with `base` and compares with the published digests.
  void expect_published(const fs::path& base, bool brought, const fs::path& payload = mini / "payload") {
    const Release release = resolve_release((mini / "release.json").string());
    options_.expected = release_part(release, "files");
    const XorPlan plan = plan_decode(payload, base, options_);
    EXPECT_EQ(plan.base->brought(), brought) << plan.base->summary();
    for (const int threads : {1, 4}) {
      const fs::path out = folder_ / ("out" + std::to_string(threads) + base.filename().string());
      WriteOptions write;
      write.digests = {HashKind::md5, HashKind::sha256};
      write.threads = threads;
      write.chunk_bytes = 64 << 10U;
      const auto written = write_plan(plan.plan, out, write);
      const CheckReport report = check_written(out, written, options_.expected);
      EXPECT_EQ(report.count(FileStatus::ok), options_.expected.size()) << plan.base->summary();
    }
  }

  /// A Hugging Face folder of the same weights, written otherwise.
  void write_base(const BaseOptions& how) const {
    write_plan(base_plan(Checkpoint::open(mini / "meta"), how), base(), {});
  }

  Error decode_failure(const fs::path& payload, const fs::path& base) {
    return test::error_of(
        [&] { write_plan(plan_decode(payload, base, options_).plan, folder_ / "failed", {}); });
  }

  test::TempFolder folder_;
  DecodeOptions options_;
};

TEST_F(OtherBase, TheConvertedFolderIsTakenAsItIs) { expect_published(mini / "base-hf", false); }

TEST_F(OtherBase, MetasFolder) { expect_published(mini / "meta", true); }

TEST_F(OtherBase, Safetensors) {
  const Checkpoint hf = Checkpoint::open(mini / "base-hf");
  write_plan(hf_output(hf, hf_model(hf), {}).plan, base(), {});
  expect_published(base(), true);
  expect_published(base() / "model.safetensors", true);
}

TEST_F(OtherBase, FolderOfNewerTorch) {
  for (const TorchGeneration torch : {TorchGeneration::torch_2_1, TorchGeneration::torch_2_7}) {
    fs::remove_all(folder_.path());
    fs::create_directories(folder_.path());
    BaseOptions how = options_.base.wanted;
    how.generation.torch = torch;
    write_base(how);
    expect_published(base(), true);
  }
}

// A newer torch's files without what is needed to make the others from them.
TEST_F(OtherBase, FolderOfNewerTorchThatCannotBeBrought) {
  BaseOptions how = options_.base.wanted;
  how.generation.torch = TorchGeneration::torch_2_1;
  write_base(how);
  fs::rename(base() / "config.json", base() / "kept");
  const fs::path payload = folder_ / "payload";
  fs::create_directories(payload);
  fs::copy_file(mini / "payload" / first_shard, payload / first_shard);
  Error error = decode_failure(payload, base());
  EXPECT_NE(error.remedy_text().find("torch 2.1 or later"), std::string::npos) << error.what();
  // The embedding's first values are those of the base, so its header seems to be there.
  EXPECT_EQ(error.tensor_name(), "model.layers.0.self_attn.q_proj.weight") << error.what();
  EXPECT_FALSE(fs::exists(folder_ / "failed"));

  fs::rename(base() / "kept", base() / "config.json");
  fs::remove(base() / "tokenizer.model");
  error = decode_failure(payload, base());
  EXPECT_NE(std::string(error.what()).find("no tokenizer.model"), std::string::npos) << error.what();
  EXPECT_NE(std::string(error.what()).find("saved by torch 2.1 to 2.6"), std::string::npos) << error.what();
}

TEST_F(OtherBase, FolderCutIntoOtherShards) {
  write_base({});
  EXPECT_TRUE(fs::exists(base() / "pytorch_model.bin"));
  expect_published(base(), true);
}

TEST_F(OtherBase, FolderOfTwoByteBuffersWhereTheGenerationIsAskedFor) {
  BaseOptions how = options_.base.wanted;
  how.generation.inv_freq = DType::f16;
  write_base(how);
  options_.base.always_bring = true;
  expect_published(base(), true);
}

// Nothing but two bytes a number in the rotary tables, of another head size than that of LLaMA 7B.
TEST_F(OtherBase, TwoByteBuffersAreToldAndTheTensorWhereTheBasePartsFromThePayload) {
  BaseOptions how = options_.base.wanted;
  how.generation.inv_freq = DType::f16;
  write_base(how);
  const Error error = decode_failure(mini / "payload", base());
  EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
  EXPECT_NE(error.remedy_text().find("rotary tables (inv_freq) of 2-byte"), std::string::npos)
      << error.what();
  EXPECT_EQ(error.tensor_name(), "model.embed_tokens.weight")
      << error.what();  // the pickle before it is longer
  EXPECT_FALSE(fs::exists(folder_ / "failed"));
}

// A payload that was made from a newer torch's files fits them, and is not brought anywhere.
TEST_F(OtherBase, PayloadMadeFromANewerTorchTakesItsBaseAsItIs) {
  BaseOptions how = options_.base.wanted;
  how.generation.torch = TorchGeneration::torch_2_1;
  write_base(how);
  const fs::path tuned = folder_ / "tuned", payload = folder_ / "made";
  fs::create_directories(tuned);
  fs::copy_file(mini / "base-hf/config.json", tuned / "config.json");
  std::vector<Tensor> tensors = TorchFile::open(open_file(base() / first_shard)).tensors();
  std::swap(tensors[0].data, tensors[1].data);  // other values, if the shapes agree
  if (tensors[0].shape != tensors[1].shape) std::swap(tensors[0].data, tensors[1].data);
  TorchLayoutOptions layout;
  layout.generation = TorchGeneration::torch_2_1;
  write_file(torch_zip_layout(first_shard, tensors, layout), tuned / first_shard, {});
  for (const Compression compression : {Compression::none, Compression::gzip}) {
    fs::remove_all(payload);
    write_plan(plan_encode(tuned, base(), compression).plan, payload, {});
    const XorPlan plan = plan_decode(payload, base(), options_);
    EXPECT_FALSE(plan.base->brought()) << plan.base->summary();
    WriteOptions write;
    write.overwrite = true;
    write_plan(plan.plan, folder_ / "again", write);
    EXPECT_TRUE(read_bytes(folder_ / "again" / first_shard) == read_bytes(tuned / first_shard));
  }
}

TEST_F(OtherBase, PackedPayload) {
  const fs::path payload = folder_ / "packed";
  const XorPlan decoding = plan_decode(mini / "payload", mini / "base-hf", options_);
  write_plan(decoding.plan, folder_ / "tuned", {});
  for (const Compression compression : {Compression::gzip, Compression::zstd}) {
    fs::remove_all(payload);
    write_plan(plan_encode(folder_ / "tuned", mini / "base-hf", compression).plan, payload, {});
    fs::remove_all(folder_ / "out1meta");
    fs::remove_all(folder_ / "out4meta");
    expect_published(mini / "meta", true, payload);
  }
}

TEST_F(OtherBase, WithoutTokenizerModel) {
  fs::create_directories(folder_ / "up/meta");
  for (const char* name : {"consolidated.00.pth", "consolidated.01.pth", "params.json"})
    fs::copy_file(mini / "meta" / name, folder_ / "up/meta" / name);
  const Error error = decode_failure(mini / "payload", folder_ / "up/meta");
  EXPECT_EQ(error.kind(), ErrorKind::input);
  EXPECT_NE(std::string(error.what()).find("no tokenizer.model"), std::string::npos) << error.what();
}

TEST_F(OtherBase, AnotherGenerationIsFoundBeforeAnythingIsWritten) {
  options_.base.wanted.generation.inv_freq = DType::f16;
  const Error error = decode_failure(mini / "payload", mini / "meta");
  EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
  EXPECT_NE(error.remedy_text().find("--profile"), std::string::npos) << error.what();
  EXPECT_FALSE(fs::exists(folder_ / "failed"));
}

TEST_F(OtherBase, OfAnotherCutOrKind) {
  options_.base.wanted.max_shard_bytes = default_shard_bytes;
  const fs::path payload = folder_ / "weights";
  fs::create_directories(payload);
  fs::copy_file(mini / "payload" / first_shard, payload / first_shard);
  Error error = decode_failure(payload, mini / "meta");
  EXPECT_NE(error.remedy_text().find("--max-shard-size"), std::string::npos) << error.what();
  error = decode_failure(payload, folder_ / "absent");
  EXPECT_NE(error.problem().find("does not exist"), std::string::npos) << error.what();
  EXPECT_EQ(decode_failure(payload, test_data("gguf")).kind(), ErrorKind::input);
}

TEST_F(OtherBase, AWrongByteOfThePayloadIsToldWithItsTensor) {
  const fs::path payload = folder_ / "payload";
  fs::copy(mini / "payload", payload);
  const TorchFile file = TorchFile::open(open_file(mini / "base-hf" / first_shard));
  const Tensor& tensor = file.tensors().at(3);
  std::string bytes = read_bytes(payload / first_shard);
  bytes[static_cast<std::size_t>(tensor.offset + 5)] ^= 1;
  write_bytes(payload / first_shard, bytes);
  for (const char* base : {"base-hf", "meta"}) {
    const Error error = decode_failure(payload, mini / base);
    EXPECT_EQ(error.tensor_name(), tensor.name) << error.what();
    EXPECT_NE(error.remedy_text().find("payload's file is damaged"), std::string::npos) << error.what();
    EXPECT_FALSE(fs::exists(folder_ / "failed" / first_shard));
  }
}

// The 13B base was published with two contents of its third shard; only digests tell them apart.
TEST_F(OtherBase, TheOtherPublishedShardOfTheBaseIsNamed) {
  const std::string third = "pytorch_model-00003-of-00003.bin";
  fs::copy(mini / "base-hf", base());
  std::vector<Tensor> tensors = TorchFile::open(open_file(base() / third)).tensors();
  std::vector<float> ones(tensors.back().shape.at(0) * tensors.back().shape.at(1), 1.0F);
  tensors.back().data = cast_rows(memory_rows(ones, tensors.back().shape.at(0), tensors.back().shape.at(1)),
                                  tensors.back().type());
  WriteOptions write;
  write.overwrite = true;
  write_file(torch_zip_layout(third, tensors), base() / third, write);

  const Release release = resolve_release((mini / "release.json").string());
  options_.expected = release_part(release, "files");
  options_.expected_base = release_part(release, "base");
  for (ReleaseFile& file : options_.expected_base) {
    if (file.name == third)
      file.variants.push_back(
          {digest_source(*open_file(base() / third), kinds_needed(file)), "the other published shard 3"});
  }
  const Error error = decode_failure(mini / "payload", base());
  EXPECT_EQ(error.kind(), ErrorKind::check_failed) << error.what();
  EXPECT_NE(std::string(error.what()).find("the other published shard 3"), std::string::npos) << error.what();
}

TEST_F(OtherBase, LeftOutFilesAreNotDecoded) {
  fs::copy(mini / "base-hf", base());
  write_bytes(base() / "config.json", "{\"of\": \"something else\"}");
  const Error error = decode_failure(mini / "payload", base());
  EXPECT_NE(std::string(error.what()).find("config.json"), std::string::npos) << error.what();
  options_.leave_out = {"config.json"};
  const XorPlan plan = plan_decode(mini / "payload", base(), options_);
  EXPECT_EQ(plan.files.size(), 9U);
  ASSERT_EQ(plan.notes.size(), 1U);
  EXPECT_NE(plan.notes[0].find("config.json"), std::string::npos);
}

}  // namespace
}  // namespace galatea
