// Probabilities of a base model, kept in a file, that other models are compared with: the KL divergence from the base
// at each scored prediction. Two kinds of file, told apart by their first bytes.
//
// llama.cpp's (llama-perplexity --kl-divergence-base), little-endian, of the protocol llama.cpp:
//
//   offset  size  meaning
//   0       8     "_logits_"
//   8       4     n_ctx (int32)
//   12      4     n_vocab (int32)
//   16      4     n_chunk (int32)
//   20      4 n   tokens (int32), n = n_chunk * n_ctx, as in the stream (BOS not put in)
//   then for each chunk the predictions at the positions n_ctx/2 .. n_ctx-2, each
//   0       4     scale (float32) = (largest - smallest) / 65535, smallest = max(smallest logit, largest - 16)
//   4       4     log-probability of the smallest (float32)
//   8       2 v   q (uint16) of each token, v = n_vocab rounded up to even: log p = scale * q + smallest
//
// Ours, for any protocol whose windows have as many predictions each:
//
//   0       8     "GALKLB01"
//   8       4     tokens in a window (uint32)       12   4   vocabulary (uint32)
//   16      4     windows (uint32)                  20   4   predictions of a window (uint32)
//   24      4     k (uint32)                        28   4   bytes of an id, 2 or 4 (uint32)
//   32      32    SHA-256 of the stream of ids
//   64      32    name of the protocol, padded with zeros
//   96            for each prediction a record:
//   0       4     log p of the true token (float32)
//   4       4     log p of the k-th token (float32)
//   8       4     step (float32) = (log p of the first - log p of the k-th) / 65535
//   12      4     mass of all tokens behind the k-th (float32)
//   16      4     sum of p log p over these (float32)
//   20      i k   ids of the k most probable tokens, most probable first (i bytes each; equals: smaller id first)
//   ...     2 k   q (uint16) of each: log p = that of the k-th + step * q
//
// With the k most probable tokens apart and all others as one, what is computed is the divergence of the coarser
// distributions: never more than the true one. The tail adds at most
//
//   sum of p log p over the tail - mass * log(mass / Q) - (least sum of p log q that the masses allow),
//
// Q being the model's mass there; the least sum is reached when the tail's mass lies, no more than the k-th's on each
// token, where the model's q is smallest. `KlTerm::most` holds that bound. Rounding q moves log p by half a step at
// most, 1e-4 for a range of 13: the divergence of one prediction by as much at worst (5e-5 as measured), the mean
// by 1e-6, as errors cancel; the probabilities are brought to a sum of 1 again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "format/source.h"

namespace galatea {

enum class KlBaseKind { compact, llama_cpp };

struct KlBaseHeader {
  KlBaseKind kind = KlBaseKind::compact;
  std::uint64_t length = 0;  ///< tokens in a window
  std::uint64_t vocab = 0, windows = 0;
  std::uint64_t predictions = 0;  ///< of each window
  std::uint64_t top = 0;          ///< k
  std::string stream_sha256, protocol;
  std::vector<std::int32_t> tokens;  ///< of llama.cpp's kind

  std::uint64_t header_bytes() const;
  std::uint64_t record_bytes() const;
  std::uint64_t file_bytes() const { return header_bytes() + windows * predictions * record_bytes(); }
  std::uint64_t record_offset(std::uint64_t window, std::uint64_t index) const {
    return header_bytes() + (window * predictions + index) * record_bytes();
  }
};

/// The bytes before the first record.
std::vector<std::byte> encode_kl_header(const KlBaseHeader& header);
/// Throws Error(input) when it is no base, damaged, or of another length than the header says.
KlBaseHeader read_kl_header(const ByteSource& file);

/// The record of one prediction. `record` has header.record_bytes(), `logits` header.vocab values.
void encode_kl_record(const KlBaseHeader& header, std::span<const float> logits, std::int32_t target,
                      std::span<std::byte> record);

/// One prediction of a model beside the base's.
struct KlTerm {
  float divergence = 0;           ///< KL(base || model), natural logarithm
  float most = 0;                 ///< what it can be at most; more than `divergence` when the base has a tail
  float base_loss = 0, loss = 0;  ///< -log p of the true token
  bool same_top = false;          ///< both think the same token the most probable
};

/// Throws Error(input) for a record with ids outside of the vocabulary.
KlTerm compare_with_base(const KlBaseHeader& header, std::span<const std::byte> record,
                         std::span<const float> logits, std::int32_t target);

}  // namespace galatea
