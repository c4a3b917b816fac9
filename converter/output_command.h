// What the commands that write a model share: base, convert, merge-lora.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "converter/commands.h"
#include "converter/hf_folder.h"
#include "format/checkpoint.h"
#include "format/error.h"
#include "format/job.h"
#include "format/plan.h"
#include "verify/provenance.h"

namespace galatea::output_command {

struct Output {
  std::string path, max_shard_size = "10GB";
  bool dry_run = false, overwrite = false;
};

inline void add_options(CLI::App& command, Output& output) {
  command.add_option("--max-shard-size", output.max_shard_size, "Of a file of weights")
      ->type_name("SIZE")
      ->capture_default_str();
  command.add_flag("--dry-run", output.dry_run, "Say what would be written, to the byte; write nothing");
  command.add_flag("--overwrite", output.overwrite, "Replace files of the same names");
}

/// An output that is one of the inputs would be read while it is written.
inline void refuse_same(const std::filesystem::path& input, const std::filesystem::path& output) {
  std::error_code ignored;
  if (std::filesystem::equivalent(input, output, ignored)) {
    throw Error(ErrorKind::usage, "the output is the input").file(output).remedy("choose another place");
  }
}

inline nlohmann::json files_json(const Plan& plan) {
  nlohmann::json files = nlohmann::json::array();
  for (const FileLayout& file : plan.files) files.push_back({{"name", file.name}, {"size", file.size()}});
  return files;
}

/// Says what would be written.
inline void print_plan(const Plan& plan, Console& console) {
  for (const FileLayout& file : plan.files)
    console.print("  " + printable(file.name) + "  " + std::to_string(file.size()) + " bytes");
  console.print(std::to_string(plan.files.size()) + (plan.files.size() == 1 ? " file, " : " files, ") +
                std::to_string(plan.size()) + " bytes");
}

/// Every file that the bytes of an output may come from.
inline std::vector<std::filesystem::path> inputs_of(const Checkpoint& checkpoint) {
  std::vector<std::filesystem::path> inputs = checkpoint.files();
  inputs.push_back(checkpoint.path());
  if (checkpoint.tokenizer_model()) inputs.push_back(*checkpoint.tokenizer_model());
  return inputs;
}

/// The same of a folder that may be Meta's, whose tokenizer.model may lie one folder up.
inline std::vector<std::filesystem::path> inputs_of(const std::filesystem::path& folder) {
  return {folder, folder / ".." / "tokenizer.model"};
}

/// Writes a folder, or the one file of the plan under the output's own name.
inline std::vector<WrittenFile> write(const Plan& plan, bool single_file, const Output& output, Job& job,
                                      Console& console) {
  WriteOptions options;
  options.job = &job;
  options.overwrite = output.overwrite;
  options.progress = &console.progress();
  if (single_file) return {write_file(plan.files.front(), output.path, options)};
  return write_plan(plan, output.path, options);
}

inline void print_written(const std::vector<WrittenFile>& written, Console& console) {
  for (const WrittenFile& file : written)
    console.print(file.digests.at(HashKind::sha256) + "  " + printable(file.name));
}

inline nlohmann::json written_json(const std::vector<WrittenFile>& written) {
  nlohmann::json files = nlohmann::json::array();
  for (const WrittenFile& file : written)
    files.push_back(
        {{"name", file.name}, {"size", file.size}, {"sha256", file.digests.at(HashKind::sha256)}});
  return files;
}

}  // namespace galatea::output_command
