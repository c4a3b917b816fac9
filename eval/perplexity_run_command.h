// What `galatea perplexity` was asked for, and the scoring of one corpus.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "eval/comparison.h"
#include "eval/kl_summary.h"
#include "eval/model.h"
#include "eval/perplexity.h"
#include "eval/stream_command.h"
#include "format/console.h"
#include "verify/releases.h"

namespace galatea::perplexity_command {

struct Options {
  std::string model, ids, tokenizer, release, precision = "exact", protocol = "gptq", windows;
  std::vector<std::string> combine, runs;
  std::string expected;  ///< a number, or the JSON of an earlier run
  std::optional<double> tolerance;
  std::string corpora;
  std::uint64_t stride = 0;
  bool fp16_loss = false;
  std::string kl_base, write_kl_base, kl_format = "compact";
  std::uint64_t kl_top = 512;
  std::string save, junit, html;
  bool overwrite = false;
  bool times = false;
  std::string max_memory;
  stream_command::StreamOptions stream;
};

/// One corpus, scored.
struct Scored {
  std::string data;  ///< name of the corpus, or of the file of ids
  PerplexityResult found;
  std::optional<stream_command::MadeStream> made;  ///< without its ids; nothing for a file of ids
  std::optional<KlSummary> kl;
  std::optional<Comparison> comparison;
  nlohmann::json document;
  double seconds = 0;
  std::optional<ForwardTimes> times;  ///< where they were asked for
};

/// What the scores shall be.
class Expected {
 public:
  /// Throws Error: usage, input for an earlier run that cannot be read.
  Expected(const Options& options, const std::optional<Release>& release);

  bool any() const { return release_.has_value() || value_.has_value() || !runs_.empty(); }
  /// The comparison of one corpus' score; nothing where nothing is expected.
  std::optional<Comparison> compare(const std::string& data, const PerplexityResult& found) const;
  /// Throws Error(usage) when nothing is known about `data` but something is demanded.
  void require(const std::string& data) const;

 private:
  std::optional<Release> release_;
  std::optional<double> value_;
  std::vector<PerplexityResult> runs_;
  std::string source_;
  std::optional<double> tolerance_;
};

/// The runs in a JSON document of this command: one, or several under "runs".
std::vector<nlohmann::json> runs_in(const std::string& file);

/// `text` with one number put in by printf.
std::string number(const char* pattern, double value);

/// Scores `options.stream` (or the ids) by `model`.
Scored score(const Options& options, const std::optional<Release>& release, const Checkpoint& checkpoint,
             const LlamaModel& model, Console& console);

/// The result is written: finished windows need not be kept.
void forget_journals(const Options& options, const std::vector<Scored>& all);

/// Prints one corpus' score with all that belongs to it.
void print(const Scored& scored, Console& console);

/// Writes --save, --junit, prints the JSON and, of several, the table; throws Error(check_failed) when one failed.
int conclude(const Options& options, std::vector<Scored>& all, Console& console);

}  // namespace galatea::perplexity_command
