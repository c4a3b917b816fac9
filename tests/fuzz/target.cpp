#include "tests/fuzz/target.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include <unistd.h>

#include "format/error.h"

namespace galatea::fuzz {
namespace {

namespace fs = std::filesystem;

std::vector<Target>& table() {
  static std::vector<Target> targets;
  return targets;
}

// In memory where there is such a folder: a fuzzer writes a file for each input. Removed when the process ends in
// order; a crash leaves it for whoever looks into the crash.
class Folder {
 public:
  Folder()
      : path_((fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) /
              ("galatea-fuzz." + std::to_string(::getpid()))) {
    fs::create_directory(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

}  // namespace

const std::vector<Target>& targets() { return table(); }

const Target* find_target(std::string_view name) {
  const auto found =
      std::find_if(table().begin(), table().end(), [&](const Target& t) { return t.name == name; });
  return found == table().end() ? nullptr : &*found;
}

Registered::Registered(std::string_view name, void (*run)(Bytes),
                       std::initializer_list<std::string_view> seeds) {
  const auto place = std::lower_bound(table().begin(), table().end(), name,
                                      [](const Target& t, std::string_view n) { return t.name < n; });
  table().insert(place, {name, run, seeds});
}

bool accepted(const Target& target, Bytes input) {
  try {
    target.run(input);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void promise(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

fs::path as_file(std::string_view name, Bytes input) {
  static const Folder folder;
  fs::path path = folder.path() / name;
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
  return path;
}

}  // namespace galatea::fuzz
