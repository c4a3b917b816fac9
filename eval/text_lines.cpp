#include "eval/text_lines.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "eval/unpacked_text.h"
#include "format/error.h"
#include "format/utf8.h"

namespace galatea {
namespace {

constexpr std::size_t longest_line = std::size_t{64} << 20U;

}  // namespace

TextLines::TextLines(SourcePtr source, std::string_view member)
    : bytes_(std::make_unique<UnpackedText>(std::move(source), member)) {}
TextLines::~TextLines() = default;

bool TextLines::next(std::string& line) {
  line.clear();
  line_start_ = consumed_;
  while (bytes_->peek() >= 0) {
    const std::string_view ready = bytes_->ready();
    const std::size_t end = std::min(ready.find_first_of("\r\n"), ready.size());
    line += ready.substr(0, end);
    bytes_->skip(end);
    consumed_ += end;
    if (line.size() > longest_line)
      throw Error(ErrorKind::input, "a line is too long").file(bytes_->name()).expected("at most 64 MiB");
    if (end == ready.size()) continue;
    const bool carriage_return = ready[end] == '\r';
    bytes_->skip();
    ++consumed_;
    if (carriage_return && bytes_->peek() == '\n') {
      bytes_->skip();
      ++consumed_;
    }
    line += '\n';
    break;
  }
  for (std::size_t at = 0; at < line.size();) {
    const std::size_t length = utf8_length(std::string_view(line).substr(at));
    if (length == 0) {
      throw Error(ErrorKind::input, "the corpus is not UTF-8")
          .file(bytes_->name())
          .at(line_start_ + at)
          .found(printable(line.substr(at, 4)));
    }
    at += length;
  }
  return !line.empty();
}

}  // namespace galatea
