// Reading zip archives of stored (not compressed) records, as torch.save writes them.
//
//   record             bytes
//   local header       PK\3\4, version 2, flags 2, method 2, time 2, date 2, CRC-32 4, stored size 4, size 4,
//                      name length 2, extra length 2; name; extra          } for each record
//   data                                                                   }
//   data descriptor    (PK\7\8), CRC-32 4, sizes 4 + 4 or 8 + 8            } where flag bit 3 says so
//   central directory  PK\1\2, made by 2, version 2, flags 2, method 2, time 2, date 2, CRC-32 4,
//                      stored size 4, size 4, name length 2, extra length 2, comment length 2, disk 2,
//                      attributes 2 + 4, offset of local header 4; name; extra; comment    } for each record
//   zip64 end          PK\6\6, size of the rest 8, made by 2, version 2, disks 4 + 4, records 8 + 8,
//                      directory size 8, directory offset 8
//   zip64 locator      PK\6\7, disk 4, offset of zip64 end 8, disks 4
//   end                PK\5\6, disks 2 + 2, records 2 + 2, directory size 4, directory offset 4, comment
//
// Where a size or offset is FFFFFFFF, the extra field 0001 holds 64 bits for it, in the order size, stored
// size, offset. Source: PKWARE's APPNOTE 6.3.
//
// The central directory is the truth, and the local headers must agree with it; otherwise two programs could
// read different contents from one file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "format/source.h"

namespace galatea {

struct ZipRecord {
  std::string name;
  std::uint64_t header_offset = 0;  ///< of the local header
  std::uint64_t data_offset = 0;
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
};

class ZipArchive {
 public:
  /// Reads the central directory and checks every local header against it; reads no data. Throws
  /// Error(input): damaged or inconsistent tables, overlapping or duplicate records, compressed or encrypted
  /// ones (by name).
  static ZipArchive open(SourcePtr source);

  /// In the order of the central directory.
  const std::vector<ZipRecord>& records() const { return records_; }
  /// nullptr when there is none.
  const ZipRecord* find(std::string_view name) const;
  /// The data of a record.
  SourcePtr data(const ZipRecord& record) const;
  /// Reads the record whole. Throws Error(input) when its CRC-32 is not the stored one.
  void check_crc(const ZipRecord& record) const;

  const SourcePtr& source() const { return source_; }

 private:
  SourcePtr source_;
  std::vector<ZipRecord> records_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

/// True when the source starts with a local file header.
bool looks_like_zip(const ByteSource& source);

}  // namespace galatea
