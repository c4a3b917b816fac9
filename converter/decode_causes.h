// Why did a decoded file come out wrong? Payload, base and result tell, most of the time.
#pragma once

#include <functional>
#include <string>

#include "format/plan.h"
#include "format/source.h"
#include "verify/releases.h"

namespace galatea {

struct DecodedFile {
  std::string name;
  SourcePtr payload;  ///< unpacked
  SourcePtr base;
  SourcePtr decoded;  ///< their XOR
  /// The base is made while it is read, and was not yet: its tables would cost reading it whole.
  bool base_is_costly = false;
};

struct DecodeCause {
  std::string cause;   ///< "the base was saved by torch 2.1 or later"
  std::string remedy;  ///< what to do about it
};

/// The likely cause of `file` not being what its name says, found by trying: never empty, the last resort
/// being that payload and base do not belong together.
DecodeCause find_cause(const DecodedFile& file);

/// Throws Error(check_failed) unless `written` is one of the published contents of `expected`; says then
/// whether the base's file is the published one (`base_entry`, nullptr when that is not known).
void require_published(const DecodedFile& file, const WrittenFile& written, const ReleaseFile& expected,
                       const ReleaseFile* base_entry);

/// Runs `check`; an Error(input) from it is thrown again with the likely cause in its problem and its remedy.
void explain_failure(const DecodedFile& file, const std::function<void()>& check);

}  // namespace galatea
