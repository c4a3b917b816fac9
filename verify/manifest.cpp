#include "verify/manifest.h"

#include <map>
#include <optional>
#include <utility>

#include "format/error.h"

namespace galatea {
namespace {

constexpr std::size_t longest_line = 8192;

bool is_space(char c) { return c == ' ' || c == '\t'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

/// Takes the backslash escapes of coreutils back. Nothing when there is another escape.
std::optional<std::string> unescaped(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '\\') {
      out += name[i];
      continue;
    }
    if (++i == name.size()) return std::nullopt;
    switch (name[i]) {
      case '\\':
        out += '\\';
        break;
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      default:
        return std::nullopt;
    }
  }
  return out;
}

struct Line {
  std::string_view digest;
  std::string name;
  std::optional<HashKind> named_kind;  ///< of a BSD tag
};

/// "SHA256 (NAME) = hex", "SHA256(NAME)= hex"; nothing when the line has another form.
std::optional<Line> parse_tag(std::string_view line) {
  const bool escaped = line.starts_with('\\');
  if (escaped) line.remove_prefix(1);
  const std::size_t open = line.find('(');
  const std::size_t equals = line.rfind("= ");
  if (open == std::string_view::npos || equals == std::string_view::npos || equals < open)
    return std::nullopt;
  const std::string_view digest = trimmed(line.substr(equals + 2));
  const std::string_view algorithm = trimmed(line.substr(0, open));
  std::string_view name = trimmed(line.substr(open + 1, equals - open - 1));
  if (!name.ends_with(')') || algorithm.empty() || algorithm.size() > 16 || !is_hex(digest))
    return std::nullopt;
  name.remove_suffix(1);
  const auto kind = find_hash_kind(algorithm);
  if (!kind) {
    throw Error(ErrorKind::input, "digests of this algorithm are not checked")
        .found(algorithm)
        .expected("MD5, SHA1, SHA256 or SHA512");
  }
  const auto plain = escaped ? unescaped(name) : std::string(name);
  if (!plain) return std::nullopt;
  return Line{digest, *plain, kind};
}

/// "hex  NAME", "hex *NAME", "\hex  NAME".
std::optional<Line> parse_gnu(std::string_view line) {
  const bool escaped = line.starts_with('\\');
  if (escaped) line.remove_prefix(1);
  const std::size_t end = line.find_first_of(" \t");
  if (end == std::string_view::npos || end < 8 || !is_hex(line.substr(0, end))) return std::nullopt;
  std::string_view name = line.substr(end + 1);
  if (!name.empty() && (name.front() == '*' || is_space(name.front()))) name.remove_prefix(1);
  if (trimmed(name).empty()) return std::nullopt;
  const auto plain = escaped ? unescaped(name) : std::string(name);
  if (!plain) return std::nullopt;
  return Line{line.substr(0, end), *plain, std::nullopt};
}

/// "NAME hex".
std::optional<Line> parse_sfv(std::string_view line) {
  line = trimmed(line);
  const std::size_t gap = line.find_last_of(" \t");
  if (gap == std::string_view::npos || line.size() - gap - 1 < 8 || !is_hex(line.substr(gap + 1)))
    return std::nullopt;
  return Line{line.substr(gap + 1), std::string(trimmed(line.substr(0, gap))), std::nullopt};
}

Line parse_line(std::string_view text) {
  for (const auto parse : {parse_tag, parse_gnu, parse_sfv}) {
    if (auto line = parse(text)) return *std::move(line);
  }
  throw Error(ErrorKind::input, "a line of the list of digests cannot be read")
      .found("\"" + printable(text, 120) + "\"")
      .expected("<digest>  NAME, NAME <digest>, or SHA256 (NAME) = <digest>")
      .remedy("is this a list of digests at all?");
}

HashKind kind_of(const Line& line) {
  const auto kind = hash_kind_of_length(line.digest.size());
  if (!kind || (line.named_kind && *line.named_kind != *kind)) {
    throw Error(ErrorKind::input, "a digest has a length that does not fit its algorithm")
        .found(std::to_string(line.digest.size()) + " hex digits")
        .expected(line.named_kind ? std::string(to_string(*line.named_kind))
                                  : "32 (MD5), 40 (SHA-1), 64 (SHA-256) or 128 (SHA-512) hex digits");
  }
  return *kind;
}

class Parser {
 public:
  Parser(std::string_view text, const std::filesystem::path& source) : text_(text) {
    manifest_.source = source;
  }

  Manifest run() {
    skip_byte_order_mark();
    while (!text_.empty()) {
      ++line_;
      try {
        take_line();
      } catch (Error& error) {
        error.file(manifest_.source).context("reading line " + std::to_string(line_));
        throw;
      }
    }
    if (manifest_.entries.empty()) {
      throw Error(ErrorKind::input, "the list of digests has no entry").file(manifest_.source);
    }
    if (crlf_) manifest_.notes.emplace_back("lines end in CR LF: the list went through Windows");
    return std::move(manifest_);
  }

 private:
  void skip_byte_order_mark() {
    if (text_.starts_with("\xFF\xFE") || text_.starts_with("\xFE\xFF")) {
      throw Error(ErrorKind::input, "the list of digests is UTF-16 text")
          .file(manifest_.source)
          .remedy("save it again as UTF-8 (PowerShell: Out-File -Encoding ascii)");
    }
    if (text_.starts_with("\xEF\xBB\xBF")) {
      text_.remove_prefix(3);
      manifest_.notes.emplace_back("begins with a byte-order mark");
    }
  }

  void take_line() {
    const std::size_t end = text_.substr(0, longest_line + 2).find('\n');
    if (end == std::string_view::npos && text_.size() > longest_line) {
      throw Error(ErrorKind::input, "a line of the list of digests is too long")
          .expected("at most " + std::to_string(longest_line) + " bytes");
    }
    std::string_view line = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    if (line.ends_with('\r')) {
      crlf_ = true;
      line.remove_suffix(1);
    }
    const std::string_view content = trimmed(line);
    if (content.empty() || content.front() == '#' || content.front() == ';') return;
    add(parse_line(line));
  }

  void add(const Line& line) {
    ManifestEntry entry{checked_relative_name(line.name), kind_of(line), lower_case(line.digest), line_};
    const auto [found, is_new] = seen_.try_emplace({entry.name, entry.kind}, manifest_.entries.size());
    if (is_new) {
      manifest_.entries.push_back(std::move(entry));
      return;
    }
    const ManifestEntry& earlier = manifest_.entries[found->second];
    if (earlier.digest != entry.digest) {
      throw Error(ErrorKind::input, "two lines give different digests for the same file")
          .found(printable(entry.name) + " in lines " + std::to_string(earlier.line) + " and " +
                 std::to_string(line_))
          .remedy("find out which line is right and remove the other");
    }
    if (++repeated_ <= 10) {  // a hostile list must not grow a note for each of its lines
      manifest_.notes.push_back("line " + std::to_string(line_) + " repeats line " +
                                std::to_string(earlier.line));
    }
  }

  std::string_view text_;
  Manifest manifest_;
  std::map<std::pair<std::string, HashKind>, std::size_t> seen_;
  std::size_t line_ = 0, repeated_ = 0;
  bool crlf_ = false;
};

Error bad_name(std::string_view name, const char* why) {
  Error error(ErrorKind::input, std::string("a file name in a list is not allowed: ") + why);
  error.found("\"" + printable(name, 120) + "\"").expected("a path inside the folder that is checked");
  return error;
}

std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '\\') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string checked_relative_name(std::string_view name) {
  if (name.empty()) throw bad_name(name, "it is empty");
  if (name.size() > 4096) throw bad_name(name, "it is too long");
  if (name.front() == '/') throw bad_name(name, "it is absolute");
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) throw bad_name(name, "it has control characters");
  }
  std::string out;
  for (std::string_view rest = name; !rest.empty();) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    if (part == "..") throw bad_name(name, "it leaves the folder");
    if (part.size() > 255) throw bad_name(name, "it is too long");
    if (part.empty() || part == ".") continue;
    if (!out.empty()) out += '/';
    out += part;
  }
  if (out.empty()) throw bad_name(name, "it names no file");
  return out;
}

Manifest parse_manifest(std::string_view text, const std::filesystem::path& source) {
  return Parser(text, source).run();
}

Manifest read_manifest(const std::filesystem::path& path) {
  return parse_manifest(read_text_file(path), path);
}

std::string write_manifest(std::span<const ManifestEntry> entries, ManifestForm form) {
  std::string out;
  for (const ManifestEntry& entry : entries) {
    checked_relative_name(entry.name);
    const bool escape = entry.name.find('\\') != std::string::npos;
    const std::string name = escape ? escaped(entry.name) : entry.name;
    if (escape) out += '\\';
    if (form == ManifestForm::bsd) {
      out += std::string(to_string(entry.kind)) + " (" + name + ") = " + entry.digest + "\n";
    } else {
      out += entry.digest + "  " + name + "\n";
    }
  }
  return out;
}

}  // namespace galatea
