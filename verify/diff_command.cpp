#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "format/checkpoint.h"
#include "format/error.h"
#include "verify/commands.h"
#include "verify/diff.h"
#include "verify/diff_report.h"

namespace galatea {
namespace {

struct DiffCommand {
  std::string a, b;
  DiffOptions options;
  DiffText text;
};

int diff(DiffCommand command, Console& console) {
  if (!std::isfinite(command.options.tolerance) || command.options.tolerance < 0)
    throw Error(ErrorKind::usage, "--tolerance is no number of 0 or more");
  command.options.progress = &console.progress();
  const Checkpoint a = Checkpoint::open(command.a), b = Checkpoint::open(command.b);
  const DiffReport report = diff_checkpoints(a, b, command.options);
  for (const std::string& note : report.notes) console.progress().note(note);
  console.print("A: " + command.a + " (" + std::string(to_string(a.kind())) + ")");
  console.print("B: " + command.b + " (" + std::string(to_string(b.kind())) + ")");
  console.print(diff_text(report, command.options, command.text));
  nlohmann::json document = diff_json(report, command.options);
  document["a"] = {{"path", command.a}, {"kind", to_string(a.kind())}};
  document["b"] = {{"path", command.b}, {"kind", to_string(b.kind())}};
  console.print_json(document);
  return report.same() ? 0 : static_cast<int>(ErrorKind::check_failed);
}

}  // namespace

void bind_diff(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<DiffCommand>();
  CLI::App* command =
      app.add_subcommand("diff", "Show what differs between two checkpoints, in any two formats");
  command->add_option("a", options->a, "A checkpoint: a folder, or a file of weights")->required();
  command->add_option("b", options->b, "The other one")->required();
  command
      ->add_option("--tolerance", options->options.tolerance,
                   "Values may differ by so much, |a - b|; with 0 any differing value counts")
      ->type_name("X")
      ->default_str("0");
  command->add_flag("--relative", options->options.relative,
                    "The tolerance is for RMS(a - b) / RMS(a) of each tensor: 0.05 is 5 %");
  command->add_option("--top", options->text.top, "Show the N tensors that differ most")
      ->type_name("N")
      ->default_str("20");
  command->add_flag("--all", options->text.all, "Show every tensor, those that are the same too");
  command->footer(
      "Names, rotary order and shards are normalised; types may differ; quantized\n"
      "values are decoded. Exit code 1 when tensors are missing, have other shapes,\n"
      "or differ beyond the tolerance, or the configurations describe other models.\n\n"
      "Example:\n  galatea diff metharme-13b metharme-13b-q5_1.gguf --tolerance 0.05 --relative");
  command->callback(
      [options, &chosen] { chosen = [options](Console& console) { return diff(*options, console); }; });
}

}  // namespace galatea
