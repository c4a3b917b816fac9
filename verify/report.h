// A check as people and programs read it.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "verify/compare.h"

namespace galatea {

/// One line a file, with more lines below where a file is not as it should be, and a closing line of counts.
std::string report_text(const CheckReport& report);

/// {"passed", "files": [{"name", "status", "size", "md5", "sha1", "sha256", "expected", "detail", "remedy"}],
///  "hashing": hash_work_json, when files were read}
nlohmann::json report_json(const CheckReport& report);

}  // namespace galatea
