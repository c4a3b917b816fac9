// What the pickle of a torch file may name.
#pragma once

#include <string_view>

namespace galatea {

/// True for the functions, classes and types that state dicts and plain values need; none is ever called.
bool torch_allows(std::string_view module, std::string_view name);

}  // namespace galatea
