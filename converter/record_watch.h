// CRC-32s of a file taken while it is read for another purpose, so that what was decoded, hashed and written
// needs no second reading to be checked.
//
// The file is seen as cells of 256 KiB; of each that a read covers whole, the CRC-32 is kept (eight bytes a
// cell). When the records of the zip are known, a record's CRC-32 is joined from its cells, and only its two
// ends are read again.
#pragma once

#include <memory>
#include <string>

#include "format/source.h"
#include "format/zip_archive.h"

namespace galatea {

/// The name of the (first) tensor whose values lie in `record` of a torch file, by its pickle; empty when the
/// pickle cannot be read or names none. Reads tables only.
std::string tensor_in_record(const SourcePtr& torch_file, const ZipRecord& record);

class RecordWatch {
 public:
  explicit RecordWatch(SourcePtr source);

  /// The same bytes; reads of it are watched. Any number of threads may read.
  SourcePtr watched() const;

  /// `finished` holds the bytes that were read, as a zip file. Throws Error(input) for the first record, in
  /// file order, whose CRC-32 is not the stored one, naming the tensor in it, and as ZipArchive::open does.
  /// What was not watched is read from `finished`.
  void check(const SourcePtr& finished) const;

 private:
  class Source;
  std::shared_ptr<const Source> source_;
};

/// Every record's CRC-32 of a zip file that was not watched; several threads read it.
void check_records(const SourcePtr& zip_file);

}  // namespace galatea
