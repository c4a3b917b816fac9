#include "eval/kl_observer.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "format/error.h"
#include "format/little_endian.h"

namespace galatea {
namespace {

constexpr std::size_t kept_bytes = 17;

void require_same(const std::filesystem::path& file, const char* what, const std::string& expected,
                  const std::string& found) {
  if (expected == found) return;
  throw Error(ErrorKind::input, std::string("the KL base is of another ") + what)
      .file(file)
      .expected(expected)
      .found(found)
      .remedy("write a base with the same text, tokenizer, --protocol and --ctx");
}

std::vector<std::int32_t> first_tokens(const TokenStream& stream, std::uint64_t count) {
  return {stream.ids.begin(), stream.ids.begin() + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace

KlBaseHeader kl_base_header(KlBaseKind kind, const Protocol& protocol, const TokenStream& stream,
                            const WindowSet& windows, std::uint64_t vocab, std::uint64_t top) {
  KlBaseHeader out;
  out.kind = kind;
  out.length = windows.length;
  out.vocab = vocab;
  out.windows = windows.count();
  out.predictions = windows.scored.front().count();
  out.protocol = protocol.name;
  out.stream_sha256 = stream.sha256;
  const bool alike =
      std::all_of(windows.scored.begin(), windows.scored.end(),
                  [&](const ScoredPositions& scored) { return scored.count() == out.predictions; });
  if (!alike || (kind == KlBaseKind::llama_cpp && protocol.name != "llama.cpp")) {
    throw Error(ErrorKind::usage, "this protocol's predictions cannot be kept as a KL base")
        .expected(kind == KlBaseKind::llama_cpp ? "--protocol llama.cpp" : "windows that are alike")
        .found(protocol.name);
  }
  if (kind == KlBaseKind::compact) {
    out.top = std::min(top, vocab);
  } else {
    out.tokens = first_tokens(stream, windows.count() * windows.length);
  }
  return out;
}

KlBaseWriter::KlBaseWriter(const std::filesystem::path& path, KlBaseHeader header, bool overwrite, bool keep)
    : header_(std::move(header)), file_(path, header_.file_bytes(), overwrite), continues_(false) {
  const std::vector<std::byte> head = encode_kl_header(header_);
  if (keep && file_.left_over() == header_.file_bytes()) {
    std::vector<std::byte> there(head.size());
    file_.read(0, there);
    continues_ = there == head;
  }
  if (keep) file_.keep();
  if (continues_) return;
  file_.clear();
  file_.reserve();
  file_.write(0, head);
}

void KlBaseWriter::prediction(std::uint64_t window, std::uint64_t index, std::span<const float> logits,
                              std::int32_t target) {
  try {
    std::vector<std::byte> record(header_.record_bytes());
    encode_kl_record(header_, logits, target, record);
    file_.write(header_.record_offset(window, index), record);
  } catch (const Error& error) {
    const std::scoped_lock lock(mutex_);
    failure_ = error;
  }
}

void KlBaseWriter::done(WindowRange) {
  if (failure_) throw *failure_;
  file_.flush();
}

KlComparison::KlComparison(const std::filesystem::path& path, const Protocol& protocol,
                           const TokenStream& stream, const WindowSet& windows, std::uint64_t vocab)
    : file_(open_file(path)), header_(read_kl_header(*file_)) {
  require_same(path, "protocol", std::string(protocol.name), header_.protocol);
  require_same(path, "context", std::to_string(windows.length), std::to_string(header_.length));
  require_same(path, "vocabulary", std::to_string(vocab), std::to_string(header_.vocab));
  require_same(path, "number of windows", std::to_string(windows.count()), std::to_string(header_.windows));
  require_same(path, "number of predictions", std::to_string(windows.scored.front().count()),
               std::to_string(header_.predictions));
  if (header_.kind == KlBaseKind::compact) {
    require_same(path, "stream of tokens", stream.sha256, header_.stream_sha256);
  } else if (header_.tokens != first_tokens(stream, header_.tokens.size())) {
    require_same(path, "stream of tokens", "the tokens of this text", "others");
  }
  terms_.resize(static_cast<std::size_t>(header_.windows * header_.predictions));
}

void KlComparison::prediction(std::uint64_t window, std::uint64_t index, std::span<const float> logits,
                              std::int32_t target) {
  try {
    std::vector<std::byte> record(header_.record_bytes());
    file_->read(header_.record_offset(window, index), record);
    terms_[window * header_.predictions + index] = compare_with_base(header_, record, logits, target);
  } catch (Error& error) {
    const std::scoped_lock lock(mutex_);
    failure_ = error.file(file_->name()).at(header_.record_offset(window, index));
  }
}

void KlComparison::done(WindowRange) {
  if (failure_) throw *failure_;
}

std::string KlComparison::keep(std::uint64_t window) const {
  std::vector<std::byte> out;
  for (std::uint64_t i = 0; i < header_.predictions; ++i) {
    const KlTerm& term = terms_[window * header_.predictions + i];
    for (const float value : {term.divergence, term.most, term.base_loss, term.loss})
      append_little_endian(out, std::bit_cast<std::uint32_t>(value), 4);
    out.push_back(term.same_top ? std::byte{1} : std::byte{0});
  }
  return {reinterpret_cast<const char*>(out.data()), out.size()};
}

void KlComparison::restore(std::uint64_t window, std::string_view kept) {
  if (kept.size() != header_.predictions * kept_bytes)
    throw Error(ErrorKind::input, "the journal of the run does not fit").remedy("remove it and start again");
  const auto bytes = std::as_bytes(std::span(kept));
  for (std::uint64_t i = 0; i < header_.predictions; ++i) {
    const LittleEndian numbers(bytes.subspan(i * kept_bytes, kept_bytes));
    const auto value = [&](std::size_t at) { return std::bit_cast<float>(numbers.u32(at)); };
    terms_[window * header_.predictions + i] = {value(0), value(4), value(8), value(12),
                                                bytes[i * kept_bytes + 16] != std::byte{0}};
  }
}

std::vector<KlTerm> KlComparison::terms(WindowRange windows) const {
  const auto at = [&](std::uint64_t window) {
    return terms_.begin() + static_cast<std::ptrdiff_t>(window * header_.predictions);
  };
  return {at(windows.begin), at(windows.end)};
}

}  // namespace galatea
