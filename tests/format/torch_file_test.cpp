#include "format/torch_file.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/json.h"
#include "format/python_json.h"
#include "format/torch_layout.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "tests/support/layouts.h"

namespace galatea {
namespace {

using nlohmann::ordered_json;
using test::bytes_of;
using test::read_bytes;
using test::test_data;

const ordered_json& expected() {
  static const ordered_json document = parse_ordered_json_file(test_data("torch/expected.json"));
  return document;
}

std::string hex_of(const Tensor& tensor) {
  std::vector<std::byte> bytes(tensor.bytes());
  tensor.data->read(0, tensor.data->rows(), bytes);
  std::string out;
  char two[4];
  for (const std::byte byte : bytes) {
    std::snprintf(two, sizeof two, "%02x", std::to_integer<unsigned>(byte));
    out += two;
  }
  return out;
}

/// Compares a tree of values with what Python said was saved.
class Comparison {
 public:
  explicit Comparison(const TorchFile& file) : file_(file) {
    for (const Tensor& tensor : file.all_tensors()) rows_[tensor.name] = &tensor;
  }

  void node(PickleId id, const ordered_json& want, const std::string& name) {
    SCOPED_TRACE(name);
    const PickleNode& node = file_.pickle()[id];
    const std::string kind = want.at("kind");
    if (kind == "tensor") return tensor(id, want, name.empty() ? "tensor" : name);
    if (kind == "dict" || kind == "ordereddict") {
      EXPECT_EQ(node.kind, kind == "dict" ? PickleKind::dict : PickleKind::call);
      ASSERT_EQ(node.pairs.size(), 2 * want.at("items").size());
      const std::string start = name.empty() ? "" : name + ".";
      for (std::size_t i = 0; i < want.at("items").size(); ++i) {
        const ordered_json& pair = want.at("items")[i];
        this->node(node.pairs[2 * i], pair[0], "key of " + name);
        const PickleNode& key = file_.pickle()[node.pairs[2 * i]];
        const std::string text =
            key.kind == PickleKind::string ? key.text : describe(file_.pickle(), node.pairs[2 * i]);
        this->node(node.pairs[2 * i + 1], pair[1], start + text);
      }
    } else if (kind == "list" || kind == "tuple") {
      EXPECT_EQ(node.kind, kind == "list" ? PickleKind::list : PickleKind::tuple);
      ASSERT_EQ(node.items.size(), want.at("items").size());
      for (std::size_t i = 0; i < node.items.size(); ++i)
        this->node(node.items[i], want.at("items")[i], (name.empty() ? "" : name + ".") + std::to_string(i));
    } else if (kind == "float") {
      EXPECT_EQ(node.kind, PickleKind::floating);
      const std::string text = want.at("value");
      if (text == "nan") {
        EXPECT_TRUE(std::isnan(node.floating));
      } else {
        EXPECT_EQ(node.floating, std::stod(text));
      }
    } else if (kind == "int") {
      EXPECT_EQ(integer_digits(node), want.at("value").get<std::string>());
    } else if (kind == "bool") {
      EXPECT_EQ(node.kind, PickleKind::boolean);
      EXPECT_EQ(node.integer != 0, want.at("value").get<bool>());
    } else if (kind == "none") {
      EXPECT_EQ(node.kind, PickleKind::none);
    } else {
      EXPECT_EQ(kind, "str");
      EXPECT_EQ(node.kind, PickleKind::string);
      EXPECT_EQ(node.text, want.at("value").get<std::string>());
    }
  }

  std::size_t tensors() const { return compared_; }

 private:
  void tensor(PickleId id, const ordered_json& want, const std::string& name) {
    const auto info = file_.tensor_at(id);
    ASSERT_TRUE(info.has_value());
    static const std::map<std::string, DType> types{
        {"float64", DType::f64}, {"float32", DType::f32}, {"float16", DType::f16}, {"bfloat16", DType::bf16},
        {"int64", DType::i64},   {"int32", DType::i32},   {"int16", DType::i16},   {"int8", DType::i8},
        {"uint8", DType::u8},    {"bool", DType::boolean}};
    EXPECT_EQ(info->type, types.at(want.at("dtype")));
    EXPECT_EQ(info->shape, want.at("shape").get<Shape>());
    EXPECT_EQ(info->strides, want.at("stride").get<std::vector<std::uint64_t>>());
    EXPECT_EQ(info->offset, want.at("offset").get<std::uint64_t>());
    EXPECT_EQ(info->storage, std::to_string(want.at("storage").get<int>()));
    EXPECT_EQ(info->storage_elements, want.at("storage_elements").get<std::uint64_t>());
    EXPECT_EQ(info->requires_grad, want.at("requires_grad").get<bool>());
    EXPECT_EQ(info->parameter, want.at("parameter").get<bool>());
    ASSERT_TRUE(rows_.contains(name));
    EXPECT_EQ(hex_of(*rows_.at(name)), want.at("hex").get<std::string>());
    EXPECT_EQ(rows_.at(name)->shape, info->shape);
    ++compared_;
  }

  const TorchFile& file_;
  std::map<std::string, const Tensor*> rows_;
  std::size_t compared_ = 0;
};

std::vector<std::string> sample_files() {
  std::vector<std::string> out;
  for (const auto& [name, unused] : expected().at("files").items())
    if (!name.starts_with("legacy")) out.push_back(name);
  return out;
}

std::string test_name(const testing::TestParamInfo<std::string>& instance) {
  std::string out = instance.param;
  for (char& c : out)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return out;
}

class TorchSample : public testing::TestWithParam<std::string> {};

TEST_P(TorchSample, HoldsWhatPythonSaved) {
  const TorchFile file = TorchFile::open(open_file(test_data("torch/" + GetParam())));
  Comparison comparison(file);
  comparison.node(file.pickle().root, expected().at("files").at(GetParam()), "");
  EXPECT_EQ(comparison.tensors(), file.all_tensors().size());
  EXPECT_EQ(file.generation(), TorchGeneration::torch_1_6);
  for (const ZipRecord& record : file.archive().records()) EXPECT_NO_THROW(file.archive().check_crc(record));
}

TEST_P(TorchSample, WrittenAgainIsTheSameFile) {
  const auto path = test_data("torch/" + GetParam());
  const FileLayout layout = copy_torch_layout(GetParam(), TorchFile::open(open_file(path)));
  const std::string golden = read_bytes(path);
  EXPECT_EQ(layout.size(), golden.size());
  EXPECT_TRUE(bytes_of(layout) == golden);
}

INSTANTIATE_TEST_SUITE_P(OfTorch113, TorchSample, testing::ValuesIn(sample_files()), test_name);

class TorchPlainDict : public testing::TestWithParam<std::string> {};

TEST_P(TorchPlainDict, WrittenFromItsTensorsIsTheSameFile) {
  const auto path = test_data("torch/" + GetParam());
  const TorchFile file = TorchFile::open(open_file(path));
  const FileLayout layout = torch_zip_layout(GetParam(), file.tensors());
  EXPECT_TRUE(bytes_of(layout) == read_bytes(path));
}

INSTANTIATE_TEST_SUITE_P(OfTorch113, TorchPlainDict,
                         testing::Values("dtypes.pt", "scalar_and_empty.pt", "many.pt",
                                         "two.dots.in.name.bin"),
                         test_name);

TEST(TorchFile, TensorsOfTheOutermostDictAndAll) {
  const TorchFile file = TorchFile::open(open_file(test_data("torch/nested.pt")));
  EXPECT_TRUE(file.tensors().empty());
  std::vector<std::string> names;
  for (const Tensor& tensor : file.all_tensors()) names.push_back(tensor.name);
  EXPECT_EQ(names, (std::vector<std::string>{"model.layers.0", "model.layers.1.0", "model.layers.1.1"}));
  const ordered_json values = file.values();
  EXPECT_EQ(values.at("step"), 300);
  EXPECT_EQ(values.at("text"), "h\u00e9llo \u2047 \U0001f600\n");
  EXPECT_EQ(values.at("7"), "an integer key");
  EXPECT_EQ(values.at("('tuple', 1)"), "a tuple key");
  EXPECT_EQ(
      python_json(values.at("numbers"), {-1, false, true}),
      "[0, 1, 255, 256, 65535, 65536, -1, -129, 2147483647, -2147483648, 2147483648, 9223372036854775808, "
      "-1180591620717411303424]");
  EXPECT_EQ(values.at("model").dump(), R"({"layers":[[]]})");

  const TorchFile bare = TorchFile::open(open_file(test_data("torch/bare_tensor.pt")));
  ASSERT_EQ(bare.tensors().size(), 1U);
  EXPECT_EQ(bare.tensors()[0].name, "tensor");
}

TEST(TorchFile, NamesTheFolderOfAStream) {
  EXPECT_EQ(TorchFile::open(open_file(test_data("torch/from_buffer.pt"))).folder(), "archive");
  EXPECT_EQ(TorchFile::open(open_file(test_data("torch/two.dots.in.name.bin"))).folder(), "two.dots.in.name");
}

TEST(TorchFile, RefusesOlderKindsByName) {
  for (const char* name : {"legacy.pt", "legacy_shared.pt", "legacy_dtypes.pt"}) {
    const SourcePtr source = open_file(test_data("torch/" + std::string(name)));
    EXPECT_TRUE(TorchFile::recognises(*source));
    SCOPED_TRACE(name);
    const Error error = test::error_of([&] { TorchFile::open(source); });
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(error.problem().find("before torch 1.6"), std::string::npos) << error.what();
    EXPECT_FALSE(error.remedy_text().empty());
  }
}

TEST(TorchFile, EveryTruncationIsRefused) {
  for (const char* name : {"scalar_and_empty.pt", "shared_storage.pt", "legacy.pt"}) {
    const std::string whole = read_bytes(test_data("torch/" + std::string(name)));
    for (std::size_t size = 0; size < whole.size(); ++size) {
      SCOPED_TRACE(testing::Message() << size << " bytes of " << name);
      const Error error = test::error_of(
          [&] { TorchFile::open(memory_source(std::string_view(whole).substr(0, size), "cut")); });
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_EQ(error.file_name(), "cut");
    }
  }
}

TEST(TorchFile, EveryChangedByteIsReadOrRefused) {
  const std::string whole = read_bytes(test_data("torch/shared_storage.pt"));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int flip : {0x01, 0x80, 0xFF}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ flip);
      try {
        const TorchFile file = TorchFile::open(memory_source(changed, "changed"));
        for (const Tensor& tensor : file.all_tensors()) (void)hex_of(tensor);
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
      }
    }
  }
}

}  // namespace
}  // namespace galatea
