// Inside of structure.cpp: reading the data of weight files once, for sums and values.
#pragma once

#include <vector>

#include "format/progress.h"
#include "verify/structure.h"
#include "verify/structure_files.h"
#include "verify/value_scan.h"

namespace galatea {

struct FileScan {
  std::vector<ValueCounts> tensors;  ///< one for each tensor of the file
  std::vector<std::uint32_t> crcs;   ///< one for each region; 0 where none is wanted
};

/// Reads every region and every scattered tensor of `files`, in pieces of 8 MiB spread over threads.
std::vector<FileScan> scan_files(const std::vector<WeightFile>& files, const StructureOptions& options);

}  // namespace galatea
