#include <memory>

#include "converter/base.h"
#include "converter/output_command.h"
#include "converter/profile_command.h"

namespace galatea {
namespace {

using namespace output_command;

struct Options {
  std::string input;
  profile_command::Profile profile;
  bool side_files_only = false;
  Output output;
};

bool has_weights(const std::filesystem::path& folder) {
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(folder, failure)) {
    const std::string extension = entry.path().extension().string();
    if (extension == ".pth" || extension == ".bin" || extension == ".safetensors") return true;
  }
  return false;
}

/// Shapes are enough where no weights are to be written: params.json and tokenizer.model tell them.
Plan plan_base(const Options& options, const BaseOptions& how, Console& console) {
  const bool tables_only = options.side_files_only || (options.output.dry_run && !has_weights(options.input));
  if (!tables_only || !std::filesystem::exists(std::filesystem::path(options.input) / "params.json")) {
    Plan plan = base_plan(Checkpoint::open(options.input), how);
    return options.side_files_only ? side_files_of(std::move(plan)) : plan;
  }
  console.progress().note("shapes from params.json and tokenizer.model alone");
  Plan plan = base_plan_of_shapes(read_meta_tables(options.input), how);
  return options.side_files_only ? side_files_of(std::move(plan)) : plan;
}

int base(const Options& options, Console& console) {
  refuse_same(options.input, options.output.path);
  BaseOptions how;
  how.generation = options.profile.generation();
  how.max_shard_bytes = parse_shard_bytes(options.output.max_shard_size);
  const Plan plan = plan_base(options, how, console);
  nlohmann::json document = {{"input", options.input},
                             {"output", options.output.path},
                             {"profile", how.generation.name},
                             {"transformers_version", how.generation.transformers_version},
                             {"inv_freq_bytes", type_info(how.generation.inv_freq).block_bytes},
                             {"torch", to_string(how.generation.torch)}};
  if (options.output.dry_run) {
    print_plan(plan, console);
    document["files"] = files_json(plan);
    console.print_json(document);
    return 0;
  }
  const nlohmann::json settings = {{"profile", options.profile.name},
                                   {"transformers", options.profile.transformers},
                                   {"inv_freq", options.profile.inv_freq},
                                   {"torch_container", options.profile.torch_container},
                                   {"side_files_only", options.side_files_only},
                                   {"max_shard_size", options.output.max_shard_size}};
  Job job("base " + settings.dump(), inputs_of(options.input), {options.output.path});
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
  profile_command::add_options(*command, options->profile);
  command->add_flag("--side-files-only", options->side_files_only,
                    "Everything but the weights, from params.json and tokenizer.model alone");
  add_options(*command, options->output);
  command->footer(profile_command::profile_table() +
                  "\n--dry-run needs no weights: params.json and tokenizer.model tell every size.\n"
                  "\nExample:\n  galatea base llama/13B llama-13b-hf");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return base(*options, console); }; });
}

}  // namespace galatea
