// Sizes at which readers and writers give up elsewhere: many tensors, many shards, long names, offsets beyond 4 GiB.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "format/checkpoint.h"
#include "format/error.h"
#include "format/gguf.h"
#include "format/layout_source.h"
#include "format/safetensors.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

std::string number(std::uint64_t value, std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xFFU);
  return text;
}

std::string safetensors_head(const nlohmann::ordered_json& header) {
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return number(text.size(), 8) + text;
}

SourcePtr as_source(std::string_view bytes) { return memory_source(bytes, "limits"); }

nlohmann::ordered_json entry(const char* type, const Shape& shape, std::uint64_t begin, std::uint64_t end) {
  return {{"dtype", type}, {"shape", shape}, {"data_offsets", {begin, end}}};
}

// A file of that length whose bytes are zeros that take no room, but for `text` at its beginning.
void write_sparse(const fs::path& path, std::string_view text, std::uint64_t size) {
  test::write_bytes(path, text);
  fs::resize_file(path, size);
}

void put(const fs::path& path, std::uint64_t at, std::string_view bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  ASSERT_EQ(::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(at)),
            static_cast<ssize_t>(bytes.size()));
  ::close(file);
}

constexpr std::uint64_t gib = std::uint64_t{1} << 30U;

TEST(Limits, AHundredThousandTensors) {
  constexpr std::uint64_t count = 100'000;
  nlohmann::ordered_json header;
  for (std::uint64_t i = 0; i < count; ++i)
    header["t." + std::to_string(i)] = entry("F16", {2}, 4 * i, 4 * i + 4);
  const SafetensorsFile file =
      open_safetensors(as_source(safetensors_head(header) + std::string(4 * count, 'x')));
  EXPECT_EQ(file.tensors.size(), count);
  const GgufFile gguf =
      GgufFile::read(layout_source(gguf_layout("many.gguf", {}, file.tensors), "many.gguf"));
  EXPECT_EQ(gguf.tensors().size(), count);
  EXPECT_EQ(gguf.tensors().back().name, "t.99999");
}

/// How many files the process may have open, until the end of the scope.
class OpenFiles {
 public:
  OpenFiles() { EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before_), 0); }
  OpenFiles(const OpenFiles&) = delete;
  OpenFiles& operator=(const OpenFiles&) = delete;
  ~OpenFiles() { setrlimit(RLIMIT_NOFILE, &before_); }

  rlim_t most() const { return before_.rlim_max; }
  void allow(rlim_t count) const {
    const rlimit limit{count, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  }

 private:
  rlimit before_{};
};

// Tensor "t.N" of one float32, whose bits are N, in a file of its own.
void write_shards(const fs::path& folder, std::uint64_t count) {
  nlohmann::ordered_json index;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string name = "t." + std::to_string(i), file = "model-" + std::to_string(i) + ".safetensors";
    test::write_bytes(folder / file, safetensors_head({{name, entry("F32", {1}, 0, 4)}}) + number(i, 4));
    index["weight_map"][name] = file;
  }
  test::write_bytes(folder / "model.safetensors.index.json", index.dump());
  test::write_bytes(folder / "config.json",
                    test::read_bytes(test::test_data("miniature/base-hf/config.json")));
}

TEST(Limits, AFolderOfTenThousandShards) {
  constexpr std::uint64_t count = 10'000;
  const OpenFiles files;
  if (files.most() < count + 1000)
    GTEST_SKIP() << "needs " << count + 1000 << " open files, " << files.most()
                 << " are allowed (ulimit -Hn)";
  files.allow(files.most());
  const test::TempFolder folder;
  write_shards(folder.path(), count);
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(checkpoint.tensors().size(), count);
  std::uint32_t value = 0;
  checkpoint.find("t.9999")->data->read(0, 1, std::as_writable_bytes(std::span(&value, 1)));
  EXPECT_EQ(value, 9999U);
}

// Not with the address sanitizer: it looks at objects through a pipe, and without open files left takes any for damaged.
#if !defined(__SANITIZE_ADDRESS__)
TEST(Limits, TooFewOpenFilesForTheShardsIsAnErrorThatSaysWhatToDo) {
  const test::TempFolder folder;
  write_shards(folder.path(), 300);
  const OpenFiles files;
  files.allow(200);
  test::expect_error(
      ErrorKind::system, [&] { (void)Checkpoint::open(folder.path()); }, "ulimit -n");
  files.allow(400);
  EXPECT_EQ(Checkpoint::open(folder.path()).tensors().size(), 300U);
}
#endif

TEST(Limits, SafetensorsBeyondFourGibibytes) {
  const test::TempFolder folder;
  const fs::path path = folder / "large.safetensors";
  const std::uint64_t first = 5 * gib;
  const std::string head = safetensors_head(
      {{"a", entry("U8", {5 * 1024, gib / 1024}, 0, first)}, {"b", entry("F32", {2}, first, first + 8)}});
  write_sparse(path, head, head.size() + first + 8);
  put(path, head.size() + first, std::string_view("\0\0\x80\x3f\0\0\0\x40", 8));
  put(path, head.size() + 4 * gib, "\x11");
  const SafetensorsFile file = open_safetensors(open_file(path));
  ASSERT_EQ(file.tensors.size(), 2U);
  for (const Tensor& tensor : file.tensors) {
    if (tensor.name == "b") {
      EXPECT_EQ(read_all_f32(tensor), (std::vector<float>{1, 2}));
    } else {
      std::vector<std::byte> row(gib / 1024);
      tensor.data->read(4 * 1024, 1, row);
      EXPECT_EQ(row.front(), std::byte{0x11});
    }
  }
  fs::resize_file(path, head.size() + first + 7);
  EXPECT_THROW(open_safetensors(open_file(path)), Error);
}

TEST(Limits, GgufBeyondFourGibibytes) {
  const test::TempFolder folder;
  const fs::path path = folder / "large.gguf";
  const auto tensor = [](const std::string& name, std::uint64_t cols, std::uint64_t rows, std::uint32_t type,
                         std::uint64_t offset) {
    return number(name.size(), 8) + name + number(2, 4) + number(cols, 8) + number(rows, 8) +
           number(type, 4) + number(offset, 8);
  };
  const std::uint64_t rows = 5 * gib / 4096, second = 5 * gib;
  std::string head = "GGUF" + number(3, 4) + number(2, 8) + number(0, 8) + tensor("a", 1024, rows, 0, 0) +
                     tensor("b", 2, 1, 0, second);
  head.resize((head.size() + 31) / 32 * 32);
  write_sparse(path, head, head.size() + second + 8);
  put(path, head.size() + second, std::string_view("\0\0\x80\x3f\0\0\0\x40", 8));
  const GgufFile file = GgufFile::open(path);
  ASSERT_EQ(file.tensors().size(), 2U);
  EXPECT_EQ(read_all_f32(file.tensors()[1]), (std::vector<float>{1, 2}));
  fs::resize_file(path, head.size() + second);
  EXPECT_THROW(GgufFile::open(path), Error);
}

TEST(Limits, ExtentsThatNoFileCanHave) {
  for (const std::uint64_t extent : {std::uint64_t{1} << 63U, ~std::uint64_t{0}, std::uint64_t{1} << 62U}) {
    nlohmann::ordered_json header;
    header["a"] = entry("F32", {extent, 4}, 0, 16);
    EXPECT_THROW(open_safetensors(as_source(safetensors_head(header) + std::string(16, 'x'))), Error)
        << extent;
    std::string gguf = "GGUF" + number(3, 4) + number(1, 8) + number(0, 8) + number(1, 8) + "a" +
                       number(2, 4) + number(extent, 8) + number(4, 8) + number(0, 4) + number(0, 8);
    gguf.resize((gguf.size() + 31) / 32 * 32 + 16);
    EXPECT_THROW(GgufFile::read(as_source(gguf)), Error) << extent;
  }
}

TEST(Limits, NamesOfSixtyFourKibibytesAndWithAnyByte) {
  const std::string names[] = {std::string(65536, 'n'), std::string("nul\0inside", 10),
                               "line\nbreak",           "../../up",
                               "/etc/passwd",           "\x1b[2J"};
  for (const std::string& name : names) {
    nlohmann::ordered_json header;
    header[name] = entry("F32", {1}, 0, 4);
    const SourcePtr source = as_source(safetensors_head(header) + std::string(4, 'x'));
    // Either refused, or listed under exactly this name: never cut short and never taken for a path.
    try {
      const SafetensorsFile file = open_safetensors(source);
      ASSERT_EQ(file.tensors.size(), 1U);
      EXPECT_EQ(file.tensors[0].name, name);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_EQ(std::string(error.what()).find('\x1b'), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace galatea
