#include "format/torch_older.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "format/error.h"
#include "format/pickle.h"
#include "format/torch_globals.h"
#include "format/zip_archive.h"

namespace galatea {
namespace {

/// The pickle (protocol 2) of 0x1950a86a20f9469cfc6c, with which such files start.
constexpr std::array<unsigned char, 15> magic{0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46,
                                              0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E};
constexpr std::uint64_t tar_magic_offset = 257;
constexpr std::uint64_t pickle_limit = std::uint64_t{16} << 20U;
constexpr const char* save_again = "with a current torch, in Python: torch.save(torch.load(FILE), NEW_FILE)";

bool has_at(const ByteSource& source, std::uint64_t offset, std::string_view text) {
  if (source.size() < offset || source.size() - offset < text.size()) return false;
  std::array<std::byte, 16> bytes{};
  const auto part = std::span(bytes).first(text.size());
  source.read(offset, part);
  return std::memcmp(part.data(), text.data(), text.size()) == 0;
}

std::string_view magic_text() { return {reinterpret_cast<const char*>(magic.data()), magic.size()}; }

bool starts_like_pickle(const ByteSource& source) {
  return has_at(source, 0, "\x80\x02") || has_at(source, 0, "\x80\x03") || has_at(source, 0, "\x80\x04") ||
         has_at(source, 0, "\x80\x05");
}

/// Reads the pickles at the start of the file for the sake of the refusal of what they ask for.
void look_through_pickles(const ByteSource& source, int count) {
  const std::uint64_t size = std::min(source.size(), pickle_limit);
  const std::vector<std::byte> bytes = source.read(0, size);
  std::span<const std::byte> rest(bytes);
  for (int i = 0; i < count && !rest.empty(); ++i) {
    const PickleTree tree = read_pickle(rest, source.name(), size - rest.size(), torch_allows);
    rest = rest.subspan(static_cast<std::size_t>(tree.length));
  }
}

}  // namespace

bool is_older_torch(const ByteSource& source) {
  return has_at(source, 0, magic_text()) || has_at(source, tar_magic_offset, "ustar");
}

void refuse_older_torch(const ByteSource& source) {
  if (looks_like_zip(source)) return;
  if (has_at(source, 0, magic_text())) {
    look_through_pickles(source, 5);
    throw Error(ErrorKind::input, "is a torch file of the old kind, from before torch 1.6 (no zip archive)")
        .file(source.name())
        .at(0)
        .remedy(save_again);
  }
  if (has_at(source, tar_magic_offset, "ustar")) {
    throw Error(ErrorKind::input, "is a tar archive, as torch wrote it before version 0.1.10")
        .file(source.name())
        .at(tar_magic_offset)
        .remedy(save_again);
  }
  if (starts_like_pickle(source)) {
    look_through_pickles(source, 1);
    throw Error(ErrorKind::input, "is a bare Python pickle, not a torch file")
        .file(source.name())
        .at(0)
        .remedy("get the weights as safetensors or as a file of torch.save");
  }
  throw Error(ErrorKind::input, "is not a torch file")
      .file(source.name())
      .at(0)
      .expected("a zip archive (PK\\3\\4)")
      .remedy("is it a Git LFS pointer, a web page, or was the download cut short?");
}

}  // namespace galatea
