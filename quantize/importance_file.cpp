#include "quantize/importance_file.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "format/checked.h"
#include "format/error.h"
#include "format/gguf.h"
#include "format/source.h"

namespace galatea {
namespace {

constexpr std::uint64_t most_matrices = 100'000;
constexpr std::uint64_t most_name_bytes = 1000;
constexpr std::uint64_t most_columns = std::uint64_t{1} << 24U;

void keep(ImportanceFile& out, const ByteSource& source, const std::string& name,
          std::vector<float> weights) {
  const auto bad = std::find_if(weights.begin(), weights.end(),
                                [](float weight) { return !std::isfinite(weight) || weight < 0.0F; });
  if (bad != weights.end()) {
    throw Error(ErrorKind::input, "a weight of the importance matrix is negative or no finite number")
        .file(source.name())
        .tensor(name)
        .found(std::to_string(*bad) + " for column " + std::to_string(bad - weights.begin()))
        .remedy("the calibration broke down; compute the importance matrix again, from F16 or BF16 weights");
  }
  if (!out.weights.emplace(name, std::make_shared<std::vector<float>>(std::move(weights))).second) {
    throw Error(ErrorKind::input, "the importance matrix has a tensor twice")
        .file(source.name())
        .tensor(name);
  }
}

/// The matrices that were used, but much less than others: a text that broke off, experts.
std::vector<std::string> thin_of(const std::map<std::string, double>& counts) {
  double most = 0;
  for (const auto& [name, count] : counts) most = std::max(most, count);
  std::vector<std::string> thin;
  for (const auto& [name, count] : counts) {
    if (count > 0 && count < most / 2) thin.push_back(name);
  }
  return thin;
}

/// Reads the .dat form front to back; every length is held against the file before memory is taken.
class OldFile {
 public:
  explicit OldFile(SourcePtr source) : source_(std::move(source)) {}

  ImportanceFile read() {
    ImportanceFile out;
    const std::uint64_t count = number("number of matrices", most_matrices);
    for (std::uint64_t i = 0; i < count; ++i) read_matrix(out);
    if (count == 0) fail("an importance matrix without tensors", "");
    out.thin = thin_of(counts_);
    if (at_ + 4 <= source_->size()) out.chunks = number("number of chunks", INT32_MAX);
    if (at_ + 4 <= source_->size()) out.dataset = text(number("length of a name", most_name_bytes));
    return out;
  }

 private:
  [[noreturn]] void fail(const std::string& problem, const std::string& found) {
    throw Error(ErrorKind::input, problem)
        .file(source_->name())
        .at(at_)
        .found(found)
        .remedy("an importance matrix is what llama-imatrix writes, a GGUF or the older .dat");
  }

  std::uint64_t number(const char* what, std::uint64_t most) {
    const std::vector<std::byte> bytes = source_->read(at_, 4);
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) value |= std::to_integer<std::uint32_t>(bytes[i]) << (8 * i);
    if (value > most) fail(std::string("not a ") + what, std::to_string(value));
    at_ += 4;
    return value;
  }

  std::string text(std::uint64_t length) {
    const std::vector<std::byte> bytes = source_->read(at_, length);
    at_ += length;
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  void read_matrix(ImportanceFile& out) {
    const std::string name = text(number("length of a name", most_name_bytes));
    const std::uint64_t chunks = number("number of chunks", INT32_MAX);
    const std::uint64_t columns = number("number of columns", most_columns);
    std::vector<float> weights = memory_floats(columns);
    if (chunks == 0) out.unused.push_back(name);
    counts_[name] = static_cast<double>(chunks);
    for (float& weight : weights) weight = chunks == 0 ? 1.0F : weight / static_cast<float>(chunks);
    keep(out, *source_, name, std::move(weights));
  }

  std::vector<float> memory_floats(std::uint64_t count) {
    const std::vector<std::byte> bytes = source_->read(at_, 4 * count);
    at_ += 4 * count;
    std::vector<float> values(static_cast<std::size_t>(count));
    type_info(DType::f32).decode(bytes.data(), values.data(), count);
    return values;
  }

  SourcePtr source_;
  std::uint64_t at_ = 0;
  std::map<std::string, double> counts_;
};

constexpr std::string_view sums_ending = ".in_sum2";

ImportanceFile read_gguf(const GgufFile& file, const ByteSource& source) {
  ImportanceFile out;
  if (const std::string* type = file.get_string("general.type"); type == nullptr || *type != "imatrix") {
    throw Error(ErrorKind::input, "this GGUF is no importance matrix")
        .file(source.name())
        .expected("general.type imatrix")
        .found(type == nullptr ? "none" : *type);
  }
  out.chunks = file.get_unsigned("imatrix.chunk_count").value_or(0);
  if (const auto* sets = file.get_strings("imatrix.datasets"); sets != nullptr && !sets->empty()) {
    out.dataset = sets->front();
  }
  std::map<std::string, const Tensor*, std::less<>> by_name;
  std::map<std::string, double> all_counts;
  for (const Tensor& tensor : file.tensors()) by_name.emplace(tensor.name, &tensor);
  for (const Tensor& tensor : file.tensors()) {
    if (!tensor.name.ends_with(sums_ending)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - sums_ending.size());
    const auto counts = by_name.find(name + ".counts");
    const bool plain = counts != by_name.end() && tensor.type() == DType::f32 && tensor.data->rows() == 1 &&
                       tensor.data->cols() <= most_columns && counts->second->type() == DType::f32 &&
                       element_count(counts->second->shape) == 1;
    if (!plain) {
      throw Error(ErrorKind::input, "an importance matrix needs sums and one count for each tensor, both F32")
          .file(source.name())
          .tensor(name)
          .remedy("those of models with experts are not read");
    }
    const float count = read_all_f32(*counts->second).front();
    std::vector<float> weights = read_all_f32(tensor);
    if (!std::isfinite(count) || count < 0.0F) {
      throw Error(ErrorKind::input, "the count of an importance matrix is negative or no finite number")
          .file(source.name())
          .tensor(name)
          .found(std::to_string(count));
    }
    const bool used = count > 0.0F;
    if (!used) out.unused.push_back(name);
    all_counts[name] = static_cast<double>(count);
    for (float& weight : weights) weight = used ? weight / count : 1.0F;
    keep(out, source, name, std::move(weights));
  }
  if (out.weights.empty()) {
    throw Error(ErrorKind::input, "an importance matrix without tensors").file(source.name());
  }
  out.thin = thin_of(all_counts);
  return out;
}

bool contains_one(const std::string& name, const std::vector<std::string>& parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [&](const std::string& part) { return name.find(part) != std::string::npos; });
}

}  // namespace

ImportanceFile read_importance_file(const std::filesystem::path& path) {
  const SourcePtr source = open_file(path);
  if (GgufFile::recognise(*source)) return read_gguf(GgufFile::open(path), *source);
  return OldFile(source).read();
}

void select_importance(ImportanceMatrix& weights, const std::vector<std::string>& include,
                       const std::vector<std::string>& exclude) {
  std::erase_if(weights, [&](const auto& entry) {
    return (!include.empty() && !contains_one(entry.first, include)) || contains_one(entry.first, exclude);
  });
}

std::vector<std::string> without_importance(const ImportanceMatrix& weights,
                                            const std::vector<Tensor>& tensors) {
  std::vector<std::string> missing;
  for (const Tensor& tensor : tensors) {
    if (tensor.shape.size() < 2) continue;
    const auto found = weights.find(tensor.name);
    if (found == weights.end()) {
      if (tensor.name != "token_embd.weight" && tensor.name != "output.weight")
        missing.push_back(tensor.name);
      continue;
    }
    if (found->second->size() == tensor.shape.back()) continue;
    throw Error(ErrorKind::input, "the importance matrix is of another model")
        .tensor(tensor.name)
        .expected(std::to_string(tensor.shape.back()) + " weights")
        .found(std::to_string(found->second->size()));
  }
  return missing;
}

}  // namespace galatea
