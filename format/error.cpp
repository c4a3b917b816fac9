#include "format/error.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "format/utf8.h"

namespace galatea {
namespace {

void keep_first(std::string& field, std::string_view text) {
  if (field.empty()) field = printable(text, 4096);
}

}  // namespace

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  std::size_t i = 0;
  while (i < text.size() && i < limit) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0 || byte < 0x20 || byte == 0x7F) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", static_cast<unsigned>(byte));
      out += escaped;
      ++i;
    } else {
      out += text.substr(i, length);
      i += length;
    }
  }
  if (i < text.size()) out += "... (" + std::to_string(text.size()) + " bytes)";
  return out;
}

Error::Error(ErrorKind kind, std::string problem) : kind_(kind), problem_(std::move(problem)) { rebuild(); }

Error& Error::file(const std::filesystem::path& path) {
  keep_first(file_, path.string());
  rebuild();
  return *this;
}

Error& Error::tensor(std::string_view name) {
  keep_first(tensor_, printable(name));
  rebuild();
  return *this;
}

Error& Error::at(std::uint64_t byte) {
  if (!byte_) byte_ = byte;
  rebuild();
  return *this;
}

Error& Error::expected(std::string_view text) {
  keep_first(expected_, text);
  rebuild();
  return *this;
}

Error& Error::found(std::string_view text) {
  keep_first(found_, text);
  rebuild();
  return *this;
}

Error& Error::remedy(std::string_view text) {
  keep_first(remedy_, text);
  rebuild();
  return *this;
}

Error& Error::replace_remedy(std::string_view text) {
  remedy_.clear();
  return remedy(text);
}

Error& Error::context(std::string_view text) {
  context_.push_back(printable(text, 4096));
  rebuild();
  return *this;
}

void Error::rebuild() {
  text_ = problem_;
  if (!file_.empty()) text_ += "\n  file:     " + file_;
  if (!tensor_.empty()) text_ += "\n  tensor:   " + tensor_;
  if (byte_) text_ += "\n  at byte:  " + std::to_string(*byte_);
  if (!expected_.empty()) text_ += "\n  expected: " + expected_;
  if (!found_.empty()) text_ += "\n  found:    " + found_;
  for (const std::string& line : context_) text_ += "\n  while " + line;
  if (!remedy_.empty()) text_ += "\n  remedy:   " + remedy_;
}

Error system_error(const std::filesystem::path& path, std::string_view action, int code) {
  const bool missing =
      code == ENOENT || code == ENOTDIR || code == EISDIR || code == ELOOP || code == ENAMETOOLONG;
  Error error(missing ? ErrorKind::input : ErrorKind::system,
              "cannot " + std::string(action) + ": " + std::strerror(code));
  error.file(path);
  if (code == ENOSPC) error.remedy("free some disk space, then run the same command again");
  if (code == EMFILE) error.remedy("allow this shell more open files: ulimit -n 65536");
  if (code == EACCES || code == EPERM || code == EROFS) error.remedy("check the permissions of the folder");
  return error;
}

}  // namespace galatea
