#include "format/gguf.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>

#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using test::read_bytes;
using test::TempFolder;
using test::test_data;

template <class T>
T value_of(const GgufFile& file, std::string_view key) {
  const GgufValue* value = file.find(key);
  if (value == nullptr || !std::holds_alternative<T>(*value)) {
    ADD_FAILURE() << key << " is missing or of another type";
    return {};
  }
  return std::get<T>(*value);
}

template <class T>
std::vector<T> items_of(const GgufFile& file, std::string_view key) {
  return std::get<std::vector<T>>(value_of<GgufArray>(file, key).items);
}

std::string bytes_of(const FileLayout& layout) {
  std::string out;
  stream_layout(layout, {}, [&](std::span<const std::byte> piece) {
    out.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  });
  return out;
}

TEST(Gguf, reads_every_metadata_type_of_gguf_py) {
  const GgufFile file = GgufFile::open(test_data("gguf/values.gguf"));
  EXPECT_EQ(file.version(), 3U);
  EXPECT_EQ(file.alignment(), 64U);
  EXPECT_EQ(file.metadata().front().key, "general.architecture");
  EXPECT_EQ(value_of<std::uint8_t>(file, "t.u8"), 255);
  EXPECT_EQ(value_of<std::int8_t>(file, "t.i8"), -128);
  EXPECT_EQ(value_of<std::uint16_t>(file, "t.u16"), 65535);
  EXPECT_EQ(value_of<std::int16_t>(file, "t.i16"), -32768);
  EXPECT_EQ(value_of<std::uint32_t>(file, "t.u32"), 4294967295U);
  EXPECT_EQ(value_of<std::int32_t>(file, "t.i32"), INT32_MIN);
  EXPECT_EQ(value_of<float>(file, "t.f32"), 0.1F);
  EXPECT_TRUE(value_of<bool>(file, "t.true"));
  EXPECT_FALSE(value_of<bool>(file, "t.false"));
  EXPECT_EQ(value_of<std::string>(file, "t.str"), "Galatea \xE2\x96\x81 \xC3\xA9");
  EXPECT_EQ(value_of<std::uint64_t>(file, "t.u64"), UINT64_MAX);
  EXPECT_EQ(value_of<std::int64_t>(file, "t.i64"), INT64_MIN);
  EXPECT_EQ(value_of<double>(file, "t.f64"), 0.1);

  EXPECT_EQ(items_of<std::uint8_t>(file, "a.uint8"), (std::vector<std::uint8_t>{0, 255}));
  EXPECT_EQ(items_of<std::int8_t>(file, "a.int8"), (std::vector<std::int8_t>{-128, 127}));
  EXPECT_EQ(items_of<std::uint16_t>(file, "a.uint16"), (std::vector<std::uint16_t>{0, 65535}));
  EXPECT_EQ(items_of<std::int16_t>(file, "a.int16"), (std::vector<std::int16_t>{-32768, 32767}));
  EXPECT_EQ(items_of<std::uint32_t>(file, "a.uint32"), (std::vector<std::uint32_t>{0, 4294967295U}));
  EXPECT_EQ(items_of<std::int32_t>(file, "a.int32"), (std::vector<std::int32_t>{INT32_MIN, INT32_MAX}));
  EXPECT_EQ(items_of<float>(file, "a.float32"), (std::vector<float>{0.5F, -0.25F, 1e-40F}));
  EXPECT_EQ(items_of<bool>(file, "a.bool"), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(items_of<std::string>(file, "a.string"),
            (std::vector<std::string>{"a", "<s>", "\xE2\x96\x81the"}));
  EXPECT_EQ(items_of<std::uint64_t>(file, "a.uint64"), (std::vector<std::uint64_t>{0, UINT64_MAX}));
  EXPECT_EQ(items_of<std::int64_t>(file, "a.int64"), (std::vector<std::int64_t>{INT64_MIN, 1}));
  EXPECT_EQ(items_of<double>(file, "a.float64"), (std::vector<double>{0.1, -1e300}));
  const auto nested = items_of<GgufArray>(file, "a.nested");
  ASSERT_EQ(nested.size(), 2U);
  EXPECT_EQ(std::get<std::vector<std::int32_t>>(nested[0].items), (std::vector<std::int32_t>{1, 2, 3}));
  EXPECT_EQ(std::get<std::vector<std::string>>(items_of<GgufArray>(file, "a.nested_text")[0].items)[1], "yy");

  ASSERT_EQ(file.tensors().size(), 2U);
  EXPECT_EQ(file.tensors()[0].shape, (Shape{2, 3}));
  EXPECT_EQ(read_all_f32(file.tensors()[0]), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(file.tensors()[1].shape, (Shape{5}));
  EXPECT_EQ(read_all_f32(file.tensors()[1]), (std::vector<float>{0, 1, 2, 3, 4}));
  EXPECT_EQ(file.tensors()[1].offset % 64, 0U);
}

TEST(Gguf, decodes_tensors_to_the_bits_of_gguf_py) {
  const GgufFile file = GgufFile::open(test_data("gguf/types.gguf"));
  const std::string expected = read_bytes(test_data("gguf/types.f32"));
  std::size_t place = 0;
  for (const Tensor& tensor : file.tensors()) {
    const std::vector<float> values = read_all_f32(tensor);
    ASSERT_LE(place + values.size() * 4, expected.size());
    EXPECT_EQ(std::memcmp(values.data(), expected.data() + place, values.size() * 4), 0) << tensor.name;
    place += values.size() * 4;
  }
  EXPECT_EQ(place, expected.size());
  EXPECT_EQ(file.tensors().size(), 30U);
}

TEST(Gguf, what_gguf_py_wrote_is_written_again_byte_for_byte) {
  for (const char* name : {"gguf/values.gguf", "gguf/types.gguf", "gguf/split-00002-of-00003.gguf"}) {
    const GgufFile file = GgufFile::read(open_file(test_data(name)));
    const FileLayout layout = gguf_layout("again.gguf", file.metadata(), file.tensors());
    const std::string bytes = bytes_of(layout);
    EXPECT_EQ(bytes.size(), layout.size());
    EXPECT_TRUE(bytes == read_bytes(test_data(name))) << name;
  }
}

TEST(Gguf, opens_a_split_model_by_any_part) {
  for (const char* part : {"1", "2", "3"}) {
    const GgufFile file = GgufFile::open(test_data(std::string("gguf/split-0000") + part + "-of-00003.gguf"));
    ASSERT_EQ(file.tensors().size(), 3U);
    EXPECT_EQ(file.files().size(), 3U);
    EXPECT_EQ(*file.get_string("general.name"), "in three parts");
    EXPECT_EQ(file.tensors()[2].name, "third");
    EXPECT_EQ(file.tensors()[2].file.filename(), "split-00003-of-00003.gguf");
    EXPECT_EQ(read_all_f32(file.tensors()[2]), std::vector<float>(4, 3.0F));
    for (const GgufEntry& entry : without_container_keys(file.metadata())) {
      EXPECT_FALSE(entry.key.starts_with("split.")) << entry.key;
    }
  }
}

TEST(Gguf, a_split_model_must_be_whole_and_named_right) {
  TempFolder folder;
  const auto copy = [&](const char* from, const char* to) {
    fs::copy_file(test_data(std::string("gguf/") + from), folder / to);
  };
  copy("split-00001-of-00003.gguf", "m-00001-of-00003.gguf");
  EXPECT_THROW(GgufFile::open(folder / "m-00001-of-00003.gguf"), Error);  // no others
  copy("split-00002-of-00003.gguf", "m-00002-of-00003.gguf");
  copy("split-00002-of-00003.gguf", "m-00003-of-00003.gguf");
  EXPECT_THROW(GgufFile::open(folder / "m-00001-of-00003.gguf"), Error);  // one of them twice
  copy("split-00001-of-00003.gguf", "model.gguf");
  EXPECT_THROW(GgufFile::open(folder / "model.gguf"), Error);
  copy("split-00001-of-00003.gguf", "m-00001-of-0000x.gguf");
  EXPECT_THROW(GgufFile::open(folder / "m-00001-of-0000x.gguf"), Error);
  fs::remove(folder / "m-00003-of-00003.gguf");
  copy("split-00003-of-00003.gguf", "m-00003-of-00003.gguf");
  EXPECT_EQ(GgufFile::open(folder / "m-00002-of-00003.gguf").tensors().size(), 3U);
}

TEST(Gguf, getters_take_every_width_and_name_what_is_wrong) {
  const GgufFile file = GgufFile::open(test_data("gguf/values.gguf"));
  EXPECT_EQ(file.get_unsigned("t.u16"), 65535U);
  EXPECT_EQ(file.get_signed("t.i8"), -128);
  EXPECT_EQ(file.get_number("t.f32"), static_cast<double>(0.1F));
  EXPECT_EQ(file.get_number("t.i16"), -32768.0);
  EXPECT_EQ(file.get_boolean("t.true"), true);
  EXPECT_EQ(file.get_strings("a.string")->at(1), "<s>");
  EXPECT_EQ(file.get_numbers("a.float32")->at(0), 0.5);
  EXPECT_EQ(file.get_integers("a.int8"), (std::vector<std::int64_t>{-128, 127}));
  EXPECT_EQ(file.get_unsigned("absent"), std::nullopt);
  EXPECT_EQ(file.get_string("absent"), nullptr);
  EXPECT_THROW(file.get_unsigned("t.i8"), Error);
  EXPECT_THROW(file.get_signed("t.u64"), Error);
  EXPECT_THROW(file.get_unsigned("t.true"), Error);
  EXPECT_THROW(file.get_boolean("t.u8"), Error);
  EXPECT_THROW(file.get_string("t.u8"), Error);
  EXPECT_THROW(file.get_strings("a.int8"), Error);
  EXPECT_THROW(file.get_integers("a.uint64"), Error);
  EXPECT_THROW(file.get_integers("a.bool"), Error);
  EXPECT_THROW(file.get_numbers("t.f32"), Error);
  const std::string wrong_type = test::refusal_of([&] { file.get_string("t.u8"); });
  EXPECT_NE(wrong_type.find("t.u8"), std::string::npos) << wrong_type;
  EXPECT_NE(wrong_type.find("u8 255"), std::string::npos) << wrong_type;
  EXPECT_EQ(to_string(*file.find("a.string"), 2), "[3 x str: \"a\", \"<s>\", ...]");
}

/// Bytes of a header, put together by hand.
struct Bytes {
  std::string text;
  bool version1 = false;

  template <class T>
  Bytes& put(T value) {
    text.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& length(std::uint64_t value) {
    return version1 ? put(static_cast<std::uint32_t>(value)) : put(value);
  }
  Bytes& string(std::string_view value) {
    length(value.size());
    text += value;
    return *this;
  }
  Bytes& start(std::uint32_t version, std::uint64_t tensors, std::uint64_t entries) {
    version1 = version == 1;
    text = "GGUF";
    return put(version).length(tensors).length(entries);
  }
  Bytes& tensor(std::string_view name, const std::vector<std::uint64_t>& extents, std::uint32_t type,
                std::uint64_t offset) {
    string(name).put(static_cast<std::uint32_t>(extents.size()));
    for (const std::uint64_t extent : extents) length(extent);
    return put(type).put(offset);
  }
  Bytes& data(std::size_t bytes, std::size_t alignment = 32) {
    text.resize((text.size() + alignment - 1) / alignment * alignment);
    text.append(bytes, '\1');
    return *this;
  }
};

GgufFile read(const Bytes& bytes) { return GgufFile::read(memory_source(bytes.text, "test.gguf")); }

void expect_refused(const Bytes& bytes, const std::string& because) {
  test::expect_refused([&] { read(bytes); }, because);
}

TEST(Gguf, reads_versions_1_and_2) {
  for (const std::uint32_t version : {1U, 2U}) {
    Bytes bytes;
    bytes.start(version, 1, 2).string("k").put(8U).string("text");
    bytes.string("list").put(9U).put(8U).length(2).string("a").string("bc");
    bytes.tensor("t", {3, 2}, 0, 0).data(24);
    const GgufFile file = read(bytes);
    EXPECT_EQ(file.version(), version);
    EXPECT_EQ(*file.get_string("k"), "text");
    EXPECT_EQ(file.get_strings("list")->at(1), "bc");
    ASSERT_EQ(file.tensors().size(), 1U);
    EXPECT_EQ(file.tensors()[0].shape, (Shape{2, 3}));
  }
}

TEST(Gguf, other_files_are_refused_by_name) {
  Bytes bytes;
  bytes.text = "PK\3\4 something else";
  expect_refused(bytes, "is not a GGUF file");
  bytes.text = "tjgg\3";
  bytes.text.resize(32);
  expect_refused(bytes, "GGML file from before GGUF");
  expect_refused(Bytes().start(0x03000000U, 0, 0), "big-endian");
  expect_refused(Bytes().start(4, 0, 0), "version");
  expect_refused(Bytes().start(0, 0, 0), "version");
}

TEST(Gguf, counts_and_lengths_are_held_against_the_file) {
  constexpr std::uint64_t huge = UINT64_MAX;
  expect_refused(Bytes().start(3, huge, 0), "tensors");
  expect_refused(Bytes().start(3, 0, huge), "metadata entries");
  expect_refused(Bytes().start(3, 0, 60'000), "metadata entries");
  expect_refused(Bytes().start(3, 0, 1).put(huge).put(0U).put(huge), "length of a metadata key");
  expect_refused(Bytes().start(3, 0, 1).string("k").put(8U).put(huge), "length of a metadata text");
  expect_refused(Bytes().start(3, 0, 1).string("k").put(9U).put(0U).put(huge), "array items");
  expect_refused(Bytes().start(3, 0, 1).string("k").put(9U).put(12U).put(huge / 8), "array items");
  expect_refused(Bytes().start(3, 0, 1).string("k").put(9U).put(8U).put(std::uint64_t{1} << 40U),
                 "array items");
  expect_refused(Bytes().start(3, 0, 1).string("k").put(9U).put(9U).put(std::uint64_t{1} << 40U),
                 "array items");
}

TEST(Gguf, damaged_metadata_is_refused) {
  expect_refused(Bytes().start(3, 0, 1).string("").put(0U).put<std::uint64_t>(0), "metadata key");
  expect_refused(Bytes().start(3, 0, 1).string("\xFF").put(0U).put<std::uint64_t>(0), "metadata key");
  expect_refused(Bytes().start(3, 0, 1).string("k").put(13U).put<std::uint64_t>(0), "unknown type");
  expect_refused(Bytes().start(3, 0, 1).string("k").put(9U).put(13U).put<std::uint64_t>(0), "unknown type");
  expect_refused(Bytes().start(3, 0, 1).string("k").put(7U).put<std::uint8_t>(2), "truth value");
  Bytes twice;
  twice.start(3, 0, 2).string("k").put(4U).put(1U).string("k").put(4U).put(1U);
  expect_refused(twice, "twice");
  Bytes deep;
  deep.start(3, 0, 1).string("k").put(9U);
  for (int i = 0; i < 1000; ++i) deep.put(9U).put<std::uint64_t>(1);
  expect_refused(deep, "nested too deep");
  for (const std::uint32_t alignment : {0U, 3U, 1U << 21U}) {
    expect_refused(Bytes().start(3, 0, 1).string("general.alignment").put(4U).put(alignment),
                   "general.alignment");
  }
  expect_refused(Bytes().start(3, 0, 1).string("general.alignment").put(8U).string("32"),
                 "general.alignment");
}

TEST(Gguf, damaged_tensor_tables_are_refused) {
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {1, 1, 1, 1, 1}, 0, 0).data(4), "too many dimensions");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {0}, 0, 0).data(4), "empty");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {33}, 2, 0).data(64), "whole blocks");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {1ULL << 32U, 1ULL << 32U}, 0, 0).data(4), "64 bits");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {1ULL << 62U}, 0, 0).data(4), "64 bits");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {1}, 40, 0).data(4), "NVFP4");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {1}, 139, 0).data(4), "IQ4_K (of ik_llama.cpp)");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {1}, 139, 0).data(4), "only ik_llama.cpp reads it");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {1}, 99, 0).data(4), "ggml type 99");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {2}, 0, 0).data(4), "past the end");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {1}, 0, 64).data(4), "past the end");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {1}, 0, UINT64_MAX - 31).data(4), "past the end");
  expect_refused(Bytes().start(3, 1, 0).tensor("t", {1}, 0, 4).data(8), "multiple");
  expect_refused(Bytes().start(3, 2, 0).tensor("t", {1}, 0, 0).tensor("t", {1}, 0, 32).data(64), "twice");
  expect_refused(Bytes().start(3, 2, 0).tensor("t", {9}, 0, 0).tensor("u", {1}, 0, 32).data(64), "lies over");
  expect_refused(Bytes().start(3, 1, 0).tensor("", {1}, 0, 0).data(4), "tensor name");
  EXPECT_EQ(read(Bytes().start(3, 1, 0).tensor("t", {}, 0, 0).data(4)).tensors()[0].shape, Shape{});
}

TEST(Gguf, every_truncation_is_refused) {
  for (const char* name : {"gguf/values.gguf", "gguf/types.gguf"}) {
    const std::string whole = read_bytes(test_data(name));
    const GgufFile file = GgufFile::open(test_data(name));
    std::uint64_t end = 0;
    for (const Tensor& tensor : file.tensors()) end = std::max(end, tensor.offset + tensor.bytes());
    for (std::size_t length = 0; length < end; ++length) {
      EXPECT_THROW(GgufFile::read(memory_source(whole.substr(0, length), name)), Error)
          << name << ' ' << length;
    }
  }
}

TEST(Gguf, noise_never_does_more_than_fail) {
  std::mt19937 random(9);
  for (const char* name : {"gguf/values.gguf", "gguf/types.gguf", "gguf/split-00001-of-00003.gguf"}) {
    const std::string whole = read_bytes(test_data(name));
    for (int i = 0; i < 4'000; ++i) {
      std::string bytes = whole;
      for (int j = 0; j < 2; ++j) bytes[random() % bytes.size()] = static_cast<char>(random());
      try {
        const GgufFile file = GgufFile::read(memory_source(bytes, name));
        for (const Tensor& tensor : file.tensors()) read_all_f32(tensor);
      } catch (const Error&) {
      }
    }
  }
}

TEST(Gguf, what_gguf_cannot_hold_is_not_written) {
  const auto tensor = [](std::string name, const Shape& shape, DType type) {
    const std::uint64_t bytes = type_info(type).bytes_for(element_count(shape));
    const MatrixShape matrix = matrix_shape(shape, type);
    return Tensor{std::move(name),
                  shape,
                  memory_rows(std::vector<std::byte>(bytes), type, matrix.rows, matrix.cols),
                  {},
                  0};
  };
  const auto write = [](const GgufMetadata& metadata, std::vector<Tensor> tensors) {
    return gguf_layout("x.gguf", metadata, std::move(tensors));
  };
  EXPECT_THROW(write({}, {tensor("t", {2}, DType::u8)}), Error);
  EXPECT_THROW(write({}, {tensor("t", {1, 1, 1, 1, 1}, DType::f32)}), Error);
  EXPECT_THROW(write({}, {tensor(std::string(64, 'n'), {1}, DType::f32)}), Error);
  EXPECT_THROW(write({}, {tensor("t", {1}, DType::f32), tensor("t", {1}, DType::f32)}), Error);
  EXPECT_THROW(write({{"k", true}, {"k", true}}, {}), Error);
  EXPECT_THROW(write({{"general.alignment", std::uint32_t{24}}}, {}), Error);
  const FileLayout layout = write({{"general.alignment", std::uint32_t{128}}},
                                  {tensor("t", {3}, DType::f32), tensor("u", {2, 32}, DType::q4_0)});
  const std::string bytes = bytes_of(layout);
  EXPECT_EQ(bytes.size(), layout.size());
  EXPECT_EQ(bytes.size() % 128, 0U);
  const GgufFile back = GgufFile::read(memory_source(bytes, "x.gguf"));
  EXPECT_EQ(back.tensors()[1].shape, (Shape{2, 32}));
  EXPECT_EQ(back.tensors()[1].type(), DType::q4_0);
}

}  // namespace
}  // namespace galatea
