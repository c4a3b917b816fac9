#include <array>
#include <cstdio>
#include <map>
#include <memory>

#include "converter/convert.h"
#include "converter/lora_merge.h"
#include "converter/output_command.h"

namespace galatea {
namespace {

using namespace output_command;

struct Options {
  std::string base, target = "bin", type, arithmetic = "peft", loaded = "F32";
  std::vector<std::string> adapters;
  std::string vocabulary;
  std::uint64_t pad_to = 1;
  bool allow_unused = false, report = false;
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

std::vector<ScaledAdapter> read_adapters(const Options& options) {
  std::vector<ScaledAdapter> adapters;
  for (const std::string& text : options.adapters) {
    const AdapterArgument argument = parse_adapter_argument(text);
    adapters.push_back({read_lora_adapter(argument.path), argument.scale});
  }
  return adapters;
}

std::string text_of(const AppliedChange& change) {
  std::string text(change.kind);
  if (change.rank > 0) text += " of rank " + std::to_string(change.rank);
  if (change.rank > 0 || change.kind == "bias") text += ", scaling " + text_of(change.scaling);
  return text;
}

std::string text_of(const ChangeSummary& change) {
  std::string text = "norm " + text_of(change.norm) + ", largest " + text_of(change.largest) + ", " +
                     std::to_string(change.changed) + " values changed";
  if (!change.complete) text += " (of the part that this run wrote)";
  if (change.underflowed > 0) text += ", " + std::to_string(change.underflowed) + " became zero";
  return text;
}

void print_adapters(const std::vector<ScaledAdapter>& adapters, const MergeResult& merge, Console& console) {
  for (std::size_t i = 0; i < adapters.size(); ++i) {
    std::map<std::string, std::size_t> kinds;
    for (const MergedTensor& tensor : merge.tensors) {
      for (const AppliedChange& change : tensor.applied) {
        if (change.adapter == i) ++kinds[text_of(change)];
      }
    }
    console.print(adapters[i].adapter.path.string() + " (" + adapters[i].adapter.format + "):");
    for (const auto& [kind, count] : kinds)
      console.print("  " + kind + ": " + std::to_string(count) + (count == 1 ? " tensor" : " tensors"));
  }
}

nlohmann::json tensors_json(const std::vector<ScaledAdapter>& adapters, const MergeResult& merge,
                            bool written) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const MergedTensor& tensor : merge.tensors) {
    nlohmann::json entry = {{"name", tensor.name}, {"applied", nlohmann::json::array()}};
    for (const AppliedChange& change : tensor.applied) {
      entry["applied"].push_back({{"adapter", adapters[change.adapter].adapter.path.string()},
                                  {"kind", change.kind},
                                  {"rank", change.rank},
                                  {"scaling", change.scaling}});
    }
    if (written) {
      const ChangeSummary change = tensor.change->summary();
      entry["norm"] = change.norm;
      entry["largest"] = change.largest;
      entry["changed"] = change.changed;
      entry["underflowed"] = change.underflowed;
      entry["complete"] = change.complete;
    }
    tensors.push_back(std::move(entry));
  }
  return tensors;
}

/// Every tensor with --report, else the one that changed most.
void print_report(const MergeResult& merge, bool all, Console& console) {
  const MergedTensor* most = nullptr;
  double largest = -1;
  std::uint64_t zeros = 0;
  for (const MergedTensor& tensor : merge.tensors) {
    const ChangeSummary change = tensor.change->summary();
    zeros += change.underflowed;
    if (change.largest > largest) {
      largest = change.largest;
      most = &tensor;
    }
    if (!all) continue;
    std::string line = "  " + printable(tensor.name);
    for (const AppliedChange& applied : tensor.applied) line += "; " + text_of(applied);
    console.print(line + "; " + text_of(change));
  }
  if (most != nullptr && !all)
    console.print("Largest change: " + printable(most->name) + ", " + text_of(most->change->summary()) + ".");
  console.print("All values are finite; " + std::to_string(zeros) +
                " of the merged tensors' became zero by rounding.");
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
  MergeOptions merging;
  merging.arithmetic = parse_lora_arithmetic(options.arithmetic);
  merging.loaded = parse_weight_type(options.loaded);
  merging.type = *how.type;
  merging.allow_unused = options.allow_unused;
  if (!options.vocabulary.empty()) merging.vocabulary = parse_vocabulary_rule(options.vocabulary);
  merging.pad_to = options.pad_to;
  const std::vector<ScaledAdapter> adapters = read_adapters(options);
  const MergeResult merge = merge_adapters(model, adapters, merging);
  const std::string arithmetic = describe_arithmetic(merging);
  if (merge.adapter_tokenizer && std::filesystem::is_directory(adapters.back().adapter.path))
    how.tokenizer_folder = adapters.back().adapter.path;
  const Conversion conversion = convert_model(base, std::move(model), how);
  for (const std::string& note : merge.notes) console.print("Note: " + printable(note, 2000) + ".");
  for (const std::string& note : conversion.notes) console.progress().note(note);
  print_adapters(adapters, merge, console);
  console.print("Arithmetic: " + arithmetic + " (" + std::string(type_info(*how.type).name) + ").");
  nlohmann::json document = {{"base", options.base},     {"output", options.output.path},
                             {"to", options.target},     {"dtype", type_info(*how.type).name},
                             {"arithmetic", arithmetic}, {"notes", merge.notes}};
  if (options.output.dry_run) {
    for (const MergedTensor& tensor : merge.tensors) {
      std::string line = "  " + printable(tensor.name);
      for (const AppliedChange& change : tensor.applied) line += "; " + text_of(change);
      console.print(line);
    }
    print_plan(conversion.plan, console);
    document["tensors"] = tensors_json(adapters, merge, false);
    document["files"] = files_json(conversion.plan);
    console.print_json(document);
    return 0;
  }
  Provenance record{"merge-lora", arithmetic, {options.base}, {}};
  for (const ScaledAdapter& one : adapters) record.inputs.push_back(one.adapter.path);
  const nlohmann::json settings = {{"adapters", options.adapters},
                                   {"to", options.target},
                                   {"dtype", type_info(*how.type).name},
                                   {"arithmetic", options.arithmetic},
                                   {"load_as", options.loaded},
                                   {"allow_unused", options.allow_unused},
                                   {"vocab", options.vocabulary},
                                   {"pad_to", options.pad_to},
                                   {"max_shard_size", options.output.max_shard_size}};
  std::vector<std::filesystem::path> inputs = inputs_of(base);
  inputs.insert(inputs.end(), record.inputs.begin(), record.inputs.end());
  Job job("merge-lora " + record.arithmetic + settings.dump(), inputs, {options.output.path});
  const std::vector<WrittenFile> written =
      write(conversion.plan, conversion.single_file, options.output, job, console);
  record.outputs = written;
  write_provenance(record, settings, options.output.path);
  print_written(written, console);
  print_report(merge, options.report, console);
  document["tensors"] = tensors_json(adapters, merge, true);
  document["files"] = written_json(written);
  console.print_json(document);
  job.finish();
  return 0;
}

}  // namespace

void bind_merge_lora(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("merge-lora", "Merge LoRA adapters into the weights of their base");
  command->add_option("base", options->base, "The base: any checkpoint")->required();
  command
      ->add_option("adapter", options->adapters,
                   "Folders of PEFT or MLX, files of llama.cpp or kohya, in order; PATH:SCALE scales")
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
  command
      ->add_option(
          "--arithmetic", options->arithmetic,
          "peft: as merge_and_unload rounds; peft-safe: as with safe_merge; exact: float64, rounded once")
      ->type_name("KIND")
      ->capture_default_str();
  command
      ->add_option("--load-as", options->loaded,
                   "F32, F16 or BF16: the type that PEFT would have loaded the base as")
      ->type_name("TYPE")
      ->capture_default_str();
  command->add_flag("--allow-unused", options->allow_unused,
                    "Go on where parts of an adapter are not understood or match nothing; they are listed");
  command
      ->add_option(
          "--vocab", options->vocabulary,
          "Where base and adapter differ in tokens: keep the base's, grow to the larger, trim to the smaller")
      ->type_name("RULE");
  command
      ->add_option("--pad-to", options->pad_to,
                   "Pad embedding and output head to a multiple of this many rows")
      ->type_name("N")
      ->check(CLI::Range(1, 1'000'000).description(""));
  command->add_flag("--report", options->report, "Say for every merged tensor how much it changed");
  add_options(*command, options->output);
  command->footer(
      "Every tensor and setting of an adapter must be understood and find its place in\n"
      "the base, every merged value be finite; else nothing is written.\n\n"
      "Example:\n  galatea merge-lora llama-13b-hf my-adapter --out my-13b");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return run(*options, console); }; });
}

}  // namespace galatea
