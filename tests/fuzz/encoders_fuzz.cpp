// Every encoder's fast paths against the plain one, bit for bit, and what it wrote against the decoder: finite.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "format/dtype.h"
#include "format/isa.h"
#include "quantize/block_encode.h"
#include "quantize/encoder.h"
#include "quantize/lane_encode.h"
#include "tests/fuzz/target.h"

using namespace galatea;  // NOLINT(google-build-using-namespace)

namespace {

constexpr std::uint64_t cols = 256;

// More of an input than a few blocks costs time and shows nothing new.
fuzz::Bytes start_of(fuzz::Bytes input, std::size_t bytes) {
  return input.first(std::min(input.size(), bytes));
}

// Rows of finite floats out of any bytes, at least one row, padded with zeros.
std::vector<float> finite_rows(fuzz::Bytes input) {
  std::vector<float> values((std::max<std::size_t>(input.size() / 4, 1) + cols - 1) / cols * cols);
  if (!input.empty()) std::memcpy(values.data(), input.data(), input.size() / 4 * 4);
  for (float& value : values)
    if (!std::isfinite(value) || std::fabs(value) > 1e30F) value = 1;
  return values;
}

using Member = EncodeRows LaneEncoders::*;
struct Lane {
  const char* name;
  Member member;
  std::uint64_t bytes;  // of a row
  bool weights;         // must be there
};

constexpr Lane lanes[] = {
    {"q2_k", &LaneEncoders::q2_k, 84, false},      {"q3_k", &LaneEncoders::q3_k, 110, false},
    {"q4_k", &LaneEncoders::q4_k, 144, false},     {"q5_k", &LaneEncoders::q5_k, 176, false},
    {"q6_k", &LaneEncoders::q6_k, 210, false},     {"iq4_nl", &LaneEncoders::iq4_nl, 144, false},
    {"iq4_xs", &LaneEncoders::iq4_xs, 136, false}, {"tq1_0", &LaneEncoders::tq1_0, 54, false},
    {"tq2_0", &LaneEncoders::tq2_0, 66, false},    {"mxfp4", &LaneEncoders::mxfp4, 136, false},
    {"iq2_s", &LaneEncoders::iq2_s, 82, false},    {"iq3_xxs", &LaneEncoders::iq3_xxs, 98, false},
    {"iq3_s", &LaneEncoders::iq3_s, 110, false},   {"iq1_m", &LaneEncoders::iq1_m, 56, false},
    {"iq1_s", &LaneEncoders::iq1_s, 50, true},     {"iq2_xxs", &LaneEncoders::iq2_xxs, 66, true},
    {"iq2_xs", &LaneEncoders::iq2_xs, 74, true},   {"q4_0", &LaneEncoders::q4_0, 144, true},
    {"q4_1", &LaneEncoders::q4_1, 160, true},      {"q5_0", &LaneEncoders::q5_0, 176, true},
    {"q5_1", &LaneEncoders::q5_1, 192, true},
};

void lanes_agree(fuzz::Bytes input, bool k_quants) {
  const std::vector<float> values = finite_rows(start_of(input, 4 * cols));
  const std::uint64_t rows = values.size() / cols;
  std::vector<float> weights(cols);
  for (std::size_t i = 0; i < cols; ++i)
    weights[i] = 1.0F + std::fabs(values[i] / 1e30F) + static_cast<float>(i % 7);
  for (const Lane& lane : lanes) {
    if ((lane.name[0] == 'q' || lane.name[0] == 't' || lane.name[0] == 'm') != k_quants) continue;
    for (const bool weighted : {false, true}) {
      if (lane.weights && !weighted) continue;
      std::vector<std::byte> plain(rows * lane.bytes), fast(plain.size());
      const float* importance = weighted ? weights.data() : nullptr;
      (lane_encoders(Isa::scalar).*lane.member)(values.data(), plain.data(), rows, cols, importance);
      for (const Isa isa : available_isas()) {
        (lane_encoders(isa).*lane.member)(values.data(), fast.data(), rows, cols, importance);
        fuzz::promise(plain == fast, std::string("two paths differ: ") + lane.name);
      }
    }
  }
}

}  // namespace

FUZZ_TARGET(encoders_k, "data/quantize") { lanes_agree(input, true); }
FUZZ_TARGET(encoders_i, "data/quantize") { lanes_agree(input, false); }

FUZZ_TARGET(encoders_small, "data/quantize") {
  const std::vector<float> values = finite_rows(start_of(input, 8 * cols));
  const BlockEncoders& plain = block_encoders_portable();
  const BlockEncoders* fast = block_encoders_avx2();
  if (fast == nullptr) return;
  constexpr EncodeBlocks BlockEncoders::*members[] = {&BlockEncoders::q4_0, &BlockEncoders::q4_1,
                                                      &BlockEncoders::q5_0, &BlockEncoders::q5_1,
                                                      &BlockEncoders::q8_0};
  constexpr std::uint64_t bytes[] = {18, 20, 22, 24, 34};
  for (std::size_t i = 0; i < std::size(members); ++i) {
    std::vector<std::byte> a(values.size() / 32 * bytes[i]), b(a.size());
    (plain.*members[i])(values.data(), a.data(), values.size());
    (fast->*members[i])(values.data(), b.data(), values.size());
    fuzz::promise(a == b, "two paths of an older type differ");
  }
}

// Any bytes are blocks to a decoder.
FUZZ_TARGET(decoders, "data/quantize") {
  for (const TypeInfo& type : all_types()) {
    const fuzz::Bytes bytes = start_of(input, 4 * std::size_t{type.block_bytes});
    const std::uint64_t blocks = bytes.size() / type.block_bytes;
    if (blocks == 0) continue;
    std::vector<float> out(blocks * type.block_length);
    type.decode(bytes.data(), out.data(), out.size());
  }
}
