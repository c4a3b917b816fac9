#include "eval/forward.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <vector>

#include "eval/aligned.h"
#include "eval/attention.h"
#include "eval/elementwise.h"
#include "eval/matmul.h"
#include "eval/rotary.h"
#include "format/error.h"

namespace galatea {
namespace {

/// Positions whose logits are held at once: as many as fit into 64 MiB, and no fewer than this.
constexpr std::uint64_t kHeadBlock = 64;
std::uint64_t head_block(const LlamaConfig& config) {
  return std::max<std::uint64_t>(kHeadBlock, (std::uint64_t{64} << 20U) / (4 * config.vocab_size));
}

/// cos and sin of position p and pair i at [p * head_dim / 2 + i]: angle p * frequency (rotary.h), computed in
/// float32 as transformers does.
struct RotaryTable {
  std::vector<float> cosines, sines;

  RotaryTable(const LlamaConfig& config, std::uint64_t length) {
    const std::uint64_t half = config.head_dim / 2;
    cosines.resize(static_cast<std::size_t>(length * half));
    sines.resize(cosines.size());
    const std::vector<float> frequencies = rotary_frequencies(config, length);
    for (std::uint64_t i = 0; i < half; ++i) {
      const float frequency = frequencies[i];
      for (std::uint64_t p = 0; p < length; ++p) {
        const float angle = static_cast<float>(p) * frequency;
        cosines[p * half + i] = std::cos(angle);
        sines[p * half + i] = std::sin(angle);
      }
    }
  }
};

/// Of each of the two places for what a layer computes on the way, for a token.
std::uint64_t wide_values(const LlamaConfig& config) {
  return std::max((config.heads + config.kv_heads) * config.head_dim, config.intermediate_size);
}

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class ForwardPass {
 public:
  ForwardPass(const LlamaModel& model, std::span<const std::int32_t> tokens, std::uint64_t length,
              const ForwardOptions& options)
      : model_(model),
        config_(model.config),
        count_(tokens.size()),
        length_(length),
        threads_(options.threads > 0 ? options.threads : omp_get_max_threads()),
        isa_(options.isa),
        precision_(options.precision),
        progress_(options.progress != nullptr ? *options.progress : silent_progress()),
        values_(kernel::elementwise(options.isa)),
        rotary_(config_, length),
        hidden_(count_ * config_.hidden_size),
        normed_(count_ * config_.hidden_size),
        change_(count_ * config_.hidden_size),
        wide_{kernel::Aligned<float>(count_ * wide_values(config_)),
              kernel::Aligned<float>(count_ * wide_values(config_))} {
    embed(tokens);
  }

  void run_layers() {
    for (const LlamaLayer& layer : model_.layers) {
      attention(layer);
      feed_forward(layer);
      step_done();
    }
  }

  /// Adds what was measured; product without the decoding in it.
  void add_times(ForwardTimes& times) const {
    times.product += times_.product - times_.decode;
    times.decode += times_.decode;
    times.attention += times_.attention;
    times.head += times_.head;
    times.total += whole_.seconds();
  }

  void head(std::uint64_t first_position, const LogitsSink& sink) {
    const Stopwatch watch;
    norm(model_.final_norm);
    const std::uint64_t vocab = config_.vocab_size;
    // The positions wanted, gathered over all windows, so that the head's weights are decoded few times.
    std::vector<std::uint64_t> wanted;
    for (std::uint64_t t = 0; t < count_; ++t) {
      if (t % length_ >= first_position) wanted.push_back(t);
    }
    const std::uint64_t block = head_block(config_);
    kernel::Aligned<float> inputs(std::min<std::uint64_t>(block, wanted.size()) * config_.hidden_size);
    kernel::Aligned<float> logits(std::min<std::uint64_t>(block, wanted.size()) * vocab);
    for (std::size_t begin = 0; begin < wanted.size(); begin += block) {
      const std::size_t here = std::min<std::size_t>(block, wanted.size() - begin);
      for (std::size_t i = 0; i < here; ++i) {
        std::copy_n(row(normed_, wanted[begin + i], config_.hidden_size), config_.hidden_size,
                    inputs.get() + i * config_.hidden_size);
      }
      const ProductOf product{model_.output.get(), logits.get()};
      matmul({&product, 1}, inputs.get(), here, threads_, isa_, precision_, memory_);
#pragma omp parallel for schedule(static) num_threads(threads_)
      for (std::size_t i = 0; i < here; ++i) {
        const std::uint64_t t = wanted[begin + i];
        sink(t / length_, t % length_, std::span(logits.get() + i * vocab, static_cast<std::size_t>(vocab)));
      }
    }
    times_.head = watch.seconds();
    step_done();
  }

 private:
  static float* row(kernel::Aligned<float>& values, std::uint64_t index, std::uint64_t width) {
    return values.get() + index * width;
  }

  void step_done() {
    progress_.advance(count_);
    if (progress_.stop_requested()) throw Error(ErrorKind::system, "interrupted");
  }

  void embed(std::span<const std::int32_t> tokens) {
    for (std::uint64_t t = 0; t < count_; ++t) {
      const std::int32_t token = tokens[t];
      if (token < 0 || static_cast<std::uint64_t>(token) >= config_.vocab_size) {
        throw Error(ErrorKind::input, "a token id lies outside of the model's vocabulary")
            .expected("0 to " + std::to_string(config_.vocab_size - 1))
            .found(std::to_string(token) + " at position " + std::to_string(t))
            .remedy("the tokenizer belongs to another model, or the vocabulary was resized");
      }
      model_.embedding->read_f32(static_cast<std::uint64_t>(token), 1,
                                 std::span(row(hidden_, t, config_.hidden_size), config_.hidden_size));
    }
  }

  /// normed = hidden / sqrt(mean(hidden^2) + eps) * weight, the mean summed in float64.
  void norm(const std::vector<float>& weight) {
    const std::uint64_t width = config_.hidden_size;
#pragma omp parallel for schedule(static) num_threads(threads_)
    for (std::uint64_t t = 0; t < count_; ++t)
      values_.norm(row(hidden_, t, width), weight.data(), width, config_.rms_norm_eps,
                   row(normed_, t, width));
  }

  void product(std::span<const ProductOf> products, const float* in) {
    const Stopwatch watch;
    times_.decode += matmul(products, in, count_, threads_, isa_, precision_, memory_);
    times_.product += watch.seconds();
  }

  /// hidden += weight * in.
  void add_product(const Rows& weight, const float* in) {
    const ProductOf to_change{&weight, change_.get()};
    product({&to_change, 1}, in);
    const std::uint64_t width = config_.hidden_size;
#pragma omp parallel for schedule(static) num_threads(threads_)
    for (std::uint64_t t = 0; t < count_; ++t)
      values_.add(row(hidden_, t, width), row(change_, t, width), width);
  }

  /// Turns the pairs (i, i + head_dim/2) of each head by the angle of the token's position.
  void rotate(float* heads_of_all, std::uint64_t heads) const {
    const std::uint64_t half = config_.head_dim / 2;
#pragma omp parallel for schedule(static) num_threads(threads_)
    for (std::uint64_t t = 0; t < count_; ++t) {
      const float* cosines = rotary_.cosines.data() + (t % length_) * half;
      const float* sines = rotary_.sines.data() + (t % length_) * half;
      for (std::uint64_t h = 0; h < heads; ++h) {
        float* first = heads_of_all + (t * heads + h) * config_.head_dim;
        values_.rotate(first, first + half, cosines, sines, half);
      }
    }
  }

  void attention(const LlamaLayer& layer) {
    norm(layer.attn_norm);
    float* const q = wide_[0].get();
    float* const v = q + count_ * config_.heads * config_.head_dim;
    float* const k = wide_[1].get();
    float* const mixed = k + count_ * config_.kv_heads * config_.head_dim;
    const ProductOf products[] = {{layer.q.get(), q}, {layer.k.get(), k}, {layer.v.get(), v}};
    product(products, normed_.get());
    const Stopwatch watch;
    rotate(q, config_.heads);
    rotate(k, config_.kv_heads);
    const auto jobs = static_cast<std::int64_t>(count_ / length_ * config_.heads);
    std::vector<std::unique_ptr<HeadAttention>> spaces;
    spaces.reserve(static_cast<std::size_t>(threads_));
    for (int i = 0; i < threads_; ++i) {
      spaces.push_back(head_attention(length_, config_.head_dim, config_.sliding_window, isa_, precision_));
    }
#pragma omp parallel num_threads(threads_)
    {
      HeadAttention& space = *spaces[static_cast<std::size_t>(omp_get_thread_num())];
      space.begin();
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t job = 0; job < jobs; ++job) {
        const auto index = static_cast<std::uint64_t>(job);
        attend(q, k, v, index / config_.heads, index % config_.heads, space, mixed);
      }
      space.end();
    }
    times_.attention += watch.seconds();
    add_product(*layer.o, mixed);
  }

  void attend(const float* q, const float* k, const float* v, std::uint64_t window, std::uint64_t head,
              HeadAttention& attention, float* mixed) const {
    const std::uint64_t dim = config_.head_dim;
    const std::uint64_t kv_stride = config_.kv_heads * dim;
    const std::uint64_t q_stride = config_.heads * dim;
    const std::uint64_t at = window * length_ * q_stride + head * dim;
    const std::uint64_t kv_at =
        window * length_ * kv_stride + head / (config_.heads / config_.kv_heads) * dim;
    attention.run({q + at, k + kv_at, v + kv_at, mixed + at, q_stride, kv_stride});
  }

  /// hidden += down(silu(gate(x)) * up(x)), x the normed hidden state, for all tokens at once.
  void feed_forward(const LlamaLayer& layer) {
    norm(layer.ffn_norm);
    float* const gate = wide_[0].get();
    float* const up = wide_[1].get();
    const ProductOf products[] = {{layer.gate.get(), gate}, {layer.up.get(), up}};
    product(products, normed_.get());
    const std::uint64_t width = config_.intermediate_size;
#pragma omp parallel for schedule(static) num_threads(threads_)
    for (std::uint64_t t = 0; t < count_; ++t) values_.gate(gate + t * width, up + t * width, width);
    add_product(*layer.down, gate);
  }

  const LlamaModel& model_;
  const LlamaConfig& config_;
  std::uint64_t count_, length_;
  int threads_;
  Isa isa_;
  Precision precision_;
  Progress& progress_;
  Stopwatch whole_;
  ForwardTimes times_;
  const kernel::Elementwise& values_;
  RotaryTable rotary_;
  kernel::Aligned<float> hidden_, normed_, change_;
  kernel::Aligned<float> wide_[2];  ///< q and v, k and the mixed values; then gate, up
  MatmulMemory memory_;
};

}  // namespace

void forward(const LlamaModel& model, std::span<const std::int32_t> tokens, std::uint64_t length,
             std::uint64_t first_position, const ForwardOptions& options, const LogitsSink& sink) {
  if (length == 0 || tokens.size() % length != 0) {
    throw Error(ErrorKind::usage, "the tokens are no whole number of windows")
        .expected("a multiple of " + std::to_string(length))
        .found(std::to_string(tokens.size()));
  }
  if (tokens.empty()) return;
  ForwardPass pass(model, tokens, length, options);
  pass.run_layers();
  pass.head(first_position, sink);
  if (options.times != nullptr) pass.add_times(*options.times);
}

std::uint64_t forward_bytes(const LlamaConfig& config, std::uint64_t tokens, std::uint64_t length,
                            int threads) {
  const auto team = static_cast<std::uint64_t>(threads > 0 ? threads : omp_get_max_threads());
  const std::uint64_t activations = tokens * 4 * (3 * config.hidden_size + 2 * wide_values(config));
  const std::uint64_t widest =
      std::max({config.hidden_size, config.intermediate_size, config.heads * config.head_dim});
  const std::uint64_t head = 4 * head_block(config) * (config.vocab_size + config.hidden_size);
  const std::uint64_t rotary = 4 * length * config.head_dim;
  return activations + head + rotary + matmul_bytes(widest, tokens, team) +
         team * head_attention_bytes(length, config.head_dim);
}

double log_probability(std::span<const float> logits, std::int32_t target) {
  float largest = 0;
  const double all = kernel::elementwise(active_isa()).log_sum(logits.data(), logits.size(), largest);
  return static_cast<double>(logits[static_cast<std::size_t>(target)]) - all;
}

}  // namespace galatea
