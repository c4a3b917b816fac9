#include "eval/kl_observer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "eval/kl_summary.h"
#include "format/error.h"
#include "tests/eval/random_model.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using nlohmann::json;
using test::TempFolder;
using test::test_data;

/// The head's row r times 1 + 0.05 sin(r), as scripts/oracles/kl_goldens.py moves it.
LlamaModel with_moved_head(LlamaModel model) {
  const std::uint64_t rows = model.output->rows();
  const std::uint64_t cols = model.output->cols();
  std::vector<float> values(rows * cols);
  model.output->read_f32(0, rows, values);
  for (std::uint64_t r = 0; r < rows; ++r) {
    const float factor = 1 + 0.05F * std::sin(static_cast<float>(r));
    for (std::uint64_t c = 0; c < cols; ++c) values[r * cols + c] *= factor;
  }
  model.output = memory_rows(values, rows, cols);
  return model;
}

struct Setting {
  json golden = json::parse(test::read_bytes(test_data("perplexity/kl.json")));
  LlamaModel model = load_model(Checkpoint::open(test_data("miniature/base-hf")));
  TokenStream stream;
  PerplexityOptions options;
  WindowSet windows;

  Setting() {
    options.protocol = &find_protocol("llama.cpp");
    options.context = golden.at("ctx").get<std::uint64_t>();
    const json ids = json::parse(test::read_bytes(test_data("perplexity/protocols.json"))).at("ids");
    stream.ids = ids.get<std::vector<std::int32_t>>();
    stream.ids.resize(golden.at("chunks").get<std::uint64_t>() * options.context);
    stream.sha256 = std::string(64, 'a');
    windows = make_windows(*options.protocol, stream, options.context, 0, 1);
  }

  KlBaseHeader write(const std::filesystem::path& path, KlBaseKind kind, std::uint64_t top) {
    KlBaseWriter writer(
        path, kl_base_header(kind, *options.protocol, stream, windows, model.config.vocab_size, top), false,
        false);
    options.observer = &writer;
    perplexity(model, stream, options);
    writer.commit();
    return writer.header();
  }

  std::vector<KlTerm> compare(const std::filesystem::path& base, const LlamaModel& other) {
    KlComparison comparison(base, *options.protocol, stream, windows, model.config.vocab_size);
    options.observer = &comparison;
    perplexity(other, stream, options);
    return comparison.terms({0, windows.count()});
  }
};

TEST(KlBase, LlamaCppFilesAreReadAsNumpyComputesThem) {
  Setting setting;
  const KlSummary found =
      summarise(setting.compare(test_data("perplexity/base.kld"), with_moved_head(setting.model)));
  const json& expected = setting.golden;
  EXPECT_EQ(found.count, expected.at("count").get<std::uint64_t>());
  const auto near = [&](double value, const char* key, double bound) {
    EXPECT_NEAR(value, expected.at(key).get<double>(), bound) << key;
  };
  // llama.cpp's 16 bits of a log-probability are good for about 1e-4 of it.
  near(found.mean.value, "mean", 2e-5);
  near(found.mean.error, "mean_error", 2e-5);
  near(found.median, "median", 1e-4);
  near(found.largest, "maximum", 2e-4);
  near(found.rms_change.value, "rms_change", 1e-4);
  near(found.change.value, "mean_change", 1e-4);
  near(found.same_top.value, "same_top", 1e-9);
  near(found.base_perplexity, "base_perplexity", 2e-3);
  near(found.base_perplexity * std::exp(found.log_ratio.value), "perplexity", 2e-3);
  const auto at_90 = std::find_if(found.percentiles.begin(), found.percentiles.end(),
                                  [](const auto& one) { return one.first == 90; });
  near(at_90->second, "percentile_90", 1e-4);
}

TEST(KlBase, LlamaCppFilesAreWrittenAsNumpyWritesThem) {
  Setting setting;
  const TempFolder folder;
  const KlBaseHeader header = setting.write(folder / "base", KlBaseKind::llama_cpp, 0);
  const std::string found = test::read_bytes(folder / "base");
  const std::string expected = test::read_bytes(test_data("perplexity/base.kld"));
  ASSERT_EQ(found.size(), expected.size());
  EXPECT_EQ(found.substr(0, header.header_bytes()), expected.substr(0, header.header_bytes()));
  const auto u16 = [](const std::string& bytes, std::size_t at) {
    return static_cast<int>(static_cast<unsigned char>(bytes[at])) +
           256 * static_cast<int>(static_cast<unsigned char>(bytes[at + 1]));
  };
  for (std::uint64_t index = 0; index < header.windows * header.predictions; ++index) {
    const std::uint64_t at = header.record_offset(0, index);
    for (std::uint64_t i = 8; i < header.record_bytes(); i += 2)
      ASSERT_NEAR(u16(found, at + i), u16(expected, at + i), 3) << "record " << index << ", byte " << i;
  }
}

TEST(KlBase, CompactBoundsHoldAndNarrow) {
  Setting setting;
  const TempFolder folder;
  const LlamaModel other = with_moved_head(setting.model);
  setting.write(folder / "whole", KlBaseKind::compact, 1U << 20U);
  const std::vector<KlTerm> truth = setting.compare(folder / "whole", other);
  const double mean = summarise(truth).mean.value;
  EXPECT_NEAR(mean, setting.golden.at("mean").get<double>(), 1e-6) << "16 bits of each cost next to nothing";
  double last_gap = INFINITY;
  for (const std::uint64_t top : {16U, 64U, 256U}) {
    const std::filesystem::path file = folder / std::to_string(top);
    setting.write(file, KlBaseKind::compact, top);
    const std::vector<KlTerm> found = setting.compare(file, other);
    for (std::size_t i = 0; i < found.size(); ++i) {
      ASSERT_LE(found[i].divergence, truth[i].divergence + 5e-5F) << top;
      ASSERT_GE(found[i].most, truth[i].divergence - 5e-5F) << top;
      EXPECT_EQ(found[i].same_top, truth[i].same_top);
      EXPECT_NEAR(found[i].base_loss, truth[i].base_loss, 1e-6F);
    }
    const KlSummary summary = summarise(found);
    EXPECT_LT(summary.mean_most - summary.mean.value, last_gap);
    last_gap = summary.mean_most - summary.mean.value;
    EXPECT_LT(mean - summary.mean.value, top == 16 ? 0.2 * mean : 0.1 * mean);
  }
}

TEST(KlBase, OfItselfIsZero) {
  Setting setting;
  const TempFolder folder;
  setting.write(folder / "base", KlBaseKind::compact, 128);
  const KlSummary found = summarise(setting.compare(folder / "base", setting.model));
  EXPECT_NEAR(found.mean.value, 0, 1e-6);
  EXPECT_EQ(found.same_top.value, 1);
  EXPECT_NEAR(found.log_ratio.value, 0, 1e-6);
}

TEST(KlBase, WikitextOfAVocabularyOf32000StaysBelowOneGiB) {
  KlBaseHeader header;
  header.vocab = 32000;
  header.length = 2048;
  header.windows = 166;
  header.predictions = 2047;
  header.top = 512;
  EXPECT_LT(header.file_bytes(), std::uint64_t{1} << 30U);
}

TEST(KlBase, DamagedAndForeignOnesAreRefused) {
  Setting setting;
  const TempFolder folder;
  setting.write(folder / "base", KlBaseKind::compact, 16);
  const std::string good = test::read_bytes(folder / "base");
  const auto refused = [&](const std::string& bytes) {
    test::write_bytes(folder / "bad", bytes);
    EXPECT_THROW(setting.compare(folder / "bad", setting.model), Error);
  };
  refused("");
  refused("GALKLB01");
  refused(good.substr(0, good.size() - 1));
  refused(good + "x");
  for (const std::size_t at : {0UL, 8UL, 12UL, 16UL, 20UL, 24UL, 28UL, 32UL, 64UL}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x41);
    refused(bad);
  }
  std::string huge = good;
  for (std::size_t at = 8; at < 28; ++at) huge[at] = '\xFF';
  refused(huge);
  std::string other_id = good;  // the first id of the first record twice
  other_id[96 + 22] = other_id[96 + 20];
  other_id[96 + 23] = other_id[96 + 21];
  refused(other_id);
  const std::string llama = test::read_bytes(test_data("perplexity/base.kld"));
  for (const std::size_t at : {8UL, 12UL, 16UL, 20UL}) {
    std::string bad = llama;
    bad[at] = static_cast<char>(bad[at] ^ 0x01);
    refused(bad);
  }
}

}  // namespace
}  // namespace galatea
