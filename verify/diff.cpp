#include "verify/diff.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "format/error.h"
#include "verify/common_tensors.h"
#include "verify/parallel.h"

namespace galatea {
namespace {

constexpr std::uint64_t chunk_values = std::uint64_t{1} << 18U;

/// Rows of a pair that are compared in one go.
struct Chunk {
  std::size_t pair;
  std::uint64_t first_a, count_a, first_b, count_b;
  bool equal = false;  ///< bytes and types are the same: the sums of squares are still to be taken
  DiffSums sums;
};

struct Pair {
  RowsPtr a, b;
  TensorDiff* out;
};

/// Grows and stays: a thread takes the same memory for every chunk.
template <class T>
std::span<T> scratch(std::vector<T>& store, std::uint64_t size) {
  if (store.size() < size) store.resize(static_cast<std::size_t>(size));
  return std::span(store).first(static_cast<std::size_t>(size));
}

struct Scratch {
  std::vector<std::byte> raw_a, raw_b;
  std::vector<float> float_a, float_b;
  std::vector<double> double_a, double_b;
};

Scratch& thread_scratch() {
  static thread_local Scratch store;
  return store;
}

std::span<std::byte> read_raw(const Rows& rows, std::uint64_t first, std::uint64_t count,
                              std::vector<std::byte>& store) {
  const auto raw = scratch(store, count * rows.row_bytes());
  rows.read(first, count, raw);
  return raw;
}

const float* as_floats(DType type, std::span<const std::byte> raw, std::vector<float>& store,
                       std::uint64_t values) {
  const auto out = scratch(store, values);
  type_info(type).decode(raw.data(), out.data(), values);
  return out.data();
}

const double* as_doubles(DType type, std::span<const std::byte> raw, std::vector<double>& store,
                         std::uint64_t values) {
  const auto out = scratch(store, values);
  widen_to_double(type, raw.data(), out.data(), values);
  return out.data();
}

/// Two different I64 values can be the same float64: they are counted by their bits.
void count_by_bits(std::span<const std::byte> a, std::span<const std::byte> b, DiffSums& sums) {
  sums.differing = 0;
  for (std::uint64_t i = sums.values; i-- > 0;) {
    if (std::memcmp(a.data() + 8 * i, b.data() + 8 * i, 8) == 0) continue;
    ++sums.differing;
    sums.first = i;
  }
}

DiffSums sums_of(DType type_a, std::span<const std::byte> a, DType type_b, std::span<const std::byte> b,
                 std::uint64_t values) {
  Scratch& store = thread_scratch();
  if (!needs_double(type_a) && !needs_double(type_b)) {
    return diff_values(as_floats(type_a, a, store.float_a, values),
                       as_floats(type_b, b, store.float_b, values), values);
  }
  DiffSums sums = diff_values(as_doubles(type_a, a, store.double_a, values),
                              as_doubles(type_b, b, store.double_b, values), values);
  if (type_a == DType::i64 && type_b == DType::i64) count_by_bits(a, b, sums);
  return sums;
}

void compare(const Pair& pair, Chunk& chunk) {
  Scratch& store = thread_scratch();
  const auto a = read_raw(*pair.a, chunk.first_a, chunk.count_a, store.raw_a);
  const auto b = read_raw(*pair.b, chunk.first_b, chunk.count_b, store.raw_b);
  const std::uint64_t values = chunk.count_a * pair.a->cols();
  const bool same_type = pair.a->type() == pair.b->type();
  if (same_type && a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size()) == 0) {
    chunk.equal = true;
    chunk.sums.values = values;
    return;
  }
  chunk.sums = sums_of(pair.a->type(), a, pair.b->type(), b, values);
}

/// The sums of squares of a chunk that is the same on both sides.
void sum_squares(const Pair& pair, Chunk& chunk) {
  const auto a = read_raw(*pair.a, chunk.first_a, chunk.count_a, thread_scratch().raw_a);
  chunk.sums = sums_of(pair.a->type(), a, pair.a->type(), a, chunk.count_a * pair.a->cols());
}

void add_chunks(const Pair& pair, std::size_t index, std::vector<Chunk>& chunks) {
  const std::uint64_t rows = pair.a->rows();
  if (rows == 0 || pair.a->cols() == 0) return;
  if (rows != pair.b->rows()) {  // a quantized vector is one row, a plain one is a column
    chunks.push_back({index, 0, rows, 0, pair.b->rows(), false, {}});
    return;
  }
  const std::uint64_t step = std::clamp<std::uint64_t>(chunk_values / pair.a->cols(), 1, rows);
  for (std::uint64_t first = 0; first < rows; first += step) {
    const std::uint64_t count = std::min(step, rows - first);
    chunks.push_back({index, first, count, first, count, false, {}});
  }
}

std::uint64_t bytes_of(const Pair& pair, const Chunk& chunk, bool both) {
  return chunk.count_a * pair.a->row_bytes() + (both ? chunk.count_b * pair.b->row_bytes() : 0);
}

template <class Work>
void run(std::vector<Chunk>& chunks, const std::vector<std::size_t>& chosen, const std::vector<Pair>& pairs,
         bool both, const char* step, const DiffOptions& options, const Work& work) {
  Progress& progress = options.progress != nullptr ? *options.progress : silent_progress();
  std::uint64_t total = 0;
  for (const std::size_t i : chosen) total += bytes_of(pairs[chunks[i].pair], chunks[i], both);
  progress.begin(step, total, "B");
  for_each_in_order(chosen.size(), options.threads, [&](std::size_t i) {
    throw_if_stopped(progress);
    Chunk& chunk = chunks[chosen[i]];
    const Pair& pair = pairs[chunk.pair];
    try {
      work(pair, chunk);
    } catch (Error& error) {
      error.tensor(pair.out->name);
      throw;
    }
    progress.advance(bytes_of(pair, chunk, both));
  });
  progress.end();
}

void compare_values(const std::vector<Pair>& pairs, const DiffOptions& options) {
  std::vector<Chunk> chunks;
  for (std::size_t i = 0; i < pairs.size(); ++i) add_chunks(pairs[i], i, chunks);
  std::vector<std::size_t> chosen(chunks.size());
  for (std::size_t i = 0; i < chosen.size(); ++i) chosen[i] = i;
  run(chunks, chosen, pairs, true, "comparing", options, compare);
  std::vector<bool> differs(pairs.size());
  for (const Chunk& chunk : chunks) differs[chunk.pair] = differs[chunk.pair] || chunk.sums.differing > 0;
  chosen.clear();
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (chunks[i].equal && differs[chunks[i].pair]) chosen.push_back(i);
  }
  if (!chosen.empty()) run(chunks, chosen, pairs, false, "measuring what is the same", options, sum_squares);
  for (const Chunk& chunk : chunks) pairs[chunk.pair].out->sums.add(chunk.sums);
}

void judge(TensorDiff& diff, const DiffOptions& options) {
  const DiffSums& sums = diff.sums;
  if (diff.status == DiffStatus::shape) return;
  if (sums.differing == 0) {
    diff.status = diff.type_a == diff.type_b ? DiffStatus::same : DiffStatus::other_type;
    return;
  }
  const double measure = options.relative ? diff.relative() : sums.max_abs;
  const bool within = options.tolerance > 0 && sums.not_finite == 0 && measure <= options.tolerance;
  diff.status = within ? DiffStatus::within : DiffStatus::differs;
  diff.failed = !within;
}

TensorDiff one_sided(const Tensor& tensor, DiffStatus side) {
  TensorDiff diff;
  diff.name = tensor.name;
  diff.status = side;
  const bool a = side == DiffStatus::only_a;
  (a ? diff.type_a : diff.type_b) = type_info(tensor.type()).name;
  (a ? diff.shape_a : diff.shape_b) = tensor.shape;
  diff.failed = !is_rotary_table(tensor.name);
  return diff;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

std::vector<ConfigDiff> diff_config(const LlamaConfig& a, const LlamaConfig& b) {
  std::vector<ConfigDiff> out;
  const auto add = [&](const char* field, auto left, auto right, bool counts) {
    if (left == right) return;
    if constexpr (std::is_same_v<decltype(left), double>) {
      out.push_back({field, number(left), number(right), counts});
    } else if constexpr (std::is_same_v<decltype(left), bool>) {
      out.push_back({field, left ? "true" : "false", right ? "true" : "false", counts});
    } else {
      out.push_back({field, std::to_string(left), std::to_string(right), counts});
    }
  };
  add("vocab_size", a.vocab_size, b.vocab_size, true);
  add("hidden_size", a.hidden_size, b.hidden_size, true);
  add("intermediate_size", a.intermediate_size, b.intermediate_size, true);
  add("layers", a.layers, b.layers, true);
  add("heads", a.heads, b.heads, true);
  add("kv_heads", a.kv_heads, b.kv_heads, true);
  add("head_dim", a.head_dim, b.head_dim, true);
  add("rms_norm_eps", a.rms_norm_eps, b.rms_norm_eps, true);
  add("rope_theta", a.rope_theta, b.rope_theta, true);
  add("context", a.context, b.context, false);
  add("tied_embeddings", a.tied_embeddings, b.tied_embeddings, false);
  add("bos_id", a.bos_id, b.bos_id, false);
  add("eos_id", a.eos_id, b.eos_id, false);
  add("unk_id", a.unk_id, b.unk_id, false);
  add("pad_id", a.pad_id, b.pad_id, false);
  return out;
}

}  // namespace

std::string_view to_string(DiffStatus status) {
  switch (status) {
    case DiffStatus::same:
      return "same";
    case DiffStatus::other_type:
      return "other type";
    case DiffStatus::within:
      return "within";
    case DiffStatus::differs:
      return "differs";
    case DiffStatus::shape:
      return "other shape";
    case DiffStatus::only_a:
      return "only in A";
    case DiffStatus::only_b:
      return "only in B";
  }
  return "?";
}

double TensorDiff::relative() const {
  const double a = sums.rms_a();
  if (a > 0) return sums.rms() / a;
  return sums.rms() > 0 ? std::numeric_limits<double>::infinity() : 0;
}

std::size_t DiffReport::count(DiffStatus status) const {
  return static_cast<std::size_t>(std::count_if(
      tensors.begin(), tensors.end(), [&](const TensorDiff& diff) { return diff.status == status; }));
}

bool DiffReport::same() const {
  const auto failed = [](const auto& item) { return item.failed; };
  const bool compared =
      count(DiffStatus::same) + count(DiffStatus::other_type) + count(DiffStatus::within) > 0;
  return compared && std::none_of(tensors.begin(), tensors.end(), failed) &&
         std::none_of(config.begin(), config.end(), failed);
}

std::vector<TensorDiff> diff_tensors(std::span<const Tensor> a, std::span<const Tensor> b,
                                     const DiffOptions& options) {
  std::map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < b.size(); ++i) places.emplace(b[i].name, i);
  std::vector<bool> used(b.size());
  std::vector<TensorDiff> out;
  out.reserve(a.size() + b.size());
  std::vector<Pair> pairs;
  for (const Tensor& left : a) {
    const auto place = places.find(left.name);
    if (place == places.end()) {
      out.push_back(one_sided(left, DiffStatus::only_a));
      continue;
    }
    used[place->second] = true;
    const Tensor& right = b[place->second];
    out.push_back({left.name,
                   DiffStatus::same,
                   std::string(type_info(left.type()).name),
                   std::string(type_info(right.type()).name),
                   left.shape,
                   right.shape,
                   {},
                   false});
    if (left.shape == right.shape) {
      pairs.push_back({left.data, right.data, &out.back()});
      continue;
    }
    out.back().status = DiffStatus::shape;
    out.back().failed = true;
    if (left.shape.size() == 2 && right.shape.size() == 2 && left.shape[1] == right.shape[1]) {
      const std::uint64_t rows = std::min(left.shape[0], right.shape[0]);
      pairs.push_back({slice_rows(left.data, 0, rows), slice_rows(right.data, 0, rows), &out.back()});
    }
  }
  for (std::size_t i = 0; i < b.size(); ++i) {
    if (!used[i]) out.push_back(one_sided(b[i], DiffStatus::only_b));
  }
  compare_values(pairs, options);
  for (TensorDiff& diff : out) {
    if (diff.status == DiffStatus::same || diff.status == DiffStatus::shape) judge(diff, options);
  }
  return out;
}

DiffReport diff_checkpoints(const Checkpoint& a, const Checkpoint& b, const DiffOptions& options) {
  DiffReport report;
  const CommonTensors left = common_tensors(a), right = common_tensors(b);
  for (const std::string& note : left.notes) report.notes.push_back("A: " + note);
  for (const std::string& note : right.notes) report.notes.push_back("B: " + note);
  if (a.has_config() && b.has_config()) report.config = diff_config(a.config(), b.config());
  report.tensors = diff_tensors(left.tensors, right.tensors, options);
  return report;
}

}  // namespace galatea
