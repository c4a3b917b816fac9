#include <memory>
#include <set>

#include "converter/output_command.h"
#include "converter/profile_command.h"
#include "converter/xor_command.h"
#include "format/amount.h"
#include "verify/compare.h"
#include "verify/provenance.h"
#include "verify/report.h"

namespace galatea {
namespace {

using namespace xor_command;

struct DecodeArguments : Options {
  profile_command::Profile profile;
  bool bring = false;  ///< the generation was asked for
  std::string max_shard_size = "10GB";
  std::vector<std::string> leave_out;
};

/// What the decoded files are compared with.
struct Published {
  std::string title;
  ReleaseFiles files;
  std::optional<ReleaseFiles> base;
};

std::optional<Published> published(const Options& options, Console& console) {
  if (!options.manifest.empty()) {
    const Manifest manifest = read_manifest(options.manifest);
    for (const std::string& note : manifest.notes) console.progress().note(options.manifest + ": " + note);
    return Published{options.manifest, release_files(manifest), std::nullopt};
  }
  if (options.release.empty()) return std::nullopt;
  const Release release = resolve_release(options.release);
  Published out{release.name, release_part(release, "files"), std::nullopt};
  const bool base_known = release.parts.contains("base") || release.parts_elsewhere.contains("base");
  if (options.check_base || base_known) out.base = release_part(release, "base");
  return out;
}

/// Only the base's files that the payload needs must be there; an unknown one is told, and ends the work. Of
/// Meta's folder it is Meta's files that are compared.
void check_base(const Options& options, const Published& list, Console& console) {
  CheckOptions check;
  check.progress = &console.progress();
  const bool meta = std::filesystem::exists(std::filesystem::path(options.base) / "params.json");
  const CheckReport report =
      meta ? check_files(options.base, release_part(resolve_release(options.release), "meta"), check)
           : check_files(options.base, *list.base, check);
  console.print("The base " + options.base);
  console.print(report_text(report));
  if (!report.passed()) {
    throw Error(ErrorKind::check_failed, "the base is not the one that the release was made from")
        .file(options.base)
        .remedy("see the files above; without --check-base the decode is tried all the same");
  }
}

/// The strongest digest of each variant is enough for a release; a manifest wants all of its own.
std::vector<HashKind> kinds_for(const Options& options, const std::optional<Published>& list) {
  std::set<HashKind> kinds = {HashKind::sha256};
  if (!list) return {kinds.begin(), kinds.end()};
  for (const ReleaseFile& file : list->files) {
    for (const HashKind kind : kinds_needed(file)) kinds.insert(kind);
    if (options.manifest.empty()) continue;
    for (const ReleaseVariant& variant : file.variants) {
      for (const auto& [kind, digest] : variant.digests) kinds.insert(kind);
    }
  }
  return {kinds.begin(), kinds.end()};
}

/// Before the work: what the base is, what will be written and how large, and the space there is.
void announce(const XorPlan& plan, const Options& options, Console& console) {
  console.progress().note(plan.base->summary());
  for (const std::string& note : plan.notes) console.progress().note(note);
  std::string line = std::to_string(plan.files.size()) + " files, " +
                     amount(static_cast<double>(plan.plan.size()), "B") + " to write";
  if (const auto free = free_bytes(options.out))
    line += ", " + amount(static_cast<double>(*free), "B") + " free";
  console.progress().note(line);
}

int decode(const DecodeArguments& options, Console& console) {
  const auto list = published(options, console);
  if (options.check_base) check_base(options, *list, console);
  DecodeOptions decoding;
  decoding.compression = compression_by_name(options.compression);
  decoding.progress = &console.progress();
  decoding.base.wanted.generation = options.profile.generation();
  decoding.base.wanted.max_shard_bytes = parse_shard_bytes(options.max_shard_size);
  decoding.base.always_bring = options.bring;
  decoding.leave_out = {options.leave_out.begin(), options.leave_out.end()};
  if (list && !options.keep_mismatch) decoding.expected = list->files;
  if (list) decoding.expected_base = list->base.value_or(ReleaseFiles{});
  const XorPlan plan = plan_decode(options.payload, options.base, decoding);
  announce(plan, options, console);
  nlohmann::json document = {
      {"payload", plan.payload.string()}, {"base", base_json(*plan.base)}, {"out", options.out}};
  document["files"] = files_json(plan);
  document["bytes"] = plan.plan.size();
  document["notes"] = plan.notes;
  if (const auto free = free_bytes(options.out)) document["free_bytes"] = *free;
  if (options.dry_run) {
    print_plan(plan, console);
    console.print_json(document);
    return 0;
  }
  const nlohmann::json settings = {{"payload", options.payload},
                                   {"base", options.base},
                                   {"compression", options.compression},
                                   {"base_made_as", plan.base->brought() ? base_json(*plan.base) : nullptr},
                                   {"max_shard_size", options.max_shard_size},
                                   {"leave_out", options.leave_out},
                                   {"release", options.release},
                                   {"manifest", options.manifest}};
  Job job("decode " + settings.dump() + (options.keep_mismatch ? " kept" : ""),
          {options.payload, plan.payload, options.base,
           std::filesystem::path(options.base) / ".." / "tokenizer.model", options.release, options.manifest},
          {options.out});
  const std::vector<WrittenFile> written =
      write_xor_plan(plan, options, kinds_for(options, list), job, console);
  add_digests(document["files"], written);
  write_provenance({"decode", "", {options.payload, options.base}, written}, settings, options.out);
  bool passed = true;
  if (list) {
    const CheckReport report = check_written(options.out, written, list->files);
    passed = report.passed();
    console.print(options.out + " against " + list->title);
    console.print(report_text(report));
    document["check"] = report_json(report);
  } else {
    for (const WrittenFile& file : written) {
      console.print(file.digests.at(HashKind::sha256) + "  " + printable(file.name));
    }
  }
  console.print_json(document);
  job.finish();
  return passed ? 0 : static_cast<int>(ErrorKind::check_failed);
}

}  // namespace

void bind_decode(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<DecodeArguments>();
  CLI::App* command =
      app.add_subcommand("decode", "Turn an XOR payload and the base into the released weights");
  command->add_option("--payload,payload", options->payload, "Folder of the XORed files")->required();
  add_common_options(*command, *options);
  CLI::Option* release =
      command->add_option("--release", options->release,
                          "Compare with a known release (metharme-13b, ...) or its description as JSON");
  command->add_option("--manifest", options->manifest, "Compare with a list of digests")->excludes(release);
  command->add_flag("--check-base", options->check_base, "Compare the base too, before the work")
      ->needs(release);
  command->add_flag("--keep-mismatch", options->keep_mismatch,
                    "Keep files whose digest is not the published one");
  command->add_option("--compression", options->compression, "Of the payload (default auto)")
      ->check(CLI::IsMember({"auto", "none", "gzip", "zstd"}));
  command->add_option("--leave-out", options->leave_out, "A file of the payload that is not to be decoded")
      ->type_name("NAME");
  profile_command::add_options(*command, options->profile);
  command->add_option("--max-shard-size", options->max_shard_size, "Of a base that is made on the fly")
      ->type_name("SIZE")
      ->capture_default_str();
  command->footer(
      "The base is a Hugging Face folder, or another form (Meta's, safetensors,\n"
      "newer torch) that is brought on the fly into the generation of --profile, whose\n"
      "names galatea base --help explains.\n"
      "A file is kept only when its content is what its name says and its digest, where\n"
      "one is given, the published one. Only digests tell a base with other weights.\n\n"
      "Example:\n"
      "  galatea decode --payload xor_encoded_files --base llama-13b-hf \\\n"
      "      --out metharme-13b --release metharme-13b");
  command->callback([options, command, &chosen] {
    require_out(*options);
    options->bring = profile_command::given(*command);
    chosen = [options](Console& console) { return decode(*options, console); };
  });
}

}  // namespace galatea
