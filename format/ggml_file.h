// The GGML files of spring 2023, of LLaMA: what llama.cpp read before GGUF.
//
//   bytes   what (little-endian)
//   4       "lmgg" (GGML), "fmgg" (GGMF) or "tjgg" (GGJT): the name as a number, hence backwards
//   4       version u32: GGMF 1, GGJT 1 to 3; not there in GGML
//   28      u32 each: n_vocab, n_embd, n_mult, n_head, n_layer, n_rot, file type
//   ...     n_vocab tokens: length u32, bytes; then, but in GGML, the score f32
//   ...     tensors up to the end: rank u32, length of the name u32, ggml_type u32, extents u32 each INNERMOST
//           FIRST, the name (Meta's); in GGJT zeros up to a multiple of 32 of the file; the data
//
//   file           written           scores  padding  parts                 blocks (ggml_blocks.h)
//   GGML           to 2023-03-20     no      no       FILE, FILE.1, ...     pairs
//   GGMF 1         to 2023-03-30     yes     no       FILE, FILE.1, ...     pairs
//   GGJT 1         to 2023-05-11     yes     yes      no                    pairs
//   GGJT 2         to 2023-05-19     yes     yes      no                    wide
//   GGJT 3         to 2023-08-21     yes     yes      no                    present
//
// Parts are Meta's tensor-parallel shards, each with the whole head of the file; norms are in all of them. Tokens are
// bytes as they are printed: a space and not U+2581, one byte for byte pieces, nothing for <s> and </s>, U+2047
// between spaces for <unk>. n_mult gave the feed-forward size of LLaMA 1; it is taken from the tensors here. Some
// writers add 1000 times a version of the blocks to the file type. Source: llama_file_loader and convert.py of
// llama.cpp at the commits 5cb63e24, 2a98bc18, 20fbf2a2, 601a0334 and 93618031.
//
// Limits, against hostile files: 2^24 tokens of at most 64 KiB, 100,000 tensors, rank 2, names of at most 255 bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "format/ggml_blocks.h"
#include "format/source.h"
#include "format/tensor.h"

namespace galatea {

struct GgmlToken {
  std::string text;
  float score = 0;
};

struct GgmlTensor {
  std::string name;  ///< Meta's
  Shape shape;       ///< outermost first
  GgmlType type;
  std::uint64_t offset = 0;
  RowsPtr stored;  ///< its bytes, as ggml_rows() takes them
};

/// One file, whether there are more parts or not.
struct GgmlFile {
  std::string container;  ///< "GGML", "GGMF 1", "GGJT 3"
  bool scores = true, may_have_parts = false;
  GgmlBlocks blocks = GgmlBlocks::present;
  std::array<std::uint32_t, 7> numbers{};  ///< n_vocab ... file type, as stored
  std::vector<GgmlToken> tokens;
  std::vector<GgmlTensor> tensors;  ///< in the order of the file

  std::uint64_t vocabulary() const { return numbers[0]; }
  std::uint64_t width() const { return numbers[1]; }
  std::uint64_t heads() const { return numbers[3]; }
  std::uint64_t layers() const { return numbers[4]; }
  std::uint64_t rotary() const { return numbers[5]; }
  std::uint32_t file_type() const { return numbers[6] % 1000; }
};

/// True when `source` begins with one of the three names.
bool is_ggml_file(const ByteSource& source);

/// Throws Error(input) unless the file is whole and in order.
GgmlFile read_ggml_file(const SourcePtr& source);

}  // namespace galatea
