// The text of releases.json, put into the library by the build.
#pragma once

#include <string_view>

namespace galatea {

extern const std::string_view releases_json;

}  // namespace galatea
