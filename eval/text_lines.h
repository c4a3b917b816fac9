// The lines of a text file, packed (unpacked_text.h) or not, as Python's text mode delivers them: "\r\n" and "\r" become "\n",
// and every line but perhaps the last ends with "\n". The file is read as far as lines are asked for.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "format/source.h"

namespace galatea {

class UnpackedText;

class TextLines {
 public:
  /// `member` is the file wanted of a zip archive. Throws Error(input) naming what to do for parquet and other
  /// packings that are not read here.
  explicit TextLines(SourcePtr source, std::string_view member = {});
  ~TextLines();

  /// The next line with its "\n"; false at the end. Throws Error(input): a line of more than 64 MiB, bytes
  /// that are not UTF-8, a damaged packing.
  bool next(std::string& line);

  /// Bytes of (unpacked) text before the line that next() gave last.
  std::uint64_t position() const { return line_start_; }

 private:
  std::unique_ptr<UnpackedText> bytes_;
  std::uint64_t line_start_ = 0, consumed_ = 0;
};

}  // namespace galatea
