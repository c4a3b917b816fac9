// Folders and files for tests.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace galatea::test {

/// A fresh folder that is removed with everything in it.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "galatea-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "cannot make a folder for the test";
    path_ = pattern;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.good()) << path;
}

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Names in a folder, sorted; to see that nothing was left behind.
inline std::vector<std::string> list_folder(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// A file committed under tests/data.
inline std::filesystem::path test_data(std::string_view relative) {
  return std::filesystem::path(GALATEA_TEST_DATA) / relative;
}

/// A file of the evaluation data kept beside the project (GALATEA_DATA, else ../shared/data); empty
/// when absent.
inline std::filesystem::path shared_data(std::string_view name) {
  const char* variable = std::getenv("GALATEA_DATA");
  const std::filesystem::path folder = variable != nullptr
                                           ? std::filesystem::path(variable)
                                           : std::filesystem::path(GALATEA_SOURCE_DIR) / "../shared/data";
  std::filesystem::path file = folder / name;
  return std::filesystem::exists(file) ? file : std::filesystem::path();
}

}  // namespace galatea::test

/// Declares `variable` as the path of a file of the evaluation data, or skips the test by the file's name.
#define GALATEA_SHARED_DATA_OR_SKIP(variable, name)                        \
  const std::filesystem::path variable = galatea::test::shared_data(name); \
  if ((variable).empty())                                                  \
  GTEST_SKIP() << "needs " << (name) << " in ../shared/data or in the folder GALATEA_DATA names"
