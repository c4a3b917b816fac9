#include <array>
#include <cstdio>
#include <memory>

#include "converter/convert.h"
#include "converter/lora_merge.h"
#include "converter/output_command.h"

namespace galatea {
namespace {

using namespace output_command;

struct Options {
  std::string base, target = "bin", type;
  std::vector<std::string> adapters;
  Output output;
};

std::string text_of(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

/// The type that the merged weights are rounded to: what the base's have, F16 for quantized ones.
DType type_of_base(const HfModel& model) {
  for (const Tensor& tensor : model.tensors) {
    if (tensor.shape.size() > 1) return type_info(tensor.type()).quantized() ? DType::f16 : tensor.type();
  }
  return DType::f16;
}

nlohmann::json merge_all(HfModel& model, const Options& options, Console& console) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const std::string& text : options.adapters) {
    const AdapterArgument argument = parse_adapter_argument(text);
    const LoraAdapter adapter = read_lora_adapter(argument.path);
    const std::vector<MergedTensor> merged = merge_adapter(model, adapter, argument.scale);
    console.print(argument.path.string() + ": rank " + std::to_string(adapter.config.rank) + ", scaling " +
                  text_of(adapter.config.scaling * argument.scale) + ", changes " +
                  std::to_string(merged.size()) + " tensors");
    for (const MergedTensor& tensor : merged) {
      if (options.output.dry_run)
        console.print("  " + printable(tensor.name) + (tensor.embedding ? "  (embedding)" : ""));
      tensors.push_back({{"name", tensor.name},
                         {"adapter", argument.path.string()},
                         {"rank", tensor.rank},
                         {"scaling", tensor.scaling},
                         {"embedding", tensor.embedding}});
    }
  }
  return tensors;
}

int run(const Options& options, Console& console) {
  refuse_same(options.base, options.output.path);
  const Checkpoint base = Checkpoint::open(options.base);
  HfModel model = hf_model(base);
  ConvertOptions how;
  how.target = parse_convert_target(options.target);
  how.type = options.type.empty() ? type_of_base(model) : parse_weight_type(options.type);
  how.max_shard_bytes = parse_shard_bytes(options.output.max_shard_size);
  how.name_or_path = std::filesystem::absolute(options.base).lexically_normal().filename().string();
  if (how.name_or_path.empty()) {  // a path that ends in a slash
    how.name_or_path =
        std::filesystem::absolute(options.base).lexically_normal().parent_path().filename().string();
  }
  nlohmann::json document = {{"base", options.base},
                             {"output", options.output.path},
                             {"to", options.target},
                             {"dtype", type_info(*how.type).name},
                             {"arithmetic", merge_arithmetic()}};
  document["tensors"] = merge_all(model, options, console);
  const Conversion conversion = convert_model(base, std::move(model), how);
  for (const std::string& note : conversion.notes) console.progress().note(note);
  console.print("Arithmetic: " + std::string(merge_arithmetic()) + " (" +
                std::string(type_info(*how.type).name) + ").");
  if (options.output.dry_run) {
    print_plan(conversion.plan, console);
    document["files"] = files_json(conversion.plan);
    console.print_json(document);
    return 0;
  }
  Provenance record{"merge-lora", std::string(merge_arithmetic()), {options.base}, {}};
  for (const std::string& text : options.adapters) record.inputs.push_back(parse_adapter_argument(text).path);
  const nlohmann::json settings = {{"adapters", options.adapters},
                                   {"to", options.target},
                                   {"dtype", type_info(*how.type).name},
                                   {"max_shard_size", options.output.max_shard_size}};
  std::vector<std::filesystem::path> inputs = inputs_of(base);
  inputs.insert(inputs.end(), record.inputs.begin(), record.inputs.end());
  Job job("merge-lora " + record.arithmetic + settings.dump(), inputs, {options.output.path});
  const std::vector<WrittenFile> written =
      write(conversion.plan, conversion.single_file, options.output, job, console);
  record.outputs = written;
  write_provenance(record, settings, options.output.path);
  print_written(written, console);
  const std::string losses = describe(*conversion.losses);
  if (!losses.empty())
    console.print("Rounded to " + std::string(type_info(*how.type).name) + ": " + losses + ".");
  document["files"] = written_json(written);
  document["overflowed"] = conversion.losses->overflowed.load();
  document["underflowed"] = conversion.losses->underflowed.load();
  console.print_json(document);
  job.finish();
  return 0;
}

}  // namespace

void bind_merge_lora(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("merge-lora", "Merge LoRA adapters into the weights of their base");
  command->add_option("base", options->base, "The base: any checkpoint")->required();
  command->add_option("adapter", options->adapters, "Folders as PEFT saves them, in order; PATH:SCALE scales")
      ->required()
      ->expected(1, 64)
      ->type_name("");
  command->add_option("--out", options->output.path, "Folder to write; for gguf, the file")
      ->required()
      ->type_name("PATH");
  command->add_option("--to", options->target, "bin, safetensors or gguf")
      ->type_name("KIND")
      ->capture_default_str();
  command->add_option("--dtype", options->type, "F32, F16 or BF16 (default: that of the base)")
      ->type_name("TYPE");
  add_options(*command, options->output);
  command->footer(
      "Every tensor of an adapter must be understood and find its module in the base;\n"
      "else nothing is written. Linear layers and embeddings, rsLoRA.\n\n"
      "Example:\n  galatea merge-lora llama-13b-hf my-adapter --out my-13b");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return run(*options, console); }; });
}

}  // namespace galatea
