// The subcommands of this room.
#pragma once

#include "format/console.h"

namespace galatea {

void bind_tokenize(CLI::App& app, Action& chosen);
void bind_perplexity(CLI::App& app, Action& chosen);

}  // namespace galatea
