// What the decode and encode commands share: their options, and writing a plan of XORed files.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "converter/commands.h"
#include "converter/decode.h"
#include "format/error.h"
#include "format/job.h"
#include "verify/digest.h"

namespace galatea::xor_command {

struct Options {
  std::string payload, base, out, release, manifest, compression = "auto";
  bool overwrite = false, dry_run = false, check_base = false, keep_mismatch = false;
};

inline nlohmann::json files_json(const XorPlan& plan) {
  nlohmann::json files = nlohmann::json::array();
  for (const XorFile& file : plan.files) {
    files.push_back({{"name", file.name},
                     {"size", file.size},
                     {"copied", file.copied},
                     {"compression", to_string(file.compression)}});
    if (!file.repaired.empty()) files.back()["repaired"] = file.repaired;
  }
  return files;
}

inline void print_plan(const XorPlan& plan, Console& console) {
  for (const XorFile& file : plan.files) {
    std::string how = file.copied ? "  copied"
                      : file.compression == Compression::none
                          ? ""
                          : "  " + std::string(to_string(file.compression));
    if (!file.repaired.empty()) how += "  repaired";
    console.print("  " + printable(file.name) + "  " + std::to_string(file.size) + " bytes" + how);
  }
  console.print(std::to_string(plan.files.size()) + " files, " + std::to_string(plan.plan.size()) + " bytes");
}

/// What the base was recognised as, for machines.
inline nlohmann::json base_json(const DecodeBase& base) {
  nlohmann::json out = {{"path", base.path().string()},
                        {"kind", base.kind()},
                        {"recognised", base.recognised()},
                        {"brought_on_the_fly", base.brought()}};
  if (base.brought()) {
    const HfGeneration& generation = base.generation();
    out["brought_into"] = {{"profile", generation.name},
                           {"transformers_version", generation.transformers_version},
                           {"inv_freq_bytes", type_info(generation.inv_freq).block_bytes},
                           {"torch", to_string(generation.torch)}};
  }
  return out;
}

/// Free bytes where `folder` is or will be; nothing when that cannot be told.
inline std::optional<std::uintmax_t> free_bytes(std::filesystem::path folder) {
  std::error_code failure;
  if (folder.empty()) return std::nullopt;
  folder = std::filesystem::absolute(folder, failure);
  while (!std::filesystem::exists(folder, failure) && folder.has_relative_path())
    folder = folder.parent_path();
  const auto space = std::filesystem::space(folder, failure);
  return failure ? std::nullopt : std::optional(space.available);
}

inline void add_digests(nlohmann::json& files, const std::vector<WrittenFile>& written) {
  for (std::size_t i = 0; i < written.size(); ++i) {
    for (const auto& [kind, digest] : written[i].digests) files.at(i)[lower_case(to_string(kind))] = digest;
  }
}

inline std::optional<Compression> compression_by_name(const std::string& name) {
  for (const Compression compression : {Compression::none, Compression::gzip, Compression::zstd}) {
    if (name == to_string(compression)) return compression;
  }
  return std::nullopt;
}

inline std::vector<WrittenFile> write_xor_plan(const XorPlan& plan, const Options& options,
                                               std::vector<HashKind> kinds, Job& job, Console& console) {
  for (const std::string& input : {options.payload, options.base}) {
    std::error_code ignored;
    if (std::filesystem::equivalent(input, options.out, ignored)) {
      throw Error(ErrorKind::usage, "the output folder is one of the input folders").file(options.out);
    }
  }
  WriteOptions write;
  write.job = &job;
  write.overwrite = options.overwrite;
  write.digests = std::move(kinds);
  write.threads = plan.most_threads;
  write.progress = &console.progress();
  return write_plan(plan.plan, options.out, write);
}

inline CLI::Option* add_common_options(CLI::App& command, Options& options) {
  command.add_option("--base", options.base, "The original weights")->required();
  CLI::Option* out = command.add_option("--out", options.out, "Folder to write, made if missing");
  command.add_flag("--dry-run", options.dry_run, "Check, say what would be written, write nothing");
  command.add_flag("--overwrite", options.overwrite, "Replace files of the same names");
  return out;
}

/// --out may be left out only where nothing is written.
inline void require_out(const Options& options) {
  if (options.out.empty() && !options.dry_run) throw CLI::RequiredError("--out");
}

}  // namespace galatea::xor_command
