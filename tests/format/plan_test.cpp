#include "format/plan.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <atomic>
#include <cstring>
#include <numeric>

#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using test::list_folder;
using test::read_bytes;
using test::TempFolder;

Tensor ramp(const std::string& name, std::uint64_t rows, std::uint64_t cols) {
  std::vector<float> values(rows * cols);
  std::iota(values.begin(), values.end(), static_cast<float>(name.size()));
  return {name, {rows, cols}, memory_rows(values, rows, cols), {}, 0};
}

/// Rows that fail when row `bad` is asked for.
class FailingRows final : public Rows {
 public:
  explicit FailingRows(std::uint64_t bad) : Rows(DType::f32, 1000, 16), bad_(bad) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    if (first <= bad_ && bad_ < first + count) throw Error(ErrorKind::input, "this row is damaged");
    std::memset(out.data(), 0, out.size());
  }

 private:
  std::uint64_t bad_;
};

/// Literal, tensor, the tensor's CRC, a second tensor, both CRCs.
FileLayout sample() {
  FileLayout layout = literal_layout("sample.bin", "head");
  layout.tensors = {ramp("a", 333, 17), ramp("second", 10, 1000)};
  const auto crcs_upto = [](std::size_t count) {
    return CrcSegment{4 * count, [count](std::span<const std::uint32_t> crcs) {
                        std::vector<std::byte> out(4 * count);
                        std::memcpy(out.data(), crcs.data(), out.size());
                        return out;
                      }};
  };
  layout.segments.emplace_back(TensorSegment{0});
  layout.segments.emplace_back(crcs_upto(1));
  layout.segments.emplace_back(TensorSegment{1});
  layout.segments.emplace_back(crcs_upto(2));
  return layout;
}

std::string expected_sample() {
  const FileLayout layout = sample();
  std::string out = "head";
  std::uint32_t crcs[2];
  for (std::size_t i = 0; i < 2; ++i) {
    const Tensor& tensor = layout.tensors[i];
    std::string bytes(tensor.bytes(), '\0');
    tensor.data->read(0, tensor.data->rows(), std::as_writable_bytes(std::span(bytes)));
    out += bytes;
    crcs[i] = static_cast<std::uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
    out.append(reinterpret_cast<const char*>(crcs), 4 * (i + 1));
  }
  return out;
}

TEST(Plan, SameBytesAndDigestsForAnyThreadsAndChunks) {
  const std::string expected = expected_sample();
  EXPECT_EQ(sample().size(), expected.size());
  for (const int threads : {1, 2, 3, 7, 16}) {
    for (const std::uint64_t chunk : {1U, 100U, 4096U, 1U << 20U}) {
      const TempFolder folder;
      WriteOptions options;
      options.threads = threads;
      options.chunk_bytes = chunk;
      options.digests = {HashKind::md5, HashKind::sha256};
      const auto written = write_plan({{sample()}}, folder.path(), options);
      ASSERT_EQ(written.size(), 1U);
      EXPECT_EQ(read_bytes(folder / "sample.bin"), expected);
      EXPECT_EQ(written[0].digests.at(HashKind::sha256), sha256_hex(std::as_bytes(std::span(expected))));
      EXPECT_EQ(written[0].digests.at(HashKind::md5).size(), 32U);
      std::string streamed;
      stream_layout(sample(), options, [&](std::span<const std::byte> bytes) {
        streamed.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      });
      EXPECT_EQ(streamed, expected);
    }
  }
}

TEST(Plan, AnErrorLeavesNoFileAndNamesTheTensor) {
  for (const std::uint64_t bad : {0U, 500U, 999U}) {
    const TempFolder folder;
    FileLayout layout = literal_layout("broken.bin", "head");
    layout.tensors.push_back({"model.norm.weight", {1000, 16}, std::make_shared<FailingRows>(bad), {}, 0});
    layout.segments.emplace_back(TensorSegment{0});
    WriteOptions options;
    options.chunk_bytes = 640;
    options.threads = 3;
    const Error error = test::error_of([&] {
      write_plan({{literal_layout("good.txt", "whole"), layout}}, folder.path(), options);
    });
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_EQ(error.tensor_name(), "model.norm.weight");
    EXPECT_EQ(list_folder(folder.path()), std::vector<std::string>{"good.txt"});
  }
}

TEST(Plan, AFailedCheckDiscardsTheFile) {
  const TempFolder folder;
  FileLayout layout = literal_layout("a.json", "not json");
  layout.check = [](const SourcePtr& finished) {
    EXPECT_EQ(finished->read_text(100), "not json");
    throw Error(ErrorKind::check_failed, "is no JSON").at(3);
  };
  const Error error = test::error_of([&] { write_plan({{layout}}, folder.path(), {}); });
  EXPECT_EQ(error.kind(), ErrorKind::check_failed);
  EXPECT_EQ(error.file_name(), (folder / "a.json").string());
  EXPECT_EQ(error.byte(), 3U);
  EXPECT_TRUE(list_folder(folder.path()).empty());
}

TEST(Plan, ExistingFilesAreKeptUnlessToldOtherwise) {
  const TempFolder folder;
  test::write_bytes(folder / "x", "precious");
  test::expect_error(ErrorKind::usage,
                     [&] { write_plan({{literal_layout("x", "new")}}, folder.path(), {}); });
  EXPECT_EQ(read_bytes(folder / "x"), "precious");
  WriteOptions options;
  options.overwrite = true;
  write_plan({{literal_layout("x", "new")}}, folder.path(), options);
  EXPECT_EQ(read_bytes(folder / "x"), "new");
}

TEST(Plan, OutputNeverLeavesItsFolder) {
  for (const std::string& name : {std::string("../x"), std::string("/tmp/x"), std::string("a/b"),
                                  std::string(".."), std::string(""), std::string("a\0b", 3)}) {
    const TempFolder folder;
    EXPECT_THROW(write_plan({{literal_layout(name, "x")}}, folder.path(), {}), Error) << name;
    EXPECT_TRUE(list_folder(folder.path()).empty());
  }
  const TempFolder folder;
  EXPECT_THROW(write_plan({{literal_layout("x", "1"), literal_layout("x", "2")}}, folder.path(), {}), Error);
}

TEST(Plan, ALinkPlantedAsPartialFileIsNotFollowed) {
  const TempFolder folder;
  test::write_bytes(folder / "victim", "precious");
  std::filesystem::create_symlink(folder / "victim", folder / ".x.partial");
  write_plan({{literal_layout("x", "new")}}, folder.path(), {});
  EXPECT_EQ(read_bytes(folder / "victim"), "precious");
  EXPECT_EQ(read_bytes(folder / "x"), "new");
}

TEST(Plan, AFolderThatCannotBeMadeIsAnError) {
  const TempFolder folder;
  test::write_bytes(folder / "file", "");
  const Error error =
      test::error_of([&] { write_plan({{literal_layout("x", "1")}}, folder / "file/sub", {}); });
  EXPECT_TRUE(error.kind() == ErrorKind::system || error.kind() == ErrorKind::usage);
}

class StoppingProgress final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t) override { ++calls; }
  void end() override {}
  void note(std::string_view) override {}
  bool stop_requested() const override { return calls >= 3; }
  std::atomic<int> calls = 0;
};

TEST(Plan, StopsBetweenChunksWhenAsked) {
  const TempFolder folder;
  StoppingProgress progress;
  WriteOptions options;
  options.progress = &progress;
  options.chunk_bytes = 64;
  EXPECT_THROW(write_plan({{sample()}}, folder.path(), options), Error);
  EXPECT_TRUE(list_folder(folder.path()).empty());
}

TEST(Plan, EmptyTensorsAndFiles) {
  const TempFolder folder;
  FileLayout layout;
  layout.name = "empty";
  layout.tensors.push_back(ramp("none", 0, 4));
  layout.segments.emplace_back(TensorSegment{0});
  write_plan({{layout, copy_layout("copy", memory_source(std::string_view("abc"), "m"))}}, folder.path(), {});
  EXPECT_EQ(read_bytes(folder / "empty"), "");
  EXPECT_EQ(read_bytes(folder / "copy"), "abc");
}

}  // namespace
}  // namespace galatea
