// What the base and decode commands share: which generation of the tools of 2023 a base is to come from.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "converter/base.h"
#include "format/error.h"

namespace galatea::profile_command {

struct Profile {
  std::string name{hf_generations().front().name};
  std::string transformers, inv_freq, torch_container;  ///< single properties; empty: the profile's

  /// The profile with the properties that were given; Error(usage) names what is unknown.
  HfGeneration generation() const {
    HfGeneration out = find_hf_generation(name);
    if (!transformers.empty()) out.transformers_version = transformers;
    if (!inv_freq.empty()) out.inv_freq = inv_freq == "2" ? DType::f16 : DType::f32;
    if (!torch_container.empty()) out.torch = find_torch_generation(torch_container);
    return out;
  }
};

inline std::string profile_names() {
  std::string names;
  for (const HfGeneration& generation : hf_generations())
    names += (names.empty() ? "" : ", ") + std::string(generation.name);
  return names;
}

inline std::string profile_table() {
  std::string table = "Profiles:\n";
  for (const HfGeneration& generation : hf_generations()) {
    std::string name(generation.name);
    name.resize(16, ' ');
    table += "  " + name + std::string(generation.meaning) + "\n";
  }
  return table;
}

/// True when one of the options was given on the command line.
inline bool given(const CLI::App& command) {
  for (const char* option : {"--profile", "--transformers", "--inv-freq", "--torch-container"}) {
    if (command.count(option) > 0) return true;
  }
  return false;
}

inline void add_options(CLI::App& command, Profile& profile) {
  command.add_option("--profile", profile.name, "Whose conversion: " + profile_names())
      ->type_name("NAME")
      ->capture_default_str();
  command.add_option("--transformers", profile.transformers, "Version stamp, in place of the profile's")
      ->type_name("VERSION");
  command
      .add_option("--inv-freq", profile.inv_freq,
                  "Bytes a number of the rotary buffers, in place of the profile's")
      ->check(CLI::IsMember({"2", "4"}));
  command
      .add_option("--torch-container", profile.torch_container,
                  "Container of this torch (1.13, 2.1, 2.7), in place of the profile's")
      ->type_name("VERSION");
}

}  // namespace galatea::profile_command
