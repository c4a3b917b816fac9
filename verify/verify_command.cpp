#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "format/error.h"
#include "verify/chain.h"
#include "verify/commands.h"
#include "verify/pointer_manifest.h"
#include "verify/recognise.h"
#include "verify/report.h"
#include "verify/structure.h"
#include "verify/verify_command.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

/// A list of digests, or of pointers. A lone pointer is for the lone file that is checked, whatever its name.
Manifest manifest_for(const VerifyOptions& options) {
  if (!is_pointer_manifest(options.manifest)) return read_manifest(options.manifest);
  Manifest manifest = read_pointer_manifest(options.manifest);
  if (!fs::is_directory(options.manifest) && fs::is_regular_file(options.path))
    manifest.entries.front().name = fs::path(options.path).filename().string();
  return manifest;
}

/// The one digest of --digest; the algorithm follows from its length.
ReleaseFiles digest_as_list(const VerifyOptions& options) {
  if (fs::is_directory(options.path)) {
    throw Error(ErrorKind::usage, "--digest is for a single file")
        .file(options.path)
        .remedy("use --manifest");
  }
  std::string_view text = options.digest;
  if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    const auto kind = find_hash_kind(text.substr(0, colon));
    text.remove_prefix(colon + 1);
    if (!kind || kind != hash_kind_of_length(text.size())) text = {};
  }
  const auto kind = hash_kind_of_length(text.size());
  if (!kind || !is_hex(text)) {
    throw Error(ErrorKind::usage, "--digest is no digest that galatea knows")
        .expected("32 (MD5), 40 (SHA-1), 64 (SHA-256) or 128 (SHA-512) hex digits")
        .found("\"" + printable(options.digest) + "\"");
  }
  ReleaseFile file;
  file.name = fs::path(options.path).filename().string();
  file.variants.push_back({{{*kind, lower_case(text)}}, {}});
  return {file};
}

/// Which resource was the limit, where that took long enough to matter.
void tell(const HashWork& work, Console& console) {
  if (work.seconds >= 1) console.progress().note(hash_work_text(work));
}

int verify_against_list(const VerifyOptions& options, Console& console) {
  CheckOptions check;
  check.progress = &console.progress();
  ReleaseFiles list;
  std::string title;
  if (!options.manifest.empty()) {
    const Manifest manifest = manifest_for(options);
    for (const std::string& note : manifest.notes) console.progress().note(options.manifest + ": " + note);
    list = release_files(manifest);
    check.every_digest = true;
    title = options.manifest;
  } else if (!options.digest.empty()) {
    list = digest_as_list(options);
    title = options.digest;
  } else {
    const Release release = resolve_release(options.release);
    list = release_part(release, options.part);
    title = release.name + (options.part == "files" ? "" : " (" + options.part + ")");
  }
  const CheckReport report = check_files(options.path, list, check);
  console.print(options.path + " against " + title);
  console.print(report_text(report));
  tell(report.work, console);
  nlohmann::json document = report_json(report);
  document["path"] = options.path;
  document["against"] = title;
  console.print_json(document);
  return verify_exit_code(report.passed());
}

bool is_weight_file(const std::string& name) {
  for (const char* ending : {".bin", ".pt", ".pth", ".safetensors", ".gguf"}) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

/// What has weights, unless Git LFS pointers stand in its place.
bool has_weights(const Recognition& recognition) {
  bool weights = false, pointer = false;
  for (const FileCheck& file : recognition.files) {
    weights = weights || is_weight_file(file.name);
    pointer = pointer || file.pointer;
  }
  return weights && !pointer;
}

StructureReport structure_of(const VerifyOptions& options, Console& console) {
  StructureOptions how;
  how.progress = &console.progress();
  return check_structure(options.path, how);
}

int verify_structure(const VerifyOptions& options, Console& console) {
  const StructureReport report = structure_of(options, console);
  console.print(structure_text(report));
  nlohmann::json document = structure_json(report);
  document["path"] = options.path;
  console.print_json(document);
  return verify_exit_code(report.sound());
}

int verify_chain(const VerifyOptions& options, Console& console) {
  if (options.complete) {
    const std::uint64_t added = complete_chain(options.path, console.progress());
    console.progress().note(std::to_string(added) + (added == 1 ? " digest" : " digests") +
                            " of inputs added");
  }
  const ChainReport report = check_chain(options.path, console.progress());
  console.print(chain_text(report));
  console.print_json(chain_json(report));
  return verify_exit_code(report.passed());
}

std::string recognised_as(const Recognition& recognition) {
  if (recognition.release.empty()) return "Not a known release.";
  return "Looks like " + recognition.release + ": " + std::to_string(recognition.matching) + " of its " +
         std::to_string(recognition.listed) + " files. To check it: galatea verify ... --release " +
         recognition.release;
}

int verify_by_itself(const VerifyOptions& options, Console& console) {
  const Recognition recognition = recognise(options.path, console.progress());
  bool passed = true;
  for (const FileCheck& file : recognition.files) {
    const bool known = file.status != FileStatus::not_listed;
    console.print(file.digests.at(HashKind::sha256) + "  " + printable(file.name));
    if (known) console.print(std::string(file.failed ? "  KNOWN BAD: " : "  ") + file.detail);
    if (!file.remedy.empty()) console.print("  remedy: " + file.remedy);
    passed = passed && !file.failed;
  }
  console.print(recognised_as(recognition));
  tell(recognition.work, console);
  nlohmann::json document = report_json({recognition.files, recognition.work});
  if (has_weights(recognition)) {
    const StructureReport structure = structure_of(options, console);
    console.print(structure_text(structure));
    document["structure"] = structure_json(structure);
    passed = passed && structure.sound();
  }
  document["path"] = options.path;
  document["passed"] = passed;
  document["release"] = recognition.release.empty() ? nlohmann::json() : nlohmann::json(recognition.release);
  console.print_json(document);
  return verify_exit_code(passed);
}

}  // namespace

void bind_verify(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = app.add_subcommand("verify", "Compare files with published digests");
  command->add_option("path", options->path, "A folder or a file")->required();
  CLI::Option* manifest = command->add_option("--manifest", options->manifest,
                                              "A list of digests (md5sum, sha256sum, rhash, BSD tags, "
                                              "checklist.chk), or a Git LFS pointer or a folder of them");
  CLI::Option* release =
      command->add_option("--release", options->release,
                          "A known release (metharme-13b, llama-13b-hf, ...) or its description as JSON");
  CLI::Option* digest =
      command->add_option("--digest", options->digest,
                          "The digest of the one file: MD5, SHA-1, SHA-256 or SHA-512, told by its length");
  CLI::Option* tensors =
      command->add_flag("--tensors", options->tensors,
                        "List a digest for each tensor: the same for the same values in any container");
  CLI::Option* tensors_of =
      command->add_option("--tensors-of", options->tensors_of,
                          "Compare tensors with this checkpoint, or with such a list of one");
  CLI::Option* structure = command->add_flag(
      "--structure", options->structure,
      "Only whether it is sound in itself: tables, shards, zip CRC-32s, NaN and infinities; no digests");
  CLI::Option* chain = command->add_flag("--chain", options->chain,
                                         "Walk back through the records (galatea.json) to what it was made "
                                         "from, checking each file still there");
  const std::vector<CLI::Option*> modes = {manifest, release, digest, tensors, tensors_of, structure, chain};
  for (std::size_t i = 0; i < modes.size(); ++i) {
    for (std::size_t j = i + 1; j < modes.size(); ++j) modes[i]->excludes(modes[j]);
  }
  command->add_option("--part", options->part, "Part of the release: files, base, meta, ... (default files)")
      ->needs(release);
  command
      ->add_flag("--complete", options->complete,
                 "First add digests of large inputs, unchanged since, to the records")
      ->needs(chain);
  command->footer(
      "Without an option, says what the files are and checks their --structure.\n"
      "Exit code 1 when a file is missing, damaged or not as published, or a tensor\n"
      "differs; 3 when it is no checkpoint at all.\n\n"
      "Example:\n  galatea verify metharme-13b --release metharme-13b\n"
      "  galatea verify model.gguf --tensors-of metharme-13b");
  command->callback([options, &chosen] {
    chosen = [options](Console& console) {
      if (options->chain) return verify_chain(*options, console);
      if (options->structure) return verify_structure(*options, console);
      if (options->tensors || !options->tensors_of.empty()) return verify_tensors(*options, console);
      const bool with_list =
          !options->manifest.empty() || !options->release.empty() || !options->digest.empty();
      return with_list ? verify_against_list(*options, console) : verify_by_itself(*options, console);
    };
  });
}

}  // namespace galatea
