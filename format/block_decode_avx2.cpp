#include "format/block_decode.inc"

namespace galatea {

const BlockDecoders& block_decoders_avx2() { return decoders; }

}  // namespace galatea
