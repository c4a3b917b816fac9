// The parts of `galatea verify`: each does one kind of check and returns the exit code.
#pragma once

#include <string>

#include "format/console.h"
#include "format/error.h"

namespace galatea {

struct VerifyOptions {
  std::string path, manifest, release, part = "files", digest, tensors_of;
  bool tensors = false, structure = false, chain = false, complete = false;
};

inline int verify_exit_code(bool passed) { return passed ? 0 : static_cast<int>(ErrorKind::check_failed); }

/// --tensors and --tensors-of (verify_tensors_command.cpp).
int verify_tensors(const VerifyOptions& options, Console& console);

}  // namespace galatea
