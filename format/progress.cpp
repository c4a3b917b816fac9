#include "format/progress.h"

namespace galatea {
namespace {

constexpr const char* interrupted_text = "interrupted";

class SilentProgress final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t) override {}
  void end() override {}
  void note(std::string_view) override {}
};

}  // namespace

Error interrupted() { return Error(ErrorKind::system, interrupted_text); }

bool is_interrupted(const Error& error) {
  return error.kind() == ErrorKind::system && error.problem() == interrupted_text;
}

Progress& silent_progress() {
  static SilentProgress silent;
  return silent;
}

}  // namespace galatea
