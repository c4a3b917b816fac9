#include "converter/decode_base.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "converter/stream_source.h"
#include "converter/xor_codec.h"
#include "format/error.h"
#include "format/layout_source.h"
#include "format/torch_file.h"
#include "format/zip_archive.h"
#include "verify/provenance.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;
using PayloadFiles = std::map<std::string, fs::path>;

bool is_bin(const std::string& name) { return name.ends_with(".bin"); }
bool is_weights(const std::string& name) { return is_bin(name) || name.ends_with(".safetensors"); }

std::set<std::string> files_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code failure;
  fs::directory_iterator entries(folder, failure);
  if (failure) throw system_error(folder, "list folder", failure.value());
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (name != provenance_name && entry.is_regular_file(failure)) names.insert(name);
  }
  return names;
}

bool has_meta_shards(const std::set<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name.starts_with("consolidated.") && name.ends_with(".pth");
  });
}

/// Nothing when it is no file of torch.save.
std::optional<TorchGeneration> generation_of(const fs::path& file) {
  try {
    return TorchFile::open(open_file(file)).generation();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    return std::nullopt;
  }
}

/// XORed with the base as it is, the payload is a zip file. Of a packed payload only the beginning is unpacked:
/// there local headers must stand where the base's first records have them. The first three prove nothing, for
/// the payload is zeros where tuning changed nothing, and XOR with zeros shows the base's own.
bool payload_fits(const fs::path& payload_file, const fs::path& base_file) {
  constexpr std::size_t enough = 4;
  const SourcePtr packed = open_file(payload_file), base = open_file(base_file);
  const Compression compression = detect_compression(*packed);
  if (compression == Compression::none) {
    try {
      ZipArchive::open(xor_source(packed, base));
      return true;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::input) throw;
      return false;
    }
  }
  const ZipArchive archive = ZipArchive::open(base);
  const SourcePtr decoded = xor_source(beginning_of(packed, compression, std::uint64_t{1} << 20U), base);
  if (archive.records().size() < enough) return false;
  return std::all_of(archive.records().begin(), archive.records().begin() + enough,
                     [&](const ZipRecord& record) {
                       const std::uint64_t offset = record.header_offset;
                       return offset < decoded->size() && decoded->size() - offset >= 4 &&
                              looks_like_zip(*part_of(decoded, offset, 4));
                     });
}

/// Why a Hugging Face folder cannot be taken as it is; empty when it can.
std::string why_not_as_it_is(const fs::path& folder, const std::set<std::string>& names,
                             const PayloadFiles& payload) {
  std::vector<std::string> wanted, common;
  for (const auto& [name, path] : payload) {
    if (!is_weights(name)) continue;
    wanted.push_back(name);
    if (names.contains(name)) common.push_back(name);
  }
  const bool has_weights = std::any_of(names.begin(), names.end(), is_weights);
  if (wanted.empty() || !has_weights || !names.contains("config.json")) return {};
  const bool of_a_model = std::any_of(wanted.begin(), wanted.end(), [](const std::string& name) {
    return name.starts_with("pytorch_model") || name.starts_with("model");
  });
  if (common.empty()) {
    if (!of_a_model) return {};
    const bool bin = std::any_of(names.begin(), names.end(), is_bin);
    return bin ? "cut into other shards" : "its weights are safetensors";
  }
  for (const std::string& name : common) {
    if (!is_bin(name)) continue;
    const auto generation = generation_of(folder / name);
    if (!generation || *generation == TorchGeneration::torch_1_6) continue;
    if (!payload_fits(payload.at(name), folder / name))
      return "saved by " + std::string(to_string(*generation));
  }
  return {};
}

std::string recognise(const fs::path& folder, const std::set<std::string>& names,
                      const BaseOptions& options) {
  std::vector<std::uint64_t> sizes;
  std::optional<TorchGeneration> generation;
  for (const std::string& name : names) {
    if (!name.starts_with("pytorch_model") || !is_bin(name)) continue;
    sizes.push_back(fs::file_size(folder / name));
    if (!generation) generation = generation_of(folder / name);
  }
  if (sizes.empty()) return {};
  if (names.contains("config.json")) {
    try {
      std::string known = recognise_base(Checkpoint::open(folder).config(), sizes, options.max_shard_bytes);
      if (!known.empty()) return known;
    } catch (const Error&) {
      // A damaged base is told of when it is used.
    }
  }
  return generation ? std::string(to_string(*generation)) : "no files of torch.save since 1.6";
}

}  // namespace

DecodeBase DecodeBase::open(const fs::path& path, const PayloadFiles& payload_files,
                            const DecodeBaseOptions& options) {
  std::error_code failure;
  if (!fs::exists(path, failure)) throw Error(ErrorKind::input, "the base does not exist").file(path);
  DecodeBase base;
  base.path_ = path;
  const bool folder = fs::is_directory(path, failure);
  if (folder) base.names_ = files_in(path);
  const bool meta = has_meta_shards(base.names_);
  std::string reason;
  if (!folder) {
    base.kind_ = "file of weights";
    reason = "a single file";
  } else if (meta) {
    base.kind_ = "Meta folder";
    reason = "Meta's own files";
  } else {
    base.kind_ = "Hugging Face folder";
    reason = why_not_as_it_is(path, base.names_, payload_files);
    if (reason.empty() && options.always_bring) reason = "asked for";
    base.recognised_ = recognise(path, base.names_, options.wanted);
  }
  if (reason.empty()) return base;

  base.generation_ = options.wanted.generation;
  if (!meta) base.kind_ += " (" + reason + ")";
  try {
    const Checkpoint checkpoint = Checkpoint::open(path);
    if (checkpoint.kind() == CheckpointKind::gguf || checkpoint.kind() == CheckpointKind::llama2c) {
      throw Error(ErrorKind::input, "the base is of a kind that its first bytes cannot be made from")
          .file(path)
          .found(to_string(checkpoint.kind()))
          .remedy("give Meta's folder or a Hugging Face folder");
    }
    if (base.recognised_.empty()) base.recognised_ = name_of_size(checkpoint.config());
    Plan plan = base_plan(checkpoint, options.wanted);
    base.names_.clear();
    for (FileLayout& file : plan.files) {
      base.names_.insert(file.name);
      base.layouts_.emplace(file.name, std::move(file));
    }
  } catch (Error& error) {
    error.context("bringing the base (" + reason + ") into the form that the payload was made from");
    throw;
  }
  return base;
}

SourcePtr DecodeBase::file(const std::string& name) const {
  const auto layout = layouts_.find(name);
  if (layout == layouts_.end()) return open_file(path_ / name);
  return layout_source(layout->second, path_ / name);
}

std::string DecodeBase::summary() const {
  std::string text = "base: " + kind_;
  if (!recognised_.empty()) text += ", " + recognised_;
  if (!brought()) return text + ", taken as it is";
  return text + ", brought on the fly into what transformers " + generation_.transformers_version + " and " +
         std::string(to_string(generation_.torch)) + " wrote, " +
         (generation_.inv_freq == DType::f32 ? "4" : "2") + "-byte rotary buffers";
}

}  // namespace galatea
