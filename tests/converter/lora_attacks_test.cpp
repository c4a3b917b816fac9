// Every file of tests/attacks/adapters is refused with the words that its README promises.
#include <gtest/gtest.h>

#include <chrono>
#include <sstream>

#include "converter/lora_merge.h"
#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

TEST(LoraAttacks, are_refused_at_once_with_their_words) {
  const fs::path attacks = fs::path(GALATEA_SOURCE_DIR) / "tests/attacks/adapters";
  const fs::path miniature = test::test_data("miniature");
  const Checkpoint base = Checkpoint::open(miniature / "base-hf");
  std::istringstream lines(test::read_bytes(attacks / "README.md"));
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| ") || line.starts_with("| file")) continue;
    ++count;
    const std::string file = line.substr(2, line.find(" | ") - 2);
    const std::size_t from = line.find("| `", line.find(" | ") + 1) + 3;
    const std::string answer = line.substr(from, line.rfind('`') - from);
    const test::TempFolder folder;
    if (file.ends_with(".json")) {
      fs::copy(miniature / "adapter/adapter_model.bin", folder / "adapter_model.bin");
      fs::copy(attacks / file, folder / "adapter_config.json");
    } else {
      fs::copy(attacks / file, folder / "adapter_model.safetensors");
      test::write_bytes(folder / "adapter_config.json",
                        R"({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": null})");
    }
    const auto begin = std::chrono::steady_clock::now();
    SCOPED_TRACE(file);
    const Error error = test::error_of([&] {
      HfModel model = hf_model(base);
      merge_adapters(model, {{read_lora_adapter(folder.path()), 1}}, {.type = DType::f16});
      for (const Tensor& tensor : model.tensors) {
        std::vector<std::byte> bytes(tensor.bytes());
        tensor.data->read(0, tensor.data->rows(), bytes);
      }
    });
    const std::string text = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::input) << file;
    EXPECT_NE(text.find(answer), std::string::npos) << file << ": " << text.substr(0, 500);
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << file;
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << file;
  }
  EXPECT_EQ(count + 1, test::list_folder(attacks).size());
  EXPECT_GT(count, 10U);
}

}  // namespace
}  // namespace galatea
