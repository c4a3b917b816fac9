// The subcommands of this room.
#pragma once

#include "format/console.h"

namespace galatea {

void bind_verify(CLI::App& app, Action& chosen);
void bind_inspect(CLI::App& app, Action& chosen);
void bind_diff(CLI::App& app, Action& chosen);

}  // namespace galatea
