#include <memory>

#include "converter/base.h"
#include "converter/output_command.h"

namespace galatea {
namespace {

using namespace output_command;

struct Options {
  std::string input, profile{hf_generations().front().name};
  Output output;
};

std::string profile_names() {
  std::string names;
  for (const HfGeneration& generation : hf_generations())
    names += (names.empty() ? "" : ", ") + std::string(generation.name);
  return names;
}

int base(const Options& options, Console& console) {
  refuse_same(options.input, options.output.path);
  BaseOptions how;
  how.generation = &find_hf_generation(options.profile);
  how.max_shard_bytes = parse_shard_bytes(options.output.max_shard_size);
  const Checkpoint source = Checkpoint::open(options.input);
  const Plan plan = base_plan(source, how);
  nlohmann::json document = {{"input", options.input},
                             {"output", options.output.path},
                             {"profile", how.generation->name},
                             {"transformers_version", how.generation->transformers_version}};
  if (options.output.dry_run) {
    print_plan(plan, console);
    document["files"] = files_json(plan);
    console.print_json(document);
    return 0;
  }
  const nlohmann::json settings = {{"profile", options.profile},
                                   {"max_shard_size", options.output.max_shard_size}};
  Job job("base " + settings.dump(), inputs_of(source), {options.output.path});
  const std::vector<WrittenFile> written = write(plan, false, options.output, job, console);
  write_provenance({"base", "", {options.input}, written}, settings, options.output.path);
  print_written(written, console);
  document["files"] = written_json(written);
  console.print_json(document);
  job.finish();
  return 0;
}

}  // namespace

void bind_base(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("base", "Turn Meta's LLaMA into the Hugging Face folder of its time, to the byte");
  command->add_option("input", options->input, "Folder of consolidated.*.pth, params.json, tokenizer.model")
      ->required();
  command->add_option("output", options->output.path, "Folder to write, made if missing")->required();
  command->add_option("--profile", options->profile, "Whose conversion: " + profile_names())
      ->type_name("NAME")
      ->capture_default_str();
  add_options(*command, options->output);
  std::string profiles = "Profiles:\n";
  for (const HfGeneration& generation : hf_generations()) {
    std::string name(generation.name);
    name.resize(16, ' ');
    profiles += "  " + name + std::string(generation.meaning) + "\n";
  }
  command->footer(profiles + "\nExample:\n  galatea base llama/13B llama-13b-hf");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return base(*options, console); }; });
}

}  // namespace galatea
