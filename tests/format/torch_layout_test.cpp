#include "format/torch_layout.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>

#include "format/error.h"
#include "format/torch_zip_writer.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "tests/support/layouts.h"

namespace galatea {
namespace {

using test::bytes_of;
using test::read_bytes;
using test::test_data;

/// Rows that only have a size.
class SizeOnly final : public Rows {
 public:
  using Rows::Rows;
  void read(std::uint64_t, std::uint64_t, std::span<std::byte>) const override {
    throw Error(ErrorKind::system, "these rows are never to be read");
  }
};

Tensor sized(const std::string& name, const Shape& shape, DType type = DType::f16) {
  const MatrixShape matrix = matrix_shape(shape, type);
  return {name, shape, std::make_shared<SizeOnly>(type, matrix.rows, matrix.cols), {}, 0};
}

/// The state dict of a LLaMA as transformers 4.28 orders it.
std::vector<Tensor> llama(std::uint64_t layers, std::uint64_t hidden, std::uint64_t inner) {
  std::vector<Tensor> out{sized("model.embed_tokens.weight", {32000, hidden})};
  for (std::uint64_t i = 0; i < layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"})
      out.push_back(sized(layer + "self_attn." + name + ".weight", {hidden, hidden}));
    out.push_back(sized(layer + "self_attn.rotary_emb.inv_freq", {64}, DType::f32));
    out.push_back(sized(layer + "mlp.gate_proj.weight", {inner, hidden}));
    out.push_back(sized(layer + "mlp.down_proj.weight", {hidden, inner}));
    out.push_back(sized(layer + "mlp.up_proj.weight", {inner, hidden}));
    out.push_back(sized(layer + "input_layernorm.weight", {hidden}));
    out.push_back(sized(layer + "post_attention_layernorm.weight", {hidden}));
  }
  out.push_back(sized("model.norm.weight", {hidden}));
  out.push_back(sized("lm_head.weight", {32000, hidden}));
  return out;
}

struct Release {
  const char* name;
  std::uint64_t layers, hidden, inner;
  std::vector<std::size_t> tensors;           ///< of each shard
  std::vector<std::uint64_t> sizes, pickles;  ///< bytes of the shard, and of its data.pkl
};

class ShardSizes : public testing::TestWithParam<Release> {};

TEST_P(ShardSizes, FollowFromTheShapesAlone) {
  const Release& release = GetParam();
  const std::vector<Tensor> all = llama(release.layers, release.hidden, release.inner);
  auto next = all.begin();
  for (std::size_t i = 0; i < release.tensors.size(); ++i) {
    const auto end = next + static_cast<std::ptrdiff_t>(release.tensors[i]);
    const std::string name = "pytorch_model-0000" + std::to_string(i + 1) + "-of-0000" +
                             std::to_string(release.tensors.size()) + ".bin";
    const FileLayout layout = torch_zip_layout(name, {next, end});
    EXPECT_EQ(layout.size(), release.sizes[i]) << name;
    EXPECT_EQ(std::get<LiteralSegment>(layout.segments[1]).bytes.size(), release.pickles[i]) << name;
    next = end;
  }
  EXPECT_EQ(next, all.end());
}

INSTANTIATE_TEST_SUITE_P(
    Published, ShardSizes,
    testing::Values(
        Release{"llama_7b", 32, 4096, 11008, {241, 82}, {9'976'634'558, 3'500'315'539}, {30149, 9781}},
        Release{"llama_13b",
                40,
                5120,
                13824,
                {153, 155, 95},
                {9'948'728'430, 9'904'165'024, 6'178'983'625},
                {18837, 19203, 11433}}),
    [](const auto& instance) { return instance.param.name; });

std::uint32_t crc_of(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

TEST(TorchZip64, EqualsWhatTorchWroteAroundFourGigabytes) {
  const std::uint64_t big = 0xFFFFFFFF;
  const std::vector<std::byte> a{std::byte{0},    std::byte{0x3C}, std::byte{0},
                                 std::byte{0x3C}, std::byte{0},    std::byte{0x3C}};
  const std::vector<float> c(5, 1.0F);
  const FileLayout layout = torch_zip_layout("big.pt", {{"a", {3}, memory_rows(a, DType::f16, 3, 1), {}, 0},
                                                        sized("big", {big}, DType::u8),
                                                        {"c", {5}, memory_rows(c, 5, 1), {}, 0},
                                                        sized("e", {0}, DType::f32)});
  // The CRC-32 of 2^32 - 1 zero bytes is 0: the register comes back to where it began.
  const std::vector<std::uint32_t> crcs{crc_of(a), 0, crc_of(std::as_bytes(std::span(c))), 0};
  std::string head, tail;
  std::string* out = &head;
  const auto put = [&](std::span<const std::byte> bytes) {
    out->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  for (const Segment& segment : layout.segments) {
    if (const auto* literal = std::get_if<LiteralSegment>(&segment)) {
      put(literal->bytes);
    } else if (const auto* late = std::get_if<CrcSegment>(&segment)) {
      const auto bytes = late->make(crcs);
      EXPECT_EQ(bytes.size(), late->size);
      put(bytes);
    } else if (const Tensor& tensor = layout.tensors[std::get<TensorSegment>(segment).tensor];
               tensor.bytes() == big) {
      out = &tail;
    } else {
      std::vector<std::byte> bytes(tensor.bytes());
      if (!bytes.empty()) tensor.data->read(0, tensor.data->rows(), bytes);
      put(bytes);
    }
  }
  EXPECT_TRUE(head == read_bytes(test_data("torch_zip64/head.bin")));
  EXPECT_TRUE(tail == read_bytes(test_data("torch_zip64/tail.bin")));
  EXPECT_EQ(layout.size(), head.size() + big + tail.size());
}

class MiniatureShard : public testing::TestWithParam<const char*> {};

TEST_P(MiniatureShard, WrittenFromItsTensorsIsTheSameFile) {
  const auto path = test_data("miniature/base-hf/" + std::string(GetParam()));
  const TorchFile file = TorchFile::open(open_file(path));
  EXPECT_GT(file.tensors().size(), 2U);
  EXPECT_TRUE(bytes_of(torch_zip_layout(GetParam(), file.tensors())) == read_bytes(path));
}

INSTANTIATE_TEST_SUITE_P(Base, MiniatureShard,
                         testing::Values("pytorch_model-00001-of-00003.bin",
                                         "pytorch_model-00002-of-00003.bin",
                                         "pytorch_model-00003-of-00003.bin"),
                         [](const auto& instance) {
                           return "shard_" + std::string(instance.param).substr(18, 1);
                         });

class MiniatureFile : public testing::TestWithParam<const char*> {};

TEST_P(MiniatureFile, ReadAndWrittenAgainIsTheSameFile) {
  const auto path = test_data(GetParam());
  const TorchFile file = TorchFile::open(open_file(path));
  EXPECT_TRUE(bytes_of(copy_torch_layout(path.filename().string(), file)) == read_bytes(path));
}

INSTANTIATE_TEST_SUITE_P(Other, MiniatureFile,
                         testing::Values("miniature/meta/consolidated.00.pth",
                                         "miniature/meta/consolidated.01.pth",
                                         "miniature/adapter/adapter_model.bin"));

INSTANTIATE_TEST_SUITE_P(Generations, MiniatureFile,
                         testing::Values("torch_generations/state-1.13.pt", "torch_generations/many-1.13.pt",
                                         "torch_generations/buffer-1.13.pt", "torch_generations/state-2.1.pt",
                                         "torch_generations/many-2.1.pt", "torch_generations/buffer-2.1.pt",
                                         "torch_generations/state-2.6.pt", "torch_generations/many-2.6.pt",
                                         "torch_generations/buffer-2.6.pt", "torch_generations/state-2.7.pt",
                                         "torch_generations/many-2.7.pt", "torch_generations/buffer-2.7.pt"));

struct Written {
  const char* version;
  TorchGeneration generation;
};

class Generations : public testing::TestWithParam<Written> {};

// The tensors of the oldest file, saved in each container, are the files of the newer versions.
TEST_P(Generations, TensorsAreWrittenAsThatTorchWroteThem) {
  for (const std::string name : {"state", "many"}) {
    const auto oldest = test_data("torch_generations/" + name + "-1.13.pt");
    const std::string file = name + "-" + GetParam().version + ".pt";
    const auto path = test_data("torch_generations/" + file);
    TorchLayoutOptions options;
    options.generation = GetParam().generation;
    EXPECT_TRUE(bytes_of(torch_zip_layout(file, TorchFile::open(open_file(oldest)).tensors(), options)) ==
                read_bytes(path))
        << file;
    EXPECT_EQ(TorchFile::open(open_file(path)).generation(), GetParam().generation);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Torch, Generations,
    testing::Values(Written{"1.13", TorchGeneration::torch_1_6}, Written{"2.1", TorchGeneration::torch_2_1},
                    Written{"2.6", TorchGeneration::torch_2_1}, Written{"2.7", TorchGeneration::torch_2_7}),
    [](const auto& instance) { return std::string(instance.param.version).replace(1, 1, "_"); });

// Sizes of real files: what the records byteorder and .data/serialization_id add.
TEST(Torch21, ShardSizesOfLlama7b) {
  const std::vector<Tensor> all = llama(32, 4096, 11008);
  TorchLayoutOptions options;
  options.generation = TorchGeneration::torch_2_1;
  EXPECT_EQ(
      torch_zip_layout("pytorch_model-00001-of-00002.bin", {all.begin(), all.begin() + 241}, options).size(),
      9'976'635'045U);
  EXPECT_EQ(
      torch_zip_layout("pytorch_model-00002-of-00002.bin", {all.begin() + 241, all.end()}, options).size(),
      3'500'316'014U);
}

TEST(TorchLayout, AnOrderedDictReadsBack) {
  const Tensor tensor{"w", {2}, memory_rows(std::vector<float>{1, 2}, 2, 1), {}, 0};
  TorchLayoutOptions options;
  options.dict = TorchDict::ordered;
  options.folder = "consolidated";
  const auto source = memory_source(bytes_of(torch_zip_layout("x.pth", {tensor}, options)), "x.pth");
  const TorchFile file = TorchFile::open(source);
  EXPECT_EQ(file.folder(), "consolidated");
  EXPECT_EQ(file.pickle()[file.pickle().root].kind, PickleKind::call);
  ASSERT_EQ(file.tensors().size(), 1U);
  EXPECT_EQ(read_all_f32(file.tensors()[0]), (std::vector<float>{1, 2}));
}

TEST(TorchLayout, BytesDoNotDependOnThreadsOrChunks) {
  const auto path = test_data("miniature/base-hf/pytorch_model-00003-of-00003.bin");
  const FileLayout layout = torch_zip_layout("x.bin", TorchFile::open(open_file(path)).tensors());
  const std::string golden = bytes_of(layout);
  for (const int threads : {1, 3}) {
    WriteOptions options;
    options.threads = threads;
    options.chunk_bytes = 4097;
    std::string out;
    stream_layout(layout, options, [&](std::span<const std::byte> bytes) {
      out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    });
    EXPECT_TRUE(out == golden) << threads;
  }
}

TEST(TorchLayout, RefusesWhatTorchCannotHold) {
  const Tensor quantized{"q", {32}, memory_rows(std::vector<std::byte>(34), DType::q8_0, 1, 32), {}, 0};
  EXPECT_THROW(torch_zip_layout("x.bin", {quantized}), Error);
  EXPECT_THROW(torch_zip_layout("x.bin", {sized("a", {1}), sized("a", {1})}), Error);
}

/// An archive with the pickle of an empty dict and other records.
TorchFile with_records(const std::vector<std::pair<std::string, std::string>>& records) {
  const auto bytes = [](std::string_view text) {
    const auto view = std::as_bytes(std::span(text.data(), text.size()));
    return std::vector<std::byte>(view.begin(), view.end());
  };
  TorchZipWriter writer("x.pt");
  writer.add("x/data.pkl", bytes("\x80\x02}q"
                                 "\x01."));
  for (const auto& [name, text] : records) writer.add(name, bytes(text));
  return TorchFile::open(memory_source(bytes_of(writer.finish()), "x.pt"));
}

TEST(TorchFile, TellsTheGeneration) {
  EXPECT_EQ(with_records({{"x/version", "3\n"}}).generation(), TorchGeneration::torch_1_6);
  EXPECT_EQ(with_records({{"x/byteorder", "little"}, {"x/version", "3\n"}}).generation(),
            TorchGeneration::torch_2_1);
  EXPECT_EQ(with_records({{"x/version", "3\n"}, {"x/.data/serialization_id", "0123"}}).generation(),
            TorchGeneration::torch_2_1);
  EXPECT_EQ(with_records({{"x/.format_version", "1"}, {"x/byteorder", "little"}, {"x/version", "3\n"}})
                .generation(),
            TorchGeneration::torch_2_7);
  EXPECT_EQ(to_string(TorchGeneration::torch_2_1), "torch 2.1 to 2.6");
}

TEST(TorchFile, RefusesOtherArchives) {
  using Records = std::vector<std::pair<std::string, std::string>>;
  const std::vector<std::pair<Records, std::string>> cases{
      {{}, "no record \"version\""},
      {{{"x/version", "three"}}, "strange version"},
      {{{"x/version", ""}}, "strange version"},
      {{{"x/version", "3\n"}, {"x/byteorder", "big"}}, "not little-endian"},
      {{{"x/version", "3\n"}, {"x/constants.pkl", ""}}, "TorchScript"},
      {{{"x/version", "3\n"}, {"y/data/0", "a"}}, "outside of its folder"},
      {{{"x/version", "3\n"}, {"y/data.pkl", "a"}}, "two torch files"},
      {{{"x/version", "3\n"}, {"x/version", "3\n"}}, "same name"}};
  for (const auto& one : cases) {
    SCOPED_TRACE(one.second);
    const Error error = test::error_of([&] { with_records(one.first); });
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(error.problem().find(one.second), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace galatea
