#include "format/zip_archive.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "format/error.h"
#include "tests/support/errors.h"
#include "tests/support/files.h"

namespace galatea {
namespace {

using namespace std::string_literals;

void put(std::string& out, std::uint64_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) out += static_cast<char>(value >> (8 * i));
}

/// A record as the two tables of an archive show it; tests spoil single fields.
struct Fields {
  std::string name = "a", data = "hello";
  std::uint32_t crc = 0x3610a686;  // of "hello"
  unsigned flags = 0, method = 0, disk = 0;
  std::uint64_t local_offset = 0, size = 5, stored = 5;
  std::string extra, local_name, local_extra, descriptor;
  std::uint32_t local_crc = 0x3610a686;
  std::uint64_t local_size = 5, local_stored = 5;
  unsigned local_flags = 0, local_method = 0;
};

std::string local_of(const Fields& f) {
  std::string out = "PK\3\4"s;
  put(out, 20, 2);
  put(out, f.local_flags, 2);
  put(out, f.local_method, 2);
  put(out, 0, 4);
  put(out, f.local_crc, 4);
  put(out, f.local_stored, 4);
  put(out, f.local_size, 4);
  const std::string& name = f.local_name.empty() ? f.name : f.local_name;
  put(out, name.size(), 2);
  put(out, f.local_extra.size(), 2);
  return out + name + f.local_extra + f.data + f.descriptor;
}

std::string central_of(const Fields& f) {
  std::string out = "PK\1\2"s;
  put(out, 20, 2);
  put(out, 20, 2);
  put(out, f.flags, 2);
  put(out, f.method, 2);
  put(out, 0, 4);
  put(out, f.crc, 4);
  put(out, f.stored, 4);
  put(out, f.size, 4);
  put(out, f.name.size(), 2);
  put(out, f.extra.size(), 2);
  put(out, 0, 2);
  put(out, f.disk, 2);
  put(out, 0, 6);
  put(out, f.local_offset, 4);
  return out + f.name + f.extra;
}

std::string end_of(std::uint64_t records, std::uint64_t size, std::uint64_t offset,
                   const std::string& comment = "") {
  std::string out = "PK\5\6"s;
  put(out, 0, 4);
  put(out, records, 2);
  put(out, records, 2);
  put(out, size, 4);
  put(out, offset, 4);
  put(out, comment.size(), 2);
  return out + comment;
}

std::string archive_of(const Fields& f) {
  const std::string local = local_of(f), central = central_of(f);
  return local + central + end_of(1, central.size(), local.size());
}

/// The same with 64-bit end records.
std::string archive64_of(const Fields& f) {
  const std::string local = local_of(f), central = central_of(f);
  std::string end = "PK\6\6"s;
  put(end, 44, 8);
  put(end, 0x031e, 2);
  put(end, 45, 2);
  put(end, 0, 8);
  put(end, 1, 8);
  put(end, 1, 8);
  put(end, central.size(), 8);
  put(end, local.size(), 8);
  end += "PK\6\7";
  put(end, 0, 4);
  put(end, local.size() + central.size(), 8);
  put(end, 1, 4);
  return local + central + end + end_of(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF);
}

ZipArchive open(const std::string& bytes) { return ZipArchive::open(memory_source(bytes, "x.zip")); }

std::string text_of(const ZipArchive& archive, const ZipRecord& record) {
  return archive.data(record)->read_text(1000);
}

void expect_refused(const std::string& bytes, const std::string& words) {
  const Error error = test::error_of([&] { open(bytes); });
  EXPECT_EQ(error.kind(), ErrorKind::input);
  EXPECT_EQ(error.file_name(), "x.zip");
  EXPECT_TRUE(error.byte().has_value());
  EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
}

TEST(ZipArchive, ReadsStoredRecords) {
  for (const std::string& bytes : {archive_of({}), archive64_of({})}) {
    const ZipArchive archive = open(bytes);
    ASSERT_EQ(archive.records().size(), 1U);
    const ZipRecord* record = archive.find("a");
    ASSERT_NE(record, nullptr);
    EXPECT_EQ(archive.find("b"), nullptr);
    EXPECT_EQ(record->data_offset, 31U);
    EXPECT_EQ(text_of(archive, *record), "hello");
    EXPECT_NO_THROW(archive.check_crc(*record));
  }
}

TEST(ZipArchive, ReadsACommentAndAnEmptyArchive) {
  EXPECT_EQ(open(local_of({}) + central_of({}) + end_of(1, 47, 36, "a comment")).records().size(), 1U);
  EXPECT_TRUE(open(end_of(0, 0, 0)).records().empty());
}

TEST(ZipArchive, ReadsSixtyFourBitFields) {
  Fields f;
  f.size = f.stored = f.local_offset = 0xFFFFFFFF;
  for (const std::uint64_t value : {5U, 5U, 0U}) put(f.extra, value, 8);
  f.extra = "\x55\x54\x01\x00x"s + "\x01\x00\x18\x00"s + f.extra;
  EXPECT_EQ(text_of(open(archive_of(f)), open(archive_of(f)).records()[0]), "hello");
}

/// A record whose numbers follow its data, with or without the magic number before them.
Fields described(bool magic = true, std::size_t width = 4) {
  Fields f;
  f.flags = f.local_flags = 8;
  f.local_crc = 0;
  f.local_size = f.local_stored = 0;
  f.descriptor = magic ? "PK\7\10" : "";
  put(f.descriptor, f.crc, 4);
  put(f.descriptor, f.stored, width);
  put(f.descriptor, f.size, width);
  return f;
}

TEST(ZipArchive, ReadsAllKindsOfDescriptors) {
  for (const bool magic : {true, false}) {
    for (const std::size_t width : {4U, 8U}) {
      Fields f = described(magic, width);
      EXPECT_EQ(open(archive_of(f)).records().size(), 1U) << magic << width;
      f.descriptor[magic ? 5 : 1] ^= 1;
      expect_refused(archive_of(f), "data descriptor");
    }
  }
}

TEST(ZipArchive, NumbersBeforeAndAfterTheDataAgree) {
  for (std::uint64_t Fields::*field : {&Fields::local_size, &Fields::local_stored}) {
    Fields f = described();
    for (const std::uint64_t same : {std::uint64_t{0xFFFFFFFF}, f.size}) {
      f.*field = same;
      EXPECT_NO_THROW(open(archive_of(f))) << same;
    }
    f.*field = 1;
    expect_refused(archive_of(f), "disagrees");
  }
  Fields f = described();
  f.local_crc = f.crc;
  EXPECT_NO_THROW(open(archive_of(f)));
  f.local_crc = 1;
  expect_refused(archive_of(f), "disagrees");
}

TEST(ZipArchive, FindsDamagedData) {
  Fields f;
  f.data = "hellp";
  const ZipArchive archive = open(archive_of(f));
  const Error error = test::error_of([&] { archive.check_crc(archive.records()[0]); });
  EXPECT_NE(std::string(error.what()).find("\"a\""), std::string::npos);
  EXPECT_NE(std::string(error.what()).find("3610a686"), std::string::npos);
}

TEST(ZipArchive, RefusesSpoiledRecords) {
  const auto with = [](auto change) {
    Fields f;
    change(f);
    return archive_of(f);
  };
  expect_refused(with([](Fields& f) { f.method = f.local_method = 8; }), "\"a\"");
  expect_refused(with([](Fields& f) { f.method = f.local_method = 8; }), "is compressed");
  expect_refused(with([](Fields& f) { f.flags = f.local_flags = 1; }), "encrypted");
  expect_refused(with([](Fields& f) { f.disk = 1; }), "another disk");
  expect_refused(with([](Fields& f) { f.stored = 4; }), "two sizes");
  expect_refused(with([](Fields& f) { f.name = "a\0b"s; }), "no proper name");
  expect_refused(with([](Fields& f) { f.local_name = "b"; }), "disagrees");
  expect_refused(with([](Fields& f) { f.local_crc = 1; }), "disagrees");
  expect_refused(with([](Fields& f) { f.local_size = 4; }), "disagrees");
  expect_refused(with([](Fields& f) { f.local_flags = 0x800; }), "disagrees");
  expect_refused(with([](Fields& f) { f.local_method = 8; }), "disagrees");
  expect_refused(with([](Fields& f) { f.size = f.stored = f.local_size = f.local_stored = 6; }),
                 "out of bounds");
  expect_refused(with([](Fields& f) { f.local_offset = 1; }), "is missing");
  expect_refused(with([](Fields& f) { f.local_offset = 1000; }), "out of bounds");
  expect_refused(with([](Fields& f) { f.local_offset = 0xFFFFFFFF; }), "extra field");
  expect_refused(with([](Fields& f) {
                   f.local_offset = 0xFFFFFFFF;
                   f.extra = "\x01\x00\x04\x00\x00\x00\x00\x00"s;
                 }),
                 "extra field");
  expect_refused(with([](Fields& f) {
                   f.local_offset = 0xFFFFFFFF;
                   f.extra = "\x01\x00\x08\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"s;
                 }),
                 "out of bounds");
  expect_refused(with([](Fields& f) { f.extra = "\x01\x00\xFF\x00"s; }), "extra field");
}

TEST(ZipArchive, RefusesSpoiledTables) {
  const std::string local = local_of({}), central = central_of({});
  expect_refused("", "no end record");
  expect_refused("PK", "no end record");
  expect_refused(std::string(70'000, ' '), "no end record");
  expect_refused(local + central + end_of(1, 47, 36) + "x", "no end record");
  expect_refused(local + central + end_of(2, 47, 36), "cannot hold so many records");
  expect_refused(local + central + end_of(0, 47, 36), "bytes after its last record");
  expect_refused(local + central + end_of(1, 46, 36), "not where the end record says");
  expect_refused(local + central + end_of(1, 47, 37), "not where the end record says");
  expect_refused(local + central + end_of(1, 47, 0xFFFFFFFF), "zip64 locator is missing");
  expect_refused(local + local + central + central + end_of(2, 94, 72), "overlap");
  Fields second;
  second.local_offset = 36;
  expect_refused(local + local + central + central_of(second) + end_of(2, 94, 72), "same name");
  expect_refused("x" + local + central + end_of(1, 47, 37), "is missing");
  std::string disks = local + central + end_of(1, 47, 36);
  disks[disks.size() - 18] = 1;
  expect_refused(disks, "several disks");

  const std::string good = archive64_of({});
  const std::size_t end64 = 36 + 47, locator = end64 + 56;
  for (const auto& [at, words] :
       std::vector<std::pair<std::size_t, const char*>>{{locator + 8, "not where the locator says"},
                                                        {end64, "zip64 end record is damaged"},
                                                        {end64 + 4, "zip64 end record is damaged"},
                                                        {end64 + 16, "several disks"},
                                                        {end64 + 20, "several disks"},
                                                        {locator + 4, "several disks"},
                                                        {locator + 16, "several disks"},
                                                        {end64 + 24, "disagree"},
                                                        {end64 + 40, "not where the end record says"},
                                                        {end64 + 48, "not where the end record says"}}) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    expect_refused(bad, words);
  }
}

TEST(ZipArchive, EveryTruncationIsRefused) {
  for (const std::string& whole : {archive_of({}), archive64_of({})}) {
    for (std::size_t size = 0; size < whole.size(); ++size) expect_refused(whole.substr(0, size), "");
  }
}

// Versions, times and attributes say nothing of the content; of every other byte any other value is refused.
TEST(ZipArchive, EveryChangedByteThatMeansSomethingIsRefused) {
  const std::string whole = archive64_of({});
  const std::size_t central = 36, end64 = central + 47, locator = end64 + 56;
  std::set<std::size_t> silent;
  for (const auto& [first, count] : {std::pair<std::size_t, std::size_t>{4, 2},  // version needed
                                     {10, 4},                                    // time and date
                                     {central + 4, 4},      // version made by, version needed
                                     {central + 12, 4},     // time and date
                                     {central + 36, 6},     // attributes
                                     {end64 + 12, 4},       // version made by, version needed
                                     {locator + 16, 1}}) {  // disks in all: 0 instead of 1
    for (std::size_t i = 0; i < count; ++i) silent.insert(first + i);
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    bool accepted = false;
    for (int value = 0; value < 256; ++value) {
      std::string changed = whole;
      changed[at] = static_cast<char>(value);
      if (changed == whole) continue;
      try {
        const ZipArchive archive = open(changed);
        for (const ZipRecord& record : archive.records()) archive.check_crc(record);
        accepted = true;
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::input);
      }
    }
    EXPECT_EQ(accepted, silent.contains(at)) << "byte " << at;
  }
}

}  // namespace
}  // namespace galatea
