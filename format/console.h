// How commands speak. Commands get a Console and never touch stdout or stderr themselves; main.cpp
// implements it: results go to stdout, progress and notes to stderr.
#pragma once

#include <functional>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "format/progress.h"

namespace CLI {
class App;
}

namespace galatea {

class Console {
 public:
  virtual ~Console() = default;
  /// A line (or several) of the result, to stdout. Left out under --json.
  virtual void print(std::string_view line) = 0;
  /// The result for machines: one JSON document to stdout, only under --json. Call it once, at the end.
  virtual void print_json(const nlohmann::json& document) = 0;
  virtual bool json() const = 0;
  /// Bars, steps and notes on stderr.
  virtual Progress& progress() = 0;
};

/// What a subcommand leaves behind when its arguments were parsed: the work, returning the exit code.
using Action = std::function<int(Console&)>;

/// Adds a subcommand with its options to `app`; its callback stores the work into `chosen`.
using BindCommand = void (*)(CLI::App& app, Action& chosen);

}  // namespace galatea
