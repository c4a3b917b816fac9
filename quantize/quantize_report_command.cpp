#include "quantize/quantize_report_command.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "format/error.h"

namespace galatea::quantize_report {
namespace {

constexpr std::size_t worst_shown = 10;
constexpr std::uint64_t few_chunks = 10;

double bits_of(std::uint64_t bytes, std::uint64_t values) {
  return values == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(values);
}

double share_of(const QuantizedTensor& tensor, const QuantizationPlan& plan) {
  return static_cast<double>(tensor.bytes) / static_cast<double>(plan.size());
}

std::string name_of(DType type) { return std::string(type_info(type).name); }

std::string row(const std::array<std::string, 5>& cells) {
  std::array<char, 200> out{};
  std::snprintf(out.data(), out.size(), "%-26s %7s %15s %7s %12s", cells[0].c_str(), cells[1].c_str(),
                cells[2].c_str(), cells[3].c_str(), cells[4].c_str());
  std::string line = out.data();
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

void print_types(const QuantizationPlan& plan, bool measured, Console& console) {
  console.print(row({"type", "tensors", "bytes", "bits/w", measured ? "worst error" : ""}));
  for (const TypeInfo& type : all_types()) {
    std::uint64_t count = 0, bytes = 0, values = 0;
    double worst = 0;
    for (const QuantizedTensor& tensor : plan.tensors) {
      if (tensor.to != type.type) continue;
      ++count;
      bytes += tensor.bytes;
      values += tensor.values();
      if (measured && tensor.error != nullptr) worst = std::max(worst, tensor.error->relative_error());
    }
    if (count == 0) continue;
    console.print(row({std::string(type.name), std::to_string(count), std::to_string(bytes),
                       text("%.2f", bits_of(bytes, values)), measured ? text("%.3e", worst) : ""}));
  }
}

/// Tensors with a measured error, those that lost most first.
std::vector<const QuantizedTensor*> worst_of(const QuantizationPlan& plan) {
  std::vector<std::pair<double, const QuantizedTensor*>> lost;
  for (const QuantizedTensor& tensor : plan.tensors) {
    if (tensor.error != nullptr) lost.emplace_back(tensor.error->relative_error(), &tensor);
  }
  std::sort(lost.begin(), lost.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second->name < b.second->name;
  });
  if (lost.size() > worst_shown) lost.resize(worst_shown);
  std::vector<const QuantizedTensor*> out;
  for (const auto& [error, tensor] : lost) out.push_back(tensor);
  return out;
}

bool searched(const QuantizationPlan& plan) {
  return std::ranges::any_of(plan.tensors, [](const QuantizedTensor& tensor) {
    return tensor.error != nullptr && tensor.error->search_gain().has_value();
  });
}

/// What the better search has gained, by type: the mean of its tensors.
void print_gains(const QuantizationPlan& plan, Console& console) {
  std::string line;
  for (const TypeInfo& type : all_types()) {
    double sum = 0;
    int count = 0;
    for (const QuantizedTensor& tensor : plan.tensors) {
      if (tensor.to != type.type || tensor.error == nullptr) continue;
      const std::optional<double> gain = tensor.error->search_gain();
      if (!gain) continue;
      sum += *gain;
      ++count;
    }
    if (count == 0) continue;
    line += (line.empty() ? "" : ", ") + std::string(type.name) + text(" %.2f %%", 100 * sum / count);
  }
  if (!line.empty()) console.print("error less by the better search: " + line);
}

/// name, type, bits, share of the file, errors: relative, rms, largest, and 1 - cosine, which is the part of it
/// that can be read; the part of the error that the better search has taken away.
std::string tensor_line(const QuantizedTensor& tensor, const QuantizationPlan& plan, std::size_t width,
                        bool measured) {
  std::string name = printable(tensor.name);
  name.resize(std::max(name.size(), width), ' ');
  std::array<char, 160> out{};
  std::snprintf(out.data(), out.size(), " %7s %12s %6.2f %6.2f %%", name_of(tensor.to).c_str(),
                std::to_string(tensor.bytes).c_str(), bits_of(tensor.bytes, tensor.values()),
                100 * share_of(tensor, plan));
  std::string line = name + out.data();
  if (!measured || tensor.error == nullptr) return line;
  const QuantizationError& error = *tensor.error;
  std::snprintf(out.data(), out.size(), " %10.3e %10.3e %10.3e %10.3e", error.relative_error(),
                error.rms_error(tensor.values()), error.max_error(), 1 - error.cosine());
  line += out.data();
  if (const std::optional<double> gain = error.search_gain()) line += text(" %6.2f %%", 100 * *gain);
  return line;
}

void print_tensors(const QuantizationPlan& plan, bool measured, Console& console) {
  std::size_t width = 6;
  for (const QuantizedTensor& tensor : plan.tensors) width = std::max(width, printable(tensor.name).size());
  std::string head = "tensor";
  head.resize(width, ' ');
  head += "    type        bytes bits/w    share";
  if (measured) head += "      error        rms    largest   1-cosine";
  if (measured && searched(plan)) head += "     gain";
  console.print(head);
  for (const QuantizedTensor& tensor : plan.tensors)
    console.print(tensor_line(tensor, plan, width, measured));
  const std::vector<const QuantizedTensor*> worst = worst_of(plan);
  if (!measured || worst.empty()) return;
  console.print("those that lost most:");
  for (const QuantizedTensor* tensor : worst) console.print(tensor_line(*tensor, plan, width, true));
}

std::string names(const std::vector<std::string>& list) {
  return std::to_string(list.size()) + " (" + list.front() + (list.size() == 1 ? ")" : ", ...)");
}

}  // namespace

std::string text(const char* pattern, double value) {
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), pattern, value);
  return out.data();
}

void print_table(const QuantizationPlan& plan, bool per_tensor, bool measured, Console& console) {
  per_tensor ? print_tensors(plan, measured, console) : print_types(plan, measured, console);
  if (measured) print_gains(plan, console);
}

nlohmann::json document_of(const QuantizationPlan& plan, bool measured) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const QuantizedTensor& tensor : plan.tensors) {
    nlohmann::json entry = {{"name", tensor.name},
                            {"shape", tensor.shape},
                            {"from", name_of(tensor.from)},
                            {"type", name_of(tensor.to)},
                            {"bytes", tensor.bytes},
                            {"bits_per_weight", bits_of(tensor.bytes, tensor.values())},
                            {"share_of_file", share_of(tensor, plan)}};
    if (measured && tensor.error != nullptr) {
      entry["rms_error"] = tensor.error->rms_error(tensor.values());
      entry["relative_error"] = tensor.error->relative_error();
      entry["max_error"] = tensor.error->max_error();
      entry["cosine"] = tensor.error->cosine();
      if (const std::optional<double> gain = tensor.error->search_gain()) entry["search_gain"] = *gain;
    }
    tensors.push_back(std::move(entry));
  }
  nlohmann::json document = {
      {"bytes", plan.size()}, {"bits_per_weight", plan.bits_per_weight()}, {"tensors", std::move(tensors)}};
  if (!measured) return document;
  nlohmann::json worst = nlohmann::json::array();
  for (const QuantizedTensor* tensor : worst_of(plan)) {
    worst.push_back({{"name", tensor->name},
                     {"type", name_of(tensor->to)},
                     {"relative_error", tensor->error->relative_error()}});
  }
  document["worst"] = std::move(worst);
  return document;
}

std::string line_of(const Coverage& coverage) {
  std::string line = coverage.file + ": " + std::to_string(coverage.matrices) + " matrices";
  if (coverage.chunks != 0) line += " over " + std::to_string(coverage.chunks) + " chunks";
  if (coverage.chunks != 0 && coverage.chunks < few_chunks) line += ", which is little text";
  if (!coverage.missing.empty()) line += "; nothing for " + names(coverage.missing);
  if (!coverage.unused.empty())
    line += "; never used, all their columns count alike: " + names(coverage.unused);
  if (!coverage.thin.empty()) line += "; of less than half as much text as others: " + names(coverage.thin);
  return line;
}

nlohmann::json json_of(const Coverage& coverage) {
  return {{"file", coverage.file},     {"dataset", coverage.dataset}, {"matrices", coverage.matrices},
          {"chunks", coverage.chunks}, {"missing", coverage.missing}, {"unused", coverage.unused},
          {"thin", coverage.thin}};
}

}  // namespace galatea::quantize_report
