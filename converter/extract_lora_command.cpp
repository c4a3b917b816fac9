#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <numeric>

#include "converter/convert.h"
#include "converter/hf_output.h"
#include "converter/lora_extract.h"
#include "converter/output_command.h"
#include "converter/scratch_file.h"
#include "format/output_file.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using namespace output_command;

struct Options {
  std::string base, merged, out, type = "F32";
  std::uint64_t rank = 0;
  bool dry_run = false, overwrite = false;
};

std::string text_of(const char* format, double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string name_of(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

/// Of all factored tensors together.
LowRankError error_of_all(const Extraction& extraction) {
  LowRankError all;
  for (const ExtractedTensor& one : extraction.tensors) {
    all.norm = std::hypot(all.norm, one.error.norm);
    all.missed = std::hypot(all.missed, one.error.missed);
  }
  return all;
}

void print_tensors(const Extraction& extraction, bool computed, Console& console) {
  console.print("rank\tnorm of the difference\tmissed of it\ttensor");
  for (const ExtractedTensor& one : extraction.tensors) {
    const std::string rank = one.rank > 0 ? std::to_string(one.rank) : "whole";
    const bool numbers = computed && one.rank > 0;
    console.print(rank + "\t" + (numbers ? text_of("%.6g", one.error.norm) : "-") + "\t" +
                  (numbers ? text_of("%.4f %%", 100 * one.error.relative()) : "-") + "\t" +
                  printable(one.name));
  }
  if (!computed) return;
  const LowRankError all = error_of_all(extraction);
  console.print("All factored tensors: norm of the difference " + text_of("%.6g", all.norm) + ", of which " +
                text_of("%.4f", 100 * all.relative()) + " % is missed.");
}

nlohmann::json tensors_json(const Extraction& extraction, bool computed) {
  nlohmann::json tensors = nlohmann::json::array();
  for (const ExtractedTensor& one : extraction.tensors) {
    nlohmann::json entry = {{"name", one.name}, {"kind", to_string(one.kind)}, {"rank", one.rank}};
    if (computed && one.rank > 0) {
      entry["norm"] = one.error.norm;
      entry["missed"] = one.error.missed;
      entry["relative"] = one.error.relative();
    }
    tensors.push_back(std::move(entry));
  }
  return tensors;
}

/// Before the work, unless an unfinished run has left its journal: then the writer knows which files are its own.
void refuse_existing(const Plan& plan, const fs::path& folder) {
  if (fs::exists(journal_path(folder))) return;
  for (const FileLayout& file : plan.files) {
    if (!fs::exists(folder / file.name)) continue;
    throw Error(ErrorKind::usage, "the file exists already")
        .file(folder / file.name)
        .remedy("--overwrite replaces it");
  }
}

/// The factors on disk, one tensor behind the other.
class FactorStore {
 public:
  FactorStore(const Extraction& extraction, const fs::path& folder)
      : offsets_(extraction.tensors.size() + 1, 0) {
    for (std::size_t i = 0; i < extraction.tensors.size(); ++i) {
      const ExtractedTensor& one = extraction.tensors[i];
      const std::uint64_t values = one.rank == 0 ? 0 : one.rank * (one.after.shape[0] + one.after.shape[1]);
      offsets_[i + 1] = offsets_[i] + values * sizeof(float);
    }
    require_free_space(folder, offsets_.back());
    file_ = ScratchFile::make(folder);
  }
  void take(std::size_t index, const std::vector<float>& down, const std::vector<float>& up) {
    file_->write(offsets_[index], std::as_bytes(std::span(down)));
    file_->write(offsets_[index] + down.size() * sizeof(float), std::as_bytes(std::span(up)));
  }
  std::vector<FactorRows> rows(const Extraction& extraction) const {
    std::vector<FactorRows> out(extraction.tensors.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const ExtractedTensor& one = extraction.tensors[i];
      if (one.rank == 0) continue;
      const bool embedding = one.kind == ExtractedKind::embedding;
      const std::uint64_t in = one.after.shape[embedding ? 0 : 1];
      out[i].down = file_->rows(offsets_[i], one.rank, in);
      out[i].up = file_->rows(offsets_[i] + one.rank * in * sizeof(float), one.after.shape[embedding ? 1 : 0],
                              one.rank);
    }
    return out;
  }

 private:
  std::vector<std::uint64_t> offsets_;
  std::shared_ptr<ScratchFile> file_;
};

void add_tokenizer(const Checkpoint& merged, Plan& plan) {
  if (merged.kind() == CheckpointKind::hf) carry_tokenizer(merged.path(), plan);
}

/// Factors on disk first, then the adapter made of them; an output folder that was made and got nothing goes again.
std::vector<WrittenFile> write_adapter(const Options& options, Extraction& extraction,
                                       const Checkpoint& merged, Job& job, Console& console) {
  const fs::path out = options.out;
  make_folder(out);
  try {
    FactorStore store(extraction, out);
    compute_factors(
        extraction,
        [&](std::size_t index, const std::vector<float>& down, const std::vector<float>& up) {
          store.take(index, down, up);
        },
        console.progress());
    Plan plan = adapter_plan(extraction, store.rows(extraction));
    add_tokenizer(merged, plan);
    WriteOptions writing;
    writing.overwrite = options.overwrite;
    writing.progress = &console.progress();
    writing.job = &job;
    std::vector<WrittenFile> written = write_plan(plan, out, writing);
    write_provenance({"extract-lora",
                      "randomized truncated SVD of merged - base in float32: fixed signs, 16 vectors more "
                      "than the rank, two power iterations",
                      {options.base, options.merged},
                      written},
                     {{"rank", options.rank}, {"dtype", type_info(extraction.options.type).name}}, out);
    print_written(written, console);
    return written;
  } catch (...) {
    std::error_code ignored;
    fs::remove(out, ignored);  // only when it is empty
    throw;
  }
}

int run(const Options& options, Console& console) {
  const fs::path out = options.out;
  if (!options.out.empty()) {
    refuse_same(options.base, out);
    refuse_same(options.merged, out);
  }
  const Checkpoint base = Checkpoint::open(options.base);
  const Checkpoint merged = Checkpoint::open(options.merged);
  Extraction extraction = compare_models(
      hf_model(base), hf_model(merged),
      {.rank = options.rank, .type = parse_weight_type(options.type), .base_name = name_of(options.base)},
      console.progress());
  for (const std::string& note : extraction.notes) console.print("Note: " + printable(note, 2000) + ".");
  nlohmann::json document = {{"base", options.base},
                             {"merged", options.merged},
                             {"rank", options.rank},
                             {"dtype", type_info(extraction.options.type).name},
                             {"notes", extraction.notes}};
  Plan sizes = adapter_plan(extraction, {});
  add_tokenizer(merged, sizes);
  if (!options.out.empty() && !options.overwrite) refuse_existing(sizes, out);
  if (options.dry_run) {
    print_tensors(extraction, false, console);
    print_plan(sizes, console);
    document["tensors"] = tensors_json(extraction, false);
    document["files"] = files_json(sizes);
    console.print_json(document);
    return 0;
  }
  std::optional<Job> job;
  if (options.out.empty()) {
    compute_factors(
        extraction, [](std::size_t, const auto&, const auto&) {}, console.progress());
  } else {
    std::vector<fs::path> inputs = inputs_of(base);
    for (const fs::path& input : inputs_of(merged)) inputs.push_back(input);
    job.emplace("extract-lora " + std::to_string(options.rank) + " " + options.type, inputs,
                std::vector<fs::path>{out});
    const std::vector<WrittenFile> written = write_adapter(options, extraction, merged, *job, console);
    document["output"] = options.out;
    document["files"] = written_json(written);
  }
  print_tensors(extraction, true, console);
  document["tensors"] = tensors_json(extraction, true);
  const LowRankError all = error_of_all(extraction);
  document["relative"] = all.relative();
  document["norm"] = all.norm;
  console.print_json(document);
  if (job) job->finish();
  return 0;
}

}  // namespace

void bind_extract_lora(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("extract-lora", "The difference of two models as a LoRA adapter of PEFT");
  command->add_option("base", options->base, "The base: any checkpoint")->required();
  command->add_option("merged", options->merged, "What was made of it: any checkpoint of the same shapes")
      ->required();
  command->add_option("--rank", options->rank, "Of the adapter; smaller matrices get their own")
      ->required()
      ->type_name("R")
      ->check(CLI::Range(1, 65536).description(""));
  command->add_option("--out", options->out, "Folder to write; without it only the errors are told")
      ->type_name("PATH");
  command->add_option("--dtype", options->type, "F32, F16 or BF16: of the adapter's matrices")
      ->type_name("TYPE")
      ->capture_default_str();
  command->add_flag("--dry-run", options->dry_run, "Compare only; say what would be written, to the byte");
  command->add_flag("--overwrite", options->overwrite, "Replace files of the same names");
  command->footer(
      "Each matrix that differs becomes the product of that rank nearest to its\n"
      "difference (a randomized SVD; the same bytes every time), norms and biases that\n"
      "differ are stored whole. The report says for each how much of the difference is\n"
      "missed, in Frobenius' norm.\n\n"
      "Example:\n  galatea extract-lora llama-13b-hf my-13b --rank 64 --out my-adapter");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return run(*options, console); }; });
}

}  // namespace galatea
