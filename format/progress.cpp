#include "format/progress.h"

namespace galatea {
namespace {

class SilentProgress final : public Progress {
 public:
  void begin(std::string_view, std::uint64_t, std::string_view) override {}
  void advance(std::uint64_t) override {}
  void end() override {}
  void note(std::string_view) override {}
};

}  // namespace

Progress& silent_progress() {
  static SilentProgress silent;
  return silent;
}

}  // namespace galatea
