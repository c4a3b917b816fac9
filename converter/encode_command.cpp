#include <memory>

#include "converter/xor_command.h"
#include "verify/provenance.h"

namespace galatea {
namespace {

using namespace xor_command;

int encode(const Options& options, Console& console) {
  const XorPlan plan =
      plan_encode(options.payload, options.base,
                  compression_by_name(options.compression).value_or(Compression::none), &console.progress());
  for (const std::string& note : plan.notes) console.progress().note(note);
  nlohmann::json document = {{"finetuned", options.payload}, {"base", options.base}, {"out", options.out}};
  document["files"] = files_json(plan);
  if (options.dry_run) {
    print_plan(plan, console);
    console.print_json(document);
    return 0;
  }
  const nlohmann::json settings = {
      {"finetuned", options.payload}, {"base", options.base}, {"compression", options.compression}};
  Job job("encode " + settings.dump(), {options.payload, options.base}, {options.out});
  const std::vector<WrittenFile> written = write_xor_plan(plan, options, {HashKind::sha256}, job, console);
  add_digests(document["files"], written);
  write_provenance({"encode", "", {options.payload, options.base}, written}, settings, options.out);
  for (const WrittenFile& file : written) {
    console.print(file.digests.at(HashKind::sha256) + "  " + printable(file.name));
  }
  console.print_json(document);
  job.finish();
  return 0;
}

}  // namespace

void bind_encode(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  options->compression = "none";
  CLI::App* command =
      app.add_subcommand("encode", "Turn fine-tuned weights and their base into an XOR payload");
  command->add_option("--finetuned,finetuned", options->payload, "Folder of the fine-tuned checkpoint")
      ->required();
  add_common_options(*command, *options);
  command->add_option("--compression", options->compression, "Of the payload (default none)")
      ->check(CLI::IsMember({"none", "gzip", "zstd"}));
  command->footer(
      "Example:\n  galatea encode --finetuned my-13b --base llama-13b-hf --out xor_encoded_files");
  command->callback([options, &chosen] {
    require_out(*options);
    chosen = [options](Console& console) { return encode(*options, console); };
  });
}

}  // namespace galatea
