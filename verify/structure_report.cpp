#include <nlohmann/json.hpp>

#include "format/amount.h"
#include "verify/structure.h"

namespace galatea {

std::string structure_text(const StructureReport& report) {
  const auto counted = [](std::uint64_t number, const char* what) {
    return amount(static_cast<double>(number), "") + " " + what + (number == 1 ? "" : "s");
  };
  std::string out = "Structure: " + (report.kind.empty() ? std::string("damaged") : report.kind) + ", " +
                    counted(report.files.size(), "file") + ", " + counted(report.tensors, "tensor") + ", " +
                    std::to_string(report.bytes) + " bytes of weights";
  if (report.records > 0) out += ", CRC-32 of " + counted(report.records, "zip record");
  out += "\n";
  const std::string indent(14, ' ');
  const auto line = [&](const char* label, const std::string& text) {
    if (!text.empty()) out += indent + label + printable(text, 1000) + "\n";
  };
  for (const StructureProblem& problem : report.problems) {
    out += "  problem     " + printable(problem.problem, 1000) + "\n";
    line("file:     ", problem.file);
    line("tensor:   ", problem.tensor);
    if (problem.byte) line("at byte:  ", std::to_string(*problem.byte));
    line("expected: ", problem.expected);
    line("found:    ", problem.found);
    line("remedy:   ", problem.remedy);
  }
  for (const std::string& note : report.notes) out += "  note        " + note + "\n";
  return out + (report.sound() ? "SOUND" : "DAMAGED: " + counted(report.problems.size(), "problem"));
}

nlohmann::json structure_json(const StructureReport& report) {
  nlohmann::json problems = nlohmann::json::array(), files = nlohmann::json::array();
  for (const StructureProblem& problem : report.problems) {
    nlohmann::json entry = {{"problem", problem.problem}, {"file", problem.file}};
    if (!problem.tensor.empty()) entry["tensor"] = problem.tensor;
    if (problem.byte) entry["byte"] = *problem.byte;
    if (!problem.expected.empty()) entry["expected"] = problem.expected;
    if (!problem.found.empty()) entry["found"] = problem.found;
    if (!problem.remedy.empty()) entry["remedy"] = problem.remedy;
    problems.push_back(std::move(entry));
  }
  for (const auto& file : report.files) files.push_back(file.filename().string());
  return {{"sound", report.sound()},         {"kind", report.kind},   {"files", std::move(files)},
          {"tensors", report.tensors},       {"bytes", report.bytes}, {"records", report.records},
          {"problems", std::move(problems)}, {"notes", report.notes}};
}

}  // namespace galatea
