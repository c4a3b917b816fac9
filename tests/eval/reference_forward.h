// LLaMA in float64, written for reading and not for speed: the judge of the float32 forward pass.
//
// Weights in memory, rotary embedding half-split, everything from the definition: no tiles, no batches.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "eval/model.h"

namespace galatea::test {

using Vector = std::vector<double>;

/// All values of `rows`, row after row.
inline Vector values_of(const Rows& rows) {
  std::vector<float> values(rows.rows() * rows.cols());
  rows.read_f32(0, rows.rows(), values);
  return {values.begin(), values.end()};
}

inline Vector times(const Vector& values, const Vector& in) {
  Vector out(values.size() / in.size(), 0.0);
  for (std::size_t r = 0; r < out.size(); ++r) {
    for (std::size_t c = 0; c < in.size(); ++c) out[r] += values[r * in.size() + c] * in[c];
  }
  return out;
}

/// The matrices of a layer.
struct ReferenceLayer {
  Vector q, k, v, o, gate, up, down;
  explicit ReferenceLayer(const LlamaLayer& layer)
      : q(values_of(*layer.q)),
        k(values_of(*layer.k)),
        v(values_of(*layer.v)),
        o(values_of(*layer.o)),
        gate(values_of(*layer.gate)),
        up(values_of(*layer.up)),
        down(values_of(*layer.down)) {}
};

inline Vector rms_norm(const Vector& in, const std::vector<float>& weight, double eps) {
  double squares = 0;
  for (const double value : in) squares += value * value;
  const double scale = 1 / std::sqrt(squares / static_cast<double>(in.size()) + eps);
  Vector out(in.size());
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[i] * scale * static_cast<double>(weight[i]);
  return out;
}

/// Turns each head's pairs (i, i + head_dim/2) by position * theta^(-2i / head_dim).
inline void rotate(Vector& heads, std::size_t head_dim, std::size_t position, double theta) {
  const std::size_t half = head_dim / 2;
  for (std::size_t start = 0; start < heads.size(); start += head_dim) {
    for (std::size_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(position) *
                           std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
      const double a = heads[start + i];
      const double b = heads[start + half + i];
      heads[start + i] = a * std::cos(angle) - b * std::sin(angle);
      heads[start + half + i] = a * std::sin(angle) + b * std::cos(angle);
    }
  }
}

/// Logits of every position of one window, [tokens][vocab].
inline std::vector<Vector> reference_logits(const LlamaModel& model, std::span<const std::int32_t> tokens) {
  const LlamaConfig& config = model.config;
  const std::size_t dim = config.head_dim;
  const std::size_t hidden = config.hidden_size;
  const std::size_t group = config.heads / config.kv_heads;
  const Vector embedding = values_of(*model.embedding);
  std::vector<Vector> states;
  for (const std::int32_t token : tokens) {
    const auto first =
        embedding.begin() + static_cast<std::ptrdiff_t>(token) * static_cast<std::ptrdiff_t>(hidden);
    states.emplace_back(first, first + static_cast<std::ptrdiff_t>(hidden));
  }
  for (const LlamaLayer& layer : model.layers) {
    const ReferenceLayer weights_of(layer);
    std::vector<Vector> keys, values;
    for (std::size_t p = 0; p < states.size(); ++p) {
      const Vector normed = rms_norm(states[p], layer.attn_norm, config.rms_norm_eps);
      Vector query = times(weights_of.q, normed);
      Vector key = times(weights_of.k, normed);
      rotate(query, dim, p, config.rope_theta);
      rotate(key, dim, p, config.rope_theta);
      keys.push_back(key);
      values.push_back(times(weights_of.v, normed));
      Vector mixed(config.heads * dim, 0.0);
      for (std::size_t h = 0; h < config.heads; ++h) {
        const std::size_t kv = h / group * dim;
        Vector weights;
        double sum = 0;
        for (std::size_t s = 0; s <= p; ++s) {
          double score = 0;
          for (std::size_t d = 0; d < dim; ++d) score += query[h * dim + d] * keys[s][kv + d];
          weights.push_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
          sum += weights.back();
        }
        for (std::size_t s = 0; s <= p; ++s) {
          for (std::size_t d = 0; d < dim; ++d) mixed[h * dim + d] += weights[s] / sum * values[s][kv + d];
        }
      }
      const Vector change = times(weights_of.o, mixed);
      for (std::size_t i = 0; i < hidden; ++i) states[p][i] += change[i];
    }
    for (Vector& state : states) {
      const Vector normed = rms_norm(state, layer.ffn_norm, config.rms_norm_eps);
      Vector gate = times(weights_of.gate, normed);
      const Vector up = times(weights_of.up, normed);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      const Vector change = times(weights_of.down, gate);
      for (std::size_t i = 0; i < hidden; ++i) state[i] += change[i];
    }
  }
  const Vector output = values_of(*model.output);
  std::vector<Vector> logits;
  logits.reserve(states.size());
  for (const Vector& state : states)
    logits.push_back(times(output, rms_norm(state, model.final_norm, config.rms_norm_eps)));
  return logits;
}

}  // namespace galatea::test
