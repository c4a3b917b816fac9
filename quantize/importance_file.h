// Importance matrices as llama-imatrix writes them: for each matrix the mean square of what its columns were
// multiplied with while a text ran through the model.
//
//   GGUF   general.type "imatrix"; imatrix.datasets str[], imatrix.chunk_count u32, imatrix.chunk_size u32
//          NAME.in_sum2 F32 (1, columns)    sums of squares
//          NAME.counts  F32 (1, 1)          how many values each sum is of
//
//   .dat   count i32; then for each matrix: length of the name i32, name, chunks i32, columns i32, F32[columns]
//          means times chunks; then, in files of 2024 and later: chunks i32, length i32, name of the text
//
// A matrix that was never used (count 0) gets a weight of 1 for every column, as in llama.cpp. Source:
// tools/imatrix and tools/quantize of llama.cpp. Limits, against hostile files: 100,000 matrices, names of
// 1,000 bytes, 2^24 columns.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "quantize/quantize_model.h"

namespace galatea {

struct ImportanceFile {
  ImportanceMatrix weights;
  std::vector<std::string> unused;  ///< matrices with a count of 0
  std::vector<std::string> thin;    ///< with a count below half of the largest
  std::string dataset;              ///< empty when the file does not say
  std::uint64_t chunks = 0;         ///< 0 when the file does not say
};

/// Throws Error(input), naming the matrix, for weights that are negative or not finite, and for damaged files.
ImportanceFile read_importance_file(const std::filesystem::path& path);

/// Keeps the matrices whose names contain one of `include` (all when that is empty) and none of `exclude`.
void select_importance(ImportanceMatrix& weights, const std::vector<std::string>& include,
                       const std::vector<std::string>& exclude);

/// The matrices of a model that have no weights, beside token_embd and output, for which there hardly are any.
/// Throws Error(input), naming the matrix, where there are not as many weights as columns.
std::vector<std::string> without_importance(const ImportanceMatrix& weights,
                                            const std::vector<Tensor>& tensors);

}  // namespace galatea
