#include "format/json.h"

#include <gtest/gtest.h>

#include <bit>
#include <sstream>
#include <string>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/python_json.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

const std::filesystem::path data = GALATEA_TEST_DATA;

struct BadJson {
  const char* name;
  std::string text;
  const char* problem;
  std::uint64_t byte;
};

class JsonRefuses : public testing::TestWithParam<BadJson> {};

TEST_P(JsonRefuses, WithFileAndByte) {
  const BadJson& bad = GetParam();
  SCOPED_TRACE(bad.text);
  const Error error = test::error_of([&] { parse_json(bad.text, "some.json", 100, {1000, 4, false}); });
  EXPECT_EQ(error.kind(), ErrorKind::input);
  EXPECT_EQ(error.file_name(), "some.json");
  EXPECT_NE(std::string(error.what()).find(bad.problem), std::string::npos) << error.what();
  ASSERT_TRUE(error.byte().has_value());
  EXPECT_EQ(*error.byte(), 100 + bad.byte) << error.what();
  EXPECT_THROW(parse_ordered_json(bad.text, "some.json", 100, {1000, 4, false}), Error);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, JsonRefuses,
    testing::Values(BadJson{"Empty", "", "not valid JSON", 0},
                    BadJson{"Cut", R"({"a": [1, 2)", "not valid JSON", 11},
                    BadJson{"Trailing", R"({} x)", "not valid JSON", 3},
                    BadJson{"TrailingComma", R"([1,])", "not valid JSON", 3},
                    BadJson{"Comment", "[1] // one", "not valid JSON", 4},
                    BadJson{"SingleQuotes", "{'a': 1}", "not valid JSON", 1},
                    BadJson{"Nan", "[NaN]", "not valid JSON", 1},
                    BadJson{"LoneSurrogate", R"(["\ud800"])", "not valid JSON", 8},
                    BadJson{"InvalidUtf8", "[\"a\xFF\"]", "not valid JSON", 3},
                    BadJson{"OverlongUtf8", "[\"\xC0\xAF\"]", "not valid JSON", 2},
                    BadJson{"ControlInString", "[\"\n\"]", "not valid JSON", 2},
                    BadJson{"ByteOrderMark", "\xEF\xBB\xBF{}", "byte order mark", 0},
                    BadJson{"ZeroByte", std::string("{}\0x", 4), "zero byte", 2},
                    BadJson{"HugeNumber", "[1e999]", "not valid JSON", 5},
                    BadJson{"DuplicateName", R"({"a": 1, "b": 2, "a": 3})", "same name twice", 20},
                    BadJson{"DuplicateNameDeep", R"([{"x": {"k": 1, "\u006b": 2}}])", "same name twice", 24},
                    BadJson{"TooDeep", R"([[[[[1]]]]])", "nested too deeply", 5}),
    [](const auto& instance) { return instance.param.name; });

TEST(Json, RefusesTextBeyondTheLimit) {
  EXPECT_NO_THROW(parse_json("[1,2]", "x", 0, {5, 4, false}));
  EXPECT_THROW(parse_json("[1,2 ]", "x", 0, {5, 4, false}), Error);
  EXPECT_THROW(parse_json(*memory_source("[1,2 ]", "x"), {5, 4, false}), Error);
}

TEST(Json, ManyLevelsNeitherCrashNorPass) {
  const std::string deep = std::string(1'000'000, '[') + std::string(1'000'000, ']');
  EXPECT_THROW(parse_json(deep, "x"), Error);
}

TEST(Json, KeepsTheOrderWhenAsked) {
  const std::string text = R"({"z": 1, "a": {"y": 2, "b": 3}})";
  EXPECT_EQ(parse_ordered_json(text, "x").dump(), R"({"z":1,"a":{"y":2,"b":3}})");
  EXPECT_EQ(parse_json(text, "x").dump(), R"({"a":{"b":3,"y":2},"z":1})");
}

TEST(Json, BigIntegersBecomeFloatsUnlessKept) {
  const std::string text = "[1000000000000000019884624838656]";
  EXPECT_EQ(parse_json(text, "x").at(0).get<double>(), 1e30);
  JsonLimits keep;
  keep.keep_big_integers = true;
  EXPECT_EQ(python_json(parse_ordered_json(text, "x", 0, keep), {-1, false, true}), text);
  EXPECT_EQ(python_json(parse_ordered_json("[1e30]", "x", 0, keep), {-1, false, true}), "[1e+30]");
}

struct Style {
  const char* file;
  PythonJsonStyle style;
};

class PythonJson : public testing::TestWithParam<Style> {};

TEST_P(PythonJson, EqualsWhatPythonWrote) {
  const std::string golden = test::read_bytes(data / "json" / (std::string(GetParam().file) + ".json"));
  JsonLimits keep;
  keep.keep_big_integers = true;
  // The order of names is that of the unsorted golden.
  const auto document = parse_ordered_json_file(data / "json/indent2_ascii.json", keep);
  EXPECT_EQ(python_json(document, GetParam().style), golden);
}

INSTANTIATE_TEST_SUITE_P(Styles, PythonJson,
                         testing::Values(Style{"indent2_ascii", {2, false, true}},
                                         Style{"indent2_sorted_ascii", {2, true, true}},
                                         Style{"indent4_utf8", {4, false, false}},
                                         Style{"line_utf8", {-1, false, false}},
                                         Style{"line_sorted_ascii", {-1, true, true}}),
                         [](const auto& instance) { return std::string(instance.param.file); });

TEST(PythonFloat, EqualsRepr) {
  std::istringstream lines(test::read_bytes(data / "json/floats.txt"));
  std::string bits, golden;
  int count = 0;
  while (lines >> bits >> golden) {
    EXPECT_EQ(
        python_float_repr(std::bit_cast<double>(static_cast<std::uint64_t>(std::stoull(bits, nullptr, 16)))),
        golden);
    ++count;
  }
  EXPECT_GT(count, 200);
}

TEST(PythonJsonString, RefusesInvalidUtf8) {
  for (const char* bad : {"\xFF", "\xC3", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE0\x80\x80"})
    EXPECT_THROW(json_string(bad, true), Error) << bad;
  EXPECT_THROW(big_integer("12a"), Error);
  EXPECT_THROW(big_integer("-"), Error);
}

}  // namespace
}  // namespace galatea
