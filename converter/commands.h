// The subcommands of this room.
#pragma once

#include "format/console.h"

namespace galatea {

void bind_reconstruct(CLI::App& app, Action& chosen);
void bind_decode(CLI::App& app, Action& chosen);
void bind_encode(CLI::App& app, Action& chosen);
void bind_base(CLI::App& app, Action& chosen);
void bind_merge_lora(CLI::App& app, Action& chosen);
void bind_extract_lora(CLI::App& app, Action& chosen);
void bind_convert(CLI::App& app, Action& chosen);
void bind_split(CLI::App& app, Action& chosen);
void bind_merge(CLI::App& app, Action& chosen);

}  // namespace galatea
