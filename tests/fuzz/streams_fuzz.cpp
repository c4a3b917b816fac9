// Payloads, corpora, journals and base files of scores: streams of records, cut and damaged.
#include <algorithm>
#include <cstring>

#include "converter/stream_source.h"
#include "converter/xor_codec.h"
#include "eval/kl_base.h"
#include "eval/score_journal.h"
#include "eval/text_lines.h"
#include "eval/unpacked_text.h"
#include "format/crc32.h"
#include "format/plan_journal.h"
#include "tests/fuzz/target.h"

using namespace galatea;  // NOLINT(google-build-using-namespace)
using fuzz::promise;

namespace {

SourcePtr source_of(fuzz::Bytes input, const char* name) {
  return memory_source(std::vector<std::byte>(input.begin(), input.end()), name);
}

// The records of a journal with the CRC-32s that they should have, so that what is behind them is read; an input
// that ends in a byte of ones is left as it is.
std::vector<std::byte> with_checksums(fuzz::Bytes input) {
  std::vector<std::byte> bytes(input.begin(), input.end());
  if (bytes.empty() || bytes.back() == std::byte{0xFF}) return bytes;
  std::uint32_t crc = 0;
  for (std::size_t at = 8; at + 8 <= bytes.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, &bytes[at], sizeof length);
    if (length > bytes.size() - at - 8) break;
    crc = crc32_of(std::span(bytes).subspan(at + 8, length), crc);
    std::memcpy(&bytes[at + 4], &crc, sizeof crc);
    at += 8 + length;
  }
  return bytes;
}

}  // namespace

FUZZ_TARGET(payload, "data/verify", "data/miniature/corpora") {
  const SourcePtr source = source_of(input, "payload.gz");
  constexpr std::uint64_t limit = std::uint64_t{1} << 20U;
  const SourcePtr plain = decompressed_source(source, detect_compression(*source), limit);
  promise(plain->size() <= std::max<std::uint64_t>(limit, input.size()), "more was unpacked than is allowed");
  (void)plain->read(0, plain->size());
}

// XOR with any key, twice, gives the same again.
FUZZ_TARGET(xor_codec, "data/miniature/adapter") {
  const std::size_t half = input.size() / 2;
  const SourcePtr left = source_of(input.first(half), "left"),
                  right = source_of(input.subspan(half, half), "right");
  const SourcePtr back = xor_source(xor_source(left, right, 7), right, 64);
  const std::vector<std::byte> bytes = back->read(0, back->size());
  promise(std::equal(bytes.begin(), bytes.end(), input.begin(),
                     input.begin() + static_cast<std::ptrdiff_t>(half)),
          "XOR is not its own inverse");
}

FUZZ_TARGET(plan_journal, ) {
  const std::vector<std::byte> bytes = with_checksums(input);
  const JournalContent content = read_journal(bytes);
  promise(content.valid_bytes <= bytes.size(), "a journal is valid behind its end");
  promise(content.valid_bytes == 0 || content.names.size() == content.files.size(), "a journal lacks a file");
  for (const JournalledFile& file : content.files)
    promise(std::is_sorted(file.marks.begin(), file.marks.end(),
                           [](const JournalMark& a, const JournalMark& b) { return a.end < b.end; }),
            "marks go backwards");
}

FUZZ_TARGET(score_journal, ) {
  const std::vector<std::byte> bytes = with_checksums(input);
  const ScoreJournal journal(fuzz::as_file("run.journal", bytes), "fuzz");
  for (const auto& [window, finished] : journal.windows())
    promise(finished.kept.size() <= bytes.size(), "kept too much");
}

FUZZ_TARGET(kl_base, "data/perplexity") {
  const SourcePtr source = source_of(input, "base.kld");
  const KlBaseHeader header = read_kl_header(*source);
  promise(header.file_bytes() <= input.size(), "a base file is shorter than it says");
  if (header.windows == 0 || header.predictions == 0) return;
  const std::vector<float> logits(header.vocab, 0.5F);
  const std::vector<std::byte> record =
      source->read(header.record_offset(header.windows - 1, header.predictions - 1), header.record_bytes());
  (void)compare_with_base(header, record, logits, 0);
}

FUZZ_TARGET(corpus_lines, "data/miniature/corpora", "data/verify", "attacks/corpora") {
  TextLines lines(source_of(input, "corpus.txt"));
  std::string line;
  std::uint64_t bytes = 0;
  while (bytes < (std::uint64_t{1} << 20U) && lines.next(line)) bytes += line.size() + 1;
}
