#include "converter/xor_codec.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace galatea {
namespace {

class XorSource final : public ByteSource {
 public:
  XorSource(SourcePtr payload, SourcePtr base, std::size_t piece_bytes)
      : payload_(std::move(payload)), base_(std::move(base)), piece_bytes_(piece_bytes) {}

  std::uint64_t size() const override { return payload_->size(); }
  const std::filesystem::path& name() const override { return payload_->name(); }

  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    check_range(offset, out.size());
    // In pieces that stay in the cache between the two reads.
    std::vector<std::byte> key(std::min(out.size(), piece_bytes_));
    while (!out.empty()) {
      const auto piece = out.first(std::min(out.size(), piece_bytes_));
      payload_->read(offset, piece);
      if (offset < base_->size()) {
        const std::uint64_t common = std::min<std::uint64_t>(piece.size(), base_->size() - offset);
        const auto part = std::span(key).first(static_cast<std::size_t>(common));
        base_->read(offset, part);
        xor_into(piece, part);
      }
      offset += piece.size();
      out = out.subspan(piece.size());
    }
  }

 private:
  SourcePtr payload_, base_;
  std::size_t piece_bytes_;
};

}  // namespace

void xor_into(std::span<std::byte> target, std::span<const std::byte> key) {
  const std::size_t count = std::min(target.size(), key.size());
  std::byte* to = target.data();
  const std::byte* from = key.data();
  for (std::size_t i = 0; i < count; ++i) to[i] ^= from[i];
}

SourcePtr xor_source(SourcePtr payload, SourcePtr base, std::size_t piece_bytes) {
  return std::make_shared<XorSource>(std::move(payload), std::move(base), piece_bytes);
}

}  // namespace galatea
