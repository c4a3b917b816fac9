#include "eval/score_journal.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "eval/kl_observer.h"
#include "eval/perplexity.h"
#include "format/error.h"
#include "tests/eval/random_model.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using test::TempFolder;

TEST(ScoreJournal, KeepsWindowsOfTheSameRun) {
  const TempFolder folder;
  const std::filesystem::path path = folder / "journal";
  {
    ScoreJournal journal(path, "this run");
    EXPECT_TRUE(journal.windows().empty());
    EXPECT_FALSE(journal.discarded());
    journal.add(3, {127, 1.5, 2.5, "kept"});
    journal.add(4, {127, 1.25, 2, ""});
    journal.flush();
    EXPECT_THROW(ScoreJournal(path, "this run"), Error) << "one run at a time";
  }
  {
    ScoreJournal journal(path, "this run");
    ASSERT_EQ(journal.windows().size(), 2U);
    EXPECT_EQ(journal.windows().at(3).scored, 127U);
    EXPECT_EQ(journal.windows().at(3).loss, 1.5);
    EXPECT_EQ(journal.windows().at(3).square, 2.5);
    EXPECT_EQ(journal.windows().at(3).kept, "kept");
  }
  const std::string whole = test::read_bytes(path);
  for (std::size_t length = 0; length < whole.size(); ++length) {  // cut off anywhere: what is whole counts
    test::write_bytes(path, whole.substr(0, length));
    ScoreJournal journal(path, "this run");
    EXPECT_LT(journal.windows().size(), 2U) << length;
    journal.add(9, {1, 1, 1, ""});
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 0x20);
    test::write_bytes(path, bad);
    EXPECT_LT(ScoreJournal(path, "this run").windows().size(), 2U) << at;
  }
  test::write_bytes(path, whole);
  ScoreJournal other(path, "another run");
  EXPECT_TRUE(other.discarded());
  EXPECT_TRUE(other.windows().empty());
}

/// Asks to stop after so many tokens.
class Stop final : public Progress {
 public:
  explicit Stop(std::uint64_t after) : after_(after) {}
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t units) override { done_ += units; }
  void end() override {}
  void note(std::string_view) override {}
  bool stop_requested() const override { return done_ >= after_; }

 private:
  std::uint64_t after_, done_ = 0;
};

TEST(ScoreJournal, ARunThatWasStoppedAnywhereEndsWithTheSameBits) {
  const TempFolder folder;
  const LlamaModel model = test::random_model(test::small_config(), test::random_matrices(4));
  TokenStream stream;
  for (int i = 0; i < 8 * 20; ++i) stream.ids.push_back(i * 7 % 53);
  stream.sha256 = std::string(64, '0');
  PerplexityOptions options;
  options.context = 20;
  options.max_memory = forward_bytes(model.config, 20, 20, 0);  // a window at a time
  const WindowSet windows = make_windows(*options.protocol, stream, 20, 0, 1);
  const auto writer = [&](const char* name, bool keep) {
    return std::make_unique<KlBaseWriter>(
        folder / name, kl_base_header(KlBaseKind::compact, *options.protocol, stream, windows, 53, 20), false,
        keep);
  };
  const auto whole_writer = writer("whole", false);
  options.observer = whole_writer.get();
  const PerplexityResult expected = perplexity(model, stream, options);
  whole_writer->commit();

  std::optional<PerplexityResult> found;
  int runs = 0;
  for (std::uint64_t stop = 45; !found; stop += 50) {
    ASSERT_LT(++runs, 20);
    options.forward.threads = runs % 3 + 1;
    options.max_memory = forward_bytes(model.config, 20, 20, options.forward.threads);
    ScoreJournal journal(folder / "journal", "run");
    const auto part_writer = writer("parts", true);
    EXPECT_EQ(part_writer->continues(), runs > 1);
    options.journal = &journal;
    options.observer = part_writer.get();
    Stop progress(stop);
    options.forward.progress = &progress;
    try {
      found = perplexity(model, stream, options);
      part_writer->commit();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::system);
    }
  }
  EXPECT_GT(runs, 2) << "it was stopped";
  EXPECT_EQ(found->window_losses, expected.window_losses);
  EXPECT_EQ(found->window_squares, expected.window_squares);
  EXPECT_EQ(found->perplexity, expected.perplexity);
  EXPECT_TRUE(test::read_bytes(folder / "parts") == test::read_bytes(folder / "whole"));
}

}  // namespace
}  // namespace galatea
