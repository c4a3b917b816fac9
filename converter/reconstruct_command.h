// The whole road in steps: base, decode, verify, quantize, score. Part of the program, not of the converter
// room, since it goes through all rooms.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "converter/base.h"
#include "converter/journal.h"
#include "format/console.h"
#include "format/job.h"
#include "verify/releases.h"

namespace galatea::reconstruct {

struct Options {
  std::string payload, base, out, release, adapter, corpora, profile, max_shard_size;
  std::vector<std::string> types, leave_out;
  std::uint64_t context = 0;  ///< 0: what the release's scores were computed with
  double tolerance = 1e-3;    ///< relative, of the 16-bit scores
  bool keep_base = false;     ///< write the converted base too
};

/// One row of the closing table.
struct Scored {
  std::string label;           ///< "16 bit" or the type
  std::filesystem::path path;  ///< folder or GGUF file
  std::uint64_t bytes = 0;
  double bits_per_weight = 0;
  std::vector<std::pair<std::string, double>> scores;  ///< stream and perplexity
};

class Road {
 public:
  Road(const Options& options, Console& console);

  /// The base to go on with: the one given, or a Hugging Face folder made of Meta's files where one is to be kept
  /// or an adapter to be merged into it. Else decode() brings Meta's files into that form while it reads them.
  std::filesystem::path base();
  /// The released weights, each file's digest compared.
  std::filesystem::path decode(const std::filesystem::path& base);
  /// The other road to the same weights: the adapter merged into the base, compared likewise. False when they
  /// are not the released ones.
  bool merge(const std::filesystem::path& base);
  Scored quantize(const std::filesystem::path& model, const std::string& type);
  Scored unquantized(const std::filesystem::path& model) const;
  /// Perplexity on every corpus that is there.
  void score(Scored& row);

  const Release& release() const { return release_; }
  /// Streams whose corpus file was found, in the order of the table.
  std::vector<std::string> streams() const;
  std::uint64_t context() const;
  nlohmann::json& document() { return document_; }

 private:
  /// As --profile and --max-shard-size ask for.
  BaseOptions base_options() const;
  /// The recorded result of a step that was done before on the same inputs, else the result of doing it now.
  nlohmann::json step(const std::string& name, const nlohmann::json& settings,
                      const std::vector<std::filesystem::path>& inputs,
                      const std::vector<std::filesystem::path>& outputs,
                      const std::function<nlohmann::json(Job&)>& work);
  /// The inputs of a step whose result is compared with the release: its description is one of them.
  std::vector<std::filesystem::path> with_release(std::vector<std::filesystem::path> inputs) const;
  std::filesystem::path corpus_file(std::string_view stream) const;

  const Options& options_;
  Console& console_;
  Release release_;
  Journal journal_;
  nlohmann::json document_;
};

}  // namespace galatea::reconstruct
