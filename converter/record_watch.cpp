#include "converter/record_watch.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <utility>
#include <vector>

#include "format/crc32.h"
#include "format/error.h"
#include "format/torch_file.h"

namespace galatea {
namespace {

constexpr std::uint64_t cell_bytes = std::uint64_t{256} << 10U;

/// The archive's records by their place in the file.
std::vector<ZipRecord> in_file_order(const ZipArchive& archive) {
  std::vector<ZipRecord> records = archive.records();
  std::sort(records.begin(), records.end(),
            [](const ZipRecord& a, const ZipRecord& b) { return a.data_offset < b.data_offset; });
  return records;
}

std::uint32_t crc_of_range(const ByteSource& source, std::uint64_t begin, std::uint64_t end) {
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(cell_bytes, end - begin)));
  std::uint32_t crc = 0;
  while (begin < end) {
    const auto part = std::span(buffer).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), end - begin)));
    source.read(begin, part);
    crc = crc32_of(part, crc);
    begin += part.size();
  }
  return crc;
}

}  // namespace

std::string tensor_in_record(const SourcePtr& torch_file, const ZipRecord& record) {
  try {
    const TorchFile file = TorchFile::open(torch_file);
    for (const Tensor& tensor : file.all_tensors()) {
      if (tensor.offset >= record.data_offset && tensor.offset - record.data_offset < record.size)
        return tensor.name;
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    // The file is damaged elsewhere, too: the record's name has to do.
  }
  return {};
}

class RecordWatch::Source final : public ByteSource {
 public:
  explicit Source(SourcePtr source)
      : source_(std::move(source)), cells_(static_cast<std::size_t>(source_->size() / cell_bytes)) {}

  std::uint64_t size() const override { return source_->size(); }
  const std::filesystem::path& name() const override { return source_->name(); }

  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    source_->read(offset, out);
    const std::uint64_t skipped = (cell_bytes - offset % cell_bytes) % cell_bytes;
    for (std::uint64_t at = skipped; at + cell_bytes <= out.size(); at += cell_bytes) {
      const std::uint32_t crc = crc32_of(out.subspan(static_cast<std::size_t>(at), cell_bytes));
      cells_[static_cast<std::size_t>((offset + at) / cell_bytes)].store(known | crc);
    }
  }

  /// The CRC-32 of [begin, end), from the cells where they are known and from `finished` elsewhere.
  std::uint32_t crc(std::uint64_t begin, std::uint64_t end, const ByteSource& finished) const {
    std::uint32_t whole = 0;
    while (begin < end) {
      const std::uint64_t next = std::min(end, (begin / cell_bytes + 1) * cell_bytes);
      const auto index = static_cast<std::size_t>(begin / cell_bytes);
      const std::uint64_t cell = next - begin == cell_bytes ? cells_[index].load() : 0;
      const std::uint32_t crc =
          cell != 0 ? static_cast<std::uint32_t>(cell) : crc_of_range(finished, begin, next);
      whole = crc32_joined(whole, crc, next - begin);
      begin = next;
    }
    return whole;
  }

 private:
  static constexpr std::uint64_t known = std::uint64_t{1} << 32U;

  SourcePtr source_;
  mutable std::vector<std::atomic<std::uint64_t>> cells_;  ///< `known` and the CRC-32, or 0
};

RecordWatch::RecordWatch(SourcePtr source) : source_(std::make_shared<Source>(std::move(source))) {}

SourcePtr RecordWatch::watched() const { return source_; }

namespace {

/// A record whose data are damaged, with the tensor in it.
Error damaged_record(const SourcePtr& zip_file, const ZipRecord& record, const Error& what) {
  Error error = what;
  if (const std::string tensor = tensor_in_record(zip_file, record); !tensor.empty()) error.tensor(tensor);
  return error;
}

}  // namespace

void RecordWatch::check(const SourcePtr& finished) const {
  const ZipArchive archive = ZipArchive::open(finished);
  for (const ZipRecord& record : in_file_order(archive)) {
    if (source_->crc(record.data_offset, record.data_offset + record.size, *finished) == record.crc) continue;
    try {
      archive.check_crc(record);  // tells what is wrong; reads the record once more
    } catch (const Error& error) {
      throw damaged_record(finished, record, error);
    }
    throw Error(ErrorKind::system, "the file that was written is not what was decoded")
        .file(finished->name())
        .at(record.data_offset)
        .remedy("check the disk, and decode again");
  }
}

void check_records(const SourcePtr& zip_file) {
  const ZipArchive archive = ZipArchive::open(zip_file);
  const std::vector<ZipRecord> records = in_file_order(archive);
  std::vector<std::exception_ptr> failures(records.size());
  const auto count = static_cast<std::int64_t>(records.size());
#pragma omp parallel for schedule(dynamic, 1)
  for (std::int64_t i = 0; i < count; ++i) {
    const auto record = static_cast<std::size_t>(i);
    try {
      archive.check_crc(records[record]);
    } catch (...) {
      failures[record] = std::current_exception();
    }
  }
  for (std::size_t i = 0; i < failures.size(); ++i) {
    if (!failures[i]) continue;
    try {
      std::rethrow_exception(failures[i]);
    } catch (const Error& error) {
      throw damaged_record(zip_file, records[i], error);
    }
  }
}

}  // namespace galatea
