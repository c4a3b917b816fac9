// The XOR codec in which fine-tuned weights are published without the weights they were tuned from.
//
//   output[i] = payload[i] ^ base[i]    for every byte of the payload
//
// The output is as long as the payload. A base that is longer is cut, one that is shorter counts as zeros
// beyond its end, so the payload's bytes come through there. No header, no magic, no checksum; encoding and
// decoding are the same act. A payload may be a gzip or zstd stream of these bytes. Source: the xor_codec.py
// that the releases were published with (4,096-byte blocks make no difference).
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "format/source.h"

namespace galatea {

/// target[i] ^= key[i] over the shorter of the two.
void xor_into(std::span<std::byte> target, std::span<const std::byte> key);

/// The bytes of `payload`, each XORed with the byte of `base` at its place, if any. Has payload's size and
/// name. Any range may be read from any thread; each read uses a buffer of at most `piece_bytes`: small ones stay
/// in the cache, larger ones spare a base that is computed by rows the beginnings of rows.
SourcePtr xor_source(SourcePtr payload, SourcePtr base, std::size_t piece_bytes = std::size_t{256} << 10U);

}  // namespace galatea
