#include "converter/low_rank.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <utility>

#include "converter/lora_product.h"
#include "format/error.h"

namespace galatea {
namespace {

constexpr std::uint64_t oversampling = 16;
constexpr int power_iterations = 2;
constexpr std::uint64_t block_bytes = std::uint64_t{8} << 20U;
constexpr std::uint64_t piece = 256;  // of the sums in float32
constexpr std::size_t lanes = 8;

/// `count` vectors of `width` values, one after another.
struct Vectors {
  std::size_t count = 0, width = 0;
  std::vector<double> values{};

  Vectors(std::uint64_t n, std::uint64_t w)
      : count(static_cast<std::size_t>(n)), width(static_cast<std::size_t>(w)), values(count * width, 0.0) {}
  std::span<double> at(std::size_t i) { return std::span(values).subspan(i * width, width); }
  std::span<const double> at(std::size_t i) const { return std::span(values).subspan(i * width, width); }
};

/// In eight sums, so that lanes can be used; the order is fixed.
double dot(std::span<const double> a, std::span<const double> b) {
  std::array<double, lanes> sums{};
  const std::size_t whole = a.size() - a.size() % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  for (std::size_t i = whole; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void add_scaled(std::span<double> to, double factor, std::span<const double> from) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] += factor * from[i];
}

/// Gram and Schmidt's, each vector freed twice of those before it. What is left of a vector that depended on
/// them becomes zero. With `triangle` (count x count) the vectors are triangle * what they become.
void orthonormalize(Vectors& vectors, Vectors* triangle = nullptr) {
  for (std::size_t i = 0; i < vectors.count; ++i) {
    const std::span<double> own = vectors.at(i);
    const double before = std::sqrt(dot(own, own));
    for (int round = 0; round < 2; ++round) {
      for (std::size_t j = 0; j < i; ++j) {
        const double part = dot(own, vectors.at(j));
        add_scaled(own, -part, vectors.at(j));
        if (triangle != nullptr) triangle->at(i)[j] += part;
      }
    }
    const double length = std::sqrt(dot(own, own));
    const bool depends = !(length > before * 1e-12);
    for (double& value : own) value = depends ? 0.0 : value / length;
    if (triangle != nullptr) triangle->at(i)[i] = depends ? 0.0 : length;
  }
}

std::uint64_t rows_of_block(const Rows& matrix) {
  return std::max<std::uint64_t>(1, block_bytes / sizeof(float) / std::max<std::uint64_t>(matrix.cols(), 1));
}

/// Calls work(first row, rows, values) for every block of the matrix.
template <class Work>
void for_each_block(const Rows& matrix, const Progress& progress, const Work& work) {
  const std::uint64_t step = rows_of_block(matrix);
  std::vector<float> values;
  for (std::uint64_t first = 0; first < matrix.rows(); first += step) {
    if (progress.stop_requested()) throw interrupted();
    const std::uint64_t count = std::min(step, matrix.rows() - first);
    values.resize(static_cast<std::size_t>(count * matrix.cols()));
    matrix.read_f32(first, count, values);
    work(first, count, std::span<const float>(values));
  }
}

/// The vectors as the columns of a row-major matrix in float32: width x count.
std::vector<float> as_columns(const Vectors& vectors) {
  std::vector<float> out(vectors.values.size());
  for (std::size_t i = 0; i < vectors.count; ++i) {
    for (std::size_t j = 0; j < vectors.width; ++j)
      out[j * vectors.count + i] = static_cast<float>(vectors.at(i)[j]);
  }
  return out;
}

/// The columns of matrix * right; `right` is cols x count.
Vectors times(const Rows& matrix, const std::vector<float>& right, std::uint64_t count,
              const Progress& progress) {
  Vectors out(count, matrix.rows());
  std::vector<float> left, part;
  for_each_block(matrix, progress,
                 [&](std::uint64_t first, std::uint64_t rows, std::span<const float> block) {
                   part.resize(static_cast<std::size_t>(rows * count));
                   for (std::uint64_t at = 0; at < matrix.cols(); at += piece) {
                     const std::uint64_t width = std::min(piece, matrix.cols() - at);
                     left.resize(static_cast<std::size_t>(rows * width));
                     for (std::uint64_t r = 0; r < rows; ++r)
                       std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(r * matrix.cols() + at), width,
                                   left.begin() + static_cast<std::ptrdiff_t>(r * width));
                     lora_product(left, std::span(right).subspan(at * count, width * count), part, width);
                     for (std::uint64_t r = 0; r < rows; ++r) {
                       for (std::uint64_t c = 0; c < count; ++c)
                         out.at(static_cast<std::size_t>(c))[first + r] += double{part[r * count + c]};
                     }
                   }
                 });
  return out;
}

/// Each of the vectors (as long as the matrix has rows) times the matrix.
Vectors times(const Vectors& vectors, const Rows& matrix, const Progress& progress) {
  Vectors out(vectors.count, matrix.cols());
  std::vector<float> left, part(out.values.size());
  for_each_block(
      matrix, progress, [&](std::uint64_t first, std::uint64_t rows, std::span<const float> block) {
        for (std::uint64_t at = 0; at < rows; at += piece) {
          const std::uint64_t width = std::min(piece, rows - at);
          left.resize(static_cast<std::size_t>(vectors.count * width));
          for (std::size_t v = 0; v < vectors.count; ++v) {
            for (std::uint64_t r = 0; r < width; ++r)
              left[v * width + r] = static_cast<float>(vectors.at(v)[first + at + r]);
          }
          lora_product(left, block.subspan(at * matrix.cols(), width * matrix.cols()), part, width);
          for (std::size_t i = 0; i < part.size(); ++i) out.values[i] += double{part[i]};
        }
      });
  return out;
}

/// +1 and -1, cols x count; for as many as there are columns the columns themselves.
std::vector<float> signs(std::uint64_t cols, std::uint64_t count) {
  std::vector<float> out(static_cast<std::size_t>(cols * count), 0.0F);
  if (count == cols) {
    for (std::uint64_t i = 0; i < cols; ++i) out[i * cols + i] = 1.0F;
    return out;
  }
  for (std::uint64_t i = 0; i < out.size(); ++i) {
    std::uint64_t z = (i + 1) * 0x9E3779B97F4A7C15U;  // splitmix64
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    out[i] = ((z ^ (z >> 31U)) >> 63U) == 0 ? 1.0F : -1.0F;
  }
  return out;
}

/// Turns the rows of `rows` until each two are orthogonal: turns * (what they were) = what they become.
void rotate_to_orthogonal(Vectors& rows, Vectors& turns) {
  constexpr int most_sweeps = 40;
  double largest = 0;
  for (std::size_t i = 0; i < rows.count; ++i) largest = std::max(largest, dot(rows.at(i), rows.at(i)));
  for (int sweep = 0; sweep < most_sweeps; ++sweep) {
    bool turned = false;
    for (std::size_t p = 0; p + 1 < rows.count; ++p) {
      for (std::size_t q = p + 1; q < rows.count; ++q) {
        const double a = dot(rows.at(p), rows.at(p));
        const double b = dot(rows.at(q), rows.at(q));
        const double c = dot(rows.at(p), rows.at(q));
        if (!(std::fabs(c) > 1e-13 * std::sqrt(a * b)) || std::min(a, b) < largest * 1e-28) continue;
        turned = true;
        const double zeta = (b - a) / (2 * c);
        const double tangent = std::copysign(1.0, zeta) / (std::fabs(zeta) + std::sqrt(1 + zeta * zeta));
        const double cosine = 1 / std::sqrt(1 + tangent * tangent);
        const double sine = cosine * tangent;
        for (Vectors* const both : {&rows, &turns}) {
          const std::span<double> x = both->at(p), y = both->at(q);
          for (std::size_t i = 0; i < x.size(); ++i) {
            const double old = x[i];
            x[i] = cosine * old - sine * y[i];
            y[i] = sine * old + cosine * y[i];
          }
        }
      }
    }
    if (!turned) return;
  }
}

/// out[r] = factors[r] * sum over j of weights[order[r]][j] * vectors[j].
Vectors combined(const Vectors& weights, std::span<const std::size_t> order, std::span<const double> factors,
                 const Vectors& vectors) {
  Vectors out(order.size(), vectors.width);
  for (std::size_t r = 0; r < order.size(); ++r) {
    for (std::size_t j = 0; j < vectors.count; ++j)
      add_scaled(out.at(r), factors[r] * weights.at(order[r])[j], vectors.at(j));
  }
  return out;
}

void require_finite(const Vectors& vectors) {
  if (std::all_of(vectors.values.begin(), vectors.values.end(), [](double x) { return std::isfinite(x); }))
    return;
  throw Error(ErrorKind::input, "the weights hold values that are not finite")
      .expected("finite values in both models")
      .found("NaN or infinity in their difference");
}

class Difference final : public Rows {
 public:
  Difference(RowsPtr after, RowsPtr before)
      : Rows(DType::f32, after->rows(), after->cols()),
        after_(std::move(after)),
        before_(std::move(before)) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    std::vector<float> values(static_cast<std::size_t>(count * cols()));
    read_f32(first, count, values);
    std::memcpy(out.data(), values.data(), out.size());
  }
  void read_f32(std::uint64_t first, std::uint64_t count, std::span<float> out) const override {
    std::vector<float> before(out.size());
    before_->read_f32(first, count, before);
    after_->read_f32(first, count, out);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] -= before[i];
  }

 private:
  RowsPtr after_, before_;
};

}  // namespace

std::vector<float> transposed(const std::vector<float>& values, std::uint64_t rows, std::uint64_t cols) {
  std::vector<float> out(values.size());
  for (std::uint64_t r = 0; r < rows; ++r) {
    for (std::uint64_t c = 0; c < cols; ++c) out[c * rows + r] = values[r * cols + c];
  }
  return out;
}

LowRank low_rank(const Rows& matrix, std::uint64_t rank, const Progress& progress) {
  const std::uint64_t least = std::min(matrix.rows(), matrix.cols());
  if (rank == 0 || rank > least) {
    throw Error(ErrorKind::usage, "a matrix has no approximation of that rank")
        .expected("1 to " + std::to_string(least))
        .found(std::to_string(rank));
  }
  const std::uint64_t k = std::min(rank + oversampling, least);
  Vectors q = times(matrix, signs(matrix.cols(), k), k, progress);
  require_finite(q);
  orthonormalize(q);
  for (int i = 0; i < power_iterations; ++i) {
    Vectors p = times(q, matrix, progress);
    orthonormalize(p);
    q = times(matrix, as_columns(p), k, progress);
    orthonormalize(q);
  }
  Vectors p = times(q, matrix, progress);
  require_finite(p);
  Vectors core(k, k), turns(k, k);
  orthonormalize(p, &core);
  for (std::size_t i = 0; i < turns.count; ++i) turns.at(i)[i] = 1.0;
  rotate_to_orthogonal(core, turns);

  std::vector<double> lengths(core.count);
  for (std::size_t i = 0; i < core.count; ++i) lengths[i] = std::sqrt(dot(core.at(i), core.at(i)));
  std::vector<std::size_t> order(core.count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return lengths[a] > lengths[b]; });
  order.resize(static_cast<std::size_t>(rank));
  std::vector<double> of_up(order.size()), of_down(order.size());
  LowRank out{.rank = rank};
  for (std::size_t r = 0; r < order.size(); ++r) {
    const double length = lengths[order[r]];
    out.singular.push_back(length);
    of_up[r] = std::sqrt(length);
    of_down[r] = length > 0 ? 1 / std::sqrt(length) : 0;
  }
  out.up = as_columns(combined(turns, order, of_up, q));
  const Vectors down = combined(core, order, of_down, p);
  out.down.assign(down.values.begin(), down.values.end());
  return out;
}

LowRankError low_rank_error(const Rows& matrix, const std::vector<float>& up, const std::vector<float>& down,
                            std::uint64_t rank) {
  std::vector<float> product;
  double squares = 0, missed = 0;
  for_each_block(matrix, silent_progress(),
                 [&](std::uint64_t first, std::uint64_t rows, std::span<const float> block) {
                   product.resize(block.size());
                   lora_product(std::span(up).subspan(first * rank, rows * rank), down, product, rank);
                   std::array<double, lanes> all{}, left{};
                   for (std::size_t i = 0; i < block.size(); ++i) {
                     const double difference = double{block[i]} - double{product[i]};
                     all[i % lanes] += double{block[i]} * double{block[i]};
                     left[i % lanes] += difference * difference;
                   }
                   for (std::size_t lane = 0; lane < lanes; ++lane) {
                     squares += all[lane];
                     missed += left[lane];
                   }
                 });
  return {std::sqrt(squares), std::sqrt(missed)};
}

RowsPtr difference_rows(RowsPtr after, RowsPtr before) {
  if (after->rows() != before->rows() || after->cols() != before->cols())
    throw Error(ErrorKind::usage, "matrices of different extents have no difference");
  return std::make_shared<Difference>(std::move(after), std::move(before));
}

}  // namespace galatea
