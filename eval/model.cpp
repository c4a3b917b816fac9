#include "eval/model.h"

namespace galatea {

LlamaModel load_model(const Checkpoint& checkpoint) {
  const LlamaWeights weights(checkpoint);
  const auto rows = [&](LlamaRole role, std::uint64_t layer) {
    return weights.get({role, layer}, LlamaWeights::Rotary::half).data;
  };
  const auto values = [&](LlamaRole role, std::uint64_t layer) {
    return read_all_f32(weights.get({role, layer}, LlamaWeights::Rotary::half));
  };
  LlamaModel model;
  model.config = weights.config();
  model.embedding = rows(LlamaRole::embedding, 0);
  // A head that lies beside tied embeddings all the same is not used: transformers ties it after loading.
  model.output = model.config.tied_embeddings ? model.embedding : rows(LlamaRole::output, 0);
  model.final_norm = values(LlamaRole::final_norm, 0);
  for (std::uint64_t i = 0; i < model.config.layers; ++i) {
    model.layers.push_back({values(LlamaRole::attn_norm, i), values(LlamaRole::ffn_norm, i),
                            rows(LlamaRole::q, i), rows(LlamaRole::k, i), rows(LlamaRole::v, i),
                            rows(LlamaRole::o, i), rows(LlamaRole::gate, i), rows(LlamaRole::up, i),
                            rows(LlamaRole::down, i)});
  }
  return model;
}

}  // namespace galatea
