// The subcommands of this room.
#pragma once

#include "format/console.h"

namespace galatea {

void bind_quantize(CLI::App& app, Action& chosen);

}  // namespace galatea
