#include "quantize/importance_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <random>

#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

std::string old_entry(const std::string& name, std::int32_t chunks, const std::vector<float>& values) {
  std::string out;
  const auto number = [&](std::int32_t value) { out.append(reinterpret_cast<const char*>(&value), 4); };
  number(static_cast<std::int32_t>(name.size()));
  out += name;
  number(chunks);
  number(static_cast<std::int32_t>(values.size()));
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  return out;
}

std::string old_file(std::int32_t count, const std::string& entries) {
  std::string out(4, '\0');
  std::memcpy(out.data(), &count, 4);
  return out + entries;
}

ImportanceFile read(const std::string& bytes) {
  test::TempFolder folder;
  test::write_bytes(folder / "i.dat", bytes);
  return read_importance_file(folder / "i.dat");
}

void expect_refused(const std::string& bytes, const std::string& because) {
  test::expect_refused([&] { read(bytes); }, because);
}

TEST(ImportanceFile, both_forms_hold_the_same) {
  const ImportanceFile gguf = read_importance_file(test::test_data("imatrix/miniature.imatrix.gguf"));
  const ImportanceFile dat = read_importance_file(test::test_data("imatrix/miniature.imatrix.dat"));
  for (const ImportanceFile* file : {&gguf, &dat}) {
    EXPECT_EQ(file->dataset, "calibration.txt");
    EXPECT_EQ(file->chunks, 8U);
    EXPECT_EQ(file->weights.size(), 14U);
    EXPECT_EQ(file->unused, std::vector<std::string>{"blk.1.attn_k.weight"});
    EXPECT_EQ(*file->weights.at("blk.1.attn_k.weight"), std::vector<float>(256, 1.0F));
    EXPECT_EQ(file->weights.at("blk.0.ffn_down.weight")->size(), 768U);
  }
  for (const auto& [name, weights] : gguf.weights) EXPECT_EQ(*weights, *dat.weights.at(name)) << name;
}

TEST(ImportanceFile, means_are_over_chunks_and_a_tail_may_be_missing) {
  const ImportanceFile file = read(old_file(1, old_entry("a.weight", 4, {8, 0, 2})));
  EXPECT_EQ(*file.weights.at("a.weight"), (std::vector<float>{2, 0, 0.5F}));
  EXPECT_EQ(file.chunks, 0U);
}

TEST(ImportanceFile, matrices_of_much_less_text_than_others_are_listed) {
  const ImportanceFile file = read(old_file(4, old_entry("a", 100, {1}) + old_entry("b", 50, {1}) +
                                                   old_entry("c", 49, {1}) + old_entry("d", 0, {1})));
  EXPECT_EQ(file.thin, std::vector<std::string>{"c"});
  EXPECT_EQ(file.unused, std::vector<std::string>{"d"});
  for (const char* form : {"gguf", "dat"}) {
    const auto path = test::test_data(std::string("imatrix/miniature.imatrix.") + form);
    EXPECT_TRUE(read_importance_file(path).thin.empty()) << form;
  }
}

TEST(ImportanceFile, weights_that_break_the_search_are_refused_by_name) {
  for (const float bad :
       {-1.0F, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    expect_refused(old_file(1, old_entry("bad.weight", 4, {1, bad})), "bad.weight");
  }
}

TEST(ImportanceFile, damaged_files_are_refused) {
  const std::string good = old_file(1, old_entry("a.weight", 4, {8, 0, 2}));
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_THROW(read(good.substr(0, length)), Error) << length;
  }
  expect_refused(old_file(0, ""), "without tensors");
  expect_refused(old_file(2'000'000'000, ""), "number of matrices");
  expect_refused(old_file(-1, ""), "number of matrices");
  expect_refused(old_file(1, std::string("\xFF\xFF\xFF\x7F", 4)), "length of a name");
  expect_refused(old_file(2, old_entry("a", 1, {1}) + old_entry("a", 1, {1})), "twice");
  test::TempFolder folder;
  test::write_bytes(folder / "i.gguf", test::read_bytes(test::test_data("gguf/values.gguf")));
  EXPECT_THROW(read_importance_file(folder / "i.gguf"), Error);
}

TEST(ImportanceFile, noise_never_does_more_than_fail) {
  const std::string good = test::read_bytes(test::test_data("imatrix/miniature.imatrix.dat"));
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::string noisy = good.substr(0, 2000);
    for (int i = 0; i < 8; ++i) noisy[random() % noisy.size()] = static_cast<char>(random());
    try {
      read(noisy);
    } catch (const Error&) {
    }
  }
}

TEST(ImportanceFile, names_select) {
  ImportanceMatrix weights;
  for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.1.ffn_up.weight"}) {
    weights.emplace(name, std::make_shared<std::vector<float>>(4, 1.0F));
  }
  ImportanceMatrix some = weights;
  select_importance(some, {"attn"}, {"attn_k"});
  EXPECT_EQ(some.size(), 1U);
  EXPECT_TRUE(some.contains("blk.0.attn_q.weight"));
  select_importance(weights, {}, {});
  EXPECT_EQ(weights.size(), 3U);
}

TEST(ImportanceFile, what_a_model_lacks_is_listed_and_what_does_not_fit_refused) {
  const std::vector<float> zeros(8);
  const std::vector<Tensor> tensors = {{"token_embd.weight", {2, 4}, memory_rows(zeros, 2, 4), {}, 0},
                                       {"blk.0.attn_q.weight", {2, 4}, memory_rows(zeros, 2, 4), {}, 0},
                                       {"blk.0.attn_k.weight", {2, 4}, memory_rows(zeros, 2, 4), {}, 0}};
  ImportanceMatrix weights;
  weights.emplace("blk.0.attn_q.weight", std::make_shared<std::vector<float>>(4, 1.0F));
  EXPECT_EQ(without_importance(weights, tensors), std::vector<std::string>{"blk.0.attn_k.weight"});
  weights.emplace("blk.0.attn_k.weight", std::make_shared<std::vector<float>>(5, 1.0F));
  EXPECT_THROW(without_importance(weights, tensors), Error);
}

}  // namespace
}  // namespace galatea
