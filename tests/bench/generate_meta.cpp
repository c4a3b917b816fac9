// Writes a folder as Meta released LLaMA in, with generated weights of the true shapes: what the scripts/bench_*
// work on, since the real weights cannot be handed around.
//
//   generate_meta OUT_FOLDER SHAPE [TOKENIZER.model] [--layers N] [--shards N] [--vocabulary N]
//                [--adapter OUT_FOLDER [--rank R]]
//
//   SHAPE   dim  heads kv_heads layers shards      --layers and --shards replace the last two
//   576     576      9        3     30      1      of SmolLM2-135M: rows are no whole blocks of 256
//   0.1B    768     12       12     12      1
//   0.4B   1280     20        4     18      1
//   1.1B   2048     32        4     22      1
//   7B     4096     32       32     32      1
//   13B    5120     40       40     40      2
//   30B    6656     52       52     60      4
//   65B    8192     64       64     80      8
//
// --adapter also writes a LoRA adapter (of rank 16 unless R says another) for such a model, on every linear layer and the
// embedding, as PEFT stores one. Weights are normal numbers of deviation 0.02, norms are around 1, all in float16; the same for every run.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "format/dtype.h"
#include "format/error.h"
#include "format/plan.h"
#include "format/safetensors.h"
#include "format/torch_layout.h"

namespace {

using namespace galatea;

struct ModelShape {
  const char* name;
  std::uint64_t dim, heads, kv_heads, layers, shards;
};
constexpr std::array shapes = {
    ModelShape{"576", 576, 9, 3, 30, 1},    ModelShape{"0.1B", 768, 12, 12, 12, 1},
    ModelShape{"0.4B", 1280, 20, 4, 18, 1}, ModelShape{"1.1B", 2048, 32, 4, 22, 1},
    ModelShape{"7B", 4096, 32, 32, 32, 1},  ModelShape{"13B", 5120, 40, 40, 40, 2},
    ModelShape{"30B", 6656, 52, 52, 60, 4}, ModelShape{"65B", 8192, 64, 64, 80, 8},
};
constexpr std::uint64_t multiple_of = 256;
std::uint64_t vocabulary = 32000;  // --vocabulary

/// The 65536 quantiles of a normal distribution, as float16 around `mean`.
std::vector<std::uint16_t> normal_halves(double mean, double deviation) {
  std::vector<double> quantiles(65536);
  // Abramowitz and Stegun 26.2.23: |error| < 4.5e-4.
  for (std::size_t i = 0; i < quantiles.size(); ++i) {
    const double p = (static_cast<double>(i) + 0.5) / 65536.0;
    const double t = std::sqrt(-2.0 * std::log(std::min(p, 1.0 - p)));
    const double tail = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                                (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    quantiles[i] = p < 0.5 ? -tail : tail;
  }
  std::vector<std::uint16_t> halves;
  halves.reserve(quantiles.size());
  for (const double value : quantiles) halves.push_back(f64_to_f16(mean + deviation * value));
  return halves;
}

std::uint64_t mixed(std::uint64_t x) {  // the finaliser of splitmix64
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31U);
}

/// Values that depend on seed, row and column alone.
class GeneratedRows final : public Rows {
 public:
  GeneratedRows(std::shared_ptr<const std::vector<std::uint16_t>> table, std::uint64_t seed,
                std::uint64_t rows, std::uint64_t cols)
      : Rows(DType::f16, rows, cols), table_(std::move(table)), seed_(mixed(seed + 1)) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    const std::uint64_t end = (first + count) * cols();
    std::size_t at = 0;
    for (std::uint64_t index = first * cols(); index < end; ++index, at += 2) {
      const std::uint64_t draw = mixed(seed_ + (index / 4) * 0x9E3779B97F4A7C15U) >> (16 * (index % 4));
      std::memcpy(&out[at], &(*table_)[static_cast<std::uint16_t>(draw)], 2);
    }
  }

 private:
  std::shared_ptr<const std::vector<std::uint16_t>> table_;
  std::uint64_t seed_;
};

class Generator {
 public:
  Generator(ModelShape shape, std::uint64_t shard)
      : shape_(shape),
        shard_(shard),
        hidden_((shape.dim * 8 / 3 + multiple_of - 1) / multiple_of * multiple_of) {}

  /// The tensors of a PEFT adapter on the whole model.
  std::vector<Tensor> adapter(std::uint64_t rank) {
    const std::uint64_t dim = shape_.dim, kv = dim / shape_.heads * shape_.kv_heads;
    const std::string model = "base_model.model.model.";
    add(model + "embed_tokens.lora_embedding_A", {rank, vocabulary}, weights_);
    add(model + "embed_tokens.lora_embedding_B", {dim, rank}, weights_);
    for (std::uint64_t layer = 0; layer < shape_.layers; ++layer) {
      const std::string prefix = model + "layers." + std::to_string(layer) + ".";
      const auto linear = [&](const std::string& name, std::uint64_t out, std::uint64_t in) {
        add(prefix + name + ".lora_A.weight", {rank, in}, weights_);
        add(prefix + name + ".lora_B.weight", {out, rank}, weights_);
      };
      linear("self_attn.q_proj", dim, dim);
      linear("self_attn.k_proj", kv, dim);
      linear("self_attn.v_proj", kv, dim);
      linear("self_attn.o_proj", dim, dim);
      linear("mlp.gate_proj", hidden_, dim);
      linear("mlp.up_proj", hidden_, dim);
      linear("mlp.down_proj", dim, hidden_);
    }
    return std::move(made_);
  }

  /// The tensors of one shard in the order of Meta's files.
  std::vector<Tensor> tensors() {
    const std::uint64_t n = shape_.shards, dim = shape_.dim, kv = dim / shape_.heads * shape_.kv_heads;
    add("tok_embeddings.weight", {vocabulary, dim / n}, weights_);
    add("norm.weight", {dim}, norms_);
    add("output.weight", {vocabulary / n, dim}, weights_);
    for (std::uint64_t layer = 0; layer < shape_.layers; ++layer) {
      const std::string prefix = "layers." + std::to_string(layer) + ".";
      add(prefix + "attention.wq.weight", {dim / n, dim}, weights_);
      add(prefix + "attention.wk.weight", {kv / n, dim}, weights_);
      add(prefix + "attention.wv.weight", {kv / n, dim}, weights_);
      add(prefix + "attention.wo.weight", {dim, dim / n}, weights_);
      add(prefix + "feed_forward.w1.weight", {hidden_ / n, dim}, weights_);
      add(prefix + "feed_forward.w2.weight", {dim, hidden_ / n}, weights_);
      add(prefix + "feed_forward.w3.weight", {hidden_ / n, dim}, weights_);
      add(prefix + "attention_norm.weight", {dim}, norms_);
      add(prefix + "ffn_norm.weight", {dim}, norms_);
    }
    return std::move(made_);
  }

 private:
  using Table = std::shared_ptr<const std::vector<std::uint16_t>>;

  void add(const std::string& name, const Shape& shape, const Table& table) {
    // Norms are the same in every shard, as replicated tensors are.
    const std::uint64_t seed = made_.size() * 16 + (shape.size() == 1 ? 0 : shard_);
    const MatrixShape matrix = matrix_shape(shape, DType::f16);
    made_.push_back(
        {name, shape, std::make_shared<GeneratedRows>(table, seed, matrix.rows, matrix.cols), {}, 0});
  }

  ModelShape shape_;
  std::uint64_t shard_, hidden_;
  Table weights_ = std::make_shared<std::vector<std::uint16_t>>(normal_halves(0.0, 0.02));
  Table norms_ = std::make_shared<std::vector<std::uint16_t>>(normal_halves(1.0, 0.1));
  std::vector<Tensor> made_;
};

std::string params_of(const ModelShape& shape) {
  std::string text = R"({"dim": )" + std::to_string(shape.dim) + R"(, "multiple_of": 256, "n_heads": )" +
                     std::to_string(shape.heads);
  if (shape.kv_heads != shape.heads) text += R"(, "n_kv_heads": )" + std::to_string(shape.kv_heads);
  return text + R"(, "n_layers": )" + std::to_string(shape.layers) +
         R"(, "norm_eps": 1e-06, "vocab_size": -1})";
}

void generate_adapter(const std::filesystem::path& folder, const ModelShape& shape, std::uint64_t rank) {
  Plan plan;
  plan.files.push_back(
      safetensors_layout("adapter_model.safetensors", Generator(shape, 0).adapter(rank), {{"format", "pt"}}));
  plan.files.push_back(literal_layout(
      "adapter_config.json", R"({"base_model_name_or_path": null, "bias": "none", "fan_in_fan_out": false,
"lora_alpha": 16, "lora_dropout": 0.0, "modules_to_save": null, "peft_type": "LORA", "r": )" +
                                 std::to_string(rank) + R"(,
"target_modules": ["embed_tokens", "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
"task_type": "CAUSAL_LM"}
)"));
  WriteOptions options;
  options.overwrite = true;
  options.digests.clear();
  write_plan(plan, folder, options);
}

void generate(const std::filesystem::path& folder, const ModelShape& shape, const std::string& tokenizer) {
  Plan plan;
  for (std::uint64_t shard = 0; shard < shape.shards; ++shard) {
    plan.files.push_back(torch_zip_layout("consolidated.0" + std::to_string(shard) + ".pth",
                                          Generator(shape, shard).tensors()));
  }
  plan.files.push_back(literal_layout("params.json", params_of(shape)));
  if (!tokenizer.empty()) plan.files.push_back(copy_layout("tokenizer.model", open_file(tokenizer)));
  WriteOptions options;
  options.overwrite = true;
  options.digests.clear();
  write_plan(plan, folder, options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::vector<std::string> words;
    std::uint64_t layers = 0, shards = 0, rank = 16;
    std::string adapter;
    for (int i = 1; i < argc; ++i) {
      const std::string word = argv[i];
      if (i + 1 < argc && word == "--layers") {
        layers = std::stoull(argv[++i]);
      } else if (i + 1 < argc && word == "--shards") {
        shards = std::stoull(argv[++i]);
      } else if (i + 1 < argc && word == "--rank") {
        rank = std::stoull(argv[++i]);
      } else if (i + 1 < argc && word == "--vocabulary") {
        vocabulary = std::stoull(argv[++i]);
      } else if (i + 1 < argc && word == "--adapter") {
        adapter = argv[++i];
      } else {
        words.push_back(word);
      }
    }
    const auto* found = std::find_if(shapes.begin(), shapes.end(), [&](const ModelShape& s) {
      return words.size() > 1 && words[1] == s.name;
    });
    if (words.size() < 2 || words.size() > 3 || found == shapes.end()) {
      std::cerr << "usage: generate_meta OUT_FOLDER 576|0.1B|0.4B|1.1B|7B|13B|30B|65B [TOKENIZER.model] "
                   "[--layers N] [--shards N] [--vocabulary N] [--adapter OUT_FOLDER [--rank R]]\n";
      return 2;
    }
    ModelShape shape = *found;
    if (layers != 0) shape.layers = layers;
    if (shards != 0) shape.shards = shards;
    generate(words[0], shape, words.size() == 3 ? words[2] : std::string());
    if (!adapter.empty()) generate_adapter(adapter, shape, rank);
  } catch (const std::exception& error) {
    std::cerr << "generate_meta: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
