#include "quantize/encoder.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "format/error.h"
#include "format/isa.h"
#include "format/little_endian.h"
#include "quantize/better_search.h"
#include "quantize/block_encode.h"

namespace galatea {
namespace {

constexpr std::size_t tally_head = 8, tally_width = 4, tally_numbers = 6;

template <DType type>
void encode_plain(const float* in, std::byte* out, std::uint64_t rows, std::uint64_t cols, const float*) {
  type_info(type).encode(in, out, rows * cols);
}

template <EncodeBlocks BlockEncoders::*encode>
void encode_blocks(const float* in, std::byte* out, std::uint64_t rows, std::uint64_t cols, const float*) {
  (block_encoders().*encode)(in, out, rows * cols);
}

/// With importance by the search, without it as ever.
template <EncodeBlocks BlockEncoders::*plain, EncodeRows LaneEncoders::*weighted>
void encode_either(const float* in, std::byte* out, std::uint64_t rows, std::uint64_t cols,
                   const float* importance) {
  if (importance == nullptr) return encode_blocks<plain>(in, out, rows, cols, nullptr);
  (lane_encoders().*weighted)(in, out, rows, cols, importance);
}

template <EncodeRows LaneEncoders::*encode>
void encode_lanes(const float* in, std::byte* out, std::uint64_t rows, std::uint64_t cols,
                  const float* importance) {
  (lane_encoders().*encode)(in, out, rows, cols, importance);
}

constexpr std::array table{
    Encoder{DType::f32, Importance::unused, encode_plain<DType::f32>},
    Encoder{DType::f16, Importance::unused, encode_plain<DType::f16>},
    Encoder{DType::bf16, Importance::unused, encode_plain<DType::bf16>},
    Encoder{DType::q8_0, Importance::unused, encode_blocks<&BlockEncoders::q8_0>},
    Encoder{DType::q5_1, Importance::optional, encode_either<&BlockEncoders::q5_1, &LaneEncoders::q5_1>},
    Encoder{DType::q5_0, Importance::optional, encode_either<&BlockEncoders::q5_0, &LaneEncoders::q5_0>},
    Encoder{DType::q4_1, Importance::optional, encode_either<&BlockEncoders::q4_1, &LaneEncoders::q4_1>},
    Encoder{DType::q4_0, Importance::optional, encode_either<&BlockEncoders::q4_0, &LaneEncoders::q4_0>},
    Encoder{DType::q6_k, Importance::optional, encode_lanes<&LaneEncoders::q6_k>},
    Encoder{DType::q5_k, Importance::optional, encode_lanes<&LaneEncoders::q5_k>},
    Encoder{DType::q4_k, Importance::optional, encode_lanes<&LaneEncoders::q4_k>},
    Encoder{DType::q3_k, Importance::optional, encode_lanes<&LaneEncoders::q3_k>},
    Encoder{DType::iq4_nl, Importance::optional, encode_lanes<&LaneEncoders::iq4_nl>},
    Encoder{DType::iq4_xs, Importance::optional, encode_lanes<&LaneEncoders::iq4_xs>},
    Encoder{DType::mxfp4, Importance::unused, encode_lanes<&LaneEncoders::mxfp4>},
    Encoder{DType::iq3_s, Importance::optional, encode_lanes<&LaneEncoders::iq3_s>},
    Encoder{DType::iq3_xxs, Importance::optional, encode_lanes<&LaneEncoders::iq3_xxs>},
    Encoder{DType::q2_k, Importance::optional, encode_lanes<&LaneEncoders::q2_k>},
    Encoder{DType::iq2_s, Importance::optional, encode_lanes<&LaneEncoders::iq2_s>},
    Encoder{DType::iq2_xs, Importance::required, encode_lanes<&LaneEncoders::iq2_xs>},
    Encoder{DType::iq2_xxs, Importance::required, encode_lanes<&LaneEncoders::iq2_xxs>},
    Encoder{DType::iq1_m, Importance::optional, encode_lanes<&LaneEncoders::iq1_m>},
    Encoder{DType::iq1_s, Importance::required, encode_lanes<&LaneEncoders::iq1_s>},
    Encoder{DType::tq2_0, Importance::unused, encode_lanes<&LaneEncoders::tq2_0>},
    Encoder{DType::tq1_0, Importance::unused, encode_lanes<&LaneEncoders::tq1_0>},
};

/// Values converted at a time: enough to amortise a read, little enough for the cache of a core.
constexpr std::uint64_t values_at_a_time = std::uint64_t{1} << 16U;

[[noreturn]] void refuse_value(std::span<const float> values, std::span<const float> judged,
                               std::uint64_t first_row, std::uint64_t cols, const std::string& problem,
                               const char* remedy) {
  const auto bad =
      std::find_if(judged.begin(), judged.end(), [](float value) { return !std::isfinite(value); });
  const auto place = static_cast<std::uint64_t>(bad - judged.begin());
  throw Error(ErrorKind::input, problem + " at row " + std::to_string(first_row + place / cols) +
                                    ", column " + std::to_string(place % cols))
      .found(std::to_string(values[place]))
      .remedy(remedy);
}

class QuantizedRows final : public Rows {
 public:
  QuantizedRows(RowsPtr source, const Encoder& encoder, std::shared_ptr<QuantizationError> error,
                std::shared_ptr<const std::vector<float>> importance, ScaleSearch search)
      : Rows(encoder.type, source->rows(), source->cols()),
        source_(std::move(source)),
        encoder_(encoder),
        error_(std::move(error)),
        importance_(std::move(importance)),
        improve_(search == ScaleSearch::better ? find_improver(encoder.type) : nullptr) {}

  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    const std::uint64_t step = std::max<std::uint64_t>(1, values_at_a_time / cols());
    std::vector<float> values(static_cast<std::size_t>(std::min(step, count) * cols()));
    std::vector<float> decoded;
    for (std::uint64_t done = 0; done < count; done += step) {
      const std::uint64_t rows = std::min(step, count - done);
      const std::span<float> piece(values.data(), static_cast<std::size_t>(rows * cols()));
      const std::span<std::byte> place = out.subspan(done * row_bytes(), rows * row_bytes());
      source_->read_f32(first + done, rows, piece);
      const std::uint32_t largest = largest_magnitude_bits(piece);
      if (largest >= 0x7F800000U) {
        refuse_value(piece, piece, first + done, cols(), "a weight is not a finite number",
                     "the checkpoint is damaged or diverged; verify its digests");
      }
      encode(first + done, piece, place);
      const std::vector<float> before = improve(piece, place, decoded);
      // What is not larger than the largest F16 fits in every type and its scales.
      const bool may_overflow = largest > std::bit_cast<std::uint32_t>(65504.0F) && type() != DType::f32;
      if (may_overflow || error_ != nullptr) {
        decoded.resize(piece.size());
        type_info(type()).decode(place.data(), decoded.data(), decoded.size());
      }
      if (may_overflow && largest_magnitude_bits(decoded) >= 0x7F800000U) {
        refuse_value(piece, decoded, first + done, cols(),
                     "a weight is too large for " + std::string(type_info(type()).name),
                     "choose BF16 or F32 for this model");
      }
      if (error_ != nullptr) measure(first + done, piece, decoded, before);
    }
  }

  std::string tally(std::uint64_t first, std::uint64_t count) const override {
    return error_ != nullptr ? error_->tally(first, count) : std::string();
  }
  void restore_tally(std::string_view tally) const override {
    if (error_ == nullptr) return Rows::restore_tally(tally);
    error_->restore(tally);
  }

 private:
  void encode(std::uint64_t first, std::span<const float> values, std::span<std::byte> out) const {
    if (type_info(type()).quantized()) {
      encoder_.encode_rows(values.data(), out.data(), values.size() / cols(), cols(), weights());
    } else {
      // Once from the source's own type: float32 in between would round F64 twice.
      cast_rows(source_, type())->read(first, out.size() / row_bytes(), out);
    }
  }

  const float* weights() const { return importance_ == nullptr ? nullptr : importance_->data(); }

  /// The better search, where there is one. Returns what each row had lost before, when errors are measured.
  std::vector<float> improve(std::span<const float> values, std::span<std::byte> out,
                             std::vector<float>& decoded) const {
    std::vector<float> before;
    if (improve_ == nullptr) return before;
    const auto cols = static_cast<std::size_t>(this->cols());
    if (error_ != nullptr) {
      decoded.resize(values.size());
      type_info(type()).decode(out.data(), decoded.data(), decoded.size());
      for (std::size_t begin = 0; begin < values.size(); begin += cols)
        before.push_back(weighted_error_of_row(&values[begin], &decoded[begin], weights(), cols));
    }
    improve_(values.data(), out.data(), values.size() / cols, cols, weights());
    return before;
  }

  void measure(std::uint64_t first, std::span<const float> values, std::span<const float> decoded,
               std::span<const float> before) const {
    const auto cols = static_cast<std::size_t>(this->cols());
    for (std::size_t row = 0; row < values.size() / cols; ++row) {
      const float* exact = &values[row * cols];
      const float* found = &decoded[row * cols];
      RowError error = error_of_row(exact, found, cols);
      if (!before.empty()) {
        error.before_search = before[row];
        error.after_search = weighted_error_of_row(exact, found, weights(), cols);
      }
      error_->set_row(first + row, error);
    }
  }

  RowsPtr source_;
  const Encoder& encoder_;
  std::shared_ptr<QuantizationError> error_;
  std::shared_ptr<const std::vector<float>> importance_;
  ImproveRows improve_;
};

}  // namespace

std::span<const Encoder> all_encoders() { return table; }

const Encoder* find_encoder(DType type) {
  for (const Encoder& row : table) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

void QuantizationError::set_row(std::uint64_t row, const RowError& error) {
  Row& place = rows_.at(row);
  place.error.store(error.squared_error, std::memory_order_relaxed);
  place.value.store(error.squared_value, std::memory_order_relaxed);
  place.gain.store(error.gain, std::memory_order_relaxed);
  place.largest.store(error.largest, std::memory_order_relaxed);
  place.before_search.store(error.before_search, std::memory_order_relaxed);
  place.after_search.store(error.after_search, std::memory_order_relaxed);
}

std::string QuantizationError::tally(std::uint64_t first, std::uint64_t count) const {
  std::vector<std::byte> bytes;
  append_little_endian(bytes, first, tally_head);
  for (std::uint64_t row = first; row < first + count; ++row) {
    const Row& place = rows_.at(row);
    for (const std::atomic<float>* value :
         {&place.error, &place.value, &place.gain, &place.largest, &place.before_search, &place.after_search})
      append_little_endian(bytes, std::bit_cast<std::uint32_t>(value->load(std::memory_order_relaxed)),
                           tally_width);
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void QuantizationError::restore(std::string_view tally) {
  const LittleEndian numbers(std::as_bytes(std::span(tally)));
  const std::uint64_t first = numbers.u64(0);
  const std::size_t count =
      tally.size() < tally_head ? 0 : (tally.size() - tally_head) / (tally_numbers * tally_width);
  if (tally.size() != tally_head + tally_numbers * count * tally_width || first > rows_.size() ||
      count > rows_.size() - first)
    throw Error(ErrorKind::input, "the journal holds a tally of other rows");
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = tally_head + tally_numbers * i * tally_width;
    const auto number = [&](std::size_t n) {
      return std::bit_cast<float>(numbers.u32(at + n * tally_width));
    };
    set_row(first + i, {number(0), number(1), number(2), number(3), number(4), number(5)});
  }
}

QuantizationError::Sums QuantizationError::sums() const {
  Sums sums;
  for (const Row& row : rows_) {
    sums.error += static_cast<double>(row.error.load(std::memory_order_relaxed));
    sums.value += static_cast<double>(row.value.load(std::memory_order_relaxed));
    sums.gain += static_cast<double>(row.gain.load(std::memory_order_relaxed));
    sums.before_search += static_cast<double>(row.before_search.load(std::memory_order_relaxed));
    sums.after_search += static_cast<double>(row.after_search.load(std::memory_order_relaxed));
  }
  return sums;
}

double QuantizationError::rms_error(std::uint64_t values) const {
  return values == 0 ? 0 : std::sqrt(sums().error / static_cast<double>(values));
}

double QuantizationError::relative_error() const {
  const Sums all = sums();
  if (all.value == 0) return 0;
  const double error = std::sqrt(all.error / all.value);
  return std::isfinite(error) ? error : std::numeric_limits<double>::infinity();
}

double QuantizationError::max_error() const {
  float largest = 0;
  for (const Row& row : rows_) largest = std::max(largest, row.largest.load(std::memory_order_relaxed));
  return static_cast<double>(largest);
}

std::optional<double> QuantizationError::search_gain() const {
  const Sums all = sums();
  if (!(all.before_search > 0) || !std::isfinite(all.before_search)) return std::nullopt;
  return 1 - std::sqrt(all.after_search / all.before_search);
}

double QuantizationError::cosine() const {
  // 2 x.y = x.x + y.y - (y - x).(y - x), in small differences, which single precision holds.
  const Sums all = sums();
  const double decoded = all.value + all.gain;
  if (all.value <= 0 || decoded <= 0) return 1;
  return std::min(1.0, (all.value + (all.gain - all.error) / 2) / std::sqrt(all.value * decoded));
}

RowsPtr quantize_rows(RowsPtr source, DType type, std::shared_ptr<QuantizationError> error,
                      std::shared_ptr<const std::vector<float>> importance, ScaleSearch search) {
  const TypeInfo& info = type_info(type);
  const Encoder* encoder = find_encoder(type);
  if (encoder == nullptr)
    throw Error(ErrorKind::usage, "galatea has no encoder for " + std::string(info.name));
  if (source->type() == type) return source;
  if (source->cols() == 0 || source->cols() % info.block_length != 0) {
    throw Error(ErrorKind::input, "rows are not whole blocks of " + std::string(info.name))
        .expected("a multiple of " + std::to_string(info.block_length) + " columns")
        .found(std::to_string(source->cols()))
        .remedy("choose F16, BF16 or F32 for this tensor");
  }
  if (encoder->importance == Importance::unused) importance = nullptr;
  if (encoder->importance == Importance::required && importance == nullptr) {
    throw Error(ErrorKind::usage, std::string(info.name) + " cannot be written without an importance matrix")
        .remedy("give one with --imatrix, or choose a type that needs none");
  }
  if (importance != nullptr && importance->size() != source->cols()) {
    throw Error(ErrorKind::input, "the importance matrix has not one weight for each column")
        .expected(std::to_string(source->cols()))
        .found(std::to_string(importance->size()));
  }
  return std::make_shared<QuantizedRows>(std::move(source), *encoder, std::move(error), std::move(importance),
                                         search);
}

}  // namespace galatea
