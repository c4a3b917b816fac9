#include "format/layout_source.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <random>
#include <thread>

#include "format/error.h"

namespace galatea {
namespace {

Tensor ramp(const std::string& name, std::uint64_t rows, std::uint64_t cols) {
  std::vector<float> values(rows * cols);
  std::iota(values.begin(), values.end(), static_cast<float>(name.size()));
  return {name, {rows, cols}, memory_rows(values, rows, cols), {}, 0};
}

/// Tensors, each followed by its CRC-32, and all CRC-32s at the end, like a zip.
FileLayout zip_like() {
  FileLayout layout = literal_layout("sample.bin", "head");
  layout.tensors = {ramp("a", 333, 17), ramp("second", 10, 1000), ramp("none", 0, 3), ramp("row", 1, 7)};
  for (std::size_t i = 0; i < layout.tensors.size(); ++i) {
    layout.segments.emplace_back(TensorSegment{i});
    layout.segments.emplace_back(CrcSegment{4, [i](std::span<const std::uint32_t> crcs) {
                                              std::vector<std::byte> out(4);
                                              std::memcpy(out.data(), &crcs[i], 4);
                                              return out;
                                            }});
  }
  layout.segments.emplace_back(CrcSegment{16, [](std::span<const std::uint32_t> crcs) {
                                            std::vector<std::byte> out(16);
                                            std::memcpy(out.data(), crcs.data(), 16);
                                            return out;
                                          }});
  return layout;
}

std::vector<std::byte> written() {
  std::vector<std::byte> out;
  stream_layout(zip_like(), {},
                [&](std::span<const std::byte> bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); });
  return out;
}

TEST(LayoutSource, AnyRangeIsThatOfTheWrittenFile) {
  const std::vector<std::byte> whole = written();
  std::mt19937 generator(7);
  for (int round = 0; round < 200; ++round) {
    const SourcePtr source = layout_source(zip_like(), "base");
    ASSERT_EQ(source->size(), whole.size());
    for (int i = 0; i < 5; ++i) {
      const std::size_t begin = generator() % (whole.size() + 1);
      const std::size_t length = generator() % (whole.size() - begin + 1);
      EXPECT_EQ(source->read(begin, length),
                std::vector<std::byte>(whole.begin() + static_cast<std::ptrdiff_t>(begin),
                                       whole.begin() + static_cast<std::ptrdiff_t>(begin + length)));
    }
  }
}

TEST(LayoutSource, SeveralThreadsAtOnce) {
  const std::vector<std::byte> whole = written();
  const SourcePtr source = layout_source(zip_like(), "base");
  std::vector<std::byte> out(whole.size());
  std::vector<std::thread> team;
  for (std::size_t member = 0; member < 4; ++member) {
    team.emplace_back([&, member] {
      for (std::size_t at = member * 1000; at < whole.size(); at += 4000) {
        source->read(at, std::span(out).subspan(at, std::min<std::size_t>(1000, whole.size() - at)));
      }
    });
  }
  for (std::thread& member : team) member.join();
  EXPECT_EQ(out, whole);
  EXPECT_THROW(source->read(whole.size(), 1), Error);
}

/// Counts how many bytes are asked of it.
class CountingRows final : public Rows {
 public:
  explicit CountingRows(std::uint64_t& bytes) : Rows(DType::u8, 100000, 10), bytes_(bytes) {}
  void read(std::uint64_t, std::uint64_t, std::span<std::byte> out) const override {
    bytes_ += out.size();
    std::memset(out.data(), 1, out.size());
  }

 private:
  std::uint64_t& bytes_;
};

TEST(LayoutSource, FrontToBackReadsEachTensorOnce) {
  std::uint64_t bytes = 0;
  FileLayout layout;
  layout.name = "x";
  layout.tensors.push_back({"t", {100000, 10}, std::make_shared<CountingRows>(bytes), {}, 0});
  layout.segments.emplace_back(TensorSegment{0});
  layout.segments.emplace_back(
      CrcSegment{4, [](std::span<const std::uint32_t>) { return std::vector<std::byte>(4); }});
  const SourcePtr source = layout_source(layout, "base");
  std::vector<std::byte> buffer(4096);
  for (std::uint64_t at = 0; at < source->size(); at += buffer.size()) {
    source->read(at, std::span(buffer).first(std::min<std::size_t>(buffer.size(), source->size() - at)));
  }
  EXPECT_LT(bytes, 1010000U);  // rows cut by the buffer's end are read twice, nothing else
}

}  // namespace
}  // namespace galatea
