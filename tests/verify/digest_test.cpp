#include "verify/digest.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <string>

#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "verify/digest_lanes.h"

namespace galatea {
namespace {

constexpr std::array all_kinds = {HashKind::md5, HashKind::sha1, HashKind::sha256};

Digests digests_of(std::string_view text) { return digest_source(*memory_source(text, "memory"), all_kinds); }

class CountingProgress final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t total, std::string_view) override { total_ = total; }
  void advance(std::uint64_t units) override { done_ += units; }
  void end() override { ended_ = true; }
  void note(std::string_view) override {}
  bool stop_requested() const override { return stop_; }
  std::uint64_t total_ = 0;
  std::atomic<std::uint64_t> done_ = 0;
  bool ended_ = false, stop_ = false;
};

// RFC 1321 (MD5), FIPS 180 examples (SHA-1, SHA-256).
TEST(Digest, StandardVectors) {
  const Digests empty = digests_of("");
  EXPECT_EQ(empty.at(HashKind::md5), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(empty.at(HashKind::sha1), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(empty.at(HashKind::sha256), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const Digests abc = digests_of("abc");
  EXPECT_EQ(abc.at(HashKind::md5), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(abc.at(HashKind::sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(abc.at(HashKind::sha256), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const Digests two_blocks = digests_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
  EXPECT_EQ(two_blocks.at(HashKind::sha1), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(two_blocks.at(HashKind::sha256),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(digests_of("12345678901234567890123456789012345678901234567890123456789012345678901234567890")
                .at(HashKind::md5),
            "57edf4a22be3c955ac49da2e2107b67a");
}

TEST(Digest, Sha512OfAbc) {
  const std::array kinds = {HashKind::sha512};
  EXPECT_EQ(digest_source(*memory_source(std::string_view("abc"), "memory"), kinds).at(HashKind::sha512),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Digest, MillionOfA) {
  const Digests digests = digests_of(std::string(1'000'000, 'a'));
  EXPECT_EQ(digests.at(HashKind::md5), "7707d6ae4e027c70eea2a935c2296f21");
  EXPECT_EQ(digests.at(HashKind::sha1), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
  EXPECT_EQ(digests.at(HashKind::sha256), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Digest, OnlyTheAlgorithmsAskedFor) {
  const std::array kinds = {HashKind::sha1};
  const Digests digests = digest_source(*memory_source(std::string_view("abc"), "memory"), kinds);
  EXPECT_EQ(digests.size(), 1U);
  EXPECT_TRUE(digests.contains(HashKind::sha1));
}

TEST(Digest, SeveralFilesInTheOrderOfTheRequestsForAnyNumberOfThreads) {
  const test::TempFolder folder;
  std::vector<DigestRequest> requests;
  std::vector<Digests> expected;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < 20; ++i) {
    const std::string text(1 + (i * 997'331) % 3'000'000, static_cast<char>('a' + i));
    const auto path = folder / ("file" + std::to_string(i));
    test::write_bytes(path, text);
    requests.push_back({path, {HashKind::sha256, HashKind::md5}});
    expected.push_back(digests_of(text));
    expected.back().erase(HashKind::sha1);
    total += text.size();
  }
  for (const int threads : {1, 2, 7}) {
    CountingProgress progress;
    EXPECT_EQ(digest_files(requests, progress, threads), expected) << threads << " threads";
    EXPECT_EQ(progress.total_, total);
    EXPECT_EQ(progress.done_, total);
    EXPECT_TRUE(progress.ended_);
  }
}

TEST(Digest, LanesGiveTheSameDigests) {
  std::string text(2'500'001, 'x');
  for (std::size_t i = 0; i < text.size(); i += 7) text[i] = static_cast<char>(i);
  const SourcePtr source = memory_source(text, "memory");
  const Digests expected = digests_of(text);
  for (const int lanes : {1, 2, 3, 4, 9}) {
    CountingProgress progress;
    HashClock clock;
    EXPECT_EQ(digest_in_lanes(*source, all_kinds, lanes, progress, clock), expected) << lanes << " lanes";
    EXPECT_EQ(progress.done_, text.size());
    EXPECT_GT(clock.finish(text.size(), lanes).hashing, 0);
    EXPECT_EQ(digest_in_lanes(*memory_source(std::string_view(), "none"), all_kinds, lanes, progress, clock),
              digests_of(""));
  }
}

/// Fails at a byte.
class BrokenSource final : public ByteSource {
 public:
  using ByteSource::read;
  explicit BrokenSource(std::uint64_t at) : at_(at) {}
  std::uint64_t size() const override { return 5U << 20U; }
  const std::filesystem::path& name() const override { return name_; }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset + out.size() > at_) throw Error(ErrorKind::system, "cannot read");
    std::fill(out.begin(), out.end(), std::byte{1});
  }

 private:
  std::uint64_t at_;
  std::filesystem::path name_ = "broken";
};

TEST(Digest, AFailingReadEndsEveryLane) {
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{2} << 20U, (std::uint64_t{5} << 20U) - 1}) {
    for (const int lanes : {1, 2, 4}) {
      CountingProgress progress;
      HashClock clock;
      EXPECT_THROW((void)digest_in_lanes(BrokenSource(at), all_kinds, lanes, progress, clock), Error);
      progress.stop_ = true;
      EXPECT_THROW((void)digest_in_lanes(BrokenSource(at), all_kinds, lanes, progress, clock), Error);
    }
  }
}

TEST(Digest, ALargeFileLeftOverIsSharedByTheThreads) {
  const test::TempFolder folder;
  const std::string text(65U << 20U, 'a');
  test::write_bytes(folder / "large", text);
  test::write_bytes(folder / "small", "abc");
  const std::vector<DigestRequest> requests = {{folder / "small", {HashKind::md5}},
                                               {folder / "large", {HashKind::md5, HashKind::sha256}},
                                               {folder / "small", {}}};
  HashWork work;
  CountingProgress progress;
  const auto digests = digest_files(requests, progress, 2, &work);
  EXPECT_EQ(digests[0].at(HashKind::md5), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(digests[1], digest_files(requests, progress, 1)[1]);
  EXPECT_TRUE(digests[2].empty());
  EXPECT_EQ(work.bytes, text.size() + 3);
  EXPECT_EQ(work.threads, 2);
  EXPECT_NE(hash_work_text(work).find("the limit"), std::string::npos);
}

TEST(Digest, TheLimitIsTheDiskOnlyWhenTheBytesCameFromIt) {
  HashWork work;
  work.bytes = 1000;
  work.from_disk = 1000;
  work.threads = 2;
  work.seconds = 2;
  work.reading = 3;
  work.hashing = 1;
  EXPECT_EQ(work.limit(), HashWork::Limit::disk);
  EXPECT_NE(hash_work_text(work).find("500 B/s on 2 threads: the disk was the limit (75 % of"),
            std::string::npos)
      << hash_work_text(work);
  work.from_disk = 400;
  EXPECT_EQ(work.limit(), HashWork::Limit::processors);
  work.from_disk = 1000;
  work.hashing = 4;
  EXPECT_EQ(work.limit(), HashWork::Limit::processors);
}

TEST(Digest, MissingFileIsNamed) {
  const test::TempFolder folder;
  const std::vector<DigestRequest> requests = {{folder / "absent", {HashKind::md5}}};
  const Error error = test::error_of([&] { digest_files(requests); });
  EXPECT_EQ(error.kind(), ErrorKind::input);
  EXPECT_NE(error.file_name().find("absent"), std::string::npos);
}

TEST(Digest, StopsWhenAsked) {
  CountingProgress progress;
  progress.stop_ = true;
  test::expect_error(ErrorKind::system, [&] {
    digest_source(*memory_source(std::string_view("abc"), "memory"), all_kinds, progress);
  });
}

TEST(Digest, AlgorithmsByLengthAndName) {
  EXPECT_EQ(hash_kind_of_length(32), HashKind::md5);
  EXPECT_EQ(hash_kind_of_length(40), HashKind::sha1);
  EXPECT_EQ(hash_kind_of_length(64), HashKind::sha256);
  EXPECT_FALSE(hash_kind_of_length(8));
  EXPECT_EQ(find_hash_kind("SHA-256"), HashKind::sha256);
  EXPECT_EQ(find_hash_kind("sha1"), HashKind::sha1);
  EXPECT_EQ(find_hash_kind("SHA512"), HashKind::sha512);
  EXPECT_EQ(hash_kind_of_length(128), HashKind::sha512);
  EXPECT_FALSE(find_hash_kind("SHA384"));
  EXPECT_FALSE(is_hex(""));
  EXPECT_FALSE(is_hex("0g"));
  EXPECT_TRUE(is_hex("0aF"));
}

}  // namespace
}  // namespace galatea
