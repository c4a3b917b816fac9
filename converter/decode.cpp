#include "converter/decode.h"

#include <omp.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "converter/content_check.h"
#include "converter/decode_causes.h"
#include "converter/json_repair.h"
#include "converter/record_watch.h"
#include "converter/xor_codec.h"
#include "format/checked.h"
#include "format/error.h"
#include "format/zip_archive.h"
#include "verify/provenance.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path;
  std::set<std::string> files;    ///< names of regular files
  std::set<std::string> folders;  ///< names of sub-folders
};

Folder list_folder(const fs::path& path, const char* what) {
  std::error_code failure;
  if (!fs::is_directory(path, failure)) {
    throw Error(ErrorKind::input,
                std::string(what) + (fs::exists(path, failure) ? " is not a folder" : " does not exist"))
        .file(path);
  }
  Folder folder{path, {}, {}};
  fs::directory_iterator entries(path, failure);
  if (failure) throw system_error(path, "list folder", failure.value());
  for (const auto& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (name == provenance_name) continue;  // how the folder was made is no part of what it holds
    if (entry.is_directory(failure)) {
      folder.folders.insert(name);
    } else if (entry.is_regular_file(failure)) {
      folder.files.insert(name);
    } else if (!name.starts_with('.')) {
      throw Error(ErrorKind::input, "is neither a file nor a folder").file(entry.path());
    }
  }
  return folder;
}

/// Files that people put beside the payload and that are no part of it.
bool is_paper(const std::string& name) {
  for (const char* ending : {".md", ".py", ".chk", ".md5", ".sha1", ".sha256", "SUMS", "SUMS.txt"}) {
    if (name.ends_with(ending)) return true;
  }
  return name.starts_with('.') || name.starts_with("LICENSE");
}

bool has_common_file(const Folder& payload, const DecodeBase& base) {
  return std::any_of(payload.files.begin(), payload.files.end(),
                     [&](const std::string& name) { return !is_paper(name) && base.files().contains(name); });
}

/// The payload's files by name, those one folder down too: what tells how the base is to be taken.
std::map<std::string, fs::path> payload_files(const fs::path& path) {
  std::map<std::string, fs::path> files;
  const Folder payload = list_folder(path, "the payload");
  for (const std::string& name : payload.files) files.emplace(name, path / name);
  for (const std::string& folder : payload.folders) {
    if (folder.starts_with('.')) continue;
    for (const std::string& name : list_folder(path / folder, "the payload").files)
      files.emplace(name, path / folder / name);
  }
  return files;
}

/// The folder that holds the payload's files: `path` itself, or its one sub-folder that has them.
Folder payload_folder(const fs::path& path, const DecodeBase& base, std::vector<std::string>& notes) {
  Folder payload = list_folder(path, "the payload");
  if (has_common_file(payload, base)) return payload;
  std::vector<Folder> nested;
  for (const std::string& name : payload.folders) {
    if (name.starts_with('.')) continue;
    Folder candidate = list_folder(path / name, "the payload");
    if (has_common_file(candidate, base)) nested.push_back(std::move(candidate));
  }
  if (nested.size() == 1) {
    notes.push_back("the payload lies in the sub-folder " + nested[0].path.filename().string());
    return std::move(nested[0]);
  }
  if (nested.size() > 1) {
    throw Error(ErrorKind::input, "the folder has more than one payload")
        .file(path)
        .found(nested[0].path.filename().string() + ", " + nested[1].path.filename().string())
        .remedy("name the one to take");
  }
  throw Error(ErrorKind::input, "payload and base have no file name in common")
      .file(path)
      .expected("files named as in " + base.path().string())
      .remedy(base.brought()
                  ? "check that payload and base are of one model; --max-shard-size cuts the base "
                    "into other shards"
                  : "check that payload and base are the right folders, and that the base is cut into "
                    "as many shards");
}

bool is_weight_name(const std::string& name) {
  return name.ends_with(".bin") || name.ends_with(".safetensors");
}

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < 10; ++i) out += (i == 0 ? "" : ", ") + names[i];
  return names.size() > 10 ? out + ", ..." : out;
}

/// Names to process, weights first; throws when the base lacks one of them or there are sub-folders.
std::vector<std::string> names_to_process(const Folder& payload, const DecodeBase& base,
                                          const std::set<std::string>& unwanted,
                                          std::vector<std::string>& notes) {
  std::vector<std::string> names, lacking, left_out;
  for (const std::string& name : payload.files) {
    if (unwanted.contains(name)) {
      notes.push_back("left out, as was asked for: " + name);
    } else if (base.files().contains(name) || name == "added_tokens.json") {
      names.push_back(name);
    } else {
      (is_paper(name) ? left_out : lacking).push_back(name);
    }
  }
  if (!lacking.empty()) {
    const bool tokenizer = lacking == std::vector<std::string>{"tokenizer.json"};
    throw Error(ErrorKind::input, "the base lacks files that the payload has")
        .file(base.path())
        .expected(listed(lacking))
        .remedy(
            tokenizer
                ? "the base was converted without the fast tokenizer: convert it again with it"
                : "the base must be the converted original with the same shards; a file that is no part of "
                  "the payload must be moved out of its folder");
  }
  for (const std::string& name : payload.folders) {
    if (!name.starts_with('.')) {
      throw Error(ErrorKind::input, "the payload has a sub-folder, and a payload is flat")
          .file(payload.path / name);
    }
    left_out.push_back(name);
  }
  if (!left_out.empty()) notes.push_back("left out, for it is no part of the payload: " + listed(left_out));
  std::stable_partition(names.begin(), names.end(), is_weight_name);
  return names;
}

void require_other_folders(const fs::path& a, const fs::path& b) {
  std::error_code failure;
  if (fs::equivalent(a, b, failure)) {
    throw Error(ErrorKind::usage, "payload and base are the same folder").file(a);
  }
}

void refuse_lfs_pointer(const ByteSource& source) {
  constexpr std::string_view head = "version https://git-lfs.github.com/spec/";
  if (source.size() < head.size() || source.size() > 1024) return;
  if (source.read_text(1024).starts_with(head)) {
    throw Error(ErrorKind::input, "is a Git LFS pointer, not the file itself")
        .file(source.name())
        .remedy("fetch the file: git lfs pull, in the folder of the repository");
  }
}

class StepScope {
 public:
  StepScope(Progress& progress, const std::string& step) : progress_(progress) {
    progress_.begin(step, 0, "B");
  }
  StepScope(const StepScope&) = delete;
  StepScope& operator=(const StepScope&) = delete;
  ~StepScope() { progress_.end(); }

 private:
  Progress& progress_;
};

/// Chunks of 4 MiB on more threads than that would lie further apart than a StreamSource keeps.
int threads_on_streams() { return std::min(omp_get_max_threads(), 8); }

/// Decoded bytes may exceed the base's where a vocabulary grew, but not without bound.
std::uint64_t largest_output(std::uint64_t base_size) {
  return checked_add(checked_mul(base_size, 2, "size of the base"), std::uint64_t{1} << 30U,
                     "size of the base");
}

const ReleaseFile* find_file(const ReleaseFiles& files, const std::string& name) {
  const auto found =
      std::find_if(files.begin(), files.end(), [&](const ReleaseFile& f) { return f.name == name; });
  return found == files.end() ? nullptr : &*found;
}

}  // namespace

namespace {

/// Adds the decoding of one file that the base has, too.
class Decoding {
 public:
  Decoding(XorPlan& out, const DecodeOptions& options)
      : out_(out),
        options_(options),
        progress_(options.progress != nullptr ? *options.progress : silent_progress()) {}

  void add(const std::string& name, const SourcePtr& packed) {
    const SourcePtr key = out_.base->file(name);
    refuse_lfs_pointer(*key);
    const Compression compression = options_.compression.value_or(detect_compression(*packed));
    SourcePtr plain = packed;
    if (compression != Compression::none) {
      const StepScope scope(progress_, "unpacking " + name);
      plain = decompressed_source(packed, compression, largest_output(key->size()), progress_);
      out_.most_threads = threads_on_streams();
    }
    const bool made = out_.base->brought();
    // A base that is computed by rows is asked for many at once.
    const std::size_t piece_bytes = std::size_t{made ? 1024U : 256U} << 10U;
    DecodedFile file{name, plain, key, xor_source(plain, key, piece_bytes), made};
    const std::string repaired = repair(file);
    if (repaired.empty()) explain_failure(file, [&] { check_before_work(file, compression); });
    out_.files.push_back({name, false, compression, file.decoded->size(), repaired});
    out_.plan.files.push_back(layout(file));
  }

 private:
  /// How a JSON was repaired; empty when there was nothing to repair, or no way to.
  std::string repair(DecodedFile& file) {
    const ReleaseFile* expected = find_file(options_.expected, file.name);
    if (!file.name.ends_with(".json") || is_right_json(file.decoded, expected)) return {};
    auto repaired = repair_json(file, expected);
    if (!repaired) return {};
    file.base = std::move(repaired->base);
    file.decoded = std::move(repaired->decoded);
    out_.notes.push_back(file.name + " was repaired: decoded with " + repaired->how +
                         (repaired->confirmed ? ", which gives the published content"
                                              : " (no digest was given to confirm it)"));
    return repaired->how;
  }

  /// As much as can be told without reading the whole file: its tables where their place is known, else its
  /// first bytes.
  static void check_before_work(const DecodedFile& file, Compression compression) {
    check_beginning(file.name, file.decoded);
    if (!has_records(file.name)) return;
    if (file.base_is_costly) {
      if (compression == Compression::none) check_end(file.name, file.decoded);
    } else if (compression == Compression::none) {
      (void)ZipArchive::open(file.decoded);
    }
  }

  FileLayout layout(DecodedFile file) const {
    FileLayout layout;
    // By then a base that is made was read, and its tables cost nothing more.
    if (has_records(file.name)) {
      const auto watch = std::make_shared<const RecordWatch>(file.decoded);
      layout = copy_layout(file.name, watch->watched());
      file.base_is_costly = false;
      layout.check = [file, watch](const SourcePtr& finished) {
        explain_failure(file, [&] {
          check_beginning(file.name, finished);
          watch->check(finished);
        });
      };
    } else {
      layout = copy_layout(file.name, file.decoded);
      layout.check = [file](const SourcePtr& finished) {
        explain_failure(file, [&] { check_content(file.name, finished); });
      };
    }
    if (const ReleaseFile* expected = find_file(options_.expected, file.name)) {
      const ReleaseFile* of_base = find_file(options_.expected_base, file.name);
      layout.accept = [file, entry = *expected,
                       base_entry = of_base != nullptr ? std::optional(*of_base)
                                                       : std::nullopt](const WrittenFile& finished) {
        require_published(file, finished, entry, base_entry ? &*base_entry : nullptr);
      };
    }
    return layout;
  }

  XorPlan& out_;
  const DecodeOptions& options_;
  Progress& progress_;
};

}  // namespace

XorPlan plan_decode(const fs::path& payload_path, const fs::path& base_path, const DecodeOptions& options) {
  require_other_folders(payload_path, base_path);
  XorPlan out;
  out.base = DecodeBase::open(base_path, payload_files(payload_path), options.base);
  const Folder payload = payload_folder(payload_path, *out.base, out.notes);
  out.payload = payload.path;
  require_other_folders(payload.path, base_path);
  Decoding decoding(out, options);
  for (const std::string& name : names_to_process(payload, *out.base, options.leave_out, out.notes)) {
    const SourcePtr packed = open_file(payload.path / name);
    refuse_lfs_pointer(*packed);
    if (out.base->files().contains(name)) {
      decoding.add(name, packed);
    } else {
      out.files.push_back({name, true, Compression::none, packed->size(), {}});
      out.plan.files.push_back(copy_layout(name, packed));
      check_beginning(name, packed);
    }
  }
  return out;
}

XorPlan plan_encode(const fs::path& finetuned_path, const fs::path& base_path, Compression compression,
                    Progress* progress_or_null) {
  require_other_folders(finetuned_path, base_path);
  Progress& progress = progress_or_null != nullptr ? *progress_or_null : silent_progress();
  XorPlan out;
  const Folder finetuned = list_folder(finetuned_path, "the folder of fine-tuned weights");
  out.base = DecodeBase::open(base_path, {}, {});
  if (out.base->brought()) {
    throw Error(ErrorKind::input,
                "payloads are made from a converted base, and this is a " + out.base->kind())
        .file(base_path)
        .remedy("convert it first: galatea base " + base_path.string() + " BASE_FOLDER");
  }
  out.payload = finetuned.path;
  for (const std::string& name : names_to_process(finetuned, *out.base, {}, out.notes)) {
    SourcePtr source = open_file(finetuned.path / name);
    refuse_lfs_pointer(*source);
    const bool copied = !out.base->files().contains(name);
    if (!copied) {
      const SourcePtr key = out.base->file(name);
      refuse_lfs_pointer(*key);
      source = xor_source(source, key);
      if (compression != Compression::none) {
        const StepScope scope(progress, "packing " + name);
        source = compressed_source(source, compression, progress);
        out.most_threads = threads_on_streams();
      }
    }
    out.files.push_back({name, copied, copied ? Compression::none : compression, source->size(), {}});
    out.plan.files.push_back(copy_layout(name, source));
  }
  if (out.files.empty()) throw Error(ErrorKind::input, "there is nothing to encode").file(finetuned_path);
  return out;
}

}  // namespace galatea
