// safetensors: named tensors behind a JSON header, nothing else.
//
//   bytes        what
//   0..7         N, length of the header, unsigned 64 bits little-endian, at most 100,000,000
//   8..8+N-1     header: a JSON object in UTF-8 that starts with '{' and may end in spaces
//                  {"__metadata__": {text: text, ...},                              (may be absent)
//                   NAME: {"dtype": "F16", "shape": [4096, 11008], "data_offsets": [begin, end]}, ...}
//   8+N..        the data: little-endian, row-major; offsets count from here
//
// The ranges begin..end cover the data exactly: they start at 0, leave no hole, do not overlap and end with
// the file. Source: the format section of the README of huggingface/safetensors.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "format/plan.h"
#include "format/source.h"
#include "format/tensor.h"

namespace galatea {

struct SafetensorsFile {
  std::map<std::string, std::string> metadata;
  std::vector<Tensor> tensors;  ///< in the order of the data; empty tensors of one place by name
};

/// Reads and checks the header; no tensor data are read. Throws Error(input), one text for each defect.
SafetensorsFile open_safetensors(const SourcePtr& source);

/// The file that the official library (Rust and Python, 0.4 to 0.8) writes for the same tensors and metadata:
/// sorted by type (I64 F64 F32 I32 BF16 F16 I16 F8_E4M3 F8_E5M2 I8 U8 BOOL), then by name; header without
/// blanks, padded with spaces to a multiple of 8. Several metadata entries are sorted by name here, where
/// that library has no fixed order. Throws Error(input) for names that cannot be stored, Error(usage) for
/// types that the format does not have.
FileLayout safetensors_layout(std::string name, std::vector<Tensor> tensors,
                              const std::map<std::string, std::string>& metadata);

}  // namespace galatea
