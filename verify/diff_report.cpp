#include "verify/diff_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include <nlohmann/json.hpp>

#include "format/amount.h"
#include "format/error.h"

namespace galatea {
namespace {

constexpr std::array all_statuses = {DiffStatus::same,    DiffStatus::other_type, DiffStatus::within,
                                     DiffStatus::differs, DiffStatus::shape,      DiffStatus::only_a,
                                     DiffStatus::only_b};

bool one_sided(const TensorDiff& diff) {
  return diff.status == DiffStatus::only_a || diff.status == DiffStatus::only_b;
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

/// "[3, 17]" of the value at `index` in row-major order.
std::string place(std::uint64_t index, const Shape& shape) {
  Shape at(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    at[axis] = index % shape[axis];
    index /= shape[axis];
  }
  return to_string(at);
}

std::string numbers_line(const TensorDiff& diff) {
  const DiffSums& sums = diff.sums;
  std::string out = amount(static_cast<double>(sums.differing), "") + " of " +
                    amount(static_cast<double>(sums.values), "") + " values";
  out += ", largest " + number(sums.max_abs) + ", RMS " + number(sums.rms());
  if (std::isfinite(diff.relative())) out += " (" + number(100 * diff.relative()) + " % of A's)";
  if (const auto cosine = sums.cosine()) out += ", cosine " + number(*cosine);
  if (sums.not_finite > 0) {
    out += ", " + amount(static_cast<double>(sums.not_finite), "") + " with a NaN or infinity on one side";
  }
  return out + ", first at " + place(sums.first, diff.shape_a);
}

std::string tensor_text(const TensorDiff& diff) {
  std::string status(to_string(diff.status));
  status.resize(12, ' ');
  std::string out = "  " + status + printable(diff.name) + "  ";
  if (one_sided(diff)) {
    const bool a = diff.status == DiffStatus::only_a;
    out += (a ? diff.type_a : diff.type_b) + " " + to_string(a ? diff.shape_a : diff.shape_b);
    if (!diff.failed) out += "  (follows from the configuration: not counted)";
    return out + "\n";
  }
  out += diff.type_a + " " + to_string(diff.shape_a);
  if (diff.shape_a != diff.shape_b) {
    out += " and " + diff.type_b + " " + to_string(diff.shape_b);
  } else if (diff.type_a != diff.type_b) {
    out += " and " + diff.type_b;
  }
  out += "\n";
  const std::string indent(14, ' ');
  if (diff.sums.differing > 0) {
    out += indent + numbers_line(diff) + "\n";
  } else if (diff.status == DiffStatus::shape && diff.sums.values > 0) {
    out += indent + "the rows that both have are the same\n";
  }
  return out;
}

/// Missing and misshapen ones, then by how much they differ.
int group(const TensorDiff& diff) {
  if (one_sided(diff)) return diff.failed ? 0 : 4;
  return diff.status == DiffStatus::shape ? 1 : diff.sums.differing > 0 ? 2 : 3;
}

std::vector<const TensorDiff*> worst_first(const DiffReport& report) {
  std::vector<const TensorDiff*> order;
  for (const TensorDiff& diff : report.tensors) order.push_back(&diff);
  std::stable_sort(order.begin(), order.end(), [](const TensorDiff* a, const TensorDiff* b) {
    if (group(*a) != group(*b)) return group(*a) < group(*b);
    if (group(*a) != 2) return false;
    if (a->failed != b->failed) return a->failed;
    return a->relative() > b->relative();
  });
  return order;
}

}  // namespace

std::string diff_text(const DiffReport& report, const DiffOptions& options, const DiffText& how) {
  std::string out;
  for (const ConfigDiff& field : report.config) {
    out += "  config      " + field.field + ": " + field.a + " and " + field.b;
    out += field.failed ? "\n" : "  (not counted)\n";
  }
  std::size_t shown = 0, left_out = 0;
  for (const TensorDiff* diff : worst_first(report)) {
    const bool unequal = group(*diff) < 3 || group(*diff) == 4;
    if (!how.all && !unequal) continue;
    if (!how.all && shown == how.top) {
      ++left_out;
      continue;
    }
    ++shown;
    out += tensor_text(*diff);
  }
  if (left_out > 0) out += "  ... and " + std::to_string(left_out) + " more (--all shows them)\n";
  std::string counts;
  for (const DiffStatus status : all_statuses) {
    if (const std::size_t count = report.count(status); count > 0) {
      counts += (counts.empty() ? "" : ", ") + std::to_string(count) + " " + std::string(to_string(status));
    }
  }
  out += report.same() ? "SAME" : "DIFFERENT";
  if (options.tolerance > 0) {
    out += options.relative ? " (tolerance: RMS " + number(100 * options.tolerance) + " % of A's)"
                            : " (tolerance: " + number(options.tolerance) + ")";
  }
  return out + ": " + (counts.empty() ? "no tensors" : counts);
}

nlohmann::json diff_json(const DiffReport& report, const DiffOptions& options) {
  using nlohmann::json;
  const auto finite = [](double value) { return std::isfinite(value) ? json(value) : json(); };
  json tensors = json::array(), config = json::array(), counts = json::object();
  for (const TensorDiff& diff : report.tensors) {
    json entry = {{"name", diff.name}, {"status", to_string(diff.status)}, {"failed", diff.failed}};
    if (diff.status != DiffStatus::only_b) entry["a"] = {{"dtype", diff.type_a}, {"shape", diff.shape_a}};
    if (diff.status != DiffStatus::only_a) entry["b"] = {{"dtype", diff.type_b}, {"shape", diff.shape_b}};
    if (!one_sided(diff) && (diff.status != DiffStatus::shape || diff.sums.values > 0)) {
      const bool any = diff.sums.differing > 0;
      const auto cosine = diff.sums.cosine();
      entry["values"] = diff.sums.values;
      entry["differing"] = diff.sums.differing;
      entry["not_finite"] = diff.sums.not_finite;
      entry["first"] = any ? json(diff.sums.first) : json();
      entry["max_abs"] = diff.sums.max_abs;
      entry["rms"] = finite(diff.sums.rms());
      entry["relative"] = finite(diff.relative());
      entry["cosine"] = any && cosine ? json(*cosine) : json();
    }
    tensors.push_back(std::move(entry));
  }
  for (const ConfigDiff& field : report.config)
    config.push_back({{"field", field.field}, {"a", field.a}, {"b", field.b}, {"failed", field.failed}});
  for (const DiffStatus status : all_statuses) counts[std::string(to_string(status))] = report.count(status);
  return {{"same", report.same()},
          {"tolerance", options.tolerance},
          {"relative", options.relative},
          {"counts", counts},
          {"config", config},
          {"tensors", tensors},
          {"notes", report.notes}};
}

}  // namespace galatea
