// What a quantization will cost, before any of it is done.
#pragma once

#include <cstdint>

#include "format/plan.h"
#include "quantize/quantize_model.h"

namespace galatea {

/// An upper bound of the memory that writing the plan with these options takes, in bytes: the pieces that the
/// threads work on, the tables of names and vocabulary, the errors of the rows, and the program itself. The
/// page cache, which the system takes back when it likes, is not in it.
std::uint64_t peak_memory(const QuantizationPlan& plan, const WriteOptions& options);

/// Takes smaller pieces, and then fewer threads, until peak_memory() is at most `limit`. The bytes that are
/// written stay the same. Throws Error(usage) with the least that works.
void fit_into_memory(const QuantizationPlan& plan, std::uint64_t limit, WriteOptions& options);

/// Seconds that writing the plan will take on these threads, without waiting for the disk: a few rows of each
/// kind of tensor are quantized to see how fast that is. Throws what reading those rows throws.
double expected_seconds(const QuantizationPlan& plan, const WriteOptions& options);

/// Reads every tensor of the source that will be changed and throws Error(input) naming tensor, row and column
/// for the first value that is not a finite number. For before the work: a run of hours does not end with it.
void require_finite_sources(const QuantizationPlan& plan, Progress& progress);

}  // namespace galatea
