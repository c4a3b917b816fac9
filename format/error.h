// The one exception type of galatea.
//
// Libraries throw it and never print or exit; main.cpp catches it once, prints `what()` and turns the kind
// into the exit code. The fields say where the fault lies (file, tensor, byte), what was expected and
// found, and what to do next; code nearer to the fault sets them first, code further up only fills gaps:
//
//   throw Error(ErrorKind::input, "tensor data ends past the end of the file")
//       .file(path).tensor(name).at(begin).expected("at most 4096").found("8192")
//       .remedy("download it again");
#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace galatea {

/// The value of each kind is the exit code of the command that fails with it.
enum class ErrorKind : int {
  check_failed = 1,  ///< the work was done and its result is not what was demanded (digest, score)
  usage = 2,         ///< the command was called wrongly
  input = 3,         ///< a file is damaged, hostile, of another kind, or does not fit the others
  system = 4,        ///< disk full, permission denied, out of memory, interrupted
};

class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string problem);

  /// Each setter keeps the first value it is given, so the place nearest to the fault wins.
  Error& file(const std::filesystem::path& path);
  Error& tensor(std::string_view name);
  Error& at(std::uint64_t byte);
  Error& expected(std::string_view text);
  Error& found(std::string_view text);
  Error& remedy(std::string_view text);
  /// For a caller who knows better what to do than the place of the fault did.
  Error& replace_remedy(std::string_view text);
  /// Appends one line "while ...", outermost last.
  Error& context(std::string_view text);

  ErrorKind kind() const { return kind_; }
  const std::string& problem() const { return problem_; }
  const std::string& file_name() const { return file_; }
  const std::string& tensor_name() const { return tensor_; }
  const std::optional<std::uint64_t>& byte() const { return byte_; }
  const std::string& remedy_text() const { return remedy_; }

  /// The whole message, several lines, without a trailing newline. Control characters in names from
  /// files are shown escaped, so that a hostile name cannot draw on the terminal.
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  void rebuild();

  ErrorKind kind_;
  std::string problem_, file_, tensor_, expected_, found_, remedy_;
  std::optional<std::uint64_t> byte_;
  std::vector<std::string> context_;
  std::string text_;
};

/// A system call on `path` failed with errno value `code`: kind system (or input when the file is missing).
Error system_error(const std::filesystem::path& path, std::string_view action, int code);

/// `text` with control characters and invalid UTF-8 shown as \xNN and cut after `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = 200);

}  // namespace galatea
