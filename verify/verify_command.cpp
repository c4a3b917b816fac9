#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "format/checkpoint.h"
#include "format/error.h"
#include "verify/commands.h"
#include "verify/recognise.h"
#include "verify/report.h"

namespace galatea {
namespace {

struct VerifyOptions {
  std::string path, manifest, release, part = "files";
};

int exit_code(bool passed) { return passed ? 0 : static_cast<int>(ErrorKind::check_failed); }

int verify_against_list(const VerifyOptions& options, Console& console) {
  CheckOptions check;
  check.progress = &console.progress();
  ReleaseFiles list;
  std::string title;
  if (!options.manifest.empty()) {
    const Manifest manifest = read_manifest(options.manifest);
    for (const std::string& note : manifest.notes) console.progress().note(options.manifest + ": " + note);
    list = release_files(manifest);
    check.every_digest = true;
    title = options.manifest;
  } else {
    const Release release = resolve_release(options.release);
    list = release_part(release, options.part);
    title = release.name + (options.part == "files" ? "" : " (" + options.part + ")");
  }
  const CheckReport report = check_files(options.path, list, check);
  console.print(options.path + " against " + title);
  console.print(report_text(report));
  nlohmann::json document = report_json(report);
  document["path"] = options.path;
  document["against"] = title;
  console.print_json(document);
  return exit_code(report.passed());
}

bool is_weight_file(const std::string& name) {
  for (const char* ending : {".bin", ".pt", ".pth", ".safetensors", ".gguf"}) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

struct Structure {
  std::string kind;
  std::size_t tensors = 0;
  std::uint64_t bytes = 0;
};

/// Opens what has weights, which throws when it is damaged.
std::optional<Structure> check_structure(const VerifyOptions& options, const Recognition& recognition) {
  bool weights = false;
  for (const FileCheck& file : recognition.files) weights = weights || is_weight_file(file.name);
  if (!weights) return std::nullopt;
  const Checkpoint checkpoint = Checkpoint::open(options.path);
  Structure structure{std::string(to_string(checkpoint.kind())), checkpoint.tensors().size(), 0};
  for (const Tensor& tensor : checkpoint.tensors()) structure.bytes += tensor.bytes();
  return structure;
}

std::string recognised_as(const Recognition& recognition) {
  if (recognition.release.empty()) return "Not a known release.";
  return "Looks like " + recognition.release + ": " + std::to_string(recognition.matching) + " of its " +
         std::to_string(recognition.listed) + " files. To check it: galatea verify ... --release " +
         recognition.release;
}

int verify_by_itself(const VerifyOptions& options, Console& console) {
  const Recognition recognition = recognise(options.path, console.progress());
  const auto structure = check_structure(options, recognition);
  bool passed = true;
  for (const FileCheck& file : recognition.files) {
    const bool known = file.status != FileStatus::not_listed;
    console.print(file.digests.at(HashKind::sha256) + "  " + printable(file.name));
    if (known) console.print(std::string(file.failed ? "  KNOWN BAD: " : "  ") + file.detail);
    if (!file.remedy.empty()) console.print("  remedy: " + file.remedy);
    passed = passed && !file.failed;
  }
  console.print(recognised_as(recognition));
  nlohmann::json document = report_json({recognition.files});
  if (structure) {
    console.print("Structure: " + structure->kind + ", " + std::to_string(structure->tensors) + " tensors, " +
                  std::to_string(structure->bytes) + " bytes of weights: readable");
    document["structure"] = {
        {"kind", structure->kind}, {"tensors", structure->tensors}, {"bytes", structure->bytes}};
  }
  document["path"] = options.path;
  document["passed"] = passed;
  document["release"] = recognition.release.empty() ? nlohmann::json() : nlohmann::json(recognition.release);
  console.print_json(document);
  return exit_code(passed);
}

}  // namespace

void bind_verify(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<VerifyOptions>();
  CLI::App* command = app.add_subcommand("verify", "Compare files with published digests");
  command->add_option("path", options->path, "A folder or a file")->required();
  CLI::Option* manifest =
      command->add_option("--manifest", options->manifest,
                          "A list of digests (md5sum, sha1sum, sha256sum, rhash, BSD tags, checklist.chk)");
  CLI::Option* release =
      command->add_option("--release", options->release,
                          "A known release (metharme-13b, llama-13b-hf, ...) or its description as JSON");
  manifest->excludes(release);
  command->add_option("--part", options->part, "Part of the release: files, base, meta, ... (default files)")
      ->needs(release);
  command->footer(
      "Without a list, says what the files are and whether the weights can be read.\n"
      "Exit code 1 when a file is missing or not as published.\n\n"
      "Example:\n  galatea verify metharme-13b --release metharme-13b");
  command->callback([options, &chosen] {
    chosen = [options](Console& console) {
      const bool with_list = !options->manifest.empty() || !options->release.empty();
      return with_list ? verify_against_list(*options, console) : verify_by_itself(*options, console);
    };
  });
}

}  // namespace galatea
