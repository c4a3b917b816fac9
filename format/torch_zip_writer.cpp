#include "format/torch_zip_writer.h"

#include <algorithm>
#include <utility>

#include "format/checked.h"
#include "format/crc32.h"
#include "format/little_endian.h"
#include "format/torch_serialization_id.h"

namespace galatea {
namespace {

constexpr std::uint64_t alignment = 64;
constexpr std::uint64_t local_bytes = 30;
constexpr std::uint64_t in_zip64 = 0xFFFFFFFF;
constexpr std::uint64_t utf8_flag = 0x0800, descriptor_flag = 0x0008;

using Bytes = std::vector<std::byte>;

void put(Bytes& out, std::uint64_t value, std::size_t width) { append_little_endian(out, value, width); }
void put_text(Bytes& out, std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Extra field 0001: size and stored size when the size is big, offset when that is.
Bytes zip64_extra(std::uint64_t size, std::uint64_t stored, std::uint64_t offset) {
  const std::uint64_t length = (size >= in_zip64 ? 16U : 0U) + (offset >= in_zip64 ? 8U : 0U);
  Bytes out;
  if (length == 0) return out;
  put(out, 1, 2);
  put(out, length, 2);
  if (size >= in_zip64) {
    put(out, size, 8);
    put(out, stored, 8);
  }
  if (offset >= in_zip64) put(out, offset, 8);
  return out;
}

std::uint64_t flags_of(std::uint64_t size) { return size == 0 ? utf8_flag : utf8_flag | descriptor_flag; }

/// Zip64 end record, its locator, end record.
Bytes end_records(std::uint64_t records, std::uint64_t offset, std::uint64_t size) {
  Bytes out;
  const std::uint64_t end64 = offset + size;
  put(out, 0x06064b50, 4);
  put(out, 44, 8);      // bytes of this record that follow
  put(out, 0x031E, 2);  // made by: Unix, 3.0
  put(out, 0x002D, 2);  // needs 4.5
  put(out, 0, 4 + 4);   // disks
  put(out, records, 8);
  put(out, records, 8);
  put(out, size, 8);
  put(out, offset, 8);
  put(out, 0x07064b50, 4);
  put(out, 0, 4);
  put(out, end64, 8);
  put(out, 1, 4);
  put(out, 0x06054b50, 4);
  put(out, 0, 2 + 2);
  put(out, std::min<std::uint64_t>(records, 0xFFFF), 2);
  put(out, std::min<std::uint64_t>(records, 0xFFFF), 2);
  put(out, std::min(size, in_zip64), 4);
  put(out, std::min(offset, in_zip64), 4);
  put(out, 0, 2);
  return out;
}

}  // namespace

bool TorchZipWriter::Record::zip64() const { return size >= in_zip64 || offset >= in_zip64; }

TorchZipWriter::TorchZipWriter(std::string file_name) { layout_.name = std::move(file_name); }

void TorchZipWriter::add(std::string name, Bytes bytes) {
  Record record{std::move(name), 0, bytes.size(), 0, none};
  record.crc = crc32_of(bytes);
  begin(record);
  layout_.segments.emplace_back(LiteralSegment{std::move(bytes)});
  end(std::move(record));
}

void TorchZipWriter::add(std::string name, Tensor data) {
  Record record{std::move(name), 0, data.bytes(), 0, layout_.tensors.size()};
  layout_.tensors.push_back(std::move(data));
  begin(record);
  layout_.segments.emplace_back(TensorSegment{record.tensor});
  end(std::move(record));
}

void TorchZipWriter::add_serialization_id(const std::string& folder) {
  constexpr std::uint64_t digits = 40;
  Record record{folder + "/.data/serialization_id", 0, digits, 0, none};
  record.late = [records = records_, skipped = folder.size() + 1](std::span<const std::uint32_t> crcs) {
    std::vector<std::string> names;
    std::vector<std::uint32_t> of_records;
    for (const Record& before : records) {
      names.push_back(before.name.substr(skipped));
      if (before.size > 0) of_records.push_back(crc_of(before, crcs));
    }
    Bytes out;
    put_text(out, torch_serialization_id(names, of_records));
    return out;
  };
  begin(record);
  layout_.segments.emplace_back(CrcSegment{digits, record.late});
  end(std::move(record));
}

void TorchZipWriter::begin(Record& record) {
  record.offset = size_;
  if (record.name.size() > 0xFFFF)
    throw Error(ErrorKind::usage, "the name of a zip record is too long").file(layout_.name);
  const Bytes extra = zip64_extra(record.size, 0, record.offset);
  const std::uint64_t unpadded =
      checked_add(size_, local_bytes + record.name.size() + extra.size() + 4, "the size of the file");
  const std::uint64_t padding = align_up(unpadded, alignment) - unpadded;

  Bytes head;
  put(head, 0x04034b50, 4);
  put(head, 0, 2);
  put(head, flags_of(record.size), 2);
  put(head, 0, 2 + 2 + 2);  // method, time, date
  put(head, 0, 4 + 4 + 4);  // CRC-32 and sizes: they follow the data
  put(head, record.name.size(), 2);
  put(head, extra.size() + 4 + padding, 2);
  put_text(head, record.name);
  head.insert(head.end(), extra.begin(), extra.end());
  put_text(head, "FB");
  put(head, padding, 2);
  head.insert(head.end(), static_cast<std::size_t>(padding), std::byte{'Z'});
  size_ += head.size();
  layout_.segments.emplace_back(LiteralSegment{std::move(head)});
}

void TorchZipWriter::end(Record record) {
  size_ = checked_add(size_, record.size, "the size of the file");
  if (record.size > 0) {
    const std::uint64_t length = record.zip64() ? 24 : 16;
    layout_.segments.emplace_back(CrcSegment{length, [record](std::span<const std::uint32_t> crcs) {
                                               return descriptor(record, crc_of(record, crcs));
                                             }});
    size_ += length;
  }
  records_.push_back(std::move(record));
}

std::uint32_t TorchZipWriter::crc_of(const Record& record, std::span<const std::uint32_t> crcs) {
  if (record.late) return crc32_of(record.late(crcs));
  return record.tensor == none ? record.crc : crcs[record.tensor];
}

Bytes TorchZipWriter::descriptor(const Record& record, std::uint32_t crc) {
  const std::size_t width = record.zip64() ? 8 : 4;
  Bytes out;
  put(out, 0x08074b50, 4);
  put(out, crc, 4);
  put(out, record.size, width);
  put(out, record.size, width);
  return out;
}

Bytes TorchZipWriter::directory(const std::vector<Record>& records, std::span<const std::uint32_t> crcs) {
  Bytes out;
  for (const Record& record : records) {
    const Bytes extra = zip64_extra(record.size, record.size, record.offset);
    put(out, 0x02014b50, 4);
    put(out, 0, 2 + 2);  // made by, version needed
    put(out, flags_of(record.size), 2);
    put(out, 0, 2 + 2 + 2);  // method, time, date
    put(out, crc_of(record, crcs), 4);
    put(out, std::min(record.size, in_zip64), 4);
    put(out, std::min(record.size, in_zip64), 4);
    put(out, record.name.size(), 2);
    put(out, extra.size(), 2);
    put(out, 0, 2 + 2 + 2);  // comment length, disk, inner attributes
    put(out, 0, 4);          // outer attributes
    put(out, std::min(record.offset, in_zip64), 4);
    put_text(out, record.name);
    out.insert(out.end(), extra.begin(), extra.end());
  }
  return out;
}

FileLayout TorchZipWriter::finish() {
  std::uint64_t length = 0;
  for (const Record& record : records_)
    length += 46 + record.name.size() + zip64_extra(record.size, 0, record.offset).size();
  const std::uint64_t count = records_.size();
  layout_.segments.emplace_back(
      CrcSegment{length, [records = std::move(records_)](std::span<const std::uint32_t> crcs) {
                   return directory(records, crcs);
                 }});
  layout_.segments.emplace_back(LiteralSegment{end_records(count, size_, length)});
  return std::move(layout_);
}

}  // namespace galatea
