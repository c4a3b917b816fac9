#include "quantize/type_mix.h"

namespace galatea {
namespace {

DType output_type(const TypeMix& mix) {
  if (mix.output_type) return *mix.output_type;
  return type_info(mix.type).quantized() && !mix.pure ? DType::q8_0 : mix.type;
}

}  // namespace

DType mixed_type(const Tensor& tensor, const TypeMix& mix, bool tied) {
  if (tensor.shape.size() < 2) return type_info(tensor.type()).floating ? DType::f32 : tensor.type();
  DType type = mix.type;
  if (tensor.name == "output.weight") type = output_type(mix);
  if (tensor.name == "token_embd.weight") {
    if (tied) type = output_type(mix);
    if (mix.embedding_type) type = *mix.embedding_type;
  }
  return tensor.shape.back() % type_info(type).block_length == 0 ? type : DType::f16;
}

}  // namespace galatea
