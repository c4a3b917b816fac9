#include "verify/tensor_digest.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <set>

#include "format/error.h"
#include "format/hash.h"
#include "format/llama_tensors.h"
#include "format/utf8.h"
#include "verify/digest.h"
#include "verify/parallel.h"

namespace galatea {
namespace {

constexpr std::string_view list_head = "# galatea tensor digests v1";
constexpr std::string_view weights_head = "# weights: ";
constexpr std::size_t longest_line = 16'384;
constexpr std::uint64_t piece_bytes = std::uint64_t{1} << 20U;

void put_u64(Hasher& hasher, std::uint64_t value) {
  std::byte bytes[8];
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
  hasher.update(bytes);
}

/// Text and the zero byte behind it.
void put_text(Hasher& hasher, std::string_view text) {
  const std::string with_zero(text);
  hasher.update(std::as_bytes(std::span(with_zero.c_str(), with_zero.size() + 1)));
}

Hasher started(std::string_view type, const Shape& shape) {
  Hasher hasher(HashKind::sha256);
  put_text(hasher, "galatea tensor digest v1");
  put_text(hasher, type);
  put_u64(hasher, shape.size());
  for (const std::uint64_t extent : shape) put_u64(hasher, extent);
  return hasher;
}

/// Calls take(bytes, values) with the stored bytes of consecutive rows until it returns false.
template <class Take>
void for_each_piece(const Tensor& tensor, Progress& progress, const Take& take) {
  const Rows& rows = *tensor.data;
  const std::uint64_t step = std::max<std::uint64_t>(
      1, std::min(rows.rows(), piece_bytes / std::max<std::uint64_t>(rows.row_bytes(), 1)));
  std::vector<std::byte> buffer(static_cast<std::size_t>(step * rows.row_bytes()));
  for (std::uint64_t first = 0; first < rows.rows(); first += step) {
    throw_if_stopped(progress);
    const std::uint64_t count = std::min(step, rows.rows() - first);
    const auto piece = std::span(buffer).first(static_cast<std::size_t>(count * rows.row_bytes()));
    rows.read(first, count, piece);
    if (!take(std::span<const std::byte>(piece), count * rows.cols())) return;
    progress.advance(piece.size());
  }
}

/// Stored values as float32 where that is exact, else (F64, I64, I32) as float64, then as `to` and back.
bool convert_exactly(DType from, std::span<const std::byte> in, DType to, std::span<std::byte> out,
                     std::uint64_t values) {
  std::vector<std::byte> widened, back;
  if (type_info(from).quantized()) {
    widened.resize(static_cast<std::size_t>(values) * sizeof(float));
    std::vector<float> floats(static_cast<std::size_t>(values));
    type_info(from).decode(in.data(), floats.data(), values);
    std::memcpy(widened.data(), floats.data(), widened.size());
    from = DType::f32;
    in = widened;
  }
  convert_plain(from, in.data(), to, out.data(), values);
  back.resize(in.size());
  convert_plain(to, out.data(), from, back.data(), values);
  return std::equal(in.begin(), in.end(), back.begin());
}

bool is_plain_character(unsigned char c) { return c >= 0x20 && c != 0x7F && c != '\\'; }

std::string escaped_name(std::string_view name) {
  const bool text = is_utf8(name);
  std::string out;
  for (const char raw : name) {
    const auto c = static_cast<unsigned char>(raw);
    if (raw == '\\') {
      out += "\\\\";
    } else if (is_plain_character(c) && (text || c < 0x80)) {
      out += raw;
    } else {
      constexpr std::string_view digits = "0123456789abcdef";
      out += {'\\', 'x', digits[c >> 4U], digits[c & 15U]};
    }
  }
  return out;
}

std::optional<std::string> unescaped_name(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    if (text.front() != '\\') {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (text.starts_with("\\\\")) {
      out += '\\';
      text.remove_prefix(2);
      continue;
    }
    unsigned value = 0;
    if (text.size() < 4 || text[1] != 'x' || !is_hex(text.substr(2, 2))) return std::nullopt;
    std::from_chars(text.data() + 2, text.data() + 4, value, 16);
    out += static_cast<char>(value);
    text.remove_prefix(4);
  }
  return out;
}

std::string list_shape(const Shape& shape) {
  std::string out = "[";
  for (const std::uint64_t extent : shape) out += (out.size() > 1 ? "," : "") + std::to_string(extent);
  return out + "]";
}

std::optional<Shape> parse_list_shape(std::string_view text) {
  if (text == "[]") return Shape{};
  if (text.size() < 3 || text.front() != '[' || text.back() != ']') return std::nullopt;
  Shape out;
  const char* at = text.data() + 1;
  const char* end = text.data() + text.size() - 1;
  while (true) {
    std::uint64_t extent = 0;
    const auto [next, code] = std::from_chars(at, end, extent);
    if (code != std::errc()) return std::nullopt;
    out.push_back(extent);
    if (next == end) return out;
    if (*next != ',' || out.size() == 64) return std::nullopt;
    at = next + 1;
  }
}

std::string list_line(const TensorDigest& digest) {
  return digest.sha256 + "  " + digest.type + "  " + list_shape(digest.shape) + "  " +
         escaped_name(digest.name) + "\n";
}

/// The next column, two spaces behind it.
std::string_view take_column(std::string_view& line) {
  const std::size_t end = line.find("  ");
  const std::string_view column = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 2);
  return column;
}

TensorDigest parse_list_line(std::string_view line) {
  const std::string_view whole = line;
  const std::string_view digest = take_column(line), type = take_column(line);
  const bool has_name = line.find("  ") != std::string_view::npos;
  const auto shape = parse_list_shape(take_column(line));
  const auto name = unescaped_name(line);
  const bool proper_type = !type.empty() && type.size() <= 16 && type.find(' ') == std::string_view::npos;
  if (digest.size() != 64 || !is_hex(digest) || !proper_type || !shape || !has_name || !name) {
    throw Error(ErrorKind::input, "a line of the list of tensor digests cannot be read")
        .found("\"" + printable(whole, 120) + "\"")
        .expected("<SHA-256>  <dtype>  <shape>  <name>");
  }
  return {*name, std::string(type), *shape, lower_case(digest)};
}

}  // namespace

TensorDigest tensor_digest(const Tensor& tensor, Progress& progress) {
  TensorDigest out{tensor.name, std::string(type_info(tensor.type()).name), tensor.shape, {}};
  Hasher hasher = started(out.type, out.shape);
  for_each_piece(tensor, progress, [&](std::span<const std::byte> bytes, std::uint64_t) {
    hasher.update(bytes);
    return true;
  });
  out.sha256 = hasher.finish();
  return out;
}

std::optional<TensorDigest> tensor_digest_as(const Tensor& tensor, DType type, Progress& progress) {
  const TypeInfo& info = type_info(type);
  if (info.quantized()) return std::nullopt;
  TensorDigest out{tensor.name, std::string(info.name), tensor.shape, {}};
  Hasher hasher = started(out.type, out.shape);
  bool exact = true;
  std::vector<std::byte> converted;
  for_each_piece(tensor, progress, [&](std::span<const std::byte> bytes, std::uint64_t values) {
    converted.resize(static_cast<std::size_t>(info.bytes_for(values)));
    exact = convert_exactly(tensor.type(), bytes, type, converted, values);
    if (exact) hasher.update(converted);
    return exact;
  });
  if (!exact) return std::nullopt;
  out.sha256 = hasher.finish();
  return out;
}

std::vector<TensorDigest> tensor_digests(std::span<const Tensor> tensors, Progress& progress, int threads) {
  std::vector<std::uint64_t> sizes;
  std::uint64_t total = 0;
  for (const Tensor& tensor : tensors) {
    sizes.push_back(tensor.bytes());
    total += sizes.back();
  }
  std::vector<TensorDigest> out(tensors.size());
  progress.begin("hashing tensors", total, "B");
  for_each_largest_first(sizes, threads, [&](std::size_t i) {
    try {
      out[i] = tensor_digest(tensors[i], progress);
    } catch (Error& error) {
      error.tensor(tensors[i].name);
      throw;
    }
  });
  progress.end();
  return out;
}

std::optional<std::string> weights_digest(std::span<const TensorDigest> digests) {
  std::string lines;
  for (const TensorDigest& digest : digests) {
    const auto id = parse_tensor_name(digest.name);
    if (id && tensor_name(*id, Naming::hf) == digest.name) lines += list_line(digest);
  }
  if (lines.empty()) return std::nullopt;
  return sha256_hex(std::as_bytes(std::span(lines)));
}

std::string tensor_list_text(std::span<const TensorDigest> digests) {
  std::string out = std::string(list_head) + "\n";
  for (const TensorDigest& digest : digests) out += list_line(digest);
  if (const auto weights = weights_digest(digests)) out += std::string(weights_head) + *weights + "\n";
  return out;
}

bool is_tensor_list(std::string_view text) { return text.starts_with(list_head); }

std::vector<TensorDigest> parse_tensor_list(std::string_view text, const std::filesystem::path& source) {
  std::vector<TensorDigest> out;
  std::set<std::string> names;
  std::string weights;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    try {
      if (line.size() > longest_line)
        throw Error(ErrorKind::input, "a line of the list of tensor digests is too long");
      if (line.starts_with(weights_head)) weights = lower_case(line.substr(weights_head.size()));
      if (line.empty() || line.front() == '#') continue;
      out.push_back(parse_list_line(line));
      if (!names.insert(out.back().name).second)
        throw Error(ErrorKind::input, "the list names a tensor twice").tensor(out.back().name);
    } catch (Error& error) {
      error.file(source).context("reading line " + std::to_string(number));
      throw;
    }
  }
  if (out.empty()) throw Error(ErrorKind::input, "the list of tensor digests has no entry").file(source);
  if (const auto found = weights_digest(out); !weights.empty() && weights != found.value_or("")) {
    throw Error(ErrorKind::input, "the list of tensor digests was changed: its lines do not give its own sum")
        .file(source)
        .expected(printable(weights, 80))
        .found(found.value_or("no weights"))
        .remedy("make the list again with \"galatea verify PATH --tensors\"");
  }
  return out;
}

}  // namespace galatea
