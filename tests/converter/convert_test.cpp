#include "converter/convert.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/gguf.h"
#include "format/gguf_rope.h"
#include "format/llama_tensors.h"
#include "format/sentencepiece_model.h"
#include "format/torch_layout.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

fs::path base() { return test::test_data("miniature/base-hf"); }

void expect_same_pieces(const fs::path& found, const fs::path& expected) {
  const SentencePieceModel a = read_sentencepiece_model(*open_file(found));
  const SentencePieceModel b = read_sentencepiece_model(*open_file(expected));
  ASSERT_EQ(a.pieces.size(), b.pieces.size());
  for (std::size_t i = 0; i < a.pieces.size(); ++i) {
    EXPECT_EQ(a.pieces[i].text, b.pieces[i].text);
    EXPECT_EQ(a.pieces[i].score, b.pieces[i].score);
    EXPECT_EQ(a.pieces[i].type, b.pieces[i].type);
  }
  EXPECT_EQ(a.algorithm, b.algorithm);
  EXPECT_EQ(a.byte_fallback, b.byte_fallback);
  EXPECT_EQ(a.add_dummy_prefix, b.add_dummy_prefix);
  EXPECT_EQ(a.remove_extra_whitespaces, b.remove_extra_whitespaces);
  EXPECT_EQ(a.normalizer_name, b.normalizer_name);
}

std::uint64_t write(const fs::path& from, const fs::path& to, const ConvertOptions& options) {
  const Conversion conversion = convert(Checkpoint::open(from), options);
  if (conversion.single_file) {
    write_file(conversion.plan.files.front(), to, {});
  } else {
    write_plan(conversion.plan, to, {});
  }
  return conversion.losses->overflowed + conversion.losses->underflowed;
}

std::vector<std::byte> bytes(const Tensor& tensor) {
  std::vector<std::byte> out(tensor.bytes());
  tensor.data->read(0, tensor.data->rows(), out);
  return out;
}

/// Every weight by its role: type, shape and bytes.
void expect_same_weights(const fs::path& a, const fs::path& b) {
  const Checkpoint left = Checkpoint::open(a), right = Checkpoint::open(b);
  const LlamaWeights left_weights(left), right_weights(right);
  EXPECT_EQ(left.config().layers, right.config().layers);
  for (const LlamaTensorId id : llama_tensor_order(left.config().layers, true)) {
    const Tensor x = left_weights.get(id, LlamaWeights::Rotary::half);
    const Tensor y = right_weights.get(id, LlamaWeights::Rotary::half);
    EXPECT_EQ(x.shape, y.shape) << x.name;
    EXPECT_EQ(x.type(), y.type()) << x.name;
    EXPECT_TRUE(bytes(x) == bytes(y)) << x.name;
  }
}

TEST(Convert, bin_to_safetensors_and_back_is_the_same_folder) {
  const test::TempFolder folder;
  EXPECT_EQ(
      write(base(), folder / "safe", {.target = ConvertTarget::safetensors, .max_shard_bytes = 1'000'000}),
      0U);
  EXPECT_EQ(
      write(folder / "safe", folder / "bin", {.target = ConvertTarget::bin, .max_shard_bytes = 1'500'000}),
      0U);
  EXPECT_EQ(test::list_folder(folder / "bin"), test::list_folder(base()));
  for (const std::string& name : test::list_folder(base()))
    EXPECT_TRUE(test::read_bytes(folder / "bin/" / name) == test::read_bytes(base() / name)) << name;
  EXPECT_TRUE(fs::exists(folder / "safe/model.safetensors.index.json"));
}

TEST(Convert, gguf_and_back_keeps_every_value) {
  const test::TempFolder folder;
  for (const DType type : {DType::f32, DType::f16}) {
    const std::string name(type_info(type).name);
    write(base(), folder / (name + ".gguf"), {.target = ConvertTarget::gguf, .type = type});
    EXPECT_EQ(write(folder / (name + ".gguf"), folder / name,
                    {.target = ConvertTarget::safetensors, .type = DType::f16}),
              0U);
    expect_same_weights(base(), folder / name);
    EXPECT_EQ(test::read_bytes(folder / (name + "/tokenizer.json")),
              test::read_bytes(base() / "tokenizer.json"));
    EXPECT_EQ(test::read_bytes(folder / (name + "/special_tokens_map.json")),
              test::read_bytes(base() / "special_tokens_map.json"));
    expect_same_pieces(folder / (name + "/tokenizer.model"), base() / "tokenizer.model");
  }
}

// Quantized weights are decoded, q and k get their halves back; what a decoder of one type gives is tested there.
TEST(Convert, gguf_of_a_quantized_type_becomes_the_values_that_it_stands_for) {
  const test::TempFolder folder;
  write(base(), folder / "f16.gguf", {.target = ConvertTarget::gguf});
  const Checkpoint whole = Checkpoint::open(folder / "f16.gguf");
  std::vector<Tensor> tensors = whole.tensors();
  std::map<std::string, std::vector<float>> decoded;
  for (Tensor& tensor : tensors) {
    if (tensor.shape.size() < 2) continue;
    // Any bytes are a Q8_0 as long as the scale is a number: those of the F16 weights themselves are.
    std::vector<std::byte> bytes(tensor.data->rows() * type_info(DType::q8_0).bytes_for(tensor.data->cols()));
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::byte>(i % 34 == 1 ? 0x2C : i * 7 % 256);
    tensor.data = memory_rows(std::move(bytes), DType::q8_0, tensor.data->rows(), tensor.data->cols());
    decoded[tensor.name] = read_all_f32(tensor);
  }
  write_file(gguf_layout("q.gguf", whole.gguf()->metadata(), std::move(tensors)), folder / "q.gguf", {});
  write(folder / "q.gguf", folder / "hf", {.target = ConvertTarget::safetensors, .type = DType::f32});
  write(folder / "hf", folder / "again.gguf", {.target = ConvertTarget::gguf});
  const Checkpoint hf = Checkpoint::open(folder / "hf");
  EXPECT_EQ(read_all_f32(*hf.find("model.embed_tokens.weight")), decoded.at("token_embd.weight"));
  EXPECT_NE(read_all_f32(*hf.find("model.layers.0.self_attn.q_proj.weight")),
            decoded.at("blk.0.attn_q.weight"));
  const Checkpoint again = Checkpoint::open(folder / "again.gguf");
  for (const auto& [name, values] : decoded) EXPECT_TRUE(read_all_f32(*again.find(name)) == values) << name;
}

// The vocabulary of a GGUF is replaced by the tokenizer.model that is named, where that has tokens.
TEST(Convert, a_tokenizer_that_is_named_wins_over_that_of_a_gguf) {
  const test::TempFolder folder;
  write(base(), folder / "m.gguf", {.target = ConvertTarget::gguf});
  SentencePieceModel other = read_sentencepiece_model(*open_file(base() / "tokenizer.model"));
  other.pieces[300].text = "renamed";
  other.pieces.pop_back();
  test::write_bytes(folder / "other.model", write_sentencepiece_model(other));
  write(folder / "m.gguf", folder / "n.gguf",
        {.target = ConvertTarget::gguf, .tokenizer = folder / "other.model"});
  const GgufFile before = GgufFile::open(folder / "m.gguf"), after = GgufFile::open(folder / "n.gguf");
  EXPECT_EQ(after.metadata().size(), before.metadata().size());
  const std::vector<std::string>& tokens = *after.get_strings("tokenizer.ggml.tokens");
  EXPECT_EQ(tokens.at(300), "renamed");
  EXPECT_EQ(tokens.back(), before.get_strings("tokenizer.ggml.tokens")->back());
  for (std::size_t i = 0; i < before.metadata().size(); ++i)
    EXPECT_EQ(after.metadata()[i].key, before.metadata()[i].key);
  for (const fs::path& source : {folder / "m.gguf", base()}) {
    const std::string name = "hf-" + source.filename().string();
    write(source, folder / name, {.target = ConvertTarget::safetensors, .tokenizer = folder / "other.model"});
    EXPECT_EQ(test::read_bytes(folder / (name + "/tokenizer.model")),
              test::read_bytes(folder / "other.model"));
    EXPECT_NE(test::read_bytes(folder / (name + "/tokenizer.json")).find("\"renamed\": 300"),
              std::string::npos);
  }
}

// As llama.cpp's converter: vectors F32, rows of q and k as Meta has them.
TEST(Convert, gguf_has_metas_rotary_order_and_float32_vectors) {
  const test::TempFolder folder;
  write(base(), folder / "m.gguf", {.target = ConvertTarget::gguf});
  const GgufFile file = GgufFile::open(folder / "m.gguf");
  EXPECT_EQ(file.get_unsigned("general.file_type"), 1U);
  const Checkpoint meta = Checkpoint::open(test::test_data("miniature/meta"));
  int seen = 0;
  for (const Tensor& tensor : file.tensors()) {
    EXPECT_EQ(tensor.type(), tensor.shape.size() == 1 ? DType::f32 : DType::f16) << tensor.name;
    if (tensor.name != "blk.1.attn_q.weight" && tensor.name != "blk.1.attn_k.weight") continue;
    const char* const name = tensor.name == "blk.1.attn_q.weight" ? "layers.1.attention.wq.weight"
                                                                  : "layers.1.attention.wk.weight";
    EXPECT_TRUE(bytes(tensor) == bytes(*meta.find(name))) << name;
    ++seen;
  }
  EXPECT_EQ(seen, 2);
}

TEST(Convert, meta_becomes_a_folder_with_the_base_s_weights) {
  const test::TempFolder folder;
  write(test::test_data("miniature/meta"), folder / "hf", {.target = ConvertTarget::bin});
  expect_same_weights(base(), folder / "hf");
  EXPECT_EQ(test::read_bytes(folder / "hf/tokenizer.json"), test::read_bytes(base() / "tokenizer.json"));
}

TEST(Convert, type_is_changed_and_told_in_the_configuration) {
  const test::TempFolder folder;
  write(base(), folder / "b", {.target = ConvertTarget::safetensors, .type = DType::bf16});
  const Checkpoint converted = Checkpoint::open(folder / "b");
  for (const Tensor& tensor : converted.tensors()) EXPECT_EQ(tensor.type(), DType::bf16) << tensor.name;
  const auto config = nlohmann::json::parse(test::read_bytes(folder / "b/config.json"));
  EXPECT_EQ(config.at("torch_dtype"), "bfloat16");
  EXPECT_EQ(config.at("vocab_size"), 512);
}

TEST(Convert, a_lone_file_becomes_a_lone_file) {
  const test::TempFolder folder;
  const fs::path shard = base() / "pytorch_model-00002-of-00003.bin";
  fs::copy_file(shard, folder / "a.bin");
  write(folder / "a.bin", folder / "a.safetensors", {.target = ConvertTarget::safetensors});
  const Checkpoint before = Checkpoint::open(folder / "a.bin"),
                   after = Checkpoint::open(folder / "a.safetensors");
  ASSERT_EQ(before.tensors().size(), after.tensors().size());
  for (const Tensor& tensor : before.tensors()) EXPECT_TRUE(bytes(tensor) == bytes(*after.find(tensor.name)));
  EXPECT_THROW(convert(before, {.target = ConvertTarget::gguf}), Error);
  // The same with config.json beside it.
  EXPECT_TRUE(convert(Checkpoint::open(shard), {.target = ConvertTarget::safetensors}).single_file);
}

TEST(Convert, a_single_file_of_a_folder_is_a_model_with_the_folders_side_files) {
  const test::TempFolder folder;
  write(base(), folder / "one", {.target = ConvertTarget::bin});
  write(folder / "one/pytorch_model.bin", folder / "file.gguf", {.target = ConvertTarget::gguf, .name = "m"});
  write(base(), folder / "folder.gguf", {.target = ConvertTarget::gguf, .name = "m"});
  EXPECT_TRUE(test::read_bytes(folder / "file.gguf") == test::read_bytes(folder / "folder.gguf"));
  const Checkpoint file = Checkpoint::open(folder / "one/pytorch_model.bin");
  const Conversion out = convert_model(file, hf_model(file), {.target = ConvertTarget::safetensors});
  std::vector<std::string> names;
  for (const FileLayout& layout : out.plan.files) names.push_back(layout.name);
  EXPECT_NE(std::find(names.begin(), names.end(), "tokenizer.model"), names.end());
}

TEST(CountedCast, counts_what_leaves_the_range) {
  const std::vector<float> values = {0.0F,   -0.0F, 1.0F,     65504.0F, 65520.0F,
                                     -1e30F, 1e-9F, -5.9e-8F, INFINITY, NAN};
  const auto losses = std::make_shared<CastLosses>();
  const RowsPtr bf16 = cast_rows(memory_rows(values, 5, 2), DType::bf16);
  const RowsPtr cast = counted_cast(bf16, DType::f16, losses);
  std::vector<std::byte> some(2 * cast->row_bytes()), expected(2 * cast->row_bytes());
  cast->read(2, 2, some);
  cast_rows(bf16, DType::f16)->read(2, 2, expected);
  EXPECT_EQ(some, expected);
  EXPECT_EQ(losses->overflowed, 2U);  // 65520 is 65536 in bfloat16
  EXPECT_EQ(losses->underflowed, 1U);
  EXPECT_EQ(describe(*losses), "2 values became infinite, 1 value became zero");
  EXPECT_EQ(describe(CastLosses{}), "");
}

TEST(CountedCast, a_resumed_run_counts_what_one_run_does) {
  const std::vector<float> values = {1e9F, 1.0F, 1e-9F, 1e9F, 1.0F, 1.0F, 1e-9F, 1e-9F};
  const auto whole = std::make_shared<CastLosses>();
  const RowsPtr first = counted_cast(memory_rows(values, 4, 2), DType::f16, whole);
  std::vector<std::byte> two(2 * first->row_bytes());
  first->read(0, 2, two);
  first->read(2, 2, two);
  const auto resumed = std::make_shared<CastLosses>();
  const RowsPtr rest = counted_cast(memory_rows(values, 4, 2), DType::f16, resumed);
  rest->restore_tally(first->tally(0, 2));
  EXPECT_EQ(resumed->overflowed, 2U);
  EXPECT_EQ(resumed->underflowed, 1U);
  rest->read(2, 2, two);
  EXPECT_EQ(describe(*resumed), describe(*whole));
  EXPECT_EQ(resumed->underflowed, 3U);
  EXPECT_THROW(rest->restore_tally("short"), Error);
}

TEST(CountedCast, widening_is_a_plain_cast) {
  const std::vector<float> values = {1.0F, 2.0F};
  const auto losses = std::make_shared<CastLosses>();
  const RowsPtr rows = memory_rows(values, 1, 2);
  EXPECT_EQ(counted_cast(rows, DType::f32, losses), rows);
}

TEST(Convert, words_of_the_command_line) {
  EXPECT_EQ(parse_convert_target("gguf"), ConvertTarget::gguf);
  EXPECT_THROW(parse_convert_target("onnx"), Error);
  EXPECT_EQ(parse_weight_type("bf16"), DType::bf16);
  EXPECT_EQ(parse_weight_type("float16"), DType::f16);
  for (const char* bad : {"q8_0", "i32", "", "F64"}) EXPECT_THROW(parse_weight_type(bad), Error) << bad;
}

/// A GGUF with the factors of a stretched rotary embedding keeps them, also where its weights pass through other types.
TEST(Convert, rope_factors_stay_with_the_model) {
  const test::TempFolder folder;
  write(base(), folder / "plain.gguf", {.target = ConvertTarget::gguf});
  const Checkpoint plain = Checkpoint::open(folder / "plain.gguf");
  LlamaConfig config = plain.config();
  config.rope_scaling = {.kind = RopeScaling::Kind::llama3, .factor = 8, .original_context = 256};
  const std::vector<float> factors = llama3_rope_factors(config);
  std::vector<Tensor> tensors = plain.tensors();
  tensors.push_back({rope_factors_name, {factors.size()}, memory_rows(factors, 1, factors.size()), {}, 0});
  write_file(gguf_layout("scaled.gguf", without_container_keys(plain.gguf()->metadata()), tensors),
             folder / "scaled.gguf", {});
  write(folder / "scaled.gguf", folder / "again.gguf", {.target = ConvertTarget::gguf, .type = DType::f32});
  write(folder / "scaled.gguf", folder / "hf", {.target = ConvertTarget::safetensors});
  for (const char* name : {"scaled.gguf", "again.gguf", "hf"}) {
    const RopeScaling found = Checkpoint::open(folder / name).config().rope_scaling;
    EXPECT_EQ(found.kind, RopeScaling::Kind::llama3) << name;
    EXPECT_EQ(found.factor, 8.0) << name;
    EXPECT_EQ(found.original_context, 256.0) << name;
  }
  EXPECT_TRUE(bytes(*Checkpoint::open(folder / "again.gguf").find(rope_factors_name)) ==
              bytes(tensors.back()));
  expect_same_weights(folder / "scaled.gguf", folder / "hf");
  EXPECT_THROW(write(folder / "hf", folder / "back.gguf", {.target = ConvertTarget::gguf}), Error)
      << "a file without the factors would be another model";
}

}  // namespace
}  // namespace galatea
