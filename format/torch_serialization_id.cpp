#include "format/torch_serialization_id.h"

#include <algorithm>
#include <array>

#include "format/error.h"

namespace galatea {
namespace {

constexpr std::uint64_t multiplier = 0xC6A4A7935BD1E995;

std::uint64_t mixed(std::uint64_t value) { return value ^ (value >> 47U); }

/// Up to eight bytes, the first the lowest.
std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8U | static_cast<unsigned char>(bytes[i]);
  return value;
}

std::uint64_t combined(std::uint64_t seed, std::uint64_t value) {
  return seed ^ (value + 0x9E3779B9 + (seed << 6U) + (seed >> 2U));
}

/// Buckets of a set that grows by one: it starts with one bucket, and each time it is full takes the next of
/// these primes.
constexpr std::array<std::size_t, 18> bucket_counts = {13,    29,     59,     127,    257,     541,
                                                       1109,  2357,   5087,   10273,  20753,   42043,
                                                       85229, 172933, 351061, 712697, 1447153, 2938679};

constexpr std::size_t nothing = static_cast<std::size_t>(-1);

/// libstdc++'s hash table: one list of all nodes, those of a bucket next to each other. A node goes in front
/// of its bucket's others, or of the whole list when it has none.
class NodeList {
 public:
  explicit NodeList(std::span<const std::uint64_t> hashes) : hashes_(hashes), next_(hashes.size(), nothing) {}

  void insert(std::size_t node) {
    if (node == buckets_) grow();
    place(node);
  }
  std::vector<std::size_t> order() const {
    std::vector<std::size_t> out;
    for (std::size_t node = first_; node != nothing; node = next_[node]) out.push_back(node);
    return out;
  }

 private:
  static constexpr std::size_t head = nothing - 1;  ///< stands before the first node

  void grow() {
    const auto* const larger = std::upper_bound(bucket_counts.begin(), bucket_counts.end(), buckets_);
    if (larger == bucket_counts.end()) throw Error(ErrorKind::input, "a torch file has too many records");
    buckets_ = *larger;
    before_.assign(buckets_, nothing);
    std::size_t node = first_;
    first_ = nothing;
    while (node != nothing) {
      const std::size_t after = next_[node];
      place(node);
      node = after;
    }
  }

  void place(std::size_t node) {
    std::size_t& before = before_[bucket_of(node)];
    if (before == nothing) {
      next_[node] = first_;
      if (first_ != nothing) before_[bucket_of(first_)] = node;
      first_ = node;
      before = head;
    } else {
      std::size_t& link = before == head ? first_ : next_[before];
      next_[node] = link;
      link = node;
    }
  }

  std::size_t bucket_of(std::size_t node) const { return static_cast<std::size_t>(hashes_[node] % buckets_); }

  std::span<const std::uint64_t> hashes_;
  std::vector<std::size_t> next_;
  std::vector<std::size_t> before_;  ///< the node before each bucket's first
  std::size_t buckets_ = 0;
  std::size_t first_ = nothing;
};

std::string twenty_digits(std::uint64_t value) {
  const std::string digits = std::to_string(value);
  return std::string(20 - digits.size(), '0') + digits;
}

}  // namespace

std::uint64_t libstdcxx_hash(std::string_view text) {
  std::uint64_t hash = 0xC70F6907 ^ (text.size() * multiplier);
  for (; text.size() >= 8; text.remove_prefix(8)) {
    hash ^= mixed(little_endian(text.substr(0, 8)) * multiplier) * multiplier;
    hash *= multiplier;
  }
  if (!text.empty()) {
    hash ^= little_endian(text);
    hash *= multiplier;
  }
  return mixed(mixed(hash) * multiplier);
}

std::vector<std::size_t> libstdcxx_set_order(std::span<const std::string> texts) {
  std::vector<std::uint64_t> hashes;
  hashes.reserve(texts.size());
  for (const std::string& text : texts) hashes.push_back(libstdcxx_hash(text));
  NodeList nodes(hashes);
  for (std::size_t i = 0; i < texts.size(); ++i) nodes.insert(i);
  return nodes.order();
}

std::string torch_serialization_id(std::span<const std::string> names, std::span<const std::uint32_t> crcs) {
  std::uint64_t of_names = 0, of_crcs = 0;
  for (const std::size_t index : libstdcxx_set_order(names))
    of_names = combined(of_names, libstdcxx_hash(names[index]));
  for (const std::uint32_t crc : crcs) of_crcs = combined(of_crcs, crc);
  return twenty_digits(of_names) + twenty_digits(of_crcs);
}

}  // namespace galatea
