// One file inside a zip archive, as data sets are handed out (wikitext-2-raw-v1.zip): found in the central directory
// by the end of its name. Stored or deflated, not encrypted, below 4 GiB. The tables are described in
// format/zip_archive.h, which reads the archives of torch and those only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/source.h"

namespace galatea {

struct ZipMember {
  std::string name;
  SourcePtr data;  ///< as stored
  bool deflated = false;
  std::uint64_t size = 0;  ///< unpacked
  std::uint32_t crc = 0;   ///< of the unpacked bytes
};

/// The only member whose name is `wanted` or ends in "/" and that; any if `wanted` is empty and the archive holds one
/// file. Throws Error(input) listing the names when there is no such one, and for damaged archives.
ZipMember find_zip_member(const SourcePtr& archive, std::string_view wanted);

}  // namespace galatea
