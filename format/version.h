// The version of galatea, as `galatea --version` prints it and galatea.json records it.
#pragma once

#include <string_view>

namespace galatea {

std::string_view version();

}  // namespace galatea
