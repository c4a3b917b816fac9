#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "eval/commands.h"
#include "eval/stream_command.h"
#include "format/plan.h"
#include "verify/provenance.h"

namespace galatea {
namespace {

using stream_command::MadeStream;
using stream_command::StreamOptions;

struct TokenizeOptions {
  std::string model, out, protocol = "gptq";
  bool overwrite = false;
  StreamOptions stream;
};

int run(const TokenizeOptions& options, Console& console) {
  const Tokenizer tokenizer = open_tokenizer(options.model, stream_command::unk_rule(options.stream));
  const std::uint64_t context = options.stream.context == 0 ? 2048 : options.stream.context;
  const Protocol& protocol = find_protocol(options.protocol);
  const MadeStream made = stream_command::make_stream(options.stream, protocol, tokenizer, context, console);
  nlohmann::json document = stream_command::stream_json(made);
  document["ctx"] = context;
  document["windows"] = made.stream.ids.size() / context;
  document["remainder"] = made.stream.ids.size() % context;
  std::string written;
  if (!options.out.empty()) {
    WriteOptions write;
    write.overwrite = options.overwrite;
    const std::filesystem::path path = options.out;
    const WrittenFile file = write_file(ids_layout(made.stream, path.filename().string()), path, write);
    write_provenance({"tokenize", "", {options.model, made.corpus_file}, {file}},
                     {{"data", made.corpus.kind->name},
                      {"protocol", options.protocol},
                      {"ctx", context},
                      {"unk", options.stream.unk}},
                     path);
    written = "written     " + options.out + ", " + stream_command::with_commas(file.size) + " bytes";
    document["out"] = options.out;
  }
  stream_command::print_stream(made, made.stream.ids.size(), console);
  console.print("windows     " + stream_command::with_commas(made.stream.ids.size() / context) + " of " +
                std::to_string(context) + ", " + std::to_string(made.stream.ids.size() % context) +
                " left over");
  if (!written.empty()) console.print(written);
  console.print_json(document);
  return 0;
}

}  // namespace

void bind_tokenize(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = app.add_subcommand("tokenize", "The tokens that perplexity scores, as ids");
  command->add_option("model", options->model, "A model, or its tokenizer.model, tokenizer.json or GGUF")
      ->required();
  stream_command::add_options(*command, options->stream);
  command->add_option("--protocol", options->protocol, "Whose stream of the text: see galatea perplexity")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--out", options->out, "Write the ids as little-endian int32")->type_name("FILE");
  command->add_flag("--overwrite", options->overwrite, "Replace the file if it is there");
  command->footer(
      "c4-new is cut after 256 windows, of 2048 tokens unless --ctx says otherwise.\n\n"
      "Example:\n"
      "  galatea tokenize tokenizer.model --data wikitext2 \\\n"
      "      --corpus-file wiki.test.raw --out wikitext2.i32");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return run(*options, console); }; });
}

}  // namespace galatea
