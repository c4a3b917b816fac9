#include "format/zip_archive.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "format/crc32.h"
#include "format/error.h"
#include "format/little_endian.h"

namespace galatea {
namespace {

constexpr std::uint32_t local_magic = 0x04034b50, central_magic = 0x02014b50, descriptor_magic = 0x08074b50;
constexpr std::uint32_t end_magic = 0x06054b50, end64_magic = 0x06064b50, locator_magic = 0x07064b50;
constexpr std::uint64_t local_bytes = 30, central_bytes = 46, end_bytes = 22, end64_bytes = 56,
                        locator_bytes = 20;
constexpr std::uint64_t longest_comment = 0xFFFF;
constexpr std::uint64_t directory_limit = std::uint64_t{256} << 20U;
constexpr std::uint32_t in_zip64 = 0xFFFFFFFF;
constexpr unsigned flag_encrypted = 1U, flag_descriptor = 8U;
constexpr const char* download_again = "the file is incomplete or damaged: download it again";

Error damaged(const ByteSource& source, const std::string& problem, std::uint64_t byte) {
  return std::move(Error(ErrorKind::input, problem).file(source.name()).at(byte));
}

struct Directory {
  std::uint64_t offset, size, records;
};

/// Reads the end records, wherever they keep the facts.
class EndReader {
 public:
  explicit EndReader(const ByteSource& source) : source_(source) {}

  Directory read() const {
    const std::uint64_t size = source_.size();
    if (size < end_bytes) throw no_end().found(std::to_string(size) + " bytes");
    const std::uint64_t tail_size = std::min(size, end_bytes + longest_comment);
    const std::vector<std::byte> tail = source_.read(size - tail_size, tail_size);
    for (std::uint64_t back = end_bytes; back <= tail_size; ++back) {
      const LittleEndian field{std::span(tail).subspan(static_cast<std::size_t>(tail_size - back))};
      if (field.u32(0) == end_magic && field.u16(20) == back - end_bytes) return at(size - back, field);
    }
    throw no_end();
  }

 private:
  Error no_end() const {
    return std::move(damaged(source_, "the zip archive has no end record", source_.size())
                         .expected("PK\\5\\6 near the end of the file")
                         .remedy(download_again));
  }

  Directory at(std::uint64_t end, const LittleEndian& field) const {
    Directory out{field.u32(16), field.u32(12), field.u16(10)};
    std::uint64_t directory_end = end;
    if (field.u16(4) != 0 || field.u16(6) != 0 || field.u16(8) != field.u16(10))
      throw damaged(source_, "the zip archive is a part of several disks", end);
    std::array<std::byte, locator_bytes> locator{};
    if (end >= locator_bytes) source_.read(end - locator_bytes, locator);
    if (const LittleEndian place(locator); place.u32(0) == locator_magic) {
      if (place.u32(4) != 0 || place.u32(16) > 1)
        throw damaged(source_, "the zip archive is a part of several disks", end - locator_bytes);
      directory_end = place.u64(8);
      out = zip64(directory_end, end - locator_bytes, field);
    } else if (out.offset == in_zip64 || out.size == in_zip64 || out.records == 0xFFFF) {
      throw damaged(source_, "the zip64 locator is missing", end).remedy(download_again);
    }
    if (out.offset > directory_end || out.size != directory_end - out.offset) {
      throw damaged(source_, "the central directory is not where the end record says", end)
          .expected("a directory that ends at byte " + std::to_string(directory_end))
          .found(std::to_string(out.size) + " bytes from byte " + std::to_string(out.offset));
    }
    return out;
  }

  Directory zip64(std::uint64_t offset, std::uint64_t end, const LittleEndian& small) const {
    if (offset > end || end - offset != end64_bytes)
      throw damaged(source_, "the zip64 end record is not where the locator says", end);
    std::array<std::byte, end64_bytes> bytes{};
    source_.read(offset, bytes);
    const LittleEndian field(bytes);
    if (field.u32(0) != end64_magic || field.u64(4) != end64_bytes - 12)
      throw damaged(source_, "the zip64 end record is damaged", offset);
    if (field.u32(16) != 0 || field.u32(20) != 0)
      throw damaged(source_, "the zip archive is a part of several disks", offset);
    const Directory out{field.u64(48), field.u64(40), field.u64(32)};
    const bool agree = (small.u32(16) == in_zip64 || small.u32(16) == out.offset) &&
                       (small.u32(12) == in_zip64 || small.u32(12) == out.size) &&
                       (small.u16(10) == 0xFFFF || small.u16(10) == out.records);
    if (!agree || field.u64(24) != out.records)
      throw damaged(source_, "the two end records of the zip archive disagree", offset);
    return out;
  }

  const ByteSource& source_;
};

/// What both headers of a record say.
struct Facts {
  std::string name;
  unsigned flags = 0, method = 0;
  std::uint32_t crc = 0;
  std::uint64_t stored = 0, size = 0, offset = 0;
};

/// Puts the 64-bit values of the extra field 0001 where the header had FFFFFFFF.
/// False when the extra field is broken or lacks one of them.
bool apply_zip64(std::span<const std::byte> extra, Facts& facts) {
  std::array<std::uint64_t*, 3> wanted{&facts.size, &facts.stored, &facts.offset};
  const bool any = std::any_of(wanted.begin(), wanted.end(), [](const auto* v) { return *v == in_zip64; });
  while (extra.size() >= 4) {
    const LittleEndian field(extra);
    const std::size_t length = field.u16(2);
    if (length > extra.size() - 4) return false;
    if (field.u16(0) == 1) {
      std::size_t at = 0;
      for (std::uint64_t* value : wanted) {
        if (*value != in_zip64) continue;
        if (at + 8 > length) return false;
        *value = field.u64(4 + at);
        at += 8;
      }
      return true;
    }
    extra = extra.subspan(4 + length);
  }
  return !any && extra.empty();
}

class DirectoryReader {
 public:
  DirectoryReader(const ByteSource& source, const Directory& directory)
      : source_(source), directory_(directory) {}

  std::vector<ZipRecord> read() const {
    if (directory_.size > directory_limit || directory_.records > directory_.size / central_bytes) {
      throw damaged(source_, "the central directory cannot hold so many records", directory_.offset)
          .found(std::to_string(directory_.records) + " records in " + std::to_string(directory_.size) +
                 " bytes");
    }
    const std::vector<std::byte> bytes = source_.ByteSource::read(directory_.offset, directory_.size);
    std::span<const std::byte> rest(bytes);
    std::vector<ZipRecord> out;
    for (std::uint64_t i = 0; i < directory_.records; ++i) {
      const Facts facts = take_entry(rest, directory_.offset + bytes.size() - rest.size());
      out.push_back(check_local(facts));
    }
    if (!rest.empty()) {
      throw damaged(source_, "the central directory has bytes after its last record",
                    directory_.offset + bytes.size() - rest.size());
    }
    check_overlap(out);
    return out;
  }

 private:
  Facts take_entry(std::span<const std::byte>& rest, std::uint64_t byte) const {
    if (rest.size() < central_bytes) throw damaged(source_, "the central directory is cut short", byte);
    const LittleEndian field(rest);
    if (field.u32(0) != central_magic)
      throw damaged(source_, "an entry of the central directory is damaged", byte);
    const std::size_t name_length = field.u16(28), extra_length = field.u16(30),
                      comment_length = field.u16(32);
    const std::size_t length = central_bytes + name_length + extra_length + comment_length;
    if (length > rest.size()) throw damaged(source_, "the central directory is cut short", byte);
    Facts facts;
    facts.name.assign(reinterpret_cast<const char*>(rest.data()) + central_bytes, name_length);
    facts.flags = field.u16(8);
    facts.method = field.u16(10);
    facts.crc = field.u32(16);
    facts.stored = field.u32(20);
    facts.size = field.u32(24);
    facts.offset = field.u32(42);
    if (!apply_zip64(rest.subspan(central_bytes + name_length, extra_length), facts))
      throw record_fault(facts.name, "the extra field of a zip record is damaged", byte);
    if (field.u16(34) != 0) throw record_fault(facts.name, "a zip record lies on another disk", byte);
    check_kind(facts, byte);
    rest = rest.subspan(length);
    return facts;
  }

  Error record_fault(const std::string& name, const std::string& problem, std::uint64_t byte) const {
    return std::move(
        damaged(source_, problem, byte).context("reading the zip record \"" + printable(name) + "\""));
  }

  void check_kind(const Facts& facts, std::uint64_t byte) const {
    if (facts.name.empty() || facts.name.find('\0') != std::string::npos)
      throw record_fault(facts.name, "a zip record has no proper name", byte);
    if ((facts.flags & flag_encrypted) != 0)
      throw record_fault(facts.name, "a zip record is encrypted", byte);
    if (facts.method != 0) {
      throw record_fault(facts.name, "a zip record is compressed", byte)
          .expected("stored records, as torch.save writes them")
          .found("compression method " + std::to_string(facts.method))
          .remedy("unpack the archive and pack it again with \"zip -0\"");
    }
    if (facts.stored != facts.size) {
      throw record_fault(facts.name, "a stored zip record has two sizes", byte)
          .found(std::to_string(facts.stored) + " and " + std::to_string(facts.size));
    }
  }

  ZipRecord check_local(const Facts& facts) const {
    const std::uint64_t at = facts.offset;
    if (at > directory_.offset || directory_.offset - at < local_bytes)
      throw record_fault(facts.name, "the local header of a zip record is out of bounds", at)
          .remedy(download_again);
    std::array<std::byte, local_bytes> head{};
    source_.read(at, head);
    const LittleEndian field(head);
    if (field.u32(0) != local_magic)
      throw record_fault(facts.name, "the local header of a zip record is missing", at).expected("PK\\3\\4");
    const std::uint64_t name_length = field.u16(26), extra_length = field.u16(28);
    const std::uint64_t data = at + local_bytes + name_length + extra_length;
    if (data > directory_.offset || facts.size > directory_.offset - data) {
      throw record_fault(facts.name, "the data of a zip record are out of bounds", at)
          .expected("at most " + std::to_string(data > directory_.offset ? 0 : directory_.offset - data) +
                    " bytes")
          .found(std::to_string(facts.size))
          .remedy(download_again);
    }
    const std::vector<std::byte> tail =
        source_.ByteSource::read(at + local_bytes, name_length + extra_length);
    Facts local;
    local.name.assign(reinterpret_cast<const char*>(tail.data()), static_cast<std::size_t>(name_length));
    local.crc = field.u32(14);
    local.stored = field.u32(18);
    local.size = field.u32(22);
    const bool described = (field.u16(6) & flag_descriptor) != 0;
    bool agree = local.name == facts.name && field.u16(6) == facts.flags && field.u16(8) == facts.method;
    if (described) {
      // The numbers follow the data; what stands here says nothing, or the same.
      const auto empty_or = [](std::uint64_t here, std::uint64_t there) {
        return here == 0 || here == in_zip64 || here == there;
      };
      agree = agree && (local.crc == 0 || local.crc == facts.crc) && empty_or(local.stored, facts.stored) &&
              empty_or(local.size, facts.size);
    } else {
      const bool readable =
          apply_zip64(std::span(tail).subspan(static_cast<std::size_t>(name_length)), local);
      agree = agree && readable && local.crc == facts.crc && local.size == facts.size &&
              local.stored == facts.stored;
    }
    if (!agree)
      throw record_fault(facts.name, "the local header of a zip record disagrees with the central directory",
                         at);
    if (described) check_descriptor(facts, data + facts.size);
    return {facts.name, at, data, facts.size, facts.crc};
  }

  /// With or without its magic number, with 32 or 64 bits for each size: all four are in use.
  void check_descriptor(const Facts& facts, std::uint64_t at) const {
    std::array<std::byte, 24> bytes{};
    const std::uint64_t there = std::min<std::uint64_t>(bytes.size(), directory_.offset - at);
    source_.read(at, std::span(bytes).first(static_cast<std::size_t>(there)));
    const LittleEndian field(bytes);
    for (const std::size_t skip : {std::size_t{4}, std::size_t{0}}) {
      if (skip == 4 && field.u32(0) != descriptor_magic) continue;
      if (field.u32(skip) != facts.crc) continue;
      const bool narrow =
          there >= skip + 12 && field.u32(skip + 4) == facts.size && field.u32(skip + 8) == facts.size;
      const bool wide =
          skip + 20 <= there && field.u64(skip + 4) == facts.size && field.u64(skip + 12) == facts.size;
      if (narrow || wide) return;
    }
    throw record_fault(facts.name, "the data descriptor of a zip record disagrees with the central directory",
                       at);
  }

  void check_overlap(const std::vector<ZipRecord>& records) const {
    std::vector<const ZipRecord*> order;
    order.reserve(records.size());
    for (const ZipRecord& record : records) order.push_back(&record);
    std::sort(order.begin(), order.end(),
              [](const ZipRecord* a, const ZipRecord* b) { return a->header_offset < b->header_offset; });
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (order[i]->header_offset < order[i - 1]->data_offset + order[i - 1]->size) {
        throw record_fault(order[i]->name, "two zip records overlap", order[i]->header_offset)
            .found("the other is \"" + printable(order[i - 1]->name) + "\"");
      }
    }
  }

  const ByteSource& source_;
  const Directory& directory_;
};

}  // namespace

ZipArchive ZipArchive::open(SourcePtr source) {
  ZipArchive out;
  const Directory directory = EndReader(*source).read();
  out.records_ = DirectoryReader(*source, directory).read();
  for (std::size_t i = 0; i < out.records_.size(); ++i) {
    if (!out.by_name_.emplace(out.records_[i].name, i).second) {
      throw damaged(*source, "two zip records have the same name", out.records_[i].header_offset)
          .found("\"" + printable(out.records_[i].name) + "\"");
    }
  }
  out.source_ = std::move(source);
  return out;
}

const ZipRecord* ZipArchive::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &records_[it->second];
}

SourcePtr ZipArchive::data(const ZipRecord& record) const {
  return part_of(source_, record.data_offset, record.size);
}

void ZipArchive::check_crc(const ZipRecord& record) const {
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(record.size, 1U << 20U)));
  std::uint32_t crc = 0;
  for (std::uint64_t done = 0; done < record.size;) {
    const auto part = std::span(buffer).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), record.size - done)));
    source_->read(record.data_offset + done, part);
    crc = crc32_of(part, crc);
    done += part.size();
  }
  if (crc == record.crc) return;
  const auto hex = [](std::uint64_t value) {
    char text[16];
    std::snprintf(text, sizeof text, "%08x", static_cast<unsigned>(value));
    return std::string(text);
  };
  throw damaged(*source_, "the data of a zip record are damaged", record.data_offset)
      .expected("CRC-32 " + hex(record.crc))
      .found(hex(crc))
      .context("reading the zip record \"" + printable(record.name) + "\"")
      .remedy("download the file again");
}

bool looks_like_zip(const ByteSource& source) {
  if (source.size() < 4) return false;
  std::array<std::byte, 4> bytes{};
  source.read(0, bytes);
  return LittleEndian(bytes).u32(0) == local_magic;
}

}  // namespace galatea
