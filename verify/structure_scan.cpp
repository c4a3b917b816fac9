#include "verify/structure_scan.h"

#include <algorithm>
#include <mutex>

#include "format/crc32.h"
#include "verify/parallel.h"

namespace galatea {
namespace {

constexpr std::uint64_t buffer_bytes = std::uint64_t{1} << 20U;
constexpr std::uint64_t buffers_in_piece = 8;

/// A part of a region, or (region == none) a scattered tensor.
struct Piece {
  std::size_t file, region, tensor;
  std::uint64_t begin, end;  ///< bytes of the region
  std::uint64_t step;        ///< bytes read in one go: whole values of every tensor in the region
  std::uint32_t crc = 0;
};

constexpr std::size_t none = static_cast<std::size_t>(-1);

/// Whole blocks of every type in the region. Plain types have 1, 2, 4 or 8 bytes; a quantized tensor has a
/// region of its own.
std::uint64_t step_of(const WeightFile& file, const ScanRegion& region) {
  std::uint64_t block = 8;
  for (const ScanSpan& span : region.spans) {
    const TypeInfo& type = type_info(file.tensors[span.tensor].type());
    if (type.quantized()) block = type.block_bytes;
  }
  return std::max<std::uint64_t>(buffer_bytes / block, 1) * block;
}

std::vector<Piece> pieces_of(const std::vector<WeightFile>& files) {
  std::vector<Piece> out;
  for (std::size_t f = 0; f < files.size(); ++f) {
    for (std::size_t r = 0; r < files[f].regions.size(); ++r) {
      const ScanRegion& region = files[f].regions[r];
      const std::uint64_t step = step_of(files[f], region), piece = step * buffers_in_piece;
      for (std::uint64_t begin = 0; begin < region.size; begin += piece)
        out.push_back({f, r, none, begin, std::min(region.size, begin + piece), step});
    }
    for (const std::size_t tensor : files[f].scattered)
      out.push_back({f, none, tensor, 0, files[f].tensors[tensor].bytes(), 0});
  }
  return out;
}

class Scanner {
 public:
  Scanner(const std::vector<WeightFile>& files, Progress& progress) : files_(files), progress_(progress) {
    for (const WeightFile& file : files) {
      out_.push_back(
          {std::vector<ValueCounts>(file.tensors.size()), std::vector<std::uint32_t>(file.regions.size())});
    }
  }

  void scan(Piece& piece) {
    if (piece.region == none) return scan_rows(piece);
    const WeightFile& file = files_[piece.file];
    const ScanRegion& region = file.regions[piece.region];
    static thread_local std::vector<std::byte> buffer;
    buffer.resize(static_cast<std::size_t>(std::max<std::uint64_t>(piece.step, buffer.size())));
    for (std::uint64_t at = piece.begin; at < piece.end; at += piece.step) {
      throw_if_stopped(progress_);
      const auto bytes =
          std::span(buffer).first(static_cast<std::size_t>(std::min(piece.step, piece.end - at)));
      file.source->read(region.offset + at, bytes);
      if (region.crc) piece.crc = crc32_of(bytes, piece.crc);
      for (const ScanSpan& span : region.spans) scan_span(piece.file, span, at, bytes);
      progress_.advance(bytes.size());
    }
  }

  std::vector<FileScan> take(const std::vector<Piece>& pieces) {
    for (const Piece& piece : pieces) {
      if (piece.region == none) continue;
      std::uint32_t& crc = out_[piece.file].crcs[piece.region];
      crc = piece.begin == 0 ? piece.crc : crc32_joined(crc, piece.crc, piece.end - piece.begin);
    }
    return std::move(out_);
  }

 private:
  void scan_span(std::size_t file, const ScanSpan& span, std::uint64_t at, std::span<const std::byte> bytes) {
    const std::uint64_t begin = std::max(span.begin, at), end = std::min(span.end, at + bytes.size());
    if (begin >= end) return;
    const TypeInfo& type = type_info(files_[file].tensors[span.tensor].type());
    const auto part =
        bytes.subspan(static_cast<std::size_t>(begin - at), static_cast<std::size_t>(end - begin));
    add(file, span.tensor, scan_values(type.type, part),
        (begin - span.begin) / type.block_bytes * type.block_length);
  }

  void scan_rows(const Piece& piece) {
    const Rows& rows = *files_[piece.file].tensors[piece.tensor].data;
    const std::uint64_t step = std::clamp<std::uint64_t>(
        buffer_bytes / std::max<std::uint64_t>(rows.row_bytes(), 1), 1, rows.rows());
    std::vector<std::byte> buffer(static_cast<std::size_t>(step * rows.row_bytes()));
    for (std::uint64_t first = 0; first < rows.rows(); first += step) {
      throw_if_stopped(progress_);
      const std::uint64_t count = std::min(step, rows.rows() - first);
      const auto bytes = std::span(buffer).first(static_cast<std::size_t>(count * rows.row_bytes()));
      rows.read(first, count, bytes);
      add(piece.file, piece.tensor, scan_values(rows.type(), bytes), first * rows.cols());
      progress_.advance(bytes.size());
    }
  }

  void add(std::size_t file, std::size_t tensor, const ValueCounts& part, std::uint64_t begin) {
    const std::scoped_lock lock(mutex_);
    out_[file].tensors[tensor].add(part, begin);
  }

  const std::vector<WeightFile>& files_;
  Progress& progress_;
  std::mutex mutex_;
  std::vector<FileScan> out_;
};

}  // namespace

std::vector<FileScan> scan_files(const std::vector<WeightFile>& files, const StructureOptions& options) {
  Progress& progress = options.progress != nullptr ? *options.progress : silent_progress();
  std::vector<Piece> pieces = pieces_of(files);
  std::uint64_t total = 0;
  for (const Piece& piece : pieces) total += piece.end - piece.begin;
  Scanner scanner(files, progress);
  progress.begin("checking the data", total, "B");
  for_each_in_order(pieces.size(), options.threads, [&](std::size_t i) { scanner.scan(pieces[i]); });
  progress.end();
  return scanner.take(pieces);
}

}  // namespace galatea
