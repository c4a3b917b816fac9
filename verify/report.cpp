#include "verify/report.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "format/error.h"

namespace galatea {
namespace {

constexpr std::array all_statuses = {FileStatus::ok,        FileStatus::alternate, FileStatus::known_bad,
                                     FileStatus::mismatch,  FileStatus::missing,   FileStatus::extra,
                                     FileStatus::not_listed};

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

/// "SHA256 78caa8fd29e4bf2f..."
std::string shortened(const std::string& digest) {
  constexpr std::size_t most = 24;
  return digest.size() > most ? digest.substr(0, most) + "..." : digest;
}

}  // namespace

std::string report_text(const CheckReport& report) {
  std::size_t width = 4;
  for (const FileCheck& file : report.files)
    width = std::max(width, std::min<std::size_t>(printable(file.name).size(), 48));
  std::string out;
  for (const FileCheck& file : report.files) {
    std::string line =
        "  " + padded(std::string(to_string(file.status)), 12) + padded(printable(file.name), width);
    if (!file.failed) line += "  " + shortened(file.found);
    while (line.ends_with(' ')) line.pop_back();
    out += line + "\n";
    const std::string indent(14, ' ');
    if (file.failed && !file.expected.empty()) out += indent + "expected: " + file.expected + "\n";
    if (file.failed && !file.found.empty()) {
      out += indent + "found:    " + file.found + ", " + std::to_string(file.size) + " bytes\n";
    }
    if (!file.detail.empty()) out += indent + printable(file.detail, 1000) + "\n";
    if (!file.remedy.empty()) out += indent + "remedy:   " + printable(file.remedy, 1000) + "\n";
  }
  std::string counts;
  for (const FileStatus status : all_statuses) {
    if (const std::size_t count = report.count(status); count > 0) {
      counts += (counts.empty() ? "" : ", ") + std::to_string(count) + " " + std::string(to_string(status));
    }
  }
  return out + std::string(report.passed() ? "PASSED" : "FAILED") + ": " + counts;
}

nlohmann::json report_json(const CheckReport& report) {
  nlohmann::json files = nlohmann::json::array();
  for (const FileCheck& file : report.files) {
    nlohmann::json entry = {{"name", file.name}, {"status", to_string(file.status)}, {"failed", file.failed}};
    if (file.status != FileStatus::missing) entry["size"] = file.size;
    for (const auto& [kind, digest] : file.digests) entry[lower_case(to_string(kind))] = digest;
    if (!file.expected.empty()) entry["expected"] = file.expected;
    if (!file.detail.empty()) entry["detail"] = file.detail;
    if (!file.remedy.empty()) entry["remedy"] = file.remedy;
    files.push_back(std::move(entry));
  }
  nlohmann::json out = {{"passed", report.passed()}, {"files", std::move(files)}};
  if (report.work.threads > 0) out["hashing"] = hash_work_json(report.work);
  return out;
}

}  // namespace galatea
