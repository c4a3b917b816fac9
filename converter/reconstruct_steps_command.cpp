#include <algorithm>
#include <set>
#include <utility>

#include "converter/base.h"
#include "converter/decode.h"
#include "converter/hf_output.h"
#include "converter/lora_merge.h"
#include "converter/reconstruct_command.h"
#include "eval/corpus.h"
#include "eval/perplexity.h"
#include "eval/token_stream.h"
#include "format/checkpoint.h"
#include "format/error.h"
#include "format/output_file.h"
#include "quantize/forecast.h"
#include "quantize/quantize_model.h"
#include "verify/compare.h"
#include "verify/provenance.h"
#include "verify/report.h"

namespace galatea::reconstruct {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

fs::path made(const fs::path& folder) {
  make_folder(folder);
  return folder;
}

/// SHA-256 for the record, and what the published digests are of.
std::vector<HashKind> digests_for(const ReleaseFiles& files) {
  std::set<HashKind> kinds = {HashKind::sha256};
  for (const ReleaseFile& file : files) {
    for (const HashKind kind : kinds_needed(file)) kinds.insert(kind);
  }
  return {kinds.begin(), kinds.end()};
}

const NamedMix& mix_named(const std::string& name) {
  const NamedMix* found = find_mix(name);
  if (found == nullptr) {
    throw Error(ErrorKind::usage, "unknown type '" + printable(name) + "'")
        .remedy("see galatea quantize --help");
  }
  return *found;
}

bool has_part(const Release& release, std::string_view part) {
  return release.parts.contains(part) || release.parts_elsewhere.contains(part);
}

std::uint64_t bytes_of_weights(const Checkpoint& checkpoint) {
  std::uint64_t bytes = 0;
  for (const fs::path& file : checkpoint.files()) bytes += fs::file_size(file);
  return bytes;
}

}  // namespace

Road::Road(const Options& options, Console& console)
    : options_(options),
      console_(console),
      release_(resolve_release(options.release)),
      journal_(made(options.out) / ".galatea-journal.json"),
      document_({{"release", release_.name}, {"out", options.out}}) {
  // What would fail at the end of hours is asked now.
  for (const std::string& type : options.types) mix_named(type);
  if (!options.corpora.empty() && streams().empty()) {
    throw Error(ErrorKind::usage, "the corpora folder has none of the corpora that the release was scored on")
        .file(options.corpora)
        .expected("wiki.test.raw, ptb.valid.txt, ptb.test.txt, c4-validation*.json[l][.gz]");
  }
}

std::vector<fs::path> Road::with_release(std::vector<fs::path> inputs) const {
  if (fs::is_regular_file(options_.release)) inputs.emplace_back(options_.release);
  return inputs;
}

json Road::step(const std::string& name, const json& settings, const std::vector<fs::path>& inputs,
                const std::vector<fs::path>& outputs, const std::function<json(Job&)>& work) {
  const std::string print = fingerprint(settings, inputs);
  if (const json* result = journal_.find(name, print); result != nullptr) {
    console_.progress().note(name + ": done before, kept");
    // A run that was killed right behind the record above left the journal of the finished work.
    for (const fs::path& output : outputs) fs::remove(journal_path(output));
    return *result;
  }
  console_.progress().note(name);
  Job job(print, inputs, outputs);
  json result = work(job);
  journal_.record(name, print, result, outputs);
  job.finish();
  return result;
}

fs::path Road::base() {
  if (Checkpoint::open(options_.base).kind() != CheckpointKind::meta) return options_.base;
  if (!options_.keep_base && options_.adapter.empty()) return options_.base;
  fs::path folder = fs::path(options_.out) / "base";
  const json settings = {{"profile", options_.profile},
                         {"max_shard_size", options_.max_shard_size},
                         {"release", options_.release}};
  const json result =
      step("base from Meta's files", settings, with_release({options_.base}), {folder}, [&](Job& job) {
        const Checkpoint meta = Checkpoint::open(options_.base);
        WriteOptions write;
        write.job = &job;
        write.overwrite = true;
        if (has_part(release_, "base")) write.digests = digests_for(release_part(release_, "base"));
        write.progress = &console_.progress();
        const std::vector<WrittenFile> written = write_plan(base_plan(meta, base_options()), folder, write);
        write_provenance({"base", "", {options_.base}, written}, settings, folder);
        if (!has_part(release_, "base")) return json();
        const CheckReport report = check_written(folder, written, release_part(release_, "base"));
        return json{
            {"passed", report.passed()}, {"text", report_text(report)}, {"check", report_json(report)}};
      });
  if (!result.is_null()) {
    document_["base"] = result.at("check");
    console_.print("The base, converted from Meta's files");
    console_.print(result.at("text").get<std::string>());
    if (!result.at("passed").get<bool>()) {
      console_.progress().note("the base is not the published one; decoding is tried all the same");
    }
  }
  return folder;
}

BaseOptions Road::base_options() const {
  BaseOptions how;
  if (!options_.profile.empty()) how.generation = find_hf_generation(options_.profile);
  if (!options_.max_shard_size.empty()) how.max_shard_bytes = parse_shard_bytes(options_.max_shard_size);
  return how;
}

fs::path Road::decode(const fs::path& base) {
  fs::path folder = fs::path(options_.out) / "model";
  const json settings = {{"profile", options_.profile},
                         {"max_shard_size", options_.max_shard_size},
                         {"release", options_.release},
                         {"leave_out", options_.leave_out}};
  const json result =
      step("decode the payload", settings, with_release({options_.payload, base}), {folder}, [&](Job& job) {
        DecodeOptions how;
        how.base.wanted = base_options();
        how.leave_out = {options_.leave_out.begin(), options_.leave_out.end()};
        how.expected = release_part(release_, "files");
        std::erase_if(how.expected,
                      [&](const ReleaseFile& file) { return how.leave_out.contains(file.name); });
        if (has_part(release_, "base")) how.expected_base = release_part(release_, "base");
        how.progress = &console_.progress();
        XorPlan plan = plan_decode(options_.payload, base, how);
        for (const std::string& note : plan.notes) console_.progress().note(note);
        for (const std::string& name : how.leave_out) {
          if (!plan.base || !plan.base->files().contains(name)) continue;
          plan.plan.files.push_back(copy_layout(name, plan.base->file(name)));
          console_.progress().note(name + " is the base's own: the released one is left out");
        }
        if (plan.base && plan.base->brought()) console_.progress().note(plan.base->summary());
        WriteOptions write;
        write.job = &job;
        write.overwrite = true;
        write.digests = digests_for(how.expected);
        write.threads = plan.most_threads;
        write.progress = &console_.progress();
        const std::vector<WrittenFile> written = write_plan(plan.plan, folder, write);
        write_provenance({"decode", "", {options_.payload, base}, written}, settings, folder);
        const CheckReport report = check_written(folder, written, how.expected);
        return json{
            {"passed", report.passed()}, {"text", report_text(report)}, {"check", report_json(report)}};
      });
  document_["digests"] = result.at("check");
  console_.print("The released weights against the digests of " + release_.name);
  console_.print(result.at("text").get<std::string>());
  if (!result.at("passed").get<bool>()) {
    throw Error(ErrorKind::check_failed, "the reconstructed weights are not the released ones")
        .file(folder)
        .remedy("see the files above; check base and payload");
  }
  return folder;
}

bool Road::merge(const fs::path& base) {
  const fs::path folder = fs::path(options_.out) / "merged";
  const json settings = {{"release", options_.release}, {"max_shard_size", options_.max_shard_size}};
  const json result =
      step("merge the adapter into the base", settings, with_release({base, options_.adapter}), {folder},
           [&](Job& job) {
             const Checkpoint checkpoint = Checkpoint::open(base);
             HfModel model = hf_model(checkpoint);
             HfOutputOptions how;
             how.container = HfContainer::bin;
             how.type = model.tensors.front().type();
             if (!options_.max_shard_size.empty())
               how.max_shard_bytes = parse_shard_bytes(options_.max_shard_size);
             const MergeOptions merging{.type = how.type.value()};
             const MergeResult merged =
                 merge_adapters(model, {{read_lora_adapter(options_.adapter), 1.0}}, merging);
             for (const std::string& note : merged.notes) console_.progress().note(note);
             HfOutput output = hf_output(checkpoint, std::move(model), how);
             for (const std::string& note : output.notes) console_.progress().note(note);
             // The side files of a merge are the base's; only the weights are the release's.
             ReleaseFiles weights;
             for (const ReleaseFile& file : release_part(release_, "files")) {
               if (file.name.ends_with(".bin")) weights.push_back(file);
             }
             WriteOptions write;
             write.job = &job;
             write.overwrite = true;
             write.digests = digests_for(weights);
             write.progress = &console_.progress();
             std::vector<WrittenFile> written = write_plan(output.plan, folder, write);
             write_provenance({"merge-lora", describe_arithmetic({}), {base, options_.adapter}, written},
                              settings, folder);
             std::erase_if(written, [](const WrittenFile& file) { return !file.name.ends_with(".bin"); });
             const CheckReport report = check_written(folder, written, weights);
             return json{
                 {"passed", report.passed()}, {"text", report_text(report)}, {"check", report_json(report)}};
           });
  document_["merged"] = result.at("check");
  console_.progress().note("arithmetic: " + describe_arithmetic({}));
  console_.print("The adapter merged into the base, against the same digests");
  console_.print(result.at("text").get<std::string>());
  return result.at("passed").get<bool>();
}

Scored Road::unquantized(const fs::path& model) const {
  const Checkpoint checkpoint = Checkpoint::open(model);
  std::uint64_t values = 0;
  for (const Tensor& tensor : checkpoint.tensors()) values += element_count(tensor.shape);
  Scored row{"16 bit", model, bytes_of_weights(checkpoint), 0, {}};
  row.bits_per_weight =
      8.0 * static_cast<double>(row.bytes) / static_cast<double>(std::max<std::uint64_t>(values, 1));
  return row;
}

Scored Road::quantize(const fs::path& model, const std::string& type) {
  const NamedMix& mix = mix_named(type);
  const std::string label(mix.name);
  const fs::path file = fs::path(options_.out) / (release_.name + "-" + label + ".gguf");
  const json result = step(
      "quantize to " + label, {{"type", label}, {"name", release_.name}}, {model}, {file}, [&](Job& job) {
        const Checkpoint checkpoint = Checkpoint::open(model);
        QuantizeOptions how;
        how.mix.named = &mix;
        how.measure = false;
        QuantizationPlan plan = plan_quantization(llama_gguf_model(checkpoint, {release_.name, {}}),
                                                  file.filename().string(), how);
        for (const std::string& note : plan.notes) console_.progress().note(note);
        WriteOptions write;
        write.job = &job;
        write.overwrite = true;
        write.progress = &console_.progress();
        require_finite_sources(plan, *write.progress);
        const WrittenFile written = write_file(std::move(plan.files.front()), file, write);
        write_provenance({"quantize", "", {model}, {written}}, {{"type", label}}, file);
        return json{{"bytes", written.size},
                    {"bits_per_weight", plan.bits_per_weight()},
                    {"sha256", written.digests.at(HashKind::sha256)}};
      });
  return {
      label, file, result.at("bytes").get<std::uint64_t>(), result.at("bits_per_weight").get<double>(), {}};
}

fs::path Road::corpus_file(std::string_view stream) const {
  if (options_.corpora.empty()) return {};
  fs::path exact = fs::path(options_.corpora) / corpus_kind(stream).file;
  if (fs::is_regular_file(exact)) return exact;
  if (!stream.starts_with("c4") || !fs::is_directory(options_.corpora)) return {};
  std::set<fs::path> shards;
  for (const auto& entry : fs::directory_iterator(options_.corpora)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("c4-validation") && name.find(".json") != std::string::npos)
      shards.insert(entry.path());
  }
  return shards.empty() ? fs::path() : *shards.begin();
}

std::vector<std::string> Road::streams() const {
  std::vector<std::string> found;
  for (const char* stream : {"wikitext2", "ptb", "ptb-new", "c4-new"}) {
    // A published release names the streams it was scored on; without scores all that there are count.
    if (!release_.scores.empty() && !release_.scores.contains(stream)) continue;
    if (!corpus_file(stream).empty()) found.emplace_back(stream);
  }
  return found;
}

std::uint64_t Road::context() const {
  return options_.context != 0 ? options_.context : release_.score_context;
}

void Road::score(Scored& row) {
  for (const std::string& stream : streams()) {
    const fs::path corpus = corpus_file(stream);
    const fs::path tokenizer = fs::path(options_.out) / "model";
    const json settings = {{"stream", stream}, {"context", context()}};
    const json result =
        step("score " + row.label + " on " + stream, settings, {row.path, corpus}, {}, [&](Job&) {
          const Checkpoint checkpoint = Checkpoint::open(row.path);
          const TokenStream tokens =
              tokenize(read_corpus(corpus_kind(stream), corpus), open_tokenizer(tokenizer), context());
          PerplexityOptions how;
          how.context = context();
          how.forward.progress = &console_.progress();
          how.forward.precision = Precision::exact;
          const PerplexityResult found = perplexity(load_model(checkpoint), tokens, how);
          return json{{"perplexity", found.perplexity}, {"stream_sha256", tokens.sha256}};
        });
    row.scores.emplace_back(stream, result.at("perplexity").get<double>());
  }
}

}  // namespace galatea::reconstruct
