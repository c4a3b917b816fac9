// The types that galatea writes to GGUF, and rows in them made from rows of any type.
//
// The table has one row for each type: what turns float32 values into its blocks. A new type is a new file
// with its encoder and a new row in encoder.cpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "format/rows.h"
#include "quantize/lane_encode.h"
#include "quantize/row_error.h"

namespace galatea {

/// Which scales blocks get: those of ggml's quantizers, bit for bit, or those of quantize/better_search.h where the
/// type has them.
enum class ScaleSearch { reference, better };

/// What an importance matrix (weights of the columns) is to an encoder.
enum class Importance { unused, optional, required };

struct Encoder {
  DType type;
  Importance importance;
  /// Whole blocks of finite values. The bytes of a block depend on its own values, for types of blocks of 32
  /// with importance on those of its row, and on no thread or processor.
  EncodeRows encode_rows;

  /// Without importance: `elements` is a multiple of the type's block length, `out` has their bytes.
  void encode(const float* in, std::byte* out, std::uint64_t elements) const {
    encode_rows(in, out, 1, elements, nullptr);
  }
};

std::span<const Encoder> all_encoders();
/// nullptr when galatea cannot write the type.
const Encoder* find_encoder(DType type);

/// Collects, row by row while rows are read, how far a quantized tensor is from its source. The sums are
/// taken in the order of rows, so that they depend on no thread. Rows that were never read count as exact.
class QuantizationError {
 public:
  explicit QuantizationError(std::uint64_t rows) : rows_(rows) {}

  void set_row(std::uint64_t row, const RowError& error);
  /// The rows [first, first + count) as bytes, and back; see Rows::tally.
  std::string tally(std::uint64_t first, std::uint64_t count) const;
  void restore(std::string_view tally);
  /// sqrt(mean((decoded - source)^2)) over `values` values.
  double rms_error(std::uint64_t values) const;
  /// rms_error over the root mean square of the source; 0 for a source of zeros.
  double relative_error() const;
  /// The largest |decoded - source|.
  double max_error() const;
  /// By how much a better search has reduced the root of the weighted squared error, 0 to 1; nothing where none ran
  /// or nothing was lost before.
  std::optional<double> search_gain() const;
  /// Of the angle between the tensor and its source, both seen as vectors; 1 where one of them is zero.
  double cosine() const;

 private:
  struct Sums {
    double error = 0, value = 0, gain = 0, before_search = 0, after_search = 0;
  };
  Sums sums() const;

  struct Row {
    std::atomic<float> error{0}, value{0}, gain{0}, largest{0}, before_search{0}, after_search{0};
  };
  std::vector<Row> rows_;
};

/// The same values in `type`, encoded when they are asked for; `source` itself when it has that type already.
/// Plain types are rounded from the source's own type once. `error`, when given, has as many rows as `source`
/// and is filled in by read().
///
/// `importance`, when given, has a weight for each column; types that do not use it ignore it.
///
/// Throws Error(usage) when the type has no encoder, or needs importance and gets none, Error(input) when the
/// columns are not whole blocks or not as many as the weights.
/// read() throws Error(input) naming row and column when a value is not finite, or too large for the type.
RowsPtr quantize_rows(RowsPtr source, DType type, std::shared_ptr<QuantizationError> error = nullptr,
                      std::shared_ptr<const std::vector<float>> importance = nullptr,
                      ScaleSearch search = ScaleSearch::reference);

}  // namespace galatea
