#include "eval/kl_base.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string_view>
#include <utility>

#include "format/checked.h"
#include "format/error.h"
#include "format/little_endian.h"

namespace galatea {
namespace {

constexpr std::string_view compact_magic = "GALKLB01";
constexpr std::string_view llama_magic = "_logits_";
constexpr std::uint64_t compact_head = 96;
constexpr std::uint64_t record_head = 20;
constexpr std::uint64_t most_tokens = std::uint64_t{1} << 28U;
constexpr std::uint64_t most_vocab = std::uint64_t{1} << 24U;
constexpr float llama_range = 16;
constexpr float levels = 65535;

std::uint64_t id_bytes(const KlBaseHeader& header) { return header.vocab <= 65536 ? 2 : 4; }

void put(std::span<std::byte> out, std::size_t at, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) out[at + i] = static_cast<std::byte>((value >> (8 * i)) & 0xFFU);
}
void put_float(std::span<std::byte> out, std::size_t at, float value) {
  put(out, at, std::bit_cast<std::uint32_t>(value), 4);
}
float get_float(std::span<const std::byte> in, std::size_t at) {
  return std::bit_cast<float>(LittleEndian(in).u32(at));
}

/// log of the sum of exp(logit - largest), and the largest.
struct Normaliser {
  float largest;
  double log_sum;

  explicit Normaliser(std::span<const float> logits)
      : largest(*std::max_element(logits.begin(), logits.end())) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit - largest));
    log_sum = std::log(sum);
  }
  double operator()(float logit) const { return static_cast<double>(logit - largest) - log_sum; }
};

std::uint16_t level(float value) {
  return static_cast<std::uint16_t>(std::clamp(std::nearbyint(value), 0.0F, levels));
}

/// Each value as llama.cpp rounds it: float32 throughout, ties to even.
void encode_llama(std::span<const float> logits, std::span<std::byte> record) {
  const auto [least, most] = std::minmax_element(logits.begin(), logits.end());
  const float smallest = std::max(*least, *most - llama_range);
  double sum = 0;
  for (const float logit : logits) sum += static_cast<double>(std::exp(logit - *most));
  const auto log_sum = static_cast<float>(std::log(sum));
  const float scale = (*most - smallest) / levels;
  std::fill(record.begin(), record.end(), std::byte{0});
  put_float(record, 0, scale);
  put_float(record, 4, smallest - *most - log_sum);
  if (scale == 0) return;
  const float inverse = 1 / scale;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > smallest) put(record, 8 + 2 * i, level(inverse * (logits[i] - smallest)), 2);
  }
}

void encode_compact(const KlBaseHeader& header, std::span<const float> logits, std::int32_t target,
                    std::span<std::byte> record) {
  const Normaliser log_p(logits);
  std::vector<std::uint32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0U);
  const auto before = [&](std::uint32_t a, std::uint32_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  const auto top = static_cast<std::ptrdiff_t>(header.top);
  std::nth_element(order.begin(), order.begin() + (top - 1), order.end(), before);
  std::sort(order.begin(), order.begin() + top, before);
  double mass = 0;
  double entropy = 0;
  std::sort(order.begin() + top, order.end());  // one order of summation
  for (auto place = order.begin() + top; place != order.end(); ++place) {
    const double value = log_p(logits[*place]);
    mass += std::exp(value);
    if (std::isfinite(value)) entropy += std::exp(value) * value;
  }
  const auto last = static_cast<float>(log_p(logits[order[header.top - 1]]));
  const float step = (static_cast<float>(log_p(logits[order[0]])) - last) / levels;
  put_float(record, 0, static_cast<float>(log_p(logits[static_cast<std::size_t>(target)])));
  put_float(record, 4, last);
  put_float(record, 8, step);
  put_float(record, 12, static_cast<float>(mass));
  put_float(record, 16, static_cast<float>(entropy));
  const std::size_t width = id_bytes(header);
  const std::size_t values = record_head + width * header.top;
  for (std::size_t i = 0; i < header.top; ++i) {
    put(record, record_head + width * i, order[i], width);
    const auto value = static_cast<float>(log_p(logits[order[i]]));
    put(record, values + 2 * i, step > 0 ? level((value - last) / step) : 0, 2);
  }
}

std::size_t index_of_largest(std::span<const float> logits) {
  return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

KlTerm compare_llama(std::span<const std::byte> record, std::span<const float> logits, std::int32_t target) {
  const float scale = get_float(record, 0);
  const float smallest = get_float(record, 4);
  const LittleEndian words(record);
  const Normaliser log_q(logits);
  std::size_t top = 0;
  std::uint16_t highest = 0;
  double divergence = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const std::uint16_t q = words.u16(8 + 2 * i);
    if (i == 0 || q > highest) {
      highest = q;
      top = i;
    }
    const float base = scale * static_cast<float>(q) + smallest;
    if (base > -llama_range)
      divergence += std::exp(static_cast<double>(base)) * (static_cast<double>(base) - log_q(logits[i]));
  }
  const auto place = static_cast<std::size_t>(target);
  KlTerm out;
  out.divergence = static_cast<float>(divergence);
  out.most = out.divergence;
  out.base_loss = -(scale * static_cast<float>(words.u16(8 + 2 * place)) + smallest);
  out.loss = static_cast<float>(-log_q(logits[place]));
  out.same_top = top == index_of_largest(logits);
  return out;
}

/// The least that sum of p log q can be over the tail: mass `mass`, at most `each` on a token, put where log q is
/// smallest.
double least_cross(std::vector<double>& log_q, double mass, double each) {
  const double needed = each > 0 ? mass / each : 0;
  const auto count = std::min(log_q.size(), static_cast<std::size_t>(std::ceil(std::min(needed, 1e9))));
  std::nth_element(log_q.begin(), log_q.begin() + static_cast<std::ptrdiff_t>(count == 0 ? 0 : count - 1),
                   log_q.end());
  std::sort(log_q.begin(), log_q.begin() + static_cast<std::ptrdiff_t>(count));
  double sum = 0;
  for (std::size_t i = 0; i < count && mass > 0; ++i) {
    const double share = std::min(each, mass);
    sum += share * log_q[i];
    mass -= share;
  }
  return sum;
}

KlTerm compare_compact(const KlBaseHeader& header, std::span<const std::byte> record,
                       std::span<const float> logits, std::int32_t target) {
  const LittleEndian words(record);
  const float last = get_float(record, 4);
  const float step = get_float(record, 8);
  const auto mass = static_cast<double>(get_float(record, 12));
  const auto entropy = static_cast<double>(get_float(record, 16));
  const std::size_t width = id_bytes(header);
  const std::size_t values = record_head + width * header.top;
  const Normaliser log_q(logits);
  std::vector<char> in_top(logits.size(), 0);
  std::vector<std::pair<double, double>> top;  // log p of the base and of the model
  top.reserve(header.top);
  double sum = mass;
  std::size_t first = 0;
  for (std::size_t i = 0; i < header.top; ++i) {
    const std::size_t id = width == 2 ? words.u16(record_head + 2 * i) : words.u32(record_head + 4 * i);
    if (id >= logits.size() || in_top[id] != 0) {
      throw Error(ErrorKind::input, "the KL base is damaged")
          .expected("different ids below " + std::to_string(logits.size()))
          .found(std::to_string(id));
    }
    in_top[id] = 1;
    if (i == 0) first = id;
    top.emplace_back(static_cast<double>(last + step * static_cast<float>(words.u16(values + 2 * i))),
                     log_q(logits[id]));
    sum += std::exp(top.back().first);
  }
  // What rounding made of the sum is taken out again.
  const double excess = std::log(sum);
  double divergence = 0;
  for (const auto& [base, model] : top) divergence += std::exp(base - excess) * (base - excess - model);
  KlTerm out;
  double most = divergence;
  if (mass > 0 && header.top < logits.size()) {
    std::vector<double> tail;
    tail.reserve(logits.size() - header.top);
    for (std::size_t id = 0; id < logits.size(); ++id)
      if (in_top[id] == 0) tail.push_back(log_q(logits[id]));
    // Beside the largest, so that a tail whose probabilities are all below the least double has a logarithm too.
    const double largest = *std::max_element(tail.begin(), tail.end());
    double model_mass = 0;
    for (const double value : tail) model_mass += std::exp(value - largest);
    const double least = least_cross(tail, mass, std::exp(static_cast<double>(last)));
    most = std::max(most, divergence + entropy - least);
    divergence += mass * (std::log(mass) - largest - std::log(model_mass));
    most = std::max(most, divergence);
  }
  out.divergence = static_cast<float>(divergence);
  out.most = static_cast<float>(most);
  out.base_loss = -get_float(record, 0);
  out.loss = static_cast<float>(-log_q(logits[static_cast<std::size_t>(target)]));
  out.same_top = first == index_of_largest(logits);
  return out;
}

Error damaged(const ByteSource& file, const std::string& what) {
  return Error(ErrorKind::input, "the KL base is damaged: " + what)
      .file(file.name())
      .remedy("write it again from the base model");
}

void check_extents(const KlBaseHeader& header, const ByteSource& file) {
  if (header.length < 2 || header.vocab == 0 || header.vocab > most_vocab || header.windows == 0 ||
      header.predictions == 0 || header.predictions > header.length || header.top > header.vocab ||
      (header.kind == KlBaseKind::compact && header.top == 0) ||
      checked_mul(header.windows, header.length, "tokens of the KL base") > most_tokens) {
    throw damaged(file, "its numbers do not belong together");
  }
  const std::uint64_t records = checked_mul(header.windows, header.predictions, "records of the KL base");
  const std::uint64_t bytes = checked_add(
      header.header_bytes(), checked_mul(records, header.record_bytes(), "size of the KL base"), "size");
  if (bytes != file.size()) {
    throw damaged(file, "it has another length than its numbers say")
        .expected(std::to_string(bytes) + " bytes")
        .found(std::to_string(file.size()));
  }
}

}  // namespace

std::uint64_t KlBaseHeader::header_bytes() const {
  return kind == KlBaseKind::compact ? compact_head : 20 + 4 * windows * length;
}

std::uint64_t KlBaseHeader::record_bytes() const {
  if (kind == KlBaseKind::llama_cpp) return 8 + 2 * (vocab + vocab % 2);
  return record_head + (id_bytes(*this) + 2) * top;
}

std::vector<std::byte> encode_kl_header(const KlBaseHeader& header) {
  std::vector<std::byte> out;
  const auto text = [&](std::string_view value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
      out.push_back(i < value.size() ? std::byte(value[i]) : std::byte{0});
  };
  if (header.kind == KlBaseKind::llama_cpp) {
    text(llama_magic, 8);
    for (const std::uint64_t value : {header.length, header.vocab, header.windows})
      append_little_endian(out, value, 4);
    for (const std::int32_t token : header.tokens)
      append_little_endian(out, static_cast<std::uint32_t>(token), 4);
    return out;
  }
  text(compact_magic, 8);
  for (const std::uint64_t value :
       {header.length, header.vocab, header.windows, header.predictions, header.top, id_bytes(header)})
    append_little_endian(out, value, 4);
  for (std::size_t i = 0; i < 32; ++i) {
    const std::string digits =
        2 * i + 2 <= header.stream_sha256.size() ? header.stream_sha256.substr(2 * i, 2) : "00";
    out.push_back(static_cast<std::byte>(std::strtoul(digits.c_str(), nullptr, 16)));
  }
  text(header.protocol, 32);
  return out;
}

KlBaseHeader read_kl_header(const ByteSource& file) {
  KlBaseHeader out;
  const std::vector<std::byte> head = file.read(0, std::min<std::uint64_t>(file.size(), compact_head));
  const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
  const LittleEndian numbers(head);
  if (text.starts_with(llama_magic) && head.size() >= 20) {
    out.kind = KlBaseKind::llama_cpp;
    out.length = numbers.u32(8);
    out.vocab = numbers.u32(12);
    out.windows = numbers.u32(16);
    out.predictions = out.length < 2 ? 0 : out.length - 1 - out.length / 2;
    out.protocol = "llama.cpp";
    check_extents(out, file);
    const std::vector<std::byte> ids = file.read(20, 4 * out.windows * out.length);
    out.tokens.resize(out.windows * out.length);
    for (std::size_t i = 0; i < out.tokens.size(); ++i)
      out.tokens[i] = static_cast<std::int32_t>(LittleEndian(ids).u32(4 * i));
    return out;
  }
  if (!text.starts_with(compact_magic) || head.size() < compact_head) {
    throw Error(ErrorKind::input, "is no KL base")
        .file(file.name())
        .expected("a file of --write-kl-base, or of llama-perplexity --kl-divergence-base");
  }
  out.length = numbers.u32(8);
  out.vocab = numbers.u32(12);
  out.windows = numbers.u32(16);
  out.predictions = numbers.u32(20);
  out.top = numbers.u32(24);
  if (numbers.u32(28) != id_bytes(out)) throw damaged(file, "its ids have an impossible size");
  static constexpr char digits[] = "0123456789abcdef";
  for (std::size_t i = 32; i < 64; ++i) {
    const auto value = std::to_integer<unsigned>(head[i]);
    out.stream_sha256 += {digits[value >> 4U], digits[value & 15U]};
  }
  const std::string_view name = text.substr(64, 32);
  out.protocol = name.substr(0, name.find('\0'));
  check_extents(out, file);
  return out;
}

void encode_kl_record(const KlBaseHeader& header, std::span<const float> logits, std::int32_t target,
                      std::span<std::byte> record) {
  if (header.kind == KlBaseKind::llama_cpp) {
    encode_llama(logits, record);
  } else {
    encode_compact(header, logits, target, record);
  }
}

KlTerm compare_with_base(const KlBaseHeader& header, std::span<const std::byte> record,
                         std::span<const float> logits, std::int32_t target) {
  return header.kind == KlBaseKind::llama_cpp ? compare_llama(record, logits, target)
                                              : compare_compact(header, record, logits, target);
}

}  // namespace galatea
