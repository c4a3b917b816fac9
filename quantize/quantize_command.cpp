#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "converter/output_command.h"
#include "format/amount.h"
#include "format/checkpoint.h"
#include "format/error.h"
#include "format/job.h"
#include "format/source.h"
#include "quantize/commands.h"
#include "quantize/forecast.h"
#include "quantize/importance_file.h"
#include "quantize/metadata_override.h"
#include "quantize/prune_layers.h"
#include "quantize/quantize_model.h"
#include "quantize/quantize_report_command.h"
#include "verify/provenance.h"

namespace galatea {
namespace {

using output_command::refuse_same;

struct Options {
  std::string input, output, type, output_type, embedding_type, tokenizer, name, importance, types_file,
      pruned_layers, split_size, max_memory, search = "reference";
  std::vector<std::string> types, include, exclude, overrides;
  bool pure = false, fallback = false, leave_output = false, allow_requantize = false, dry_run = false,
       overwrite = false, per_tensor = false, keep_split = false;
};

/// "F32 F16 ...", for help and messages.
std::string encoder_names() {
  std::string names;
  for (const Encoder& row : all_encoders())
    names += (names.empty() ? "" : " ") + std::string(type_info(row.type).name);
  return names;
}

std::string mix_names() {
  std::string names;
  for (const NamedMix& mix : all_mixes()) names += (names.empty() ? "" : " ") + std::string(mix.name);
  return names;
}

DType type_named(const std::string& name) {
  const std::optional<DType> type = find_type_by_name(name);
  if (!type || find_encoder(*type) == nullptr) {
    throw Error(ErrorKind::usage, "unknown type '" + printable(name) + "'").expected(encoder_names());
  }
  return *type;
}

const NamedMix& mix_named(const std::string& name) {
  const NamedMix* mix = find_mix(name);
  if (mix == nullptr) {
    throw Error(ErrorKind::usage, "unknown type '" + printable(name) + "'").expected(mix_names());
  }
  return *mix;
}

/// "REGEX=TYPE"; the expression may contain '=' itself.
std::pair<Pattern, DType> type_by_name(const std::string& text) {
  const std::size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) {
    throw Error(ErrorKind::usage, "not an expression with a type: '" + printable(text) + "'")
        .expected("REGEX=TYPE");
  }
  const DType type = type_named(text.substr(equals + 1));
  try {
    return {Pattern(text.substr(0, equals)), type};
  } catch (const Error& error) {
    throw Error(ErrorKind::usage, error.problem()).expected("REGEX=TYPE").found(printable(text));
  }
}

TypeMix mix_of(const Options& options) {
  TypeMix mix;
  mix.named = &mix_named(options.type);
  mix.pure = options.pure;
  mix.leave_output = options.leave_output;
  if (!options.output_type.empty()) mix.output_type = type_named(options.output_type);
  if (!options.embedding_type.empty()) mix.embedding_type = type_named(options.embedding_type);
  for (const std::string& text : options.types) mix.by_name.push_back(type_by_name(text));
  if (!options.types_file.empty()) {
    std::istringstream words(read_text_file(options.types_file, std::uint64_t{1} << 20U));
    for (std::string word; words >> word;) mix.by_name.push_back(type_by_name(word));
  }
  return mix;
}

/// Reads the importance matrix, tells what it covers, and notes in the file's metadata where it came from.
ImportanceMatrix importance_of(const Options& options, GgufModel& model, nlohmann::json& document,
                               Console& console) {
  if (options.importance.empty()) {
    if (options.include.empty() && options.exclude.empty()) return {};
    throw Error(ErrorKind::usage, "--include-weights and --exclude-weights choose from an --imatrix");
  }
  ImportanceFile file = read_importance_file(options.importance);
  select_importance(file.weights, options.include, options.exclude);
  const quantize_report::Coverage coverage{options.importance,
                                           file.dataset,
                                           file.weights.size(),
                                           file.chunks,
                                           without_importance(file.weights, model.tensors),
                                           file.unused,
                                           file.thin};
  console.progress().note(quantize_report::line_of(coverage));
  document["imatrix"] = quantize_report::json_of(coverage);
  const std::filesystem::path path = options.importance;
  model.metadata.push_back({"quantize.imatrix.file", path.filename().string()});
  if (!file.dataset.empty()) model.metadata.push_back({"quantize.imatrix.dataset", file.dataset});
  model.metadata.push_back(
      {"quantize.imatrix.entries_count", static_cast<std::uint32_t>(file.weights.size())});
  model.metadata.push_back({"quantize.imatrix.chunks_count", static_cast<std::uint32_t>(file.chunks)});
  return std::move(file.weights);
}

bool splits(const Options& options) { return options.keep_split || !options.split_size.empty(); }

/// The parts that were asked for, of tensors as they are when the layers are gone.
std::optional<GgufSplit> split_of(const Options& options, const Checkpoint& checkpoint,
                                  const std::vector<Tensor>& tensors) {
  if (!options.split_size.empty()) return GgufSplit{.max_bytes = parse_shard_bytes(options.split_size)};
  if (!options.keep_split) return std::nullopt;
  if (checkpoint.gguf() == nullptr || checkpoint.files().size() < 2) {
    throw Error(ErrorKind::usage, "the model is no split GGUF whose parts could be kept")
        .file(options.input)
        .remedy("--split-max-size 2G cuts what is written into parts");
  }
  return GgufSplit{.ends = gguf_part_ends(checkpoint.files(), tensors)};
}

/// OUTPUT, or what the names of the parts begin with: OUTPUT without its .gguf.
std::filesystem::path prefix_of(const Options& options) {
  std::filesystem::path path = options.output;
  if (splits(options) && path.extension() == ".gguf") path.replace_extension();
  return path;
}

QuantizationPlan make_plan(const Options& options, const Checkpoint& checkpoint, nlohmann::json& document,
                           Console& console) {
  QuantizeOptions how;
  how.mix = mix_of(options);
  how.fallback = options.fallback;
  how.allow_requantize = options.allow_requantize;
  if (options.search == "better") how.search = ScaleSearch::better;
  for (const std::string& text : options.overrides) how.overrides.push_back(parse_metadata_override(text));
  GgufModel model = llama_gguf_model(checkpoint, {options.name, options.tokenizer});
  std::erase_if(model.metadata, [](const GgufEntry& entry) {
    return entry.key.starts_with("quantize.imatrix.") || entry.key == "quantize.search";
  });
  how.importance = importance_of(options, model, document, console);
  if (how.search == ScaleSearch::better) model.metadata.push_back({"quantize.search", options.search});
  if (!options.pruned_layers.empty())
    prune_layers(model, how.importance, parse_layers(options.pruned_layers));
  how.split = split_of(options, checkpoint, model.tensors);
  return plan_quantization(std::move(model), prefix_of(options).filename().string(), how);
}

nlohmann::json settings_of(const Options& options) {
  return {{"type", mix_named(options.type).name},
          {"pure", options.pure},
          {"fallback", options.fallback},
          {"leave_output", options.leave_output},
          {"tensor_types", options.types},
          {"tensor_type_file", options.types_file},
          {"search", options.search},
          {"imatrix", options.importance},
          {"include_weights", options.include},
          {"exclude_weights", options.exclude},
          {"output_type", options.output_type},
          {"embedding_type", options.embedding_type},
          {"tokenizer", options.tokenizer},
          {"name", options.name},
          {"override_kv", options.overrides},
          {"prune_layers", options.pruned_layers},
          {"keep_split", options.keep_split},
          {"split_max_size", options.split_size},
          {"allow_requantize", options.allow_requantize}};
}

int say_what_would_be(const Options& options, const QuantizationPlan& plan, const WriteOptions& write,
                      nlohmann::json& document, Console& console) {
  const double seconds = expected_seconds(plan, write);
  const std::uint64_t memory = peak_memory(plan, write);
  quantize_report::print_table(plan, options.per_tensor, false, console);
  if (plan.files.size() > 1) {
    for (const FileLayout& file : plan.files)
      console.print("  " + printable(file.name) + "  " + std::to_string(file.size()) + " bytes");
  }
  console.print("about " + duration(seconds) + " and at most " + amount(static_cast<double>(memory), "B") +
                " of memory");
  console.print(options.output + " would have " + std::to_string(plan.size()) + " bytes, " +
                quantize_report::text("%.3f", plan.bits_per_weight()) + " bits for each weight");
  document.update(quantize_report::document_of(plan, false));
  document["expected_seconds"] = seconds;
  document["peak_memory_bytes"] = memory;
  console.print_json(document);
  return 0;
}

std::vector<WrittenFile> write_files(const Options& options, QuantizationPlan& plan,
                                     const WriteOptions& write, const std::filesystem::path& folder) {
  require_finite_sources(plan, *write.progress);
  if (!splits(options)) return {write_file(plan.files.front(), options.output, write)};
  return write_plan({plan.files}, folder, write);
}

int quantize(const Options& options, Console& console) {
  const Checkpoint checkpoint = Checkpoint::open(options.input);
  nlohmann::json document = {
      {"input", options.input}, {"output", options.output}, {"type", mix_named(options.type).name}};
  QuantizationPlan plan = make_plan(options, checkpoint, document, console);
  for (const std::string& note : plan.notes) console.progress().note(note);
  WriteOptions write;
  write.files_at_once = 1;
  if (!options.max_memory.empty()) fit_into_memory(plan, parse_shard_bytes(options.max_memory), write);
  if (options.dry_run) return say_what_would_be(options, plan, write, document, console);

  const nlohmann::json settings = settings_of(options);
  std::vector<std::filesystem::path> inputs = checkpoint.files();
  inputs.insert(inputs.end(), {options.input, checkpoint.tokenizer_model().value_or(options.input)});
  for (const std::string& file : {options.tokenizer, options.importance, options.types_file}) {
    if (!file.empty()) inputs.emplace_back(file);
  }
  const std::filesystem::path prefix = prefix_of(options);
  const std::filesystem::path folder = prefix.parent_path().empty() ? "." : prefix.parent_path();
  std::vector<std::filesystem::path> outputs = {options.output};
  if (splits(options)) {
    for (const FileLayout& file : plan.files) outputs.push_back(folder / file.name);
  }
  for (const std::filesystem::path& input : checkpoint.files()) {
    for (const std::filesystem::path& output : outputs) refuse_same(input, output);
  }
  Job job("quantize " + settings.dump(), inputs, outputs);
  write.job = &job;
  write.overwrite = options.overwrite;
  write.progress = &console.progress();
  const std::vector<WrittenFile> written = write_files(options, plan, write, folder);
  document.update(quantize_report::document_of(plan, true));
  quantize_report::print_table(plan, options.per_tensor, true, console);
  console.print(options.output + ": " + std::to_string(plan.size()) + " bytes, " +
                quantize_report::text("%.3f", plan.bits_per_weight()) + " bits for each weight");
  for (const WrittenFile& file : written) {
    const std::string& digest = file.digests.at(HashKind::sha256);
    console.print(digest + "  " + (splits(options) ? (folder / file.name).string() : options.output));
    if (splits(options))
      document["files"].push_back({{"name", file.name}, {"size", file.size}, {"sha256", digest}});
  }
  if (!splits(options)) document["sha256"] = written.front().digests.at(HashKind::sha256);
  write_provenance(
      {"quantize", "scales and codes in float32, without fused multiply-adds", {options.input}, written},
      settings, splits(options) ? prefix : std::filesystem::path(options.output));
  console.print_json(document);
  job.finish();
  return 0;
}

}  // namespace

void bind_quantize(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("quantize", "Write a checkpoint as GGUF with fewer bits for each weight");
  command->add_option("input", options->input, "A checkpoint: folder, GGUF, safetensors, .pth, ...")
      ->required();
  command->add_option("output", options->output, "The GGUF file to write")->required();
  command->add_option("--type", options->type, mix_names())->required()->type_name("TYPE");
  command->add_flag("--pure", options->pure, "TYPE for every matrix");
  command->add_option("--output-type", options->output_type, "Type of the output head")->type_name("TYPE");
  command->add_flag("--fallback", options->fallback, "Where rows are no whole blocks, llama.cpp's choice");
  command->add_flag("--leave-output-tensor", options->leave_output, "The output head stays as it is");
  command->add_option("--embedding-type", options->embedding_type, "Type of the embedding")
      ->type_name("TYPE");
  // llama-quantize's names for two of them.
  command->add_option("--output-tensor-type", options->output_type)->group("");
  command->add_option("--token-embedding-type", options->embedding_type)->group("");
  command->add_option("--tensor-type", options->types, "Type by name; the first that matches wins")
      ->type_name("REGEX=TYPE");
  command->add_option("--tensor-type-file", options->types_file, "More of them, between white space")
      ->type_name("FILE");
  command
      ->add_option("--imatrix", options->importance, "Importance of columns, by llama-imatrix (GGUF or .dat)")
      ->type_name("FILE");
  command->add_option("--include-weights", options->include, "Importance for names with this part only")
      ->type_name("NAME");
  command->add_option("--exclude-weights", options->exclude, "No importance for names with this part")
      ->type_name("NAME");
  command
      ->add_option("--search", options->search,
                   "Scales of blocks: reference (llama.cpp's bytes) or better (less error, more time)")
      ->check(CLI::IsMember({"reference", "better"}))
      ->type_name("SEARCH");
  command->add_option("--tokenizer", options->tokenizer, "A tokenizer.model other than the input's own")
      ->type_name("FILE");
  command->add_option("--name", options->name, "general.name in the file (default: that of the input)")
      ->type_name("NAME");
  command->add_flag("--allow-requantize", options->allow_requantize,
                    "Take weights that are quantized already");
  command->add_option("--override-kv", options->overrides, "An entry of the metadata: int, float, bool, str")
      ->type_name("KEY=TYPE:VALUE");
  command->add_option("--prune-layers", options->pruned_layers, "Leave these layers out: 3,7 or 20-23")
      ->type_name("LIST");
  command->add_option("--split-max-size", options->split_size, "Write parts of so much weight: 2G, 500M")
      ->type_name("SIZE");
  command->add_flag("--keep-split", options->keep_split, "Write as many parts as the input has");
  command->add_option("--max-memory", options->max_memory, "Take at most so much memory: 256M")
      ->type_name("SIZE");
  command->add_flag("--per-tensor", options->per_tensor, "A line for each tensor");
  command->add_flag("--dry-run", options->dry_run, "Say what it would give and cost; write nothing");
  command->add_flag("--overwrite", options->overwrite, "Replace the output if it is there");
  command->footer(
      "TYPE is a mix of llama-quantize, with its choices: norms stay F32, the output\n"
      "head gets Q6_K, some matrices more bits than others; --pure gives all of them\n"
      "TYPE. Errors are root mean squares over those of the weights.\n\n"
      "Example: galatea quantize metharme-13b metharme-13b-q4_k_m.gguf --type Q4_K_M");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return quantize(*options, console); }; });
}

}  // namespace galatea
