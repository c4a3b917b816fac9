#include "format/pickle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "format/error.h"
#include "format/pickle_write.h"
#include "format/torch_globals.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using namespace std::string_literals;

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

PickleTree read(const std::string& pickle, const PickleLimits& limits = {}) {
  return read_pickle(as_bytes(pickle), "x.pkl", 1000, torch_allows, limits);
}

std::vector<std::string> golden_names() {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator(test::test_data("pickle")))
    out.push_back(entry.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

class PickleGolden : public testing::TestWithParam<std::string> {};

TEST_P(PickleGolden, WrittenAgainIsWhatPythonWrote) {
  const std::string golden = test::read_bytes(test::test_data("pickle/" + GetParam() + ".pkl"));
  const PickleTree tree = read(golden);
  EXPECT_EQ(tree.length, golden.size());
  EXPECT_EQ(tree.protocol, 2);
  const std::vector<std::byte> again = write_pickle(tree);
  EXPECT_TRUE(std::equal(again.begin(), again.end(), as_bytes(golden).begin(), as_bytes(golden).end()));
}

TEST_P(PickleGolden, EveryTruncationIsRefused) {
  const std::string golden = test::read_bytes(test::test_data("pickle/" + GetParam() + ".pkl"));
  const std::size_t step = std::max<std::size_t>(1, golden.size() / 500);
  for (std::size_t size = 0; size < golden.size(); size += step) {
    SCOPED_TRACE(testing::Message() << size << " bytes");
    const Error error = test::error_of([&] { read(golden.substr(0, size)); });
    EXPECT_EQ(error.kind(), ErrorKind::input);
    ASSERT_TRUE(error.byte().has_value());
    EXPECT_GE(*error.byte(), 1000U);
  }
}

INSTANTIATE_TEST_SUITE_P(Python, PickleGolden, testing::ValuesIn(golden_names()),
                         [](const auto& instance) { return instance.param; });

TEST(Pickle, DescribesValuesAsPythonDoes) {
  const auto shown = [](const std::string& body) {
    const PickleTree tree = read("\x80\x02" + body + ".");
    return describe(tree, tree.root);
  };
  EXPECT_EQ(shown("N"), "None");
  EXPECT_EQ(shown("\x88"), "True");
  EXPECT_EQ(shown("K\x07"), "7");
  EXPECT_EQ(shown("J\xFE\xFF\xFF\xFF"), "-2");
  EXPECT_EQ(shown("\x8A\x01\xFF"), "-1");
  EXPECT_EQ(shown("\x8A\x00"s), "0");
  EXPECT_EQ(shown("\x8A\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00"s), "9223372036854775808");
  EXPECT_EQ(shown("\x8A\x09\x00\x00\x00\x00\x00\x00\x00\x80\xFF"s), "-9223372036854775808");
  EXPECT_EQ(shown("G\x3F\xF8\x00\x00\x00\x00\x00\x00"s), "1.5");
  EXPECT_EQ(shown("X\x02\x00\x00\x00hi"s), "'hi'");
  EXPECT_EQ(shown("]q\x01(K\x01K\x02"s + "e"), "[1, 2]");
  EXPECT_EQ(shown("K\x01\x85"), "(1,)");
  EXPECT_EQ(shown("}K\x01Ns"), "{1: None}");
  EXPECT_EQ(shown("ctorch\nSize\nK\x02K\x03\x86\x85R"), "torch.Size((2, 3))");
}

struct Hostile {
  const char* name;
  std::string pickle;
  const char* words;
};

class HostilePickle : public testing::TestWithParam<Hostile> {};

TEST_P(HostilePickle, IsRefusedByName) {
  const Error error = test::error_of([&] { read(GetParam().pickle); });
  EXPECT_EQ(error.kind(), ErrorKind::input);
  EXPECT_EQ(error.file_name(), "x.pkl");
  EXPECT_NE(std::string(error.what()).find(GetParam().words), std::string::npos) << error.what();
}

INSTANTIATE_TEST_SUITE_P(
    Requests, HostilePickle,
    testing::Values(
        Hostile{"Reduce",
                "\x80\x02"
                "cos\nsystem\nX\x05\x00\x00\x00touch\x85R."s,
                "os.system('touch')"},
        Hostile{"ReduceTextProtocol", "cos\nsystem\n(S'touch x'\ntR.", "os.system(''touch x'')"},
        Hostile{"Inst", "(S'touch x'\nios\nsystem\n.", "os.system(''touch x'')"},
        Hostile{"Obj", "(cos\nsystem\nS'touch x'\no.", "os.system(''touch x'')"},
        Hostile{"StackGlobal", "\x80\x04\x8C\x05posix\x8C\x06system\x93\x8C\x02ls\x85R.",
                "posix.system('ls')"},
        Hostile{"NewObject",
                "\x80\x02"
                "csubprocess\nPopen\nX\x02\x00\x00\x00ls\x85\x81."s,
                "subprocess.Popen.__new__('ls')"},
        Hostile{"NewObjectEx", "\x80\x04\x8C\x02os\x8C\x05popen\x93)}\x92.", "os.popen.__new__()"},
        Hostile{"NewObjectOfAllowedClass",
                "\x80\x02"
                "ctorch\nSize\n)\x81.",
                "torch.Size.__new__()"},
        Hostile{
            "Nested",
            "\x80\x02"
            "c__builtin__\ngetattr\ncos\n__dict__\nX\x06\x00\x00\x00system\x86RX\x02\x00\x00\x00ls\x85R."s,
            "__builtin__.getattr(os.__dict__, 'system')('ls')"},
        Hostile{"OnlyNamed",
                "\x80\x02"
                "cos\nsystem\n.",
                "os.system"},
        Hostile{"NamedAndDropped",
                "\x80\x02"
                "cos\nsystem\n0N.",
                "os.system"},
        Hostile{"ThenCutShort",
                "\x80\x02"
                "cos\nsystem\nX\x02\x00\x00\x00ls\x85RX\xFF"s,
                "os.system('ls')"},
        Hostile{"InBatches", "\x80\x02](cos\nsystem\n)Rcos\npopen\n)Re.", "os.system(); os.popen()"},
        Hostile{"Extension", "\x80\x02\x82\x07)R.", "copyreg.extension_7()"},
        Hostile{"DottedName", "\x80\x04\x8C\x05torch\x8C\x0CSize.__new__\x93)R."s, "torch.Size.__new__()"},
        Hostile{"CallOfAValue", "\x80\x02K\x05)R.", "5()"}),
    [](const auto& instance) { return instance.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Faults, HostilePickle,
    testing::Values(
        Hostile{"Empty", "", "cut short"}, Hostile{"NoStop", "\x80\x02N", "cut short"},
        Hostile{"Protocol6", "\x80\x06N.", "newer protocol"},
        Hostile{"UnknownOpcode", "\x80\x02\xFF.", "unknown pickle opcode"},
        Hostile{"NothingLeft", "\x80\x02.", "does not end with one value"},
        Hostile{"TwoLeft", "\x80\x02NN.", "does not end with one value"},
        Hostile{"MarkLeft", "\x80\x02N(.", "does not end with one value"},
        Hostile{"Underflow", "\x80\x02\x85.", "takes more values"},
        Hostile{"UnderTheMark", "\x80\x02N(\x85t.", "takes more values"},
        Hostile{"NoMark", "\x80\x02Nt.", "lacks a mark"},
        Hostile{"OddDict", "\x80\x02}(Nu.", "key without a value"},
        Hostile{"ItemsOfAList", "\x80\x02](NNu.", "no dict"},
        Hostile{"AppendToDict", "\x80\x02}Na.", "no list"},
        Hostile{"AddToList", "\x80\x04](N\x90.", "no set"},
        Hostile{"MemoNotThere", "\x80\x02h\x05.", "asks its memo"},
        Hostile{"MemoBomb", "\x80\x02Nr\xFF\xFF\xFF\x7F.", "memo number of the pickle is too high"},
        Hostile{"MemoOfNothing", "\x80\x02q\x00."s, "takes more values"},
        Hostile{"LongBomb", "\x80\x02\x8B\xFF\xFF\xFF\x7F.", "integer of the pickle is too long"},
        Hostile{"TextBomb", "\x80\x02X\xFF\xFF\xFF\xFF.", "cut short"},
        Hostile{"Text8Bomb", "\x80\x04\x8D\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF.", "cut short"},
        Hostile{"FrameBomb", "\x80\x04\x95\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFN.", "frame of the pickle"},
        Hostile{"NotUtf8", "\x80\x02X\x01\x00\x00\x00\xFF."s, "not valid UTF-8"},
        Hostile{"LineWithoutEnd",
                "\x80\x02"
                "ctorch",
                "does not end"},
        Hostile{"NameIsANumber", "\x80\x04\x8C\x05torchK\x05\x93.", "something else than text"},
        Hostile{"ForeignOpcodes", "(I1\nI2\nl.", "INT, LIST"},
        Hostile{"BuildOfADict", "\x80\x02}}b.", "BUILD of what has no state"},
        Hostile{"BuildTwice",
                "\x80\x02"
                "ccollections\nOrderedDict\n)R}b}b.",
                "BUILD of what has no state"}),
    [](const auto& instance) { return instance.param.name; });

TEST(Pickle, LimitsHold) {
  PickleLimits limits;
  limits.bytes = 3;
  EXPECT_THROW(read("\x80\x02N.", limits), Error);
  limits = {};
  limits.nodes = 10;
  EXPECT_NO_THROW(read("\x80\x02(NNNNNNNNNt.", limits));
  EXPECT_THROW(read("\x80\x02(NNNNNNNNNNt.", limits), Error);
  limits = {};
  limits.opcodes = 5;
  EXPECT_NO_THROW(read("\x80\x02N\x85\x85.", limits));
  EXPECT_THROW(read("\x80\x02N\x85\x85\x85.", limits), Error);
}

TEST(Pickle, DeepAndCyclicTreesNeitherCrashNorHang) {
  const PickleTree deep = read("\x80\x02N" + std::string(500'000, '\x85') + ".");
  EXPECT_LT(describe(deep, deep.root).size(), 100U);
  EXPECT_THROW(write_pickle(deep), Error);

  // [itself, itself]
  const PickleTree cycle = read(
      "\x80\x02]q\x01(h\x01h\x01"
      "e.");
  EXPECT_EQ(describe(cycle, cycle.root, 20), "[[[[[[[..., ...], [....");
  EXPECT_EQ(write_pickle(cycle).size(), 12U);
}

TEST(Pickle, ManyRequestsAreCounted) {
  std::string pickle = "\x80\x02]";
  for (int i = 0; i < 20; ++i) pickle += "cmodule" + std::to_string(i) + "\ncall\n)Ra";
  const Error error = test::error_of([&] { read(pickle + "."); });
  EXPECT_NE(std::string(error.what()).find("module7.call(); and 12 more"), std::string::npos) << error.what();
}

TEST(Pickle, EveryChangedByteIsReadOrRefused) {
  const std::string golden = test::read_bytes(test::test_data("pickle/module_state.pkl"));
  for (std::size_t at = 0; at < golden.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string changed = golden;
      changed[at] = static_cast<char>(value);
      try {
        const PickleTree tree = read(changed);
        (void)write_pickle(tree);
        (void)describe(tree, tree.root);
      } catch (const Error&) {
      }
    }
  }
}

}  // namespace
}  // namespace galatea
