// Writing a KL base while its model is scored, and comparing another model with it.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "eval/kl_base.h"
#include "eval/perplexity.h"
#include "format/output_file.h"

namespace galatea {

/// The header of a base of these windows. `top` is for compact ones, at most the vocabulary. Throws Error(usage)
/// when the windows do not have as many predictions each, or llama.cpp's kind is asked for another protocol's.
KlBaseHeader kl_base_header(KlBaseKind kind, const Protocol& protocol, const TokenStream& stream,
                            const WindowSet& windows, std::uint64_t vocab, std::uint64_t top);

class KlBaseWriter final : public ScoreObserver {
 public:
  /// Throws what OutputFile throws. `keep`: what was written stays for the next run.
  KlBaseWriter(const std::filesystem::path& path, KlBaseHeader header, bool overwrite, bool keep);

  /// Whether a run before this one left records to go on behind.
  bool continues() const { return continues_; }
  void prediction(std::uint64_t window, std::uint64_t index, std::span<const float> logits,
                  std::int32_t target) override;
  void done(WindowRange windows) override;
  std::string keep(std::uint64_t) const override { return {}; }
  void restore(std::uint64_t, std::string_view) override {}
  /// All windows were seen: the file gets its name.
  void commit() { file_.commit(); }
  const KlBaseHeader& header() const { return header_; }

 private:
  KlBaseHeader header_;
  OutputFile file_;
  bool continues_;
  std::mutex mutex_;
  std::optional<Error> failure_;
};

class KlComparison final : public ScoreObserver {
 public:
  /// Throws Error(input) when the base is damaged or of another stream, protocol, context or vocabulary.
  KlComparison(const std::filesystem::path& path, const Protocol& protocol, const TokenStream& stream,
               const WindowSet& windows, std::uint64_t vocab);

  void prediction(std::uint64_t window, std::uint64_t index, std::span<const float> logits,
                  std::int32_t target) override;
  void done(WindowRange windows) override;
  std::string keep(std::uint64_t window) const override;
  void restore(std::uint64_t window, std::string_view kept) override;

  const KlBaseHeader& header() const { return header_; }
  /// Of the windows seen, in the order of the stream.
  std::vector<KlTerm> terms(WindowRange windows) const;

 private:
  SourcePtr file_;
  KlBaseHeader header_;
  std::vector<KlTerm> terms_;  ///< [window][prediction]
  std::mutex mutex_;
  std::optional<Error> failure_;
};

}  // namespace galatea
