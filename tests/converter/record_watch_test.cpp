#include "converter/record_watch.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "format/error.h"
#include "format/torch_layout.h"
#include "tests/support/errors.h"
#include "tests/support/layouts.h"

namespace galatea {
namespace {

/// A torch file of some megabytes, with tensors smaller and larger than a cell.
std::string sample() {
  std::vector<Tensor> tensors;
  for (const std::uint64_t rows : {700U, 3U, 1500U, 1U}) {
    std::vector<float> values(rows * 512);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7919 % 1009 + rows);
    tensors.push_back({"rows" + std::to_string(rows), {rows, 512}, memory_rows(values, rows, 512), {}, 0});
  }
  return test::bytes_of(torch_zip_layout("sample.pt", tensors));
}

/// Counts the bytes that are read of it.
class Counted final : public ByteSource {
 public:
  explicit Counted(SourcePtr source) : source_(std::move(source)) {}
  std::uint64_t size() const override { return source_->size(); }
  const std::filesystem::path& name() const override { return source_->name(); }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    bytes += out.size();
    source_->read(offset, out);
  }
  mutable std::atomic<std::uint64_t> bytes = 0;

 private:
  SourcePtr source_;
};

void read_in_pieces(const ByteSource& source, std::uint64_t piece, std::uint64_t from, std::uint64_t step) {
  std::vector<std::byte> buffer;
  for (std::uint64_t at = from * piece; at < source.size(); at += step * piece) {
    buffer.resize(static_cast<std::size_t>(std::min(piece, source.size() - at)));
    source.read(at, buffer);
  }
}

TEST(RecordWatch, WhatWasWatchedIsNotReadAgain) {
  const std::string bytes = sample();
  const RecordWatch watch(memory_source(bytes, "sample.pt"));
  const SourcePtr watched = watch.watched();
  std::vector<std::thread> team;
  for (std::uint64_t member = 0; member < 3; ++member)
    team.emplace_back([&, member] { read_in_pieces(*watched, 1U << 20U, member, 3); });
  for (std::thread& member : team) member.join();
  const auto finished = std::make_shared<Counted>(memory_source(bytes, "sample.pt"));
  watch.check(finished);
  // Two ends of each of six records, a cell each at most, and the tables.
  EXPECT_LT(finished->bytes, 6U * 2 * (256U << 10U) + 100'000U);
  EXPECT_LT(finished->bytes, bytes.size() / 2);
}

TEST(RecordWatch, PiecesOfAnySizeAndGaps) {
  const std::string bytes = sample();
  for (const std::uint64_t piece : {1000U, 262'144U, 300'001U, 2'000'000U}) {
    for (const std::uint64_t step : {1U, 2U}) {
      const RecordWatch watch(memory_source(bytes, "sample.pt"));
      read_in_pieces(*watch.watched(), piece, 0, step);
      EXPECT_NO_THROW(watch.check(memory_source(bytes, "sample.pt"))) << piece;
    }
  }
}

TEST(RecordWatch, TheDamagedTensorIsNamed) {
  std::string bytes = sample();
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  const SourcePtr damaged = memory_source(bytes, "sample.pt");
  const RecordWatch watch(damaged);
  read_in_pieces(*watch.watched(), 1U << 20U, 0, 1);
  const auto named = [](const auto& work) {
    const Error error = test::error_of(work);
    EXPECT_EQ(error.kind(), ErrorKind::input);
    return error.tensor_name();
  };
  EXPECT_EQ(named([&] { watch.check(damaged); }), "rows1500");
  EXPECT_EQ(named([&] { check_records(damaged); }), "rows1500");
  EXPECT_EQ(named([&] { RecordWatch(damaged).check(damaged); }), "rows1500");
}

TEST(RecordWatch, AFileThatIsNotWhatWasReadIsTold) {
  std::string bytes = sample();
  const SourcePtr whole = memory_source(bytes, "sample.pt");
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
  const RecordWatch watch(memory_source(bytes, "sample.pt"));
  read_in_pieces(*watch.watched(), 1U << 20U, 0, 1);
  EXPECT_THROW(watch.check(whole), Error);
}

}  // namespace
}  // namespace galatea
