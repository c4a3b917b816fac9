#include "verify/diff.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/gguf.h"
#include "format/isa.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"
#include "tests/support/layouts.h"
#include "verify/diff_report.h"

namespace galatea {
namespace {

Tensor tensor_of(const std::string& name, const std::vector<float>& values, Shape shape) {
  const MatrixShape matrix = matrix_shape(shape, DType::f32);
  return {name, std::move(shape), memory_rows(values, matrix.rows, matrix.cols), {}, 0};
}

TensorDiff diff_of(const std::vector<float>& a, const std::vector<float>& b,
                   const DiffOptions& options = {}) {
  const std::vector<Tensor> left = {tensor_of("x", a, {a.size()})}, right = {tensor_of("x", b, {b.size()})};
  return diff_tensors(left, right, options).at(0);
}

void expect_numbers(const TensorDiff& diff, const nlohmann::json& golden) {
  SCOPED_TRACE(diff.name);
  const auto near = [](double value, double wanted) {
    EXPECT_LE(std::abs(value - wanted), 1e-12 * std::abs(wanted)) << value << " instead of " << wanted;
  };
  EXPECT_EQ(diff.sums.values, golden.at("values"));
  EXPECT_EQ(diff.sums.differing, golden.at("differing"));
  EXPECT_EQ(diff.sums.not_finite, golden.at("not_finite"));
  EXPECT_EQ(diff.sums.max_abs, golden.at("max_abs").get<double>());
  if (diff.sums.differing == 0) return;
  EXPECT_EQ(diff.sums.first, golden.at("first"));
  near(diff.sums.rms(), golden.at("rms").get<double>());
  near(diff.sums.rms_a(), golden.at("rms_a").get<double>());
  EXPECT_EQ(diff.sums.cosine().has_value(), !golden.at("cosine").is_null());
  if (diff.sums.cosine()) near(*diff.sums.cosine(), golden.at("cosine").get<double>());
}

// numpy's numbers: scripts/oracles/tensor_goldens.py.
TEST(Diff, NumbersAreThoseOfNumpyForAnyNumberOfThreads) {
  const auto golden = parse_json_file(test::test_data("verify/diff.json")).at("pairs");
  const auto open = [](const char* name) {
    return open_safetensors(open_file(test::test_data(std::string("verify/") + name))).tensors;
  };
  const auto a = open("diff_a.safetensors"), b = open("diff_b.safetensors");
  std::string first_run;
  for (const int threads : {1, 2, 5}) {
    DiffOptions options;
    options.threads = threads;
    DiffReport report;
    report.tensors = diff_tensors(a, b, options);
    std::size_t compared = 0;
    for (const TensorDiff& diff : report.tensors) {
      if (!golden.contains(diff.name)) continue;
      ++compared;
      expect_numbers(diff, golden.at(diff.name));
    }
    EXPECT_EQ(compared, golden.size());
    EXPECT_EQ(report.count(DiffStatus::same), 1U);
    EXPECT_EQ(report.count(DiffStatus::other_type), 1U);
    EXPECT_EQ(report.count(DiffStatus::differs), golden.size() - 2);
    EXPECT_EQ(report.count(DiffStatus::shape), 1U);
    EXPECT_EQ(report.count(DiffStatus::only_a), 1U);
    EXPECT_EQ(report.count(DiffStatus::only_b), 1U);
    const std::string text = diff_json(report, options).dump();
    if (first_run.empty()) first_run = text;
    EXPECT_EQ(text, first_run);
  }
}

TEST(DiffValues, EveryPathGivesTheSameBits) {
  std::vector<float> a(1003), b(1003);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = std::sin(static_cast<float>(i)) * std::exp2(static_cast<float>(i % 40));
    b[i] = i % 3 == 0 ? a[i] : a[i] + 0.01F * std::cos(static_cast<float>(i));
  }
  a[5] = std::numeric_limits<float>::infinity();
  b[700] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<double> wide_a(a.begin(), a.end()), wide_b(b.begin(), b.end());
  for (const std::uint64_t n : {0U, 1U, 7U, 8U, 9U, 64U, 1003U}) {
    const DiffSums wanted = diff_values(a.data(), b.data(), n, Isa::scalar);
    for (const Isa isa : available_isas()) {
      for (const DiffSums& found :
           {diff_values(a.data(), b.data(), n, isa), diff_values(wide_a.data(), wide_b.data(), n, isa)}) {
        EXPECT_EQ(found.values, n);
        EXPECT_EQ(found.differing, wanted.differing) << to_string(isa);
        EXPECT_EQ(found.not_finite, wanted.not_finite);
        EXPECT_EQ(found.finite, wanted.finite);
        EXPECT_EQ(found.first, wanted.first);
        EXPECT_EQ(found.max_abs, wanted.max_abs);
        EXPECT_EQ(found.d2, wanted.d2);
        EXPECT_EQ(found.a2, wanted.a2);
        EXPECT_EQ(found.b2, wanted.b2);
        EXPECT_EQ(found.ab, wanted.ab);
      }
    }
  }
}

TEST(Diff, TheToleranceDecides) {
  const std::vector<float> a = {3, 4, 0, 0}, b = {3, 4, 0.5F, 0};
  DiffOptions options;
  EXPECT_EQ(diff_of(a, a, options).status, DiffStatus::same);
  EXPECT_EQ(diff_of(a, b, options).status, DiffStatus::differs);
  options.tolerance = 0.5;
  EXPECT_EQ(diff_of(a, b, options).status, DiffStatus::within);
  EXPECT_FALSE(diff_of(a, b, options).failed);
  options.tolerance = 0.49;
  EXPECT_TRUE(diff_of(a, b, options).failed);
  options.relative = true;  // RMS 0.25 of 2.5
  options.tolerance = 0.1;
  EXPECT_EQ(diff_of(a, b, options).status, DiffStatus::within);
  options.tolerance = 0.0999;
  EXPECT_EQ(diff_of(a, b, options).status, DiffStatus::differs);
  options.tolerance = 1e30;
  EXPECT_TRUE(diff_of({0, 0}, {0, 1}, options).failed);
  EXPECT_TRUE(diff_of({1, 2}, {1, std::numeric_limits<float>::quiet_NaN()}, options).failed);
}

TEST(Diff, ZerosOfBothSignsAndNanDifferByTheirBits) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(diff_of({0.0F}, {-0.0F}).status, DiffStatus::differs);
  EXPECT_EQ(diff_of({0.0F}, {-0.0F}).sums.max_abs, 0);
  EXPECT_EQ(diff_of({nan, 1}, {nan, 1}).status, DiffStatus::same);
  EXPECT_EQ(diff_of({nan, 1}, {-nan, 1}).sums.differing, 1U);
}

TEST(Diff, LargeIntegersAreComparedByTheirBits) {
  const std::int64_t left[] = {(std::int64_t{1} << 60) + 1, 5}, right[] = {std::int64_t{1} << 60, 5};
  const auto make = [](const std::int64_t(&values)[2]) {
    const auto bytes = std::as_bytes(std::span(values));
    return std::vector<Tensor>{
        {"x", {2}, memory_rows(std::vector<std::byte>(bytes.begin(), bytes.end()), DType::i64, 2, 1), {}, 0}};
  };
  EXPECT_EQ(diff_tensors(make(left), make(right)).at(0).sums.differing, 1U);
}

TEST(Diff, MoreRowsAreComparedOverThoseThatBothHave) {
  const std::vector<Tensor> a = {tensor_of("x", {1, 2, 3, 4}, {2, 2})};
  const std::vector<Tensor> b = {tensor_of("x", {1, 2, 3, 5, 6, 7}, {3, 2})};
  const TensorDiff diff = diff_tensors(a, b).at(0);
  EXPECT_EQ(diff.status, DiffStatus::shape);
  EXPECT_TRUE(diff.failed);
  EXPECT_EQ(diff.sums.values, 4U);
  EXPECT_EQ(diff.sums.differing, 1U);
}

TEST(Diff, EqualStretchesOfALargeTensorCountInItsSums) {
  std::vector<float> a(600'000, 2.0F), b = a;
  b[555'555] = 3.0F;
  const TensorDiff diff = diff_of(a, b);
  EXPECT_EQ(diff.sums.first, 555'555U);
  EXPECT_EQ(diff.sums.differing, 1U);
  EXPECT_EQ(diff.sums.a2, 4.0 * 600'000);
  EXPECT_EQ(diff.sums.rms_a(), 2.0);
  EXPECT_NEAR(*diff.sums.cosine(), 1.0, 1e-6);
}

TEST(Diff, QuantizedValuesAreDecoded) {
  const GgufFile file = GgufFile::open(test::test_data("gguf/types.gguf"));
  std::vector<Tensor> decoded;
  for (Tensor tensor : file.tensors()) {
    tensor.data = cast_rows(tensor.data, tensor.type() == DType::f64 ? DType::f64 : DType::f32);
    decoded.push_back(std::move(tensor));
  }
  for (const TensorDiff& diff : diff_tensors(file.tensors(), decoded)) {
    if (diff.type_a.starts_with("I")) continue;  // large integers are rounded
    EXPECT_EQ(diff.sums.differing, 0U) << diff.name;
    EXPECT_FALSE(diff.failed);
  }
}

TEST(Diff, MetaAndHuggingFaceFoldersAreTheSameModel) {
  const Checkpoint hf = Checkpoint::open(test::test_data("miniature/base-hf"));
  const Checkpoint meta = Checkpoint::open(test::test_data("miniature/meta"));
  const DiffReport report = diff_checkpoints(hf, meta);
  EXPECT_TRUE(report.same());
  EXPECT_EQ(report.count(DiffStatus::same), 21U);
  EXPECT_EQ(report.count(DiffStatus::only_a), 2U);
  EXPECT_EQ(report.count(DiffStatus::only_b), 1U);
  EXPECT_FALSE(DiffReport{}.same());
}

TEST(Diff, ConfigurationsOfOtherModelsAreADifference) {
  const test::TempFolder folder;
  const auto write = [&](const char* name, const std::string& more) {
    std::filesystem::create_directory(folder / name);
    const std::vector<Tensor> tensors = {tensor_of("model.norm.weight", {1, 1}, {2})};
    test::write_bytes(folder / name / "model.safetensors",
                      test::bytes_of(safetensors_layout("x", tensors, {})));
    test::write_bytes(folder / name / "config.json",
                      R"({"model_type": "llama", "vocab_size": 2, "hidden_size": 2, "intermediate_size": 2,
                          "num_hidden_layers": 1, "num_attention_heads": 1, "tie_word_embeddings": false)" +
                          more + "}");
    return Checkpoint::open(folder / name);
  };
  const Checkpoint a = write("a", ""), longer = write("b", R"(, "max_position_embeddings": 4096)"),
                   other = write("c", R"(, "rms_norm_eps": 1e-5)");
  const DiffReport context = diff_checkpoints(a, longer);
  ASSERT_EQ(context.config.size(), 1U);
  EXPECT_EQ(context.config[0].field, "context");
  EXPECT_TRUE(context.same());
  const DiffReport eps = diff_checkpoints(a, other);
  ASSERT_EQ(eps.config.size(), 1U);
  EXPECT_EQ(eps.config[0].a, "1e-06");
  EXPECT_FALSE(eps.same());
  EXPECT_NE(diff_text(eps, {}, {}).find("rms_norm_eps: 1e-06 and 1e-05"), std::string::npos);
}

TEST(Diff, TheWorstComesFirstAndTheRestIsCounted) {
  std::vector<Tensor> a, b;
  for (int i = 0; i < 5; ++i) {
    a.push_back(tensor_of("t" + std::to_string(i), {1, 1}, {2}));
    b.push_back(tensor_of("t" + std::to_string(i), {1, 1.0F + 0.1F * static_cast<float>(i)}, {2}));
  }
  DiffReport report;
  report.tensors = diff_tensors(a, b);
  DiffText how;
  how.top = 2;
  const std::string text = diff_text(report, {}, how);
  EXPECT_LT(text.find("t4"), text.find("t3"));
  EXPECT_EQ(text.find("t2"), std::string::npos);
  EXPECT_NE(text.find("and 2 more"), std::string::npos);
  EXPECT_NE(text.find("first at [1]"), std::string::npos);
  EXPECT_NE(text.find("DIFFERENT: 1 same, 4 differs"), std::string::npos);
  how.all = true;
  EXPECT_NE(diff_text(report, {}, how).find("same        t0"), std::string::npos);
}

class Stopped final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t) override {}
  void end() override {}
  void note(std::string_view) override {}
  bool stop_requested() const override { return true; }
};

TEST(Diff, StopsWhenAsked) {
  Stopped stopped;
  DiffOptions options;
  options.progress = &stopped;
  test::expect_error(ErrorKind::system, [&] { (void)diff_of({1}, {1}, options); });
}

}  // namespace
}  // namespace galatea
