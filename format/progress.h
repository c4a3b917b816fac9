// How long work tells how far it is. Libraries call it, main.cpp draws it; nothing else prints.
#pragma once

#include <cstdint>
#include <string_view>

#include "format/error.h"

namespace galatea {

/// advance() may be called by any thread; the others by the thread that runs the work.
class Progress {
 public:
  virtual ~Progress() = default;
  /// A step starts; `total` units of `unit` ("B", "tok") are to come, 0 when unknown.
  virtual void begin(std::string_view step, std::uint64_t total, std::string_view unit) = 0;
  virtual void advance(std::uint64_t units) = 0;
  virtual void end() = 0;
  /// A line for people: something was decided, repaired or found on the way.
  virtual void note(std::string_view line) = 0;
  /// True once the user asked to stop (Ctrl-C); long loops ask between chunks and throw interrupted().
  virtual bool stop_requested() const { return false; }
};

/// The user asked to stop: kind system, without a remedy, which the caller knows better.
Error interrupted();
bool is_interrupted(const Error& error);

/// Says nothing. The default everywhere.
Progress& silent_progress();

}  // namespace galatea
