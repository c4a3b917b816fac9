#include "verify/tensor_compare.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "verify/common_tensors.h"
#include "verify/parallel.h"

namespace galatea {
namespace {

constexpr std::array all_statuses = {TensorStatus::same,  TensorStatus::other_type, TensorStatus::differs,
                                     TensorStatus::shape, TensorStatus::missing,    TensorStatus::extra};

std::string described(const TensorDigest& digest) {
  return digest.type + " " + to_string(digest.shape) + " " + digest.sha256;
}

/// A tensor of the list that is there, in another type: `check` is filled when its values were looked at.
struct Retyped {
  const Tensor* tensor;
  const TensorDigest* wanted;
  DType type;
  TensorCheck* check;
};

TensorCheck judged(const TensorDigest& wanted, const TensorDigest& found) {
  TensorCheck check{wanted.name, TensorStatus::same, described(wanted), described(found), false};
  if (wanted.shape != found.shape) {
    check.status = TensorStatus::shape;
  } else if (wanted.type != found.type || wanted.sha256 != found.sha256) {
    check.status = TensorStatus::differs;
  }
  check.failed = check.status != TensorStatus::same;
  return check;
}

void look_at_values(const std::vector<Retyped>& retyped, Progress& progress, int threads) {
  if (retyped.empty()) return;
  std::vector<std::uint64_t> sizes;
  std::uint64_t total = 0;
  for (const Retyped& item : retyped) {
    sizes.push_back(item.tensor->bytes());
    total += sizes.back();
  }
  progress.begin("hashing tensors as another type", total, "B");
  for_each_largest_first(sizes, threads, [&](std::size_t i) {
    const Retyped& item = retyped[i];
    const auto digest = tensor_digest_as(*item.tensor, item.type, progress);
    if (!digest || digest->sha256 != item.wanted->sha256) return;
    item.check->status = TensorStatus::other_type;
    item.check->failed = false;
  });
  progress.end();
}

}  // namespace

std::string_view to_string(TensorStatus status) {
  switch (status) {
    case TensorStatus::same:
      return "same";
    case TensorStatus::other_type:
      return "other type";
    case TensorStatus::differs:
      return "differs";
    case TensorStatus::shape:
      return "other shape";
    case TensorStatus::missing:
      return "missing";
    case TensorStatus::extra:
      return "extra";
  }
  return "?";
}

std::size_t TensorReport::count(TensorStatus status) const {
  return static_cast<std::size_t>(std::count_if(
      tensors.begin(), tensors.end(), [&](const TensorCheck& check) { return check.status == status; }));
}

bool TensorReport::passed() const {
  const bool failed =
      std::any_of(tensors.begin(), tensors.end(), [](const TensorCheck& check) { return check.failed; });
  return !failed && count(TensorStatus::same) + count(TensorStatus::other_type) > 0;
}

TensorReport compare_tensors(std::span<const Tensor> tensors, std::span<const TensorDigest> digests,
                             std::span<const TensorDigest> wanted, Progress& progress, int threads) {
  std::map<std::string_view, std::size_t> places;
  for (std::size_t i = 0; i < digests.size(); ++i) places.emplace(digests[i].name, i);
  TensorReport report;
  report.tensors.reserve(wanted.size() + digests.size());
  std::vector<Retyped> retyped;
  std::vector<bool> used(digests.size());
  for (const TensorDigest& want : wanted) {
    const auto place = places.find(want.name);
    if (place == places.end()) {
      report.tensors.push_back(
          {want.name, TensorStatus::missing, described(want), {}, !is_rotary_table(want.name)});
      continue;
    }
    used[place->second] = true;
    const TensorDigest& found = digests[place->second];
    report.tensors.push_back(judged(want, found));
    const auto type = find_type_by_name(want.type);
    if (want.shape == found.shape && want.type != found.type && type)
      retyped.push_back({&tensors[place->second], &want, *type, &report.tensors.back()});
  }
  for (std::size_t i = 0; i < digests.size(); ++i) {
    if (used[i]) continue;
    report.tensors.push_back(
        {digests[i].name, TensorStatus::extra, {}, described(digests[i]), !is_rotary_table(digests[i].name)});
  }
  look_at_values(retyped, progress, threads);
  return report;
}

std::string tensor_report_text(const TensorReport& report) {
  std::string out;
  for (const TensorCheck& check : report.tensors) {
    if (check.status == TensorStatus::same) continue;
    std::string status(to_string(check.status));
    status.resize(12, ' ');
    out += "  " + status + printable(check.name);
    const bool lacks = check.status == TensorStatus::missing || check.status == TensorStatus::extra;
    if (lacks && !check.failed) out += "  (follows from the configuration: not counted)";
    if (check.status == TensorStatus::other_type) {
      out += "  (the same values: " + check.found.substr(0, check.found.find(' ')) + ", listed as " +
             check.expected.substr(0, check.expected.find(' ')) + ")";
    }
    out += "\n";
    if (!check.failed) continue;
    const std::string indent(14, ' ');
    if (!check.expected.empty()) out += indent + "expected: " + check.expected + "\n";
    if (!check.found.empty()) out += indent + "found:    " + check.found + "\n";
  }
  std::string counts;
  for (const TensorStatus status : all_statuses) {
    if (const std::size_t count = report.count(status); count > 0) {
      counts += (counts.empty() ? "" : ", ") + std::to_string(count) + " " + std::string(to_string(status));
    }
  }
  return out + std::string(report.passed() ? "PASSED" : "FAILED") + ": " + counts;
}

nlohmann::json tensor_report_json(const TensorReport& report) {
  nlohmann::json tensors = nlohmann::json::array(), counts = nlohmann::json::object();
  for (const TensorCheck& check : report.tensors) {
    nlohmann::json entry = {
        {"name", check.name}, {"status", to_string(check.status)}, {"failed", check.failed}};
    if (!check.expected.empty()) entry["expected"] = check.expected;
    if (!check.found.empty()) entry["found"] = check.found;
    tensors.push_back(std::move(entry));
  }
  for (const TensorStatus status : all_statuses)
    counts[std::string(to_string(status))] = report.count(status);
  return {{"passed", report.passed()}, {"counts", std::move(counts)}, {"tensors", std::move(tensors)}};
}

nlohmann::json tensor_list_json(std::span<const TensorDigest> digests) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const TensorDigest& digest : digests) {
    tensors.push_back(
        {{"name", digest.name}, {"dtype", digest.type}, {"shape", digest.shape}, {"sha256", digest.sha256}});
  }
  nlohmann::json out = {{"tensors", std::move(tensors)}};
  const auto weights = weights_digest(digests);
  out["weights"] = weights ? nlohmann::json(*weights) : nlohmann::json();
  return out;
}

}  // namespace galatea
