#include "format/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

const std::filesystem::path data = std::filesystem::path(GALATEA_TEST_DATA) / "safetensors";

/// Length, header, and so many zero bytes.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  std::string out(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(header.size() >> (8 * i));
  return out + header + std::string(data_bytes, '\0');
}

std::string written(const FileLayout& layout) {
  std::string out;
  stream_layout(layout, {}, [&](std::span<const std::byte> bytes) {
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  });
  return out;
}

class SafetensorsGolden : public testing::TestWithParam<const char*> {};

TEST_P(SafetensorsGolden, ReadAndWrittenAgainIsTheSameFile) {
  const auto path = data / (std::string(GetParam()) + ".safetensors");
  SafetensorsFile file = open_safetensors(open_file(path));
  std::reverse(file.tensors.begin(), file.tensors.end());  // the writer finds the order
  EXPECT_EQ(written(safetensors_layout("x", file.tensors, file.metadata)), test::read_bytes(path));
}

INSTANTIATE_TEST_SUITE_P(Library, SafetensorsGolden,
                         testing::Values("every_dtype", "names", "shapes", "nothing"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST(Safetensors, ValuesOfEveryType) {
  const SafetensorsFile file = open_safetensors(open_file(data / "every_dtype.safetensors"));
  EXPECT_EQ(file.metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(file.tensors.size(), 15U);
  for (const Tensor& tensor : file.tensors) {
    SCOPED_TRACE(tensor.name);
    EXPECT_EQ(tensor.shape, (Shape{2, 3}));
    const std::vector<float> values = read_all_f32(tensor);
    for (std::size_t i = 0; i < 6; ++i)
      EXPECT_EQ(values[i],
                tensor.type() == DType::boolean ? static_cast<float>(i % 2) : static_cast<float>(i));
  }
  EXPECT_EQ(file.tensors.front().name, "a.uint64");
  EXPECT_EQ(file.tensors.back().name, "a.bool");
}

TEST(Safetensors, ScalarsAndEmptyTensors) {
  const SafetensorsFile file = open_safetensors(open_file(data / "shapes.safetensors"));
  std::map<std::string, Shape> shapes;
  for (const Tensor& tensor : file.tensors) shapes[tensor.name] = tensor.shape;
  EXPECT_EQ(
      shapes,
      (std::map<std::string, Shape>{
          {"scalar", {}}, {"empty", {0}}, {"empty_matrix", {3, 0}}, {"deep", {1, 2, 1, 3}}, {"one", {1}}}));
}

struct Defect {
  const char* name;
  std::string file;
  const char* problem;
  const char* tensor;
};

class SafetensorsRefuses : public testing::TestWithParam<Defect> {};

TEST_P(SafetensorsRefuses, WithItsOwnWords) {
  const Defect& defect = GetParam();
  const Error error =
      test::error_of([&] { open_safetensors(memory_source(defect.file, "bad.safetensors")); });
  EXPECT_EQ(error.kind(), ErrorKind::input);
  EXPECT_EQ(error.file_name(), "bad.safetensors");
  EXPECT_NE(error.problem().find(defect.problem), std::string::npos) << error.what();
  EXPECT_EQ(error.tensor_name(), defect.tensor) << error.what();
}

std::string one(const std::string& entry, std::size_t bytes) {
  return file_of("{\"t\":" + entry + "}", bytes);
}

const std::string huge = std::to_string(std::numeric_limits<std::uint64_t>::max());

INSTANTIATE_TEST_SUITE_P(
    Defects, SafetensorsRefuses,
    testing::Values(
        Defect{"Empty", "", "too short for a safetensors file", ""},
        Defect{"SevenBytes", std::string(7, '\0'), "too short for a safetensors file", ""},
        Defect{"HeaderTooLong", std::string("\x01\xE1\xF5\x05\0\0\0\0", 8) + std::string(100, ' '),
               "longer than the format allows", ""},
        Defect{"HeaderLengthAllOnes", std::string(8, '\xFF'), "longer than the format allows", ""},
        Defect{"HeaderPastEnd", file_of("{}", 0).substr(0, 9), "header ends past the end of the file", ""},
        Defect{"HeaderOfNoBytes", std::string(8, '\0'), "does not start with '{'", ""},
        Defect{"HeaderStartsWithSpace", file_of(" {}", 0), "does not start with '{'", ""},
        Defect{"HeaderIsAnArray", file_of("[]", 0), "does not start with '{'", ""},
        Defect{"HeaderIsNotJson", file_of("{\"t\":", 0), "not valid JSON", ""},
        Defect{"HeaderIsNotUtf8", file_of("{\"\xFF\":1}", 0), "not valid JSON", ""},
        Defect{"HeaderPaddedWithZeros", file_of(std::string("{}\0\0", 4), 0), "not valid JSON", ""},
        Defect{"HeaderTooDeep", file_of("{\"t\":[[[[[[[[[[]]]]]]]]]]}", 0), "nested too deeply", ""},
        Defect{
            "DuplicateTensor",
            file_of(
                R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                1),
            "same name twice", ""},
        Defect{"DuplicateMember", one(R"({"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]})", 1),
               "same name twice", ""},
        Defect{"EntryIsNotAnObject", one("[]", 0), "entry of a tensor is not an object", "t"},
        Defect{"NoDtype", one(R"({"shape":[1],"data_offsets":[0,1]})", 1), "lacks \"dtype\"", "t"},
        Defect{"NoShape", one(R"({"dtype":"U8","data_offsets":[0,1]})", 1), "lacks \"shape\"", "t"},
        Defect{"NoOffsets", one(R"({"dtype":"U8","shape":[1]})", 1), "lacks \"data_offsets\"", "t"},
        Defect{"UnknownMember", one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1})", 1),
               "unknown member", "t"},
        Defect{"DtypeIsANumber", one(R"({"dtype":8,"shape":[1],"data_offsets":[0,1]})", 1),
               "dtype is not a text", "t"},
        Defect{"UnknownDtype", one(R"({"dtype":"F33","shape":[1],"data_offsets":[0,1]})", 1), "unknown dtype",
               "t"},
        Defect{"ForeignDtype", one(R"({"dtype":"C64","shape":[1],"data_offsets":[0,8]})", 8),
               "a type that galatea cannot read", "t"},
        Defect{"ShapeIsNotAList", one(R"({"dtype":"U8","shape":1,"data_offsets":[0,1]})", 1),
               "shape is not a list", "t"},
        Defect{"NegativeExtent", one(R"({"dtype":"U8","shape":[-1],"data_offsets":[0,1]})", 1),
               "something else than whole numbers", "t"},
        Defect{"FractionalExtent", one(R"({"dtype":"U8","shape":[1.0],"data_offsets":[0,1]})", 1),
               "something else than whole numbers", "t"},
        Defect{"ShapeOverflows",
               one(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})", 0),
               "does not fit in 64 bits", "t"},
        Defect{"BytesOverflow",
               one(R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]})", 0),
               "does not fit in 64 bits", "t"},
        Defect{"ThreeOffsets", one(R"({"dtype":"U8","shape":[1],"data_offsets":[0,1,2]})", 1),
               "not two whole numbers", "t"},
        Defect{"NegativeOffset", one(R"({"dtype":"U8","shape":[1],"data_offsets":[-1,0]})", 1),
               "not two whole numbers", "t"},
        Defect{"OffsetsBackwards", one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,0]})", 1),
               "end before they begin", "t"},
        Defect{"SizeMismatch", one(R"({"dtype":"F16","shape":[2],"data_offsets":[0,3]})", 3),
               "do not give the size that data_offsets give", "t"},
        Defect{"HoleAtStart", one(R"({"dtype":"U8","shape":[1],"data_offsets":[1,2]})", 2), "there is a hole",
               "t"},
        Defect{"OffsetsAtTheEndOfTime",
               one(R"({"dtype":"U8","shape":[0],"data_offsets":[)" + huge + "," + huge + "]}", 0),
               "there is a hole", "t"},
        Defect{
            "Hole",
            file_of(
                R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}})",
                3),
            "there is a hole", "b"},
        Defect{
            "Overlap",
            file_of(
                R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
                3),
            "overlap", "b"},
        Defect{
            "SharedRange",
            file_of(
                R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
                2),
            "overlap", "b"},
        Defect{"DataCutShort", one(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]})", 3),
               "end past the end of the file", ""},
        Defect{"DataTooLong", one(R"({"dtype":"U8","shape":[4],"data_offsets":[0,4]})", 5),
               "bytes after the data", ""},
        Defect{"MetadataIsNotAnObject", file_of(R"({"__metadata__":[]})", 0), "__metadata__ is not an object",
               ""},
        Defect{"MetadataIsNotText", file_of(R"({"__metadata__":{"a":1}})", 0), "something else than text",
               ""}),
    [](const auto& instance) { return instance.param.name; });

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string whole = test::read_bytes(data / "every_dtype.safetensors");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    SCOPED_TRACE(testing::Message() << size << " bytes");
    const Error error = test::error_of(
        [&] { open_safetensors(memory_source(std::string_view(whole).substr(0, size), "cut")); });
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_EQ(error.file_name(), "cut");
  }
}

TEST(SafetensorsLayout, RefusesWhatCannotBeStored) {
  const auto tensor = [](const char* name) {
    return Tensor{name, {1}, memory_rows(std::vector<std::byte>(1), DType::u8, 1, 1), {}, 0};
  };
  EXPECT_THROW(safetensors_layout("x", {tensor("a"), tensor("a")}, {}), Error);
  EXPECT_THROW(safetensors_layout("x", {tensor("__metadata__")}, {}), Error);
  EXPECT_THROW(safetensors_layout("x", {tensor("\xFF")}, {}), Error);
  const Tensor quantized{"q", {32}, memory_rows(std::vector<std::byte>(34), DType::q8_0, 1, 32), {}, 0};
  const Error error = test::error_of([&] { safetensors_layout("x", {quantized}, {}); });
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  EXPECT_EQ(error.tensor_name(), "q");
}

}  // namespace
}  // namespace galatea
