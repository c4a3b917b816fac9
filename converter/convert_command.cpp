#include <memory>

#include "converter/convert.h"
#include "converter/output_command.h"

namespace galatea {
namespace {

using namespace output_command;

struct Options {
  std::string input, target, type, tokenizer, name;
  bool round_scales = false;
  Output output;
};

int run(const Options& options, Console& console) {
  refuse_same(options.input, options.output.path);
  ConvertOptions how;
  how.target = parse_convert_target(options.target);
  if (!options.type.empty()) how.type = parse_weight_type(options.type);
  how.max_shard_bytes = parse_shard_bytes(options.output.max_shard_size);
  how.tokenizer = options.tokenizer;
  how.name = options.name;
  how.round_scales = options.round_scales;
  const Checkpoint source = Checkpoint::open(options.input);
  const Conversion conversion = convert(source, how);
  for (const std::string& note : conversion.notes) console.progress().note(note);
  nlohmann::json document = {
      {"input", options.input}, {"output", options.output.path}, {"to", options.target}};
  if (options.output.dry_run) {
    print_plan(conversion.plan, console);
    document["files"] = files_json(conversion.plan);
    console.print_json(document);
    return 0;
  }
  const nlohmann::json settings = {{"to", options.target},
                                   {"dtype", options.type},
                                   {"tokenizer", options.tokenizer},
                                   {"name", options.name},
                                   {"round_scales", options.round_scales},
                                   {"max_shard_size", options.output.max_shard_size}};
  std::vector<std::filesystem::path> inputs = inputs_of(source);
  if (!options.tokenizer.empty()) inputs.emplace_back(options.tokenizer);
  Job job("convert " + settings.dump(), inputs, {options.output.path});
  const std::vector<WrittenFile> written =
      write(conversion.plan, conversion.single_file, options.output, job, console);
  write_provenance({"convert", "each value rounded once to nearest even", {options.input}, written}, settings,
                   options.output.path);
  print_written(written, console);
  const std::string losses = describe(*conversion.losses);
  if (!losses.empty()) console.print("The range of the new type is smaller: " + losses + ".");
  document["files"] = written_json(written);
  document["overflowed"] = conversion.losses->overflowed.load();
  document["underflowed"] = conversion.losses->underflowed.load();
  document["notes"] = conversion.notes;
  console.print_json(document);
  job.finish();
  return 0;
}

}  // namespace

void bind_convert(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("convert", "Write a checkpoint in another container or type");
  command
      ->add_option("input", options->input, "A checkpoint: folder, GGUF, GGML, safetensors, .bin, .pth, ...")
      ->required();
  command->add_option("output", options->output.path, "Folder to write; for gguf, the file")->required();
  command->add_option("--to", options->target, "safetensors, bin or gguf")->required()->type_name("KIND");
  command->add_option("--dtype", options->type, "F32, F16 or BF16 (default: as stored)")->type_name("TYPE");
  command->add_option("--tokenizer", options->tokenizer, "A tokenizer.model other than the input's own")
      ->type_name("FILE");
  command->add_option("--name", options->name, "general.name of a GGUF (default: that of the input)")
      ->type_name("NAME");
  command->add_flag("--round-scales", options->round_scales,
                    "Of old GGML blocks: float32 scales to the nearest float16");
  add_options(*command, options->output);
  command->footer(
      "Names and the rotary order of q and k follow the container. Values stay as they\n"
      "are unless the type changes; then each is rounded once, and how many became\n"
      "infinite or zero is counted. GGML, GGMF and GGJT files of 2023 become GGUF with\n"
      "the blocks that they have.\n\n"
      "Example:\n  galatea convert metharme-13b metharme-13b-f16.gguf --to gguf");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return run(*options, console); }; });
}

}  // namespace galatea
