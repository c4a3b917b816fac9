#include "verify/structure.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>
#include <utility>

#include "format/checkpoint.h"
#include "format/llama_tensors.h"
#include "format/shard_index.h"
#include "verify/common_tensors.h"
#include "verify/structure_files.h"
#include "verify/structure_scan.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_problems = 10'000;
constexpr std::size_t zeros_named = 10;
constexpr const char* one_conversion = "index and shards belong to different conversions: take both from one";

std::string hex(std::uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "%08x", value);
  return text;
}

/// A configuration that may be right, of a model that galatea does not compute: the weights can be sound.
bool is_foreign_model(const Error& error) {
  return error.problem().starts_with("the configuration's \"") ||
         error.problem().find("which galatea does not know") != std::string::npos;
}

class Checker {
 public:
  Checker(const fs::path& path, const StructureOptions& options) : path_(path), options_(options) {}

  StructureReport run() {
    const bool folder = fs::is_directory(path_);
    if (!fs::exists(path_)) throw Error(ErrorKind::input, "there is no such file or folder").file(path_);
    if (folder) {
      check_folder();
    } else {
      check_file();
    }
    if (report_.sound() && is_model_) check_model(folder);
    if (options_.data) check_data();
    if (zeros_ > zeros_named)
      report_.notes.push_back(std::to_string(zeros_) + " tensors in all have nothing but zeros");
    for (const WeightFile& file : files_) {
      for (const std::string& note : file.notes)
        report_.notes.push_back(printable(file.path.filename().string()) + ": " + note);
    }
    return std::move(report_);
  }

 private:
  void add(StructureProblem problem) {
    if (report_.problems.size() < most_problems) report_.problems.push_back(std::move(problem));
  }
  /// A disk or a permission that fails says nothing about the file.
  void add(const Error& error) {
    if (error.kind() == ErrorKind::system) throw error;
    add(problem_of(error));
  }

  void open(const fs::path& file) {
    try {
      auto opened = open_weight_file(file);
      if (!opened) throw Error(ErrorKind::input, "is no weight file that galatea knows").file(file);
      report_.files.push_back(file);
      report_.tensors += opened->tensors.size();
      for (const Tensor& tensor : opened->tensors) report_.bytes += tensor.bytes();
      files_.push_back(*std::move(opened));
    } catch (Error& error) {
      if (error.kind() == ErrorKind::system) throw;
      add(error.file(file));
    }
  }

  void check_file() {
    const auto number = shard_number(path_.filename().string());
    if (path_.extension() == ".gguf" && number && number->count > 1 && number->count <= 10'000) {
      check_numbered({path_.filename().string()}, path_.parent_path());
      report_.kind = "GGUF";
      return;
    }
    std::optional<WeightFile> known;
    try {
      known = open_weight_file(path_);
    } catch (const Error&) {
      open(path_);  // of a known kind, and damaged
      return;
    }
    if (known) {
      open(path_);
      report_.kind = known->kind;
      return;
    }
    const Checkpoint other = Checkpoint::open(path_);  // llama2.c, or an Error that says what was looked for
    WeightFile file;
    file.path = path_;
    file.source = open_file(path_);
    file.tensors = other.tensors();
    for (std::size_t i = 0; i < file.tensors.size(); ++i) {
      file.scattered.push_back(i);
      report_.bytes += file.tensors[i].bytes();
    }
    report_.kind = std::string(to_string(other.kind()));
    report_.files.push_back(path_);
    report_.tensors = file.tensors.size();
    files_.push_back(std::move(file));
  }

  void check_folder() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_)) names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    const auto matching = [&](const char* start, const char* end) {
      std::vector<std::string> out;
      for (const std::string& name : names) {
        if (name.starts_with(start) && name.ends_with(end)) out.push_back(name);
      }
      return out;
    };
    const std::vector<std::string> meta = matching("consolidated.", ".pth");
    const std::vector<std::string> safetensors = matching("model", ".safetensors");
    const std::vector<std::string> torch = matching("pytorch_model", ".bin");
    const std::vector<std::string> gguf = matching("", ".gguf");
    check_meta(meta);
    check_hf(safetensors, "model.safetensors.index.json", "model.safetensors");
    check_hf(torch, "pytorch_model.bin.index.json", "pytorch_model.bin");
    const bool hf = !safetensors.empty() || !torch.empty() || !matching("", ".bin.index.json").empty() ||
                    !matching("", ".safetensors.index.json").empty();
    report_.kind = !meta.empty() ? "Meta folder" : hf ? "Hugging Face folder" : "GGUF";
    if (!meta.empty() || hf) return;
    if (!gguf.empty()) return check_numbered(gguf, path_);
    check_loose(names);
  }

  /// An adapter, or weight files of any names that make no model.
  void check_loose(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      for (const char* end : {".safetensors", ".bin", ".pth", ".pt"}) {
        if (name.ends_with(end)) open(path_ / name);
      }
    }
    if (files_.empty() && report_.sound()) (void)Checkpoint::open(path_);  // which says what was looked for
    report_.kind = "folder of weight files";
    is_model_ = false;
  }

  void check_meta(const std::vector<std::string>& names) {
    for (const std::string& name : names) open(path_ / name);
  }

  /// Shards of one container, by their index or their names.
  void check_hf(const std::vector<std::string>& present, const char* index_name, const char* single) {
    const bool has_index = fs::is_regular_file(path_ / index_name);
    if (!has_index) {
      if (std::find(present.begin(), present.end(), single) != present.end()) return open(path_ / single);
      return check_numbered(present, path_);
    }
    ShardIndex index;
    try {
      index = read_shard_index_file(path_ / index_name);
    } catch (Error& error) {
      add(error.file(path_ / index_name));
      for (const std::string& name : present) open(path_ / name);
      return;
    }
    const std::size_t before = files_.size();
    std::map<std::string, std::size_t> wanted;
    for (const auto& [tensor, file] : index.weight_map) ++wanted[file];
    for (const auto& [file, tensors] : wanted) {
      if (fs::is_regular_file(path_ / file)) {
        open(path_ / file);
        continue;
      }
      missing_shard(path_ / file, std::to_string(tensors) + " tensors, as " + index_name + " says");
    }
    for (const std::string& name : present) {
      if (wanted.contains(name)) continue;
      add({(path_ / name).string(),
           {},
           {},
           "there is a shard that the index does not name",
           {},
           {},
           "remove it, or take index and shards from one conversion"});
      open(path_ / name);
    }
    check_index(index, path_ / index_name, before);
  }

  void missing_shard(const fs::path& file, const std::string& expected) {
    add({file.string(), {}, {}, "a shard is missing", expected, {}, "fetch it"});
  }

  /// NAME-00001-of-0000N.EXTENSION: all N, by the names of those that are there.
  void check_numbered(const std::vector<std::string>& present, const fs::path& folder) {
    std::map<std::string, std::uint64_t> sets;  // stem -> count
    for (const std::string& name : present) {
      const auto number = shard_number(name);
      if (!number || number->count > 10'000) {
        open(folder / name);
        continue;
      }
      sets[name.substr(0, name.rfind("-of-") - 6)] = number->count;
    }
    for (const auto& [stem, count] : sets) {
      const std::string extension = fs::path(present.front()).extension().string();
      for (std::uint64_t i = 1; i <= count; ++i) {
        const fs::path file = folder / shard_file_name(stem, i, count, extension);
        if (fs::is_regular_file(file)) {
          open(file);
        } else {
          missing_shard(file, std::to_string(count) + " shards, as the names of the others say");
        }
      }
    }
  }

  void check_index(const ShardIndex& index, const fs::path& path, std::size_t before) {
    std::map<std::string, std::string> places;  // tensor -> file
    std::set<std::string> opened;
    std::uint64_t bytes = 0;
    for (std::size_t i = before; i < files_.size(); ++i) {
      const std::string name = files_[i].path.filename().string();
      opened.insert(name);
      for (const Tensor& tensor : files_[i].tensors) {
        bytes += tensor.bytes();
        places.emplace(tensor.name, name);
        if (!index.weight_map.contains(tensor.name)) {
          add({files_[i].path.string(),
               tensor.name,
               {},
               "a shard holds a tensor that the index does not name",
               {},
               {},
               one_conversion});
        }
      }
    }
    for (const auto& [tensor, file] : index.weight_map) {
      if (!opened.contains(file)) continue;  // missing or damaged, and said so
      const auto place = places.find(tensor);
      if (place != places.end() && place->second == file) continue;
      add({path.string(),
           tensor,
           {},
           "the index names a tensor that its shard does not hold",
           "in " + file,
           place == places.end() ? "in no shard" : "in " + place->second,
           one_conversion});
    }
    const bool whole = opened.size() == index.files().size();
    if (whole && index.total_size && *index.total_size != bytes) {
      report_.notes.push_back(printable(path.filename().string()) + ": total_size is " +
                              std::to_string(*index.total_size) + ", the tensors have " +
                              std::to_string(bytes) + " bytes");
    }
  }

  /// As a whole: what opens file by file may still not fit together, or lack weights.
  void check_model(bool folder) {
    try {
      const Checkpoint checkpoint = Checkpoint::open(path_);
      if (!checkpoint.has_config()) return;
      const LlamaConfig& config = checkpoint.config();
      const CommonTensors common = common_tensors(checkpoint);
      std::map<std::string_view, const Tensor*> by_name;
      for (const Tensor& tensor : common.tensors) by_name.emplace(tensor.name, &tensor);
      const bool whole = folder || checkpoint.kind() == CheckpointKind::gguf;
      for (const LlamaTensorId id : llama_tensor_order(config.layers, !config.tied_embeddings)) {
        check_weight(id, config, by_name, whole);
      }
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::system) throw;
      if (is_foreign_model(error)) {
        const StructureProblem why = problem_of(error);
        report_.notes.push_back("not checked as a model: " + why.problem +
                                (why.found.empty() ? "" : ", found " + why.found));
      } else {
        add(error);
      }
    }
  }

  void check_weight(LlamaTensorId id, const LlamaConfig& config,
                    const std::map<std::string_view, const Tensor*>& by_name, bool whole) {
    const std::string name = tensor_name(id, Naming::hf);
    const Shape shape = expected_shape(id, config);
    const auto found = by_name.find(name);
    if (found == by_name.end()) {
      if (whole) {
        add({path_.string(),
             name,
             {},
             "a weight of the model is missing",
             to_string(shape),
             {},
             "a shard is missing, or this is no whole LLaMA"});
      }
    } else if (found->second->shape != shape) {
      add({found->second->file.string(), name, found->second->offset,
           "a tensor has another shape than the configuration says", to_string(shape),
           to_string(found->second->shape),
           "weights and configuration belong to different models, or the vocabulary was resized"});
    }
  }

  void check_data() {
    const std::vector<FileScan> scans = scan_files(files_, options_);
    for (std::size_t f = 0; f < files_.size(); ++f) {
      const WeightFile& file = files_[f];
      for (std::size_t r = 0; r < file.regions.size(); ++r)
        check_sum(file, file.regions[r], scans[f].crcs[r]);
      for (std::size_t t = 0; t < file.tensors.size(); ++t) check_values(file, t, scans[f].tensors[t]);
    }
  }

  void check_sum(const WeightFile& file, const ScanRegion& region, std::uint32_t crc) {
    if (!region.crc) return;
    ++report_.records;
    if (crc == *region.crc) return;
    std::string tensors;
    for (std::size_t i = 0; i < region.spans.size() && i < 3; ++i)
      tensors += (i == 0 ? "" : ", ") + file.tensors[region.spans[i].tensor].name;
    if (region.spans.size() > 3) tensors += ", ...";
    add({file.path.string(), tensors, region.offset,
         "the data of the zip record \"" + printable(region.record) + "\" are damaged",
         "CRC-32 " + hex(*region.crc), hex(crc), "download the file again"});
  }

  void note_zeros(const Tensor& tensor) {
    if (++zeros_ <= zeros_named) report_.notes.push_back(printable(tensor.name) + " has nothing but zeros");
  }

  void check_values(const WeightFile& file, std::size_t index, const ValueCounts& counts) {
    const Tensor& tensor = file.tensors[index];
    if (counts.finite()) {
      if (counts.values > 0 && !counts.nonzero) note_zeros(tensor);
      return;
    }
    std::string found = std::to_string(counts.nan) + " NaN and " + std::to_string(counts.infinite) +
                        " infinite of " + std::to_string(counts.values) + " values, the first is value " +
                        std::to_string(counts.first);
    const TypeInfo& type = type_info(tensor.type());
    std::optional<std::uint64_t> byte = tensor.offset + counts.first / type.block_length * type.block_bytes;
    const auto& scattered = file.scattered;  // whose values lie anywhere
    if (std::find(scattered.begin(), scattered.end(), index) != scattered.end()) byte.reset();
    add({file.path.string(),
         tensor.name,
         byte,
         counts.nan > 0 ? "a tensor holds values that are no numbers" : "a tensor holds infinite values",
         {},
         std::move(found),
         "the weights were damaged before or while they were written: fetch them again"});
  }

  const fs::path& path_;
  const StructureOptions& options_;
  StructureReport report_;
  bool is_model_ = true;
  std::size_t zeros_ = 0;  ///< tensors of nothing but zeros
  std::vector<WeightFile> files_;
};

}  // namespace

StructureProblem problem_of(const Error& error) {
  const std::string_view text = error.what();
  const auto line = [&](std::string_view label) {
    const std::size_t at = text.find("\n  " + std::string(label));
    if (at == std::string_view::npos) return std::string();
    const std::size_t begin = at + 3 + label.size();
    return std::string(text.substr(begin, text.find('\n', begin) - begin));
  };
  StructureProblem out{error.file_name(),  error.tensor_name(), error.byte(),       error.problem(),
                       line("expected: "), line("found:    "),  error.remedy_text()};
  if (const std::string context = line("while "); !context.empty()) out.problem += " (" + context + ")";
  return out;
}

StructureReport check_structure(const fs::path& path, const StructureOptions& options) {
  try {
    return Checker(path, options).run();
  } catch (const fs::filesystem_error& failure) {
    throw system_error(failure.path1().empty() ? path : failure.path1(), "read the folder",
                       failure.code().value());
  }
}

}  // namespace galatea
