#include "format/hash.h"

#include <openssl/evp.h>

#include <array>

#include "format/error.h"

namespace galatea {

struct Hasher::Context {
  EVP_MD_CTX* evp = nullptr;
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { EVP_MD_CTX_free(evp); }
};

namespace {

std::string finish_hex(EVP_MD_CTX* evp) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  if (EVP_DigestFinal_ex(evp, digest.data(), &length) != 1) {
    throw Error(ErrorKind::system, "OpenSSL failed to finish a digest");
  }
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < length; ++i) {
    hex += digits[digest[i] >> 4U];
    hex += digits[digest[i] & 15U];
  }
  return hex;
}

}  // namespace

std::string_view to_string(HashKind kind) {
  switch (kind) {
    case HashKind::md5:
      return "MD5";
    case HashKind::sha1:
      return "SHA1";
    case HashKind::sha256:
      return "SHA256";
    case HashKind::sha512:
      return "SHA512";
  }
  return "?";
}

Hasher::Hasher(HashKind kind) : kind_(kind), context_(std::make_unique<Context>()) {
  const EVP_MD* algorithm = kind == HashKind::md5      ? EVP_md5()
                            : kind == HashKind::sha1   ? EVP_sha1()
                            : kind == HashKind::sha256 ? EVP_sha256()
                                                       : EVP_sha512();
  context_->evp = EVP_MD_CTX_new();
  if (context_->evp == nullptr || EVP_DigestInit_ex(context_->evp, algorithm, nullptr) != 1) {
    throw Error(ErrorKind::system, "OpenSSL offers no " + std::string(to_string(kind)))
        .remedy("run without a FIPS-only OpenSSL configuration");
  }
}

Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;
Hasher::~Hasher() = default;

void Hasher::update(std::span<const std::byte> bytes) {
  if (EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) != 1) {
    throw Error(ErrorKind::system, "OpenSSL failed to compute a digest");
  }
}

std::string Hasher::peek() const {
  Context copy;
  copy.evp = EVP_MD_CTX_new();
  if (copy.evp == nullptr || EVP_MD_CTX_copy_ex(copy.evp, context_->evp) != 1) {
    throw Error(ErrorKind::system, "OpenSSL failed to copy a digest");
  }
  return finish_hex(copy.evp);
}

std::string Hasher::finish() { return finish_hex(context_->evp); }

std::string sha256_hex(std::span<const std::byte> bytes) {
  Hasher hasher(HashKind::sha256);
  hasher.update(bytes);
  return hasher.finish();
}

}  // namespace galatea
