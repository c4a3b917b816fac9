#include "verify/digest.h"

#include <algorithm>

#include "format/checked.h"
#include "format/error.h"
#include "verify/parallel.h"

namespace galatea {

std::optional<HashKind> hash_kind_of_length(std::size_t hex_digits) {
  switch (hex_digits) {
    case 32:
      return HashKind::md5;
    case 40:
      return HashKind::sha1;
    case 64:
      return HashKind::sha256;
    case 128:
      return HashKind::sha512;
    default:
      return std::nullopt;
  }
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::optional<HashKind> find_hash_kind(std::string_view name) {
  std::string plain = lower_case(name);
  std::erase(plain, '-');
  if (plain == "md5") return HashKind::md5;
  if (plain == "sha1") return HashKind::sha1;
  if (plain == "sha256" || plain == "sha2256") return HashKind::sha256;
  if (plain == "sha512" || plain == "sha2512") return HashKind::sha512;
  return std::nullopt;
}

bool is_hex(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

Digests digest_source(const ByteSource& source, std::span<const HashKind> kinds, Progress& progress) {
  std::vector<Hasher> hashers;
  for (const HashKind kind : kinds) hashers.emplace_back(kind);
  const std::uint64_t size = source.size();
  constexpr std::uint64_t most = std::uint64_t{1} << 20U;
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(size, most)));
  for (std::uint64_t offset = 0; offset < size && !hashers.empty();) {
    if (progress.stop_requested()) throw Error(ErrorKind::system, "interrupted").file(source.name());
    const auto piece = std::span(buffer).first(static_cast<std::size_t>(std::min(size - offset, most)));
    source.read(offset, piece);
    for (Hasher& hasher : hashers) hasher.update(piece);
    offset += piece.size();
    progress.advance(piece.size());
  }
  Digests digests;
  for (Hasher& hasher : hashers) digests[hasher.kind()] = hasher.finish();
  return digests;
}

std::vector<Digests> digest_files(std::span<const DigestRequest> requests, Progress& progress, int threads) {
  std::vector<std::uint64_t> sizes;
  std::uint64_t total = 0;
  for (const DigestRequest& request : requests) {
    sizes.push_back(open_file(request.path)->size());
    if (!request.kinds.empty()) total = checked_add(total, sizes.back(), "total size");
  }
  std::vector<Digests> digests(requests.size());
  progress.begin("reading", total, "B");
  for_each_largest_first(sizes, threads, [&](std::size_t i) {
    digests[i] = digest_source(*open_file(requests[i].path), requests[i].kinds, progress);
  });
  progress.end();
  return digests;
}

}  // namespace galatea
