// galatea split and galatea merge: GGUF models in several files, and back in one.
#include <memory>
#include <utility>

#include "converter/output_command.h"
#include "format/gguf.h"
#include "format/gguf_split.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using namespace output_command;

struct Options {
  std::string input, output, max_size;
  std::uint64_t max_tensors = 0;
  bool metadata_alone = false, dry_run = false, overwrite = false;
};

GgufFile open_gguf(const std::string& path) {
  if (fs::is_directory(path) || !GgufFile::recognise(*open_file(path))) {
    throw Error(ErrorKind::input, "is not a GGUF file")
        .file(path)
        .remedy("galatea convert --max-shard-size cuts the other containers");
  }
  return GgufFile::open(path);
}

/// Writes the files of `plan` (one: under the name of `output`) and says so.
int write_files(const char* command, const Options& options, const GgufFile& source, const Plan& plan,
                const nlohmann::json& settings, Console& console) {
  const bool single =
      plan.files.size() == 1 && plan.files.front().name == fs::path(options.output).filename();
  const fs::path folder =
      fs::path(options.output).parent_path().empty() ? fs::path(".") : fs::path(options.output).parent_path();
  for (const FileLayout& file : plan.files) {
    for (const fs::path& input : source.files()) refuse_same(input, folder / file.name);
  }
  nlohmann::json document = {{"input", options.input}, {"output", options.output}};
  if (options.dry_run) {
    print_plan(plan, console);
    document["files"] = files_json(plan);
    console.print_json(document);
    return 0;
  }
  std::vector<fs::path> outputs;
  for (const FileLayout& file : plan.files) outputs.push_back(folder / file.name);
  Job job(std::string(command) + " " + settings.dump(), source.files(), outputs);
  WriteOptions write;
  write.job = &job;
  write.overwrite = options.overwrite;
  write.progress = &console.progress();
  const std::vector<WrittenFile> written =
      single ? std::vector{write_file(plan.files.front(), options.output, write)}
             : write_plan(plan, folder, write);
  write_provenance({command, "", source.files(), written}, settings, options.output);
  print_written(written, console);
  document["files"] = written_json(written);
  console.print_json(document);
  job.finish();
  return 0;
}

int split(const Options& options, Console& console) {
  GgufSplit limits;
  limits.max_tensors = options.max_tensors;
  limits.metadata_alone = options.metadata_alone;
  if (!options.max_size.empty()) limits.max_bytes = parse_shard_bytes(options.max_size);
  if (limits.max_bytes == 0 && limits.max_tensors == 0) {
    throw Error(ErrorKind::usage, "how large may a part be?").remedy("--max-size 2G, or --max-tensors 128");
  }
  const GgufFile source = open_gguf(options.input);
  const nlohmann::json settings = {{"max_size", options.max_size},
                                   {"max_tensors", options.max_tensors},
                                   {"metadata_alone", options.metadata_alone}};
  const Plan plan{gguf_split_layouts(fs::path(options.output).filename().string(), source.metadata(),
                                     source.tensors(), limits)};
  return write_files("split", options, source, plan, settings, console);
}

int merge(const Options& options, Console& console) {
  const GgufFile source = open_gguf(options.input);
  if (source.get_unsigned("split.count").value_or(0) == 0) {
    throw Error(ErrorKind::usage, "the model is in one file already").file(options.input);
  }
  Plan plan;
  plan.files.push_back(gguf_layout(fs::path(options.output).filename().string(),
                                   without_split_keys(source.metadata()), source.tensors()));
  return write_files("merge", options, source, plan, nlohmann::json::object(), console);
}

void add_switches(CLI::App& command, Options& options) {
  command.add_flag("--dry-run", options.dry_run, "Say what would be written, to the byte; write nothing");
  command.add_flag("--overwrite", options.overwrite, "Replace files of the same names");
}

}  // namespace

void bind_split(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("split", "Cut a GGUF into parts, as llama.cpp loads them");
  command->add_option("input", options->input, "A GGUF, or any part of one")->required();
  command->add_option("prefix", options->output, "Of the parts: PREFIX-00001-of-0000N.gguf")->required();
  command->add_option("--max-size", options->max_size, "Of the weights in a part: 2G, 500M")
      ->type_name("SIZE");
  command->add_option("--max-tensors", options->max_tensors, "In a part")->type_name("N");
  command->add_flag("--no-tensor-first-split", options->metadata_alone, "The first part is metadata alone");
  add_switches(*command, *options);
  command->footer(
      "The bytes of the weights stay as they are; `galatea merge` gives the model back.\n"
      "A tensor that is larger than a part may be has one of its own.\n\n"
      "Example:\n  galatea split metharme-13b.gguf parts/metharme-13b --max-size 2G");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return split(*options, console); }; });
}

void bind_merge(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("merge", "Put the parts of a split GGUF into one file");
  command->add_option("input", options->input, "Any part; the others lie beside it")->required();
  command->add_option("output", options->output, "The GGUF file to write")->required();
  add_switches(*command, *options);
  command->footer(
      "What `galatea split` cut comes back byte for byte.\n\n"
      "Example:\n  galatea merge metharme-13b-00001-of-00007.gguf metharme-13b.gguf");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return merge(*options, console); }; });
}

}  // namespace galatea
