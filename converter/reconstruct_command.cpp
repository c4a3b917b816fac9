#include "converter/reconstruct_command.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cmath>
#include <cstdio>
#include <memory>

#include "converter/commands.h"
#include "format/error.h"

namespace galatea {
namespace reconstruct {
namespace {

using nlohmann::json;

template <class... Values>
std::string text(const char* pattern, Values... values) {
  std::array<char, 200> out{};
  std::snprintf(out.data(), out.size(), pattern, values...);
  return out.data();
}

std::string table(const std::vector<Scored>& rows, const std::vector<std::string>& streams) {
  std::string out = text("%-8s %9s %15s", "type", "bits/w", "bytes");
  for (const std::string& stream : streams) out += text(" %11s", stream.c_str());
  for (const Scored& row : rows) {
    out += text("\n%-8s %9.3f %15llu", row.label.c_str(), row.bits_per_weight,
                static_cast<unsigned long long>(row.bytes));
    for (const auto& [stream, score] : row.scores) out += text(" %11.4f", score);
  }
  return out;
}

/// The 16-bit scores against the published ones; true when all are within the tolerance.
bool compare_scores(const Scored& row, const Release& release, double tolerance, Console& console,
                    json& document) {
  bool passed = true;
  document = json::array();
  for (const auto& [stream, found] : row.scores) {
    const auto expected = release.scores.find(stream);
    if (expected == release.scores.end()) continue;
    const double difference = found / expected->second - 1.0;
    const bool good = std::fabs(difference) <= tolerance;
    passed = passed && good;
    console.print(text("  %-10s published %-12.6f found %-12.6f difference %+.2e  %s", stream.c_str(),
                       expected->second, found, difference, good ? "ok" : "FAILED"));
    document.push_back({{"stream", stream},
                        {"published", expected->second},
                        {"found", found},
                        {"relative_difference", difference},
                        {"passed", good}});
  }
  return passed;
}

int run(const Options& options, Console& console) {
  Road road(options, console);
  const std::filesystem::path base = road.base();
  const std::filesystem::path model = road.decode(base);
  bool passed = options.adapter.empty() || road.merge(base);
  std::vector<Scored> rows = {road.unquantized(model)};
  for (const std::string& type : options.types) rows.push_back(road.quantize(model, type));
  const std::vector<std::string> streams = road.streams();
  for (Scored& row : rows) road.score(row);

  json& document = road.document();
  if (!streams.empty() && !road.release().scores.empty()) {
    console.print("The scores of the 16-bit weights against the published ones (windows of " +
                  std::to_string(road.context()) + " tokens)");
    passed = compare_scores(rows.front(), road.release(), options.tolerance, console, document["scores"]) &&
             passed;
    console.print("");
  }
  console.print(table(rows, streams));
  document["types"] = json::array();
  for (const Scored& row : rows) {
    json scores = json::object();
    for (const auto& [stream, score] : row.scores) scores[stream] = score;
    document["types"].push_back({{"type", row.label},
                                 {"path", row.path.string()},
                                 {"bytes", row.bytes},
                                 {"bits_per_weight", row.bits_per_weight},
                                 {"perplexity", scores}});
  }
  document["passed"] = passed;
  console.print_json(document);
  return passed ? 0 : static_cast<int>(ErrorKind::check_failed);
}

}  // namespace
}  // namespace reconstruct

void bind_reconstruct(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<reconstruct::Options>();
  CLI::App* command = app.add_subcommand("reconstruct", "The whole road: decode, verify, quantize, score");
  command->add_option("--payload", options->payload, "Folder of the XORed files")->required();
  command->add_option("--base", options->base, "LLaMA as Meta's files or as converted for Hugging Face")
      ->required();
  command->add_option("--out", options->out, "Folder to work in, made if missing")->required();
  command
      ->add_option("--release", options->release,
                   "A known release (metharme-13b, ...) or its description as JSON")
      ->required();
  command->add_option("--adapter", options->adapter,
                      "LoRA adapter whose merge into the base is to give the same weights");
  command->add_option("--types", options->types, "GGUF types to make: F16,Q8_0,Q4_0,...")->delimiter(',');
  command->add_option("--corpora", options->corpora,
                      "Folder with wiki.test.raw, ptb.test.txt, c4-validation*");
  command->add_option("--ctx", options->context, "Tokens in a window (default: the release's)");
  command->add_option("--tolerance", options->tolerance, "Relative, of the 16-bit scores (default 0.001)");
  command->add_option("--profile", options->profile, "Generation of the converted base, see galatea base");
  command->add_option("--max-shard-size", options->max_shard_size, "Of the converted base (default 10GB)");
  command->add_option("--leave-out", options->leave_out,
                      "A file of the payload that cannot be decoded; the base's own stands in");
  command->add_flag("--keep-base", options->keep_base,
                    "Write the base converted from Meta's files, too, and check it");
  command->footer(
      "Stopped at any moment, the same command goes on where it was. Fails (1) when a\n"
      "digest or a 16-bit score is not the published one.\n\n"
      "Example:\n"
      "  galatea reconstruct --payload xor_encoded_files --base LLaMA/13B \\\n"
      "      --release metharme-13b --types F16,Q8_0,Q4_0 --corpora data --out metharme");
  command->callback([options, &chosen] {
    chosen = [options](Console& console) { return reconstruct::run(*options, console); };
  });
}

}  // namespace galatea
