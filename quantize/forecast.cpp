#include "quantize/forecast.h"

#include <omp.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <span>
#include <tuple>
#include <vector>

#include "format/amount.h"
#include "format/error.h"
#include "format/hash.h"

namespace galatea {
namespace {

constexpr std::uint64_t program_itself = std::uint64_t{24} << 20U;  // code, libraries, buffers of the system
constexpr std::uint64_t for_a_thread = std::uint64_t{1} << 20U;     // stack and heap that it touches
constexpr std::uint64_t values_at_a_time = std::uint64_t{1} << 16U;
constexpr std::uint64_t bytes_for_a_row_error = 24;
constexpr std::uint64_t smallest_chunk = std::uint64_t{64} << 10U;
constexpr double shortest_sample = 0.02;

using Clock = std::chrono::steady_clock;

int threads_of(const WriteOptions& options) {
  return options.threads > 0 ? options.threads : omp_get_max_threads();
}

/// What a thread holds while it makes a piece: the piece, its values as float32, decoded again, and as stored.
std::uint64_t bytes_for_a_thread(const QuantizationPlan& plan, std::uint64_t chunk_bytes) {
  std::uint64_t most = 0;
  for (const QuantizedTensor& tensor : plan.tensors) {
    const Rows& rows = *tensor.source;
    const std::uint64_t row_bytes = tensor.bytes / std::max<std::uint64_t>(1, rows.rows());
    const std::uint64_t piece = std::max(chunk_bytes, row_bytes);
    const std::uint64_t step = std::max(values_at_a_time, rows.cols());
    const std::uint64_t stored = 8;  // of a value of any type, and of what it is cast from
    most = std::max(most, std::min(piece, tensor.bytes) + step * (2 * sizeof(float) + stored));
  }
  return most + for_a_thread;
}

/// Names, metadata and errors.
std::uint64_t bytes_of_tables(const QuantizationPlan& plan) {
  std::uint64_t bytes = 0;
  for (const FileLayout& file : plan.files) {
    for (const Segment& segment : file.segments) {
      // The header once, the values it was made of with their places in memory twice.
      if (const auto* literal = std::get_if<LiteralSegment>(&segment)) bytes += 6 * literal->bytes.size();
    }
  }
  for (const QuantizedTensor& tensor : plan.tensors) {
    bytes += 4096;
    if (tensor.error != nullptr) bytes += bytes_for_a_row_error * tensor.source->rows();
  }
  return bytes;
}

struct Kind {
  DType from, to;
  bool weighted;
  std::uint64_t cols;
  auto operator<=>(const Kind&) const = default;  // NOLINT(modernize-use-nullptr): its zero is the language's
};

/// Every thread reads rows of its own; values a second of all together.
double values_per_second(const Rows& rows, int threads) {
  const std::uint64_t share = std::max<std::uint64_t>(1, rows.rows() / static_cast<std::uint64_t>(threads));
  std::uint64_t count = std::min(share, std::max<std::uint64_t>(1, values_at_a_time / rows.cols()));
  std::exception_ptr failure;
  std::mutex guard;
  for (;;) {
    const auto begin = Clock::now();
#pragma omp parallel num_threads(threads)
    {
      try {
        const auto mine = static_cast<std::uint64_t>(omp_get_thread_num());
        const std::uint64_t first = std::min(mine * share, rows.rows() - count);
        std::vector<std::byte> out(static_cast<std::size_t>(count * rows.row_bytes()));
        rows.read(first, count, out);
      } catch (...) {
        const std::scoped_lock lock(guard);
        failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (seconds >= shortest_sample || count == share) {
      return static_cast<double>(count * rows.cols() * static_cast<std::uint64_t>(threads)) /
             std::max(seconds, 1e-9);
    }
    count = std::min(share, 4 * count);
  }
}

/// SHA-256 of what is written, which one thread at a time takes.
double hashed_bytes_per_second() {
  const std::vector<std::byte> bytes(std::size_t{8} << 20U);
  Hasher hasher(HashKind::sha256);
  const auto begin = Clock::now();
  hasher.update(bytes);
  hasher.finish();
  return static_cast<double>(bytes.size()) /
         std::max(1e-9, std::chrono::duration<double>(Clock::now() - begin).count());
}

/// Is there a value whose exponent is all ones?
template <class Bits>
bool has_exponent(std::span<const std::byte> bytes, Bits exponent) {
  const std::size_t count = bytes.size() / sizeof(Bits);
  unsigned found = 0;
  for (std::size_t i = 0; i < count; ++i) {
    Bits value;
    std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
    found |= (value & exponent) == exponent ? 1U : 0U;
  }
  return found != 0;
}

/// By the stored bits alone; true too for types that have to be decoded to know.
bool may_be_infinite(const Rows& rows, std::uint64_t first, std::uint64_t count) {
  if (rows.type() != DType::f16 && rows.type() != DType::bf16 && rows.type() != DType::f32) return true;
  std::vector<std::byte> bytes(static_cast<std::size_t>(count * rows.row_bytes()));
  rows.read(first, count, bytes);
  if (rows.type() == DType::f32) return has_exponent<std::uint32_t>(bytes, 0x7F800000U);
  return has_exponent<std::uint16_t>(bytes, rows.type() == DType::f16 ? 0x7C00U : 0x7F80U);
}

void require_finite(const QuantizedTensor& tensor, std::uint64_t first, std::uint64_t count) {
  const Rows& rows = *tensor.source;
  if (!may_be_infinite(rows, first, count)) return;
  std::vector<float> values(static_cast<std::size_t>(count * rows.cols()));
  rows.read_f32(first, count, values);
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float value) { return !std::isfinite(value); });
  if (bad == values.end()) return;
  const auto place = static_cast<std::uint64_t>(bad - values.begin());
  throw Error(ErrorKind::input, "a weight is not a finite number at row " +
                                    std::to_string(first + place / rows.cols()) + ", column " +
                                    std::to_string(place % rows.cols()))
      .file(tensor.file)
      .tensor(tensor.name)
      .found(std::to_string(*bad))
      .remedy("the checkpoint is damaged or diverged; verify its digests");
}

}  // namespace

std::uint64_t peak_memory(const QuantizationPlan& plan, const WriteOptions& options) {
  const auto threads = static_cast<std::uint64_t>(threads_of(options));
  return program_itself + bytes_of_tables(plan) +
         (threads + 1) * bytes_for_a_thread(plan, options.chunk_bytes);
}

void fit_into_memory(const QuantizationPlan& plan, std::uint64_t limit, WriteOptions& options) {
  options.threads = threads_of(options);
  while (peak_memory(plan, options) > limit) {
    if (options.chunk_bytes > smallest_chunk) {
      options.chunk_bytes /= 2;
    } else if (options.threads > 1) {
      --options.threads;
    } else {
      throw Error(ErrorKind::usage, "the model cannot be quantized in so little memory")
          .expected("at least " +
                    amount(std::ceil(static_cast<double>(peak_memory(plan, options)) / 1e6) * 1e6, "B"))
          .found(std::to_string(limit) + " bytes");
    }
  }
}

double expected_seconds(const QuantizationPlan& plan, const WriteOptions& options) {
  const int threads = threads_of(options);
  std::map<Kind, std::pair<const QuantizedTensor*, double>> kinds;
  std::map<std::string, RowsPtr, std::less<>> written;
  double bytes = 0;
  for (const FileLayout& file : plan.files) {
    bytes += static_cast<double>(file.size());
    for (const Tensor& tensor : file.tensors) written.emplace(tensor.name, tensor.data);
  }
  for (const QuantizedTensor& tensor : plan.tensors) {
    auto& [largest, values] = kinds[{tensor.from, tensor.to, tensor.weighted, tensor.source->cols()}];
    if (largest == nullptr || largest->values() < tensor.values()) largest = &tensor;
    values += static_cast<double>(tensor.values());
  }
  double seconds = 0;
  for (const auto& [kind, work] : kinds) {
    const auto& [largest, values] = work;
    seconds += values / values_per_second(*written.at(largest->name), threads);
  }
  return std::max(seconds + bytes / hashed_bytes_per_second() / threads, bytes / hashed_bytes_per_second());
}

void require_finite_sources(const QuantizationPlan& plan, Progress& progress) {
  std::uint64_t total = 0;
  for (const QuantizedTensor& tensor : plan.tensors) total += tensor.values();
  progress.begin("looking for NaN and infinities", total, "values");
  for (const QuantizedTensor& tensor : plan.tensors) {
    const Rows& rows = *tensor.source;
    const std::uint64_t step = std::max<std::uint64_t>(1, 4 * values_at_a_time / rows.cols());
    const auto pieces = static_cast<std::int64_t>((rows.rows() + step - 1) / step);
    if (type_info(rows.type()).floating || type_info(rows.type()).quantized()) {
      std::mutex mutex;
      std::exception_ptr failure;
      std::int64_t failed_at = pieces;
#pragma omp parallel for schedule(dynamic)
      for (std::int64_t piece = 0; piece < pieces; ++piece) {
        try {
          const std::uint64_t first = static_cast<std::uint64_t>(piece) * step;
          if (!progress.stop_requested()) require_finite(tensor, first, std::min(step, rows.rows() - first));
        } catch (...) {
          const std::scoped_lock lock(mutex);
          if (piece < failed_at) {
            failed_at = piece;
            failure = std::current_exception();
          }
        }
      }
      if (failure) std::rethrow_exception(failure);
    }
    if (progress.stop_requested()) throw interrupted();
    progress.advance(tensor.values());
  }
  progress.end();
}

}  // namespace galatea
