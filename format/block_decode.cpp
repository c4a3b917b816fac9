#include "format/block_decode.inc"

namespace galatea {
namespace {

const BlockDecoders& chosen() {
  static const BlockDecoders& path = block_decoders(active_isa());
  return path;
}

}  // namespace

const BlockDecoders& block_decoders([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::avx2) return block_decoders_avx2();
#endif
  return decoders;
}

void decode_q4_0(const std::byte* in, float* out, std::uint64_t elements) {
  chosen().q4_0(in, out, elements);
}
void decode_q4_1(const std::byte* in, float* out, std::uint64_t elements) {
  chosen().q4_1(in, out, elements);
}
void decode_q5_0(const std::byte* in, float* out, std::uint64_t elements) {
  chosen().q5_0(in, out, elements);
}
void decode_q5_1(const std::byte* in, float* out, std::uint64_t elements) {
  chosen().q5_1(in, out, elements);
}
void decode_q8_0(const std::byte* in, float* out, std::uint64_t elements) {
  chosen().q8_0(in, out, elements);
}
void decode_q2_k(const std::byte* in, float* out, std::uint64_t elements) {
  chosen().q2_k(in, out, elements);
}
void decode_q3_k(const std::byte* in, float* out, std::uint64_t elements) {
  chosen().q3_k(in, out, elements);
}
void decode_q4_k(const std::byte* in, float* out, std::uint64_t elements) {
  chosen().q4_k(in, out, elements);
}
void decode_q5_k(const std::byte* in, float* out, std::uint64_t elements) {
  chosen().q5_k(in, out, elements);
}
void decode_q6_k(const std::byte* in, float* out, std::uint64_t elements) {
  chosen().q6_k(in, out, elements);
}

}  // namespace galatea
