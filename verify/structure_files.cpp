#include "verify/structure_files.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "format/checked.h"
#include "format/error.h"
#include "format/gguf.h"
#include "format/lfs_pointer.h"
#include "format/safetensors.h"
#include "format/strided_view.h"
#include "format/torch_file.h"
#include "verify/common_tensors.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

constexpr const char* download_again = "the file is not as it was written: download it again";

Error bytes_behind(const ByteSource& source, std::uint64_t end) {
  return std::move(Error(ErrorKind::input, "there are bytes behind the end of the data")
                       .file(source.name())
                       .at(end)
                       .expected("a file of " + std::to_string(end) + " bytes")
                       .found(std::to_string(source.size()))
                       .remedy(download_again));
}

/// Where a zip archive ends that has something behind it; nothing when no end record is near the end.
std::optional<std::uint64_t> end_of_zip(const ByteSource& source) {
  constexpr std::uint64_t tail_bytes = std::uint64_t{1} << 20U, record_bytes = 22;
  const std::uint64_t size = std::min(source.size(), tail_bytes), start = source.size() - size;
  const std::vector<std::byte> tail = source.read(start, size);
  const std::string_view text(reinterpret_cast<const char*>(tail.data()), tail.size());
  const std::size_t at = text.rfind(std::string_view("PK\5\6\0\0\0\0", 8));
  if (at == std::string_view::npos || text.size() - at < record_bytes) return std::nullopt;
  if (text[at + 20] != 0 || text[at + 21] != 0) return std::nullopt;  // a comment: its length is at fault
  return start + at + record_bytes;
}

TorchFile open_torch(const SourcePtr& source) {
  try {
    return TorchFile::open(source);
  } catch (const Error&) {
    const auto end = looks_like_zip(*source) ? end_of_zip(*source) : std::nullopt;
    if (end && *end < source->size()) throw bytes_behind(*source, *end);
    throw;
  }
}

/// Views whose values do not lie one after another, by their first byte and shape.
std::set<std::pair<std::uint64_t, Shape>> scattered_views(const TorchFile& torch) {
  std::set<std::pair<std::uint64_t, Shape>> out;
  for (PickleId id = 0; id < torch.pickle().nodes.size(); ++id) {
    if (torch.pickle()[id].kind != PickleKind::call) continue;
    try {
      const auto tensor = torch.tensor_at(id);
      if (!tensor || is_contiguous(tensor->shape, tensor->strides)) continue;
      const std::uint64_t width = type_info(tensor->type).block_bytes;
      out.emplace(torch.storage_record(tensor->storage).data_offset + tensor->offset * width, tensor->shape);
    } catch (const Error&) {  // no part of what the file offers: open() looked at those
    }
  }
  return out;
}

void read_torch(WeightFile& file) {
  file.kind = "PyTorch file";
  const TorchFile torch = open_torch(file.source);
  file.tensors = torch.all_tensors();
  const auto scattered = scattered_views(torch);
  std::map<std::uint64_t, std::size_t> by_offset;  // of the record's data
  for (const ZipRecord& record : torch.archive().records()) {
    if (record.size > 0) by_offset.emplace(record.data_offset, file.regions.size());
    file.regions.push_back({record.data_offset, record.size, record.name, record.crc, {}});
  }
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    const Tensor& tensor = file.tensors[i];
    if (tensor.bytes() == 0) continue;
    const auto after = by_offset.upper_bound(tensor.offset);
    if (scattered.contains({tensor.offset, tensor.shape}) || after == by_offset.begin()) {
      file.scattered.push_back(i);
      continue;
    }
    ScanRegion& region = file.regions[std::prev(after)->second];
    const std::uint64_t begin = tensor.offset - region.offset;
    region.spans.push_back({i, begin, begin + tensor.bytes()});
  }
  const std::string storages = torch.folder() + "/data/";
  const auto unused = std::count_if(file.regions.begin(), file.regions.end(), [&](const ScanRegion& region) {
    return region.record.starts_with(storages) && region.size > 0 && region.spans.empty();
  });
  if (unused > 0 && file.scattered.empty())
    file.notes.push_back(std::to_string(unused) + " storages belong to no tensor");
}

/// One region for each tensor.
void add_regions(WeightFile& file) {
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    const Tensor& tensor = file.tensors[i];
    if (tensor.bytes() > 0)
      file.regions.push_back({tensor.offset, tensor.bytes(), {}, {}, {{i, 0, tensor.bytes()}}});
  }
}

void read_gguf(WeightFile& file) {
  file.kind = "GGUF";
  const GgufFile gguf = GgufFile::read(file.source);
  file.tensors = gguf.tensors();
  std::uint64_t end = 0;
  for (const Tensor& tensor : file.tensors) end = std::max(end, tensor.offset + tensor.bytes());
  if (end > 0 && file.source->size() > align_up(end, gguf.alignment()))
    throw bytes_behind(*file.source, align_up(end, gguf.alignment()));
  add_regions(file);
}

bool starts_like_safetensors(const ByteSource& source) {
  std::array<std::byte, 9> head{};
  if (source.size() < head.size()) return false;
  source.read(0, head);
  return head[8] == std::byte{'{'} && head[5] == std::byte{0} && head[6] == std::byte{0} &&
         head[7] == std::byte{0};
}

}  // namespace

std::optional<WeightFile> open_weight_file(const fs::path& path) {
  WeightFile file;
  file.path = path;
  file.source = open_file(path);
  if (const auto pointer = read_lfs_pointer(*file.source)) {
    throw Error(ErrorKind::input, "is a Git LFS pointer, not the weights themselves")
        .file(path)
        .expected("a file of " + std::to_string(pointer->size) + " bytes")
        .found("a pointer of " + std::to_string(file.source->size()) + " bytes")
        .remedy("install git-lfs and run \"git lfs pull\" in the folder, or download the file itself");
  }
  const std::string extension = path.extension().string();
  const std::string name = path.filename().string();
  const bool torch =
      extension == ".pth" || extension == ".pt" ||
      (extension == ".bin" && (name.starts_with("pytorch_model") || name.starts_with("adapter_model")));
  if (GgufFile::recognise(*file.source) || extension == ".gguf") {
    read_gguf(file);
  } else if (TorchFile::recognises(*file.source) || torch) {
    read_torch(file);
  } else if (starts_like_safetensors(*file.source) || extension == ".safetensors") {
    file.kind = "safetensors file";
    file.tensors = open_safetensors(file.source).tensors;
    add_regions(file);
  } else {
    return std::nullopt;
  }
  refuse_repetition(file.tensors, file.source->size(), path);
  return file;
}

}  // namespace galatea
