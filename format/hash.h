// Incremental MD5, SHA-1, SHA-256 and SHA-512 over OpenSSL, for digests taken while bytes go by.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace galatea {

enum class HashKind { md5, sha1, sha256, sha512 };

std::string_view to_string(HashKind kind);  ///< "MD5", "SHA1", "SHA256", "SHA512", as BSD tags spell them

/// One digest in the making. Not for several threads at once.
class Hasher {
 public:
  /// Throws Error(system) when OpenSSL offers no such digest.
  explicit Hasher(HashKind kind);
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  ~Hasher();

  HashKind kind() const { return kind_; }
  void update(std::span<const std::byte> bytes);
  /// The digest of all bytes so far in lower-case hex, while more may follow.
  std::string peek() const;
  /// The same; the hasher is spent afterwards.
  std::string finish();

 private:
  struct Context;
  HashKind kind_;
  std::unique_ptr<Context> context_;
};

/// SHA-256 of bytes in memory, lower-case hex.
std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace galatea
