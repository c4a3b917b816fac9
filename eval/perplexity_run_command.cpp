#include "eval/perplexity_run_command.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <memory>
#include <utility>

#include "converter/hf_folder.h"
#include "eval/kl_observer.h"
#include "format/checkpoint.h"
#include "format/error.h"
#include "format/job.h"
#include "format/output_file.h"

namespace galatea::perplexity_command {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using stream_command::MadeStream;

Precision precision_named(const std::string& name) {
  for (const Precision precision : {Precision::f32, Precision::exact}) {
    if (to_string(precision) == name) return precision;
  }
  return Precision::fast;
}

std::uint64_t context_of(const Options& options, const std::optional<Release>& release,
                         const LlamaConfig& config, Console& console) {
  const std::uint64_t usual =
      release ? release->score_context : std::min(find_protocol(options.protocol).context, config.context);
  const std::uint64_t context = options.stream.context == 0 ? usual : options.stream.context;
  if (context > config.context) {
    console.progress().note("note: windows of " + std::to_string(context) +
                            " tokens, but the model was made for " + std::to_string(config.context));
  }
  return context;
}

MadeStream stream_of(const Options& options, const Checkpoint& checkpoint, std::uint64_t context,
                     Console& console) {
  if (!options.ids.empty()) {
    MadeStream made;
    made.stream = read_ids(options.ids);
    return made;
  }
  const auto rule = stream_command::unk_rule(options.stream);
  const Tokenizer tokenizer =
      options.tokenizer.empty() ? open_tokenizer(checkpoint, rule) : open_tokenizer(options.tokenizer, rule);
  return stream_command::make_stream(options.stream, find_protocol(options.protocol), tokenizer, context,
                                     console);
}

/// "A:B"; either may be left out. `windows` is how many there are.
std::optional<WindowRange> window_range(const std::string& text, std::uint64_t windows) {
  if (text.empty()) return {};
  WindowRange range{0, windows};
  const std::size_t colon = text.find(':');
  const auto read = [&](std::size_t begin, std::size_t end, std::uint64_t& value) {
    if (begin == end) return true;
    const auto parsed = std::from_chars(text.data() + begin, text.data() + end, value);
    return parsed.ec == std::errc() && parsed.ptr == text.data() + end;
  };
  if (colon == std::string::npos || !read(0, colon, range.begin) ||
      !read(colon + 1, text.size(), range.end)) {
    throw Error(ErrorKind::usage, "--windows is not understood")
        .expected("A:B, the windows from A up to but not including B")
        .found(printable(text));
  }
  return range;
}

/// What the numbers follow from, the part of the windows aside: the same run again goes on where it was.
std::string identity_of(const Options& options, const std::string& data, std::uint64_t context,
                        const std::string& sha256) {
  const json settings = {{"data", data},
                         {"ctx", context},
                         {"stride", options.stride},
                         {"protocol", options.protocol},
                         {"precision", options.precision},
                         {"fp16_loss", options.fp16_loss},
                         {"stream", sha256},
                         {"kl_base", options.kl_base},
                         {"write_kl_base", options.write_kl_base},
                         {"kl_format", options.kl_format},
                         {"kl_top", options.kl_top}};
  std::vector<fs::path> inputs = {options.model};
  std::vector<fs::path> outputs = {options.save};
  if (!options.kl_base.empty()) inputs.emplace_back(options.kl_base);
  if (!options.write_kl_base.empty()) outputs.emplace_back(options.write_kl_base);
  return Job("perplexity " + settings.dump(), inputs, outputs).fingerprint();
}

fs::path score_journal_path(const Options& options, const std::string& data) {
  const fs::path save = options.save;
  return folder_of(save) / ("." + save.filename().string() + "." + data + ".journal");
}

/// Who looks on while one corpus is scored.
struct Onlookers {
  std::unique_ptr<KlBaseWriter> writer;  ///< nothing when the base was written before the run was stopped
  std::optional<KlBaseHeader> base;      ///< of the one that is written
  std::unique_ptr<KlComparison> comparison;
  ScoreObserver* observer() const {
    return writer ? static_cast<ScoreObserver*>(writer.get()) : comparison.get();
  }
};

/// Whether an earlier run finished all windows and wrote the base: it was stopped before it could write its result.
bool base_is_written(const Options& options, const PerplexityOptions& how, std::uint64_t windows,
                     const KlBaseHeader& header) {
  std::error_code ignored;
  if (how.journal == nullptr || how.journal->windows().size() != windows ||
      fs::exists(OutputFile::partial_path_of(options.write_kl_base), ignored) ||
      !fs::is_regular_file(options.write_kl_base, ignored))
    return false;
  const SourcePtr file = open_file(options.write_kl_base);
  const std::vector<std::byte> head = encode_kl_header(header);
  return file->size() == header.file_bytes() && file->read(0, head.size()) == head;
}

Onlookers onlookers_of(const Options& options, const PerplexityOptions& how, const TokenStream& stream,
                       std::uint64_t vocab) {
  Onlookers out;
  if (options.kl_base.empty() && options.write_kl_base.empty()) return out;
  const WindowSet windows = make_windows(*how.protocol, stream, how.context, how.stride, how.bos_id);
  if (!options.kl_base.empty()) {
    out.comparison = std::make_unique<KlComparison>(options.kl_base, *how.protocol, stream, windows, vocab);
    return out;
  }
  if (!options.windows.empty()) {
    throw Error(ErrorKind::usage, "a KL base is written of all windows")
        .found("--windows " + options.windows);
  }
  const KlBaseKind kind = options.kl_format == "compact" ? KlBaseKind::compact : KlBaseKind::llama_cpp;
  out.base = kl_base_header(kind, *how.protocol, stream, windows, vocab, options.kl_top);
  if (!base_is_written(options, how, windows.count(), *out.base)) {
    out.writer = std::make_unique<KlBaseWriter>(options.write_kl_base, *out.base, options.overwrite,
                                                !options.save.empty());
  }
  return out;
}

/// `tokens_per_second` counts all tokens of the windows, `gflops` two operations for each weight and token: the head's
/// for those that are scored.
json times_json(const ForwardTimes& times, const LlamaConfig& config, const PerplexityResult& found) {
  const auto per_token = static_cast<double>(
      config.layers * config.hidden_size *
      ((2 * config.heads + 2 * config.kv_heads) * config.head_dim + 3 * config.intermediate_size));
  const auto tokens = static_cast<double>(found.window_losses.size() * found.context);
  const auto head =
      static_cast<double>(config.vocab_size * config.hidden_size) * static_cast<double>(found.scored);
  return {{"seconds", times.total},
          {"product", times.product},
          {"decode", times.decode},
          {"attention", times.attention},
          {"head", times.head},
          {"tokens_per_second", times.total > 0 ? tokens / times.total : 0},
          {"gflops", times.total > 0 ? 2e-9 * (per_token * tokens + head) / times.total : 0}};
}

}  // namespace

void forget_journals(const Options& options, const std::vector<Scored>& all) {
  if (options.save.empty()) return;
  for (const Scored& scored : all) {
    std::error_code ignored;
    fs::remove(score_journal_path(options, scored.data), ignored);
  }
}

Scored score(const Options& options, const std::optional<Release>& release, const Checkpoint& checkpoint,
             const LlamaModel& model, Console& console) {
  const auto started = std::chrono::steady_clock::now();
  const std::uint64_t context = context_of(options, release, model.config, console);
  MadeStream made = stream_of(options, checkpoint, context, console);
  Scored out;
  out.data = options.ids.empty() ? made.corpus.kind->name : options.stream.data;

  PerplexityOptions how;
  how.protocol = &find_protocol(options.protocol);
  how.context = context;
  how.stride = options.stride;
  how.fp16_loss = options.fp16_loss;
  how.bos_id = model.config.bos_id;
  if (!options.windows.empty()) {
    how.windows =
        window_range(options.windows,
                     make_windows(*how.protocol, made.stream, context, options.stride, how.bos_id).count());
  }
  how.forward.progress = &console.progress();
  how.forward.precision = precision_named(options.precision);
  if (!options.max_memory.empty()) how.max_memory = parse_shard_bytes(options.max_memory);
  ForwardTimes times;
  how.forward.times = &times;
  std::optional<ScoreJournal> journal;
  if (!options.save.empty()) {
    journal.emplace(score_journal_path(options, out.data),
                    identity_of(options, out.data, context, made.stream.sha256));
    how.journal = &*journal;
  }
  const Onlookers onlookers = onlookers_of(options, how, made.stream, model.config.vocab_size);
  how.observer = onlookers.observer();
  if (journal) {
    if (onlookers.writer && !onlookers.writer->continues()) journal->clear();
    if (journal->discarded()) {
      console.progress().note("note: windows of an unfinished run with other options were discarded");
    } else if (!journal->windows().empty()) {
      console.progress().note("note: going on behind " + std::to_string(journal->windows().size()) +
                              " windows of an earlier run");
    }
  }
  out.found = perplexity(model, made.stream, how);
  if (onlookers.writer) onlookers.writer->commit();
  if (onlookers.comparison) {
    out.kl = summarise(onlookers.comparison->terms(
        {out.found.first_window, out.found.first_window + out.found.window_losses.size()}));
  }

  out.document = options.ids.empty() ? stream_command::stream_json(made) : json{{"ids_file", options.ids}};
  out.document["data"] = out.data;
  out.document["model"] = options.model;
  std::uint64_t bytes = 0;
  for (const fs::path& file : checkpoint.files()) {
    std::error_code ignored;
    bytes += fs::file_size(file, ignored);
  }
  out.document["model_bytes"] = bytes;
  out.document.update(to_json(out.found));
  if (out.kl) {
    out.document["kl_base"] = options.kl_base;
    out.document["kl_divergence"] = to_json(*out.kl);
  }
  if (onlookers.base)
    out.document["wrote_kl_base"] = {{"file", options.write_kl_base},
                                     {"bytes", onlookers.base->file_bytes()}};
  if (options.times) {
    out.times = times;
    out.document["times"] = times_json(times, model.config, out.found);
  }
  made.stream.ids.clear();
  if (options.ids.empty()) out.made = std::move(made);
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return out;
}

}  // namespace galatea::perplexity_command
