#include "converter/decode.h"

#include <gtest/gtest.h>

#include <string>

#include "converter/xor_codec.h"
#include "format/error.h"
#include "tests/converter/zip_sample.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "tests/support/user.h"
#include "verify/compare.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using test::list_folder;
using test::make_shard;
using test::OrdinaryUser;
using test::read_bytes;
using test::test_data;
using test::write_bytes;

const std::string shard = "pytorch_model.bin";

std::string xored(const std::string& payload, const std::string& base) {
  return xor_source(memory_source(payload, "p"), memory_source(base, "b"))->read_text(1U << 28U);
}

std::string config_json(const std::string& version, const std::string& model) {
  return "{\n  \"model\": \"" + model + "\",\n  \"transformers_version\": \"" + version +
         "\",\n  \"use_cache\": true\n}\n";
}

/// A base, the fine-tuned files made from it, and their payload, in folders of their own.
class Decode : public testing::Test {
 protected:
  Decode() {
    for (const char* name : {"base", "tuned", "payload"}) fs::create_directory(folder_ / name);
    add("config.json", config_json("4.28.0.dev0", "base"),
        config_json("4.28.1", "a tuned one with a longer name"));
    add(shard, make_shard("pytorch_model", 1), make_shard("pytorch_model", 2));
    add("tokenizer.model", tokenizer(), tokenizer());
    write_bytes(payload() / "tokenizer.model", xored(tokenizer(), tokenizer_of_base()));
    write_bytes(base() / "tokenizer.model", tokenizer_of_base());
  }

  void add(const std::string& name, const std::string& of_base, const std::string& tuned) {
    write_bytes(base() / name, of_base);
    write_bytes(this->tuned() / name, tuned);
    write_bytes(payload() / name, xored(tuned, of_base));
  }

  static std::string tokenizer() { return read_bytes(test_data("miniature/meta/tokenizer.model")); }
  /// Another tokenizer than the tuned one, so that their XOR is not zeros.
  static std::string tokenizer_of_base() { return "some other bytes" + tokenizer(); }

  fs::path base() const { return folder_ / "base"; }
  fs::path tuned() const { return folder_ / "tuned"; }
  fs::path payload() const { return folder_ / "payload"; }
  fs::path out() const { return folder_ / "out"; }

  void decode(const DecodeOptions& options = {}) const {
    const XorPlan plan = plan_decode(payload(), base(), options);
    WriteOptions write;
    write.threads = plan.most_threads;
    write_plan(plan.plan, out(), write);
  }

  /// Decoding fails with this kind of error, which says `part`, and leaves no file.
  void expect_failure(const std::string& part, ErrorKind kind = ErrorKind::input,
                      const DecodeOptions& options = {}) const {
    test::expect_error(
        kind, [&] { decode(options); }, part);
    if (fs::exists(out())) {
      EXPECT_EQ(list_folder(out()), std::vector<std::string>{});
    }
  }

  void expect_decoded() const {
    for (const std::string& name : list_folder(tuned())) {
      EXPECT_EQ(read_bytes(out() / name), read_bytes(tuned() / name)) << name;
    }
    EXPECT_EQ(list_folder(out()), list_folder(tuned()));
  }

  test::TempFolder folder_;
};

TEST_F(Decode, GivesTheTunedFiles) {
  decode();
  expect_decoded();
}

TEST_F(Decode, PayloadNestedOnceIsFound) {
  const fs::path deeper = payload() / "xor_encoded_files";
  fs::create_directory(deeper);
  for (const std::string& name : list_folder(payload())) {
    if (name != "xor_encoded_files") fs::rename(payload() / name, deeper / name);
  }
  write_bytes(payload() / "README.md", "how to decode");
  fs::create_directory(payload() / ".git");
  decode();
  expect_decoded();
  EXPECT_EQ(plan_decode(payload(), base(), {}).notes.size(), 1U);
}

TEST_F(Decode, PapersBesideThePayloadAreLeftOutWithANote) {
  for (const char* name : {"README.md", "LICENSE", ".gitattributes", "xor_codec.py", "SHA256SUMS"}) {
    write_bytes(payload() / name, "words");
  }
  decode();
  expect_decoded();
  ASSERT_EQ(plan_decode(payload(), base(), {}).notes.size(), 1U);
  EXPECT_NE(plan_decode(payload(), base(), {}).notes[0].find("xor_codec.py"), std::string::npos);
}

TEST_F(Decode, AddedTokensAreCopiedWhenTheBaseHasNone) {
  write_bytes(payload() / "added_tokens.json", "{\"<pad>\": 32000}");
  write_bytes(tuned() / "added_tokens.json", "{\"<pad>\": 32000}");
  decode();
  expect_decoded();
}

TEST_F(Decode, AddedTokensAreXoredWhenTheBaseHasThem) {
  add("added_tokens.json", "{\"<a>\": 1}", "{\"<b>\": 2, \"<c>\": 3}");
  decode();
  expect_decoded();
}

TEST_F(Decode, PackedPayloads) {
  for (const Compression compression : {Compression::gzip, Compression::zstd}) {
    for (const std::string& name : list_folder(tuned())) {
      const SourcePtr packed = compressed_source(
          memory_source(xored(read_bytes(tuned() / name), read_bytes(base() / name)), name), compression);
      write_bytes(payload() / name, packed->read_text(1U << 28U));
    }
    fs::remove_all(out());
    decode();
    expect_decoded();
    fs::remove_all(out());
    DecodeOptions told;
    told.compression = compression;
    decode(told);
    expect_decoded();
  }
  const std::string whole = read_bytes(payload() / shard);
  write_bytes(payload() / shard, whole.substr(0, whole.size() / 2));
  fs::remove_all(out());
  expect_failure("cut off");
}

TEST_F(Decode, EncodeIsTheInverse) {
  write_bytes(tuned() / "added_tokens.json", "{\"<pad>\": 32000}");
  for (const Compression compression : {Compression::none, Compression::gzip, Compression::zstd}) {
    fs::remove_all(payload());
    const XorPlan plan = plan_encode(tuned(), base(), compression);
    WriteOptions write;
    write_plan(plan.plan, payload(), write);
    EXPECT_EQ(list_folder(payload()), list_folder(tuned()));
    fs::remove_all(out());
    decode();
    expect_decoded();
  }
}

// No name, no time, no trace of threads in a packed payload.
TEST_F(Decode, EncodedBytesAreTheSameEachTime) {
  for (const Compression compression : {Compression::none, Compression::gzip, Compression::zstd}) {
    for (const int threads : {1, 4}) {
      const XorPlan plan = plan_encode(tuned(), base(), compression);
      WriteOptions write;
      write.threads = threads;
      write.chunk_bytes = threads == 1 ? 1000 : 4096;
      write_plan(plan.plan, folder_ / ("packed" + std::to_string(threads)), write);
    }
    for (const std::string& name : list_folder(tuned()))
      EXPECT_TRUE(read_bytes(folder_ / "packed1" / name) == read_bytes(folder_ / "packed4" / name)) << name;
    EXPECT_EQ(detect_compression(*open_file(folder_ / "packed1" / shard)), compression);
    fs::remove_all(folder_ / "packed1");
    fs::remove_all(folder_ / "packed4");
  }
}

TEST_F(Decode, BaseFileMissing) {
  fs::remove(base() / "config.json");
  expect_failure("config.json");
}

TEST_F(Decode, BaseWithoutTheFastTokenizer) {
  write_bytes(payload() / "tokenizer.json", "xx");
  expect_failure("fast tokenizer");
}

TEST_F(Decode, PayloadOfAnotherModel) {
  fs::remove(base() / "config.json");  // without it the base cannot be cut into other shards
  fs::rename(payload() / shard, payload() / "pytorch_model-00001-of-00002.bin");
  expect_failure("pytorch_model-00001-of-00002.bin");
  for (const std::string& name : list_folder(base())) fs::rename(base() / name, base() / ("other-" + name));
  expect_failure("no file name in common");
}

ReleaseFiles published(const fs::path& folder) {
  ReleaseFiles out;
  for (const std::string& name : list_folder(folder)) {
    ReleaseFile file;
    file.name = name;
    const std::vector<HashKind> kinds = {HashKind::sha256};
    file.variants.push_back({digest_source(*open_file(folder / name), kinds), {}});
    out.push_back(std::move(file));
  }
  return out;
}

TEST_F(Decode, PublishedDigestsRefuseABaseWithOtherWeightsInTheSameContainer) {
  DecodeOptions options;
  options.expected = published(tuned());
  decode(options);
  expect_decoded();
  fs::remove_all(out());

  options.expected_base = published(base());
  write_bytes(base() / shard, make_shard("pytorch_model", 3));
  expect_failure("is not the published one", ErrorKind::check_failed, options);

  // With the right base it can only be the payload.
  write_bytes(base() / shard, make_shard("pytorch_model", 1));
  write_bytes(payload() / shard, xored(make_shard("pytorch_model", 4), make_shard("pytorch_model", 1)));
  expect_failure("payload is damaged, or of another revision", ErrorKind::check_failed, options);
}

TEST_F(Decode, KnownBadContentIsRefusedWithItsMeaning) {
  DecodeOptions options;
  options.expected = published(tuned());
  for (ReleaseFile& file : options.expected) {
    if (file.name != shard) continue;
    file.known_bad.push_back(
        {shard, {}, file.variants[0].digests, "the first, broken upload", "fetch the second"});
    file.variants[0].digests[HashKind::sha256] = std::string(64, '0');
  }
  expect_failure("the first, broken upload", ErrorKind::check_failed, options);
}

TEST_F(Decode, BaseSavedByNewerTorch) {
  write_bytes(base() / shard, make_shard("pytorch_model", 1, 5000, true));
  expect_failure("torch 2.1 or later");
}

TEST_F(Decode, BaseSavedThroughAFileObject) {
  write_bytes(base() / shard, make_shard("archive", 1));
  expect_failure("file object");
}

TEST_F(Decode, BaseIsNoTorchFile) {
  write_bytes(base() / shard, std::string(20'000, 'x'));
  expect_failure("no zip file of torch.save");
}

TEST_F(Decode, BaseIsDamaged) {
  std::string bytes = make_shard("pytorch_model", 1);
  bytes[3000] = static_cast<char>(bytes[3000] ^ 1);
  write_bytes(base() / shard, bytes);
  expect_failure("base's file is itself damaged");
}

TEST_F(Decode, OneDamagedByteInThePayload) {
  std::string bytes = read_bytes(payload() / shard);
  bytes[3000] = static_cast<char>(bytes[3000] ^ 1);
  write_bytes(payload() / shard, bytes);
  expect_failure("CRC-32");
  expect_failure("payload's file is damaged; fetch");
}

TEST_F(Decode, PayloadCutShort) {
  const std::string bytes = read_bytes(payload() / shard);
  write_bytes(payload() / shard, bytes.substr(0, bytes.size() - 10));
  expect_failure("laid out otherwise");
}

TEST_F(Decode, BaseOfAnotherTransformersVersion) {
  write_bytes(base() / "config.json", config_json("4.31.0", "base"));
  decode();  // its content is known under the right stamp
  expect_decoded();
  fs::remove_all(out());
  // The tuned file has a stamp of its own that there never was: no telling which version is right.
  write_bytes(payload() / "config.json",
              xored(config_json("4.28.9", "a tuned one"), config_json("4.28.0.dev0", "base")));
  expect_failure("by another version (4.28.0.dev0 would fit)");
  write_bytes(base() / "config.json", "{\"a\": 1}\n" + config_json("4.40.1", "base"));
  expect_failure("transformers 4.40.1");
}

TEST_F(Decode, LineEndsTurnedByGit) {
  const std::string good = read_bytes(payload() / "config.json");
  // The XOR happens to have line feeds where one side has a newline and the other a zero byte beyond its end.
  std::string damaged;
  for (const char c : good) damaged += c == '\n' ? std::string("\r\n") : std::string(1, c);
  ASSERT_NE(damaged, good);
  write_bytes(payload() / "config.json", damaged);
  expect_failure("payload's file were turned into CR LF");

  write_bytes(payload() / "config.json", good);
  std::string base_text = read_bytes(base() / "config.json"), with_cr;
  for (const char c : base_text) with_cr += c == '\n' ? std::string("\r\n") : std::string(1, c);
  write_bytes(base() / "config.json", with_cr);
  expect_failure("base's file were turned into CR LF");
}

TEST_F(Decode, TokenizerXoredWithItself) {
  write_bytes(payload() / "tokenizer.model", read_bytes(base() / "tokenizer.model"));
  expect_failure("zero");
}

TEST_F(Decode, PlainFileInThePayload) {
  write_bytes(payload() / "tokenizer.model", tokenizer());
  expect_failure("is the plain file and not its XOR");
}

TEST_F(Decode, LfsPointerInThePayload) {
  write_bytes(payload() / shard, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n");
  expect_failure("git lfs pull");
}

TEST_F(Decode, SubFolderInThePayload) {
  fs::create_directory(payload() / "more");
  expect_failure("sub-folder");
}

TEST_F(Decode, BaseIsAFolderOfMetasFiles) {
  write_bytes(base() / "consolidated.00.pth", "x");
  expect_failure("params.json");
}

TEST_F(Decode, MissingOrEqualFolders) {
  EXPECT_THROW(plan_decode(folder_ / "absent", base(), {}), Error);
  EXPECT_THROW(plan_decode(payload(), folder_ / "absent", {}), Error);
  test::expect_error(ErrorKind::usage, [&] { plan_decode(base(), base(), {}); });
}

TEST_F(Decode, UnreadablePayload) {
  const OrdinaryUser user(folder_.path());
  if (!user.effective()) GTEST_SKIP() << user.lacking();
  fs::permissions(payload() / shard, fs::perms::none);
  expect_failure("open file", ErrorKind::system);
}

TEST_F(Decode, AFileWhereTheOutputFolderShouldBe) {
  write_bytes(out(), "a file");
  EXPECT_THROW(decode(), Error);
  EXPECT_EQ(read_bytes(out()), "a file");
}

TEST_F(Decode, UnwritableOutputFolder) {
  const OrdinaryUser user(folder_.path());
  if (!user.effective()) GTEST_SKIP() << user.lacking();
  fs::create_directory(out());
  fs::permissions(out(), fs::perms::owner_read | fs::perms::owner_exec);
  expect_failure("", ErrorKind::system);
}

TEST_F(Decode, ExistingOutputIsKept) {
  fs::create_directory(out());
  write_bytes(out() / "config.json", "precious");
  test::expect_error(ErrorKind::usage, [&] { decode(); });
  EXPECT_EQ(read_bytes(out() / "config.json"), "precious");
  EXPECT_EQ(list_folder(out()).size(), 1U);
}

// The release that the Python tools of the time made: our decoding gives the published digests, and our
// encoding of that gives the published payload.
TEST(DecodeMiniature, PublishedDigestsAndBack) {
  const Release release = resolve_release(test_data("miniature/release.json").string());
  const test::TempFolder folder;
  WriteOptions write;
  write.digests = {HashKind::md5, HashKind::sha1, HashKind::sha256};
  const XorPlan decoding = plan_decode(test_data("miniature/payload"), test_data("miniature/base-hf"), {});
  const auto decoded = write_plan(decoding.plan, folder / "decoded", write);
  const CheckReport report = check_written(folder / "decoded", decoded, release_part(release, "files"));
  EXPECT_TRUE(report.passed());
  EXPECT_EQ(report.count(FileStatus::ok), release_part(release, "files").size());
  EXPECT_TRUE(check_files(folder / "decoded", release_part(release, "files")).passed());

  const XorPlan encoding = plan_encode(folder / "decoded", test_data("miniature/base-hf"), Compression::none);
  const auto encoded = write_plan(encoding.plan, folder / "payload", write);
  EXPECT_TRUE(check_written(folder / "payload", encoded, release_part(release, "payload")).passed());
}

TEST(DecodeMiniature, MetasFilesAgainstTheirChecklist) {
  const Manifest checklist = read_manifest(test_data("miniature/meta/checklist.chk"));
  const CheckReport report = check_files(test_data("miniature/meta"), release_files(checklist));
  EXPECT_TRUE(report.passed());
  EXPECT_EQ(report.count(FileStatus::ok), checklist.entries.size());
}

}  // namespace
}  // namespace galatea
