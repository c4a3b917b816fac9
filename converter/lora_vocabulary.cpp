#include "converter/lora_vocabulary.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "format/error.h"
#include "format/gguf_llama.h"

namespace galatea {
namespace {

constexpr std::string_view head = "lm_head";
constexpr std::string_view embedding = "model.embed_tokens";

bool is_head_or_embedding(std::string_view module) { return module == head || module == embedding; }

class MeanFilledRows final : public Rows {
 public:
  MeanFilledRows(RowsPtr rows, std::uint64_t count)
      : Rows(DType::f32, count, rows->cols()), rows_(std::move(rows)) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    std::vector<float> values(static_cast<std::size_t>(count * cols()));
    const std::uint64_t stored = first < rows_->rows() ? std::min(count, rows_->rows() - first) : 0;
    if (stored > 0)
      rows_->read_f32(first, stored, std::span(values).first(static_cast<std::size_t>(stored * cols())));
    if (stored < count) {
      std::call_once(once_, [&] { compute_mean(); });
      for (std::uint64_t r = stored; r < count; ++r)
        std::copy(mean_.begin(), mean_.end(), values.begin() + static_cast<std::ptrdiff_t>(r * cols()));
    }
    std::memcpy(out.data(), values.data(), out.size());
  }

 private:
  void compute_mean() const {
    const auto width = static_cast<std::size_t>(cols());
    std::vector<double> sums(width, 0.0);
    std::vector<float> row(width);
    for (std::uint64_t r = 0; r < rows_->rows(); ++r) {
      rows_->read_f32(r, 1, row);
      for (std::size_t c = 0; c < width; ++c) sums[c] += double{row[c]};
    }
    mean_.resize(width);
    for (std::size_t c = 0; c < width; ++c)
      mean_[c] = static_cast<float>(sums[c] / static_cast<double>(std::max<std::uint64_t>(rows_->rows(), 1)));
  }

  RowsPtr rows_;
  mutable std::once_flag once_;
  mutable std::vector<float> mean_;
};

/// `rows` with `count` columns: cut, or filled up with zeros.
class ResizedCols final : public Rows {
 public:
  ResizedCols(RowsPtr rows, std::uint64_t count)
      : Rows(DType::f32, rows->rows(), count), rows_(std::move(rows)) {}
  void read(std::uint64_t first, std::uint64_t count, std::span<std::byte> out) const override {
    std::vector<float> stored(static_cast<std::size_t>(rows_->cols()));
    std::vector<float> row(static_cast<std::size_t>(cols()), 0.0F);
    const std::size_t common = std::min(stored.size(), row.size());
    for (std::uint64_t r = 0; r < count; ++r) {
      rows_->read_f32(first + r, 1, stored);
      std::copy_n(stored.begin(), common, row.begin());
      std::memcpy(out.data() + r * row_bytes(), row.data(), static_cast<std::size_t>(row_bytes()));
    }
  }

 private:
  RowsPtr rows_;
};

RowsPtr with_zero_rows(RowsPtr rows, std::uint64_t count) {
  if (count <= rows->rows()) return slice_rows(std::move(rows), 0, count);
  const std::uint64_t more = count - rows->rows();
  const std::vector<float> zeros(static_cast<std::size_t>(more * rows->cols()), 0.0F);
  const std::uint64_t cols = rows->cols();
  return join_rows({cast_rows(std::move(rows), DType::f32), memory_rows(zeros, more, cols)});
}

}  // namespace

VocabularyRule parse_vocabulary_rule(std::string_view text) {
  if (text == "keep") return VocabularyRule::keep;
  if (text == "grow") return VocabularyRule::grow;
  if (text == "trim") return VocabularyRule::trim;
  throw Error(ErrorKind::usage, "no such rule for vocabularies").expected("keep, grow or trim").found(text);
}

std::optional<std::uint64_t> vocabulary_of_weights(const LoraAdapter& adapter) {
  std::optional<std::uint64_t> found;
  const auto see = [&](std::uint64_t count, const std::string& name) {
    if (found && *found != count) {
      throw Error(ErrorKind::input, "the adapter's own tensors have vocabularies of different sizes")
          .file(adapter.path)
          .tensor(name)
          .expected(std::to_string(*found) + " tokens")
          .found(std::to_string(count));
    }
    found = count;
  };
  for (const LoraReplacement& one : adapter.replaced) {
    const std::string_view module = std::string_view(one.name).substr(0, one.name.rfind('.'));
    if (is_head_or_embedding(module) && one.tensor.shape.size() == 2)
      see(one.tensor.shape[0], one.tensor.name);
  }
  for (const LoraTarget& one : adapter.targets) {
    if (one.module == embedding && one.embedding) see(one.down.shape.at(1), one.down.name);
    if (one.module == head && !one.embedding) see(one.up.shape.at(0), one.up.name);
  }
  return found;
}

std::optional<std::uint64_t> vocabulary_of_tokenizer(const LoraAdapter& adapter) {
  if (!std::filesystem::is_directory(adapter.path)) return {};
  std::optional<std::uint64_t> found;
  for (const AddedToken& token : read_added_tokens(adapter.path))
    found = std::max(found.value_or(0), token.id + 1);
  return found;
}

RowsPtr with_row_count(RowsPtr rows, std::uint64_t count) {
  if (count <= rows->rows()) return slice_rows(std::move(rows), 0, count);
  const DType type = rows->type();
  RowsPtr filled = std::make_shared<MeanFilledRows>(std::move(rows), count);
  return type_info(type).floating ? cast_rows(std::move(filled), type) : filled;
}

LoraAdapter with_vocabulary(LoraAdapter adapter, const HfModel& model, std::uint64_t count) {
  for (LoraReplacement& one : adapter.replaced) {
    const std::string_view module = std::string_view(one.name).substr(0, one.name.rfind('.'));
    if (!is_head_or_embedding(module) || one.tensor.shape.size() != 2 || one.tensor.shape[0] == count)
      continue;
    const std::uint64_t own = one.tensor.shape[0];
    if (own > count) {
      one.tensor.data = slice_rows(one.tensor.data, 0, count);
    } else {
      const auto there = std::find_if(model.tensors.begin(), model.tensors.end(),
                                      [&](const Tensor& tensor) { return tensor.name == one.name; });
      if (there == model.tensors.end() || there->data->cols() != one.tensor.data->cols()) continue;
      one.tensor.data = join_rows({cast_rows(one.tensor.data, DType::f32),
                                   cast_rows(slice_rows(there->data, own, count - own), DType::f32)});
    }
    one.tensor.shape[0] = count;
  }
  for (LoraTarget& one : adapter.targets) {
    if (one.module == embedding && one.embedding && one.down.shape[1] != count) {
      one.down.data = std::make_shared<ResizedCols>(one.down.data, count);
      one.down.shape[1] = count;
    }
    if (one.module == head && !one.embedding && one.up.shape[0] != count) {
      one.up.data = with_zero_rows(one.up.data, count);
      one.up.shape[0] = count;
    }
  }
  return adapter;
}

}  // namespace galatea
