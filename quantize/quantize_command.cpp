#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "format/checkpoint.h"
#include "format/error.h"
#include "format/job.h"
#include "format/source.h"
#include "quantize/commands.h"
#include "quantize/importance_file.h"
#include "quantize/quantize_model.h"
#include "verify/provenance.h"

namespace galatea {
namespace {

struct Options {
  std::string input, output, type, output_type, embedding_type, tokenizer, name, importance, types_file;
  std::vector<std::string> types, include, exclude;
  bool pure = false, fallback = false, leave_output = false, allow_requantize = false, dry_run = false,
       overwrite = false, per_tensor = false;
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

std::string text(const char* pattern, double value) {
  std::array<char, 64> out{};
  std::snprintf(out.data(), out.size(), pattern, value);
  return out.data();
}

std::string row(const std::string& what, const std::string& tensors, const std::string& bytes,
                const std::string& bits, const std::string& error) {
  std::array<char, 200> out{};
  std::snprintf(out.data(), out.size(), "%-26s %7s %15s %7s %12s", what.c_str(), tensors.c_str(),
                bytes.c_str(), bits.c_str(), error.c_str());
  std::string line = out.data();
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

double bits_of(std::uint64_t bytes, std::uint64_t values) {
  return values == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(values);
}

std::string error_text(const QuantizedTensor& tensor) {
  return tensor.error == nullptr ? "-" : text("%.3e", tensor.error->relative_error());
}

/// One line for each type, or for each tensor; the error is relative to the tensor's own root mean square.
void print_table(const QuantizationPlan& plan, bool per_tensor, bool measured, Console& console) {
  console.print(row(per_tensor ? "tensor" : "type", per_tensor ? "type" : "tensors", "bytes", "bits/w",
                    measured ? (per_tensor ? "error" : "worst error") : ""));
  if (per_tensor) {
    for (const QuantizedTensor& tensor : plan.tensors) {
      console.print(row(tensor.name, std::string(type_info(tensor.to).name), std::to_string(tensor.bytes),
                        text("%.2f", bits_of(tensor.bytes, tensor.values())),
                        measured ? error_text(tensor) : ""));
    }
    return;
  }
  for (const TypeInfo& type : all_types()) {
    std::uint64_t count = 0, bytes = 0, values = 0;
    double worst = 0;
    for (const QuantizedTensor& tensor : plan.tensors) {
      if (tensor.to != type.type) continue;
      ++count;
      bytes += tensor.bytes;
      values += tensor.values();
      if (measured && tensor.error != nullptr) worst = std::max(worst, tensor.error->relative_error());
    }
    if (count == 0) continue;
    console.print(row(std::string(type.name), std::to_string(count), std::to_string(bytes),
                      text("%.2f", bits_of(bytes, values)), measured ? text("%.3e", worst) : ""));
  }
}

/// The ten tensors that lost most, relative to their own size.
nlohmann::json worst_of(const QuantizationPlan& plan) {
  std::vector<std::pair<double, std::string>> lost;
  for (const QuantizedTensor& tensor : plan.tensors) {
    if (tensor.error != nullptr) lost.emplace_back(tensor.error->relative_error(), tensor.name);
  }
  std::sort(lost.begin(), lost.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  if (lost.size() > 10) lost.resize(10);
  nlohmann::json worst = nlohmann::json::array();
  for (const auto& [error, name] : lost) worst.push_back({{"name", name}, {"relative_error", error}});
  return worst;
}

nlohmann::json document_of(const Options& options, const QuantizationPlan& plan, bool measured) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const QuantizedTensor& tensor : plan.tensors) {
    nlohmann::json entry = {
        {"name", tensor.name},
        {"shape", tensor.shape},
        {"from", type_info(tensor.from).name},
        {"type", type_info(tensor.to).name},
        {"bytes", tensor.bytes},
        {"bits_per_weight", bits_of(tensor.bytes, tensor.values())},
        {"share_of_file", static_cast<double>(tensor.bytes) / static_cast<double>(plan.layout.size())}};
    if (measured && tensor.error != nullptr) {
      entry["rms_error"] = tensor.error->rms_error(tensor.values());
      entry["relative_error"] = tensor.error->relative_error();
    }
    tensors.push_back(std::move(entry));
  }
  nlohmann::json document = {{"input", options.input},
                             {"output", options.output},
                             {"type", mix_named(options.type).name},
                             {"bytes", plan.layout.size()},
                             {"bits_per_weight", plan.bits_per_weight()},
                             {"tensors", std::move(tensors)}};
  if (measured) document["worst"] = worst_of(plan);
  return document;
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
ImportanceMatrix importance_of(const Options& options, GgufModel& model, Console& console) {
  if (options.importance.empty()) {
    if (options.include.empty() && options.exclude.empty()) return {};
    throw Error(ErrorKind::usage, "--include-weights and --exclude-weights choose from an --imatrix");
  }
  ImportanceFile file = read_importance_file(options.importance);
  select_importance(file.weights, options.include, options.exclude);
  const std::vector<std::string> missing = without_importance(file.weights, model.tensors);
  std::string note = options.importance + ": " + std::to_string(file.weights.size()) + " matrices";
  if (file.chunks != 0) note += " over " + std::to_string(file.chunks) + " chunks";
  if (!missing.empty()) {
    note += "; nothing for " + std::to_string(missing.size()) + " (" + missing.front() +
            (missing.size() == 1 ? ")" : ", ...)");
  }
  if (!file.unused.empty()) {
    note += "; " + std::to_string(file.unused.size()) + " never used, all their columns count alike (" +
            file.unused.front() + (file.unused.size() == 1 ? ")" : ", ...)");
  }
  console.progress().note(note);
  const std::filesystem::path path = options.importance;
  model.metadata.push_back({"quantize.imatrix.file", path.filename().string()});
  if (!file.dataset.empty()) model.metadata.push_back({"quantize.imatrix.dataset", file.dataset});
  model.metadata.push_back(
      {"quantize.imatrix.entries_count", static_cast<std::uint32_t>(file.weights.size())});
  model.metadata.push_back({"quantize.imatrix.chunks_count", static_cast<std::uint32_t>(file.chunks)});
  return std::move(file.weights);
}

QuantizationPlan make_plan(const Options& options, const Checkpoint& checkpoint, Console& console) {
  QuantizeOptions how;
  how.mix = mix_of(options);
  how.fallback = options.fallback;
  how.allow_requantize = options.allow_requantize;
  how.measure = !options.dry_run;
  GgufModel model = llama_gguf_model(checkpoint, {options.name, options.tokenizer});
  std::erase_if(model.metadata,
                [](const GgufEntry& entry) { return entry.key.starts_with("quantize.imatrix."); });
  how.importance = importance_of(options, model, console);
  return plan_quantization(std::move(model), std::filesystem::path(options.output).filename().string(), how);
}

int quantize(const Options& options, Console& console) {
  const Checkpoint checkpoint = Checkpoint::open(options.input);
  const QuantizationPlan plan = make_plan(options, checkpoint, console);
  for (const std::string& note : plan.notes) console.progress().note(note);
  if (options.dry_run) {
    print_table(plan, options.per_tensor, false, console);
    console.print(options.output + " would have " + std::to_string(plan.layout.size()) + " bytes, " +
                  text("%.3f", plan.bits_per_weight()) + " bits for each weight");
    console.print_json(document_of(options, plan, false));
    return 0;
  }
  const nlohmann::json settings = {{"type", mix_named(options.type).name},
                                   {"pure", options.pure},
                                   {"fallback", options.fallback},
                                   {"leave_output", options.leave_output},
                                   {"tensor_types", options.types},
                                   {"tensor_type_file", options.types_file},
                                   {"imatrix", options.importance},
                                   {"include_weights", options.include},
                                   {"exclude_weights", options.exclude},
                                   {"output_type", options.output_type},
                                   {"embedding_type", options.embedding_type},
                                   {"tokenizer", options.tokenizer},
                                   {"name", options.name},
                                   {"allow_requantize", options.allow_requantize}};
  std::vector<std::filesystem::path> inputs = checkpoint.files();
  inputs.insert(inputs.end(), {options.input, checkpoint.tokenizer_model().value_or(options.input)});
  for (const std::string& file : {options.tokenizer, options.importance, options.types_file}) {
    if (!file.empty()) inputs.emplace_back(file);
  }
  Job job("quantize " + settings.dump(), inputs, {options.output});
  WriteOptions write;
  write.job = &job;
  write.overwrite = options.overwrite;
  write.progress = &console.progress();
  const WrittenFile written = write_file(plan.layout, options.output, write);
  nlohmann::json document = document_of(options, plan, true);
  document["sha256"] = written.digests.at(HashKind::sha256);
  print_table(plan, options.per_tensor, true, console);
  console.print(options.output + ": " + std::to_string(written.size) + " bytes, " +
                text("%.3f", plan.bits_per_weight()) + " bits for each weight");
  console.print(written.digests.at(HashKind::sha256) + "  " + options.output);
  write_provenance(
      {"quantize", "scales and codes in float32, without fused multiply-adds", {options.input}, {written}},
      settings, options.output);
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
  command->add_option("--tokenizer", options->tokenizer, "Its tokenizer.model, where it is elsewhere")
      ->type_name("FILE");
  command->add_option("--name", options->name, "general.name in the file (default: that of the input)")
      ->type_name("NAME");
  command->add_flag("--allow-requantize", options->allow_requantize,
                    "Take weights that are quantized already");
  command->add_flag("--per-tensor", options->per_tensor, "A line for each tensor");
  command->add_flag("--dry-run", options->dry_run, "Say what would be written, to the byte; write nothing");
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
