#include "converter/decode.h"

#include <omp.h>

#include <algorithm>
#include <set>
#include <utility>

#include "converter/content_check.h"
#include "converter/decode_causes.h"
#include "converter/xor_codec.h"
#include "format/checked.h"
#include "format/error.h"
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

bool has_common_file(const Folder& payload, const Folder& base) {
  return std::any_of(payload.files.begin(), payload.files.end(),
                     [&](const std::string& name) { return !is_paper(name) && base.files.contains(name); });
}

Folder base_folder(const fs::path& path) {
  Folder base = list_folder(path, "the base");
  for (const std::string& name : base.files) {
    if (!name.starts_with("consolidated.") || !name.ends_with(".pth")) continue;
    throw Error(ErrorKind::input,
                "the base is a folder of Meta's files; the payload was made from converted ones")
        .file(path)
        .remedy("convert it first: galatea base " + path.string() + " BASE_FOLDER");
  }
  return base;
}

/// The folder that holds the payload's files: `path` itself, or its one sub-folder that has them.
Folder payload_folder(const fs::path& path, const Folder& base, std::vector<std::string>& notes) {
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
      .expected("files named as in " + base.path.string())
      .remedy(
          "check that payload and base are the right folders, and that the base is cut into as many shards");
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
std::vector<std::string> names_to_process(const Folder& payload, const Folder& base,
                                          std::vector<std::string>& notes) {
  std::vector<std::string> names, lacking, left_out;
  for (const std::string& name : payload.files) {
    if (base.files.contains(name) || name == "added_tokens.json") {
      names.push_back(name);
    } else {
      (is_paper(name) ? left_out : lacking).push_back(name);
    }
  }
  if (!lacking.empty()) {
    const bool tokenizer = lacking == std::vector<std::string>{"tokenizer.json"};
    throw Error(ErrorKind::input, "the base lacks files that the payload has")
        .file(base.path)
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

XorPlan plan_decode(const fs::path& payload_path, const fs::path& base_path, const DecodeOptions& options) {
  require_other_folders(payload_path, base_path);
  Progress& progress = options.progress != nullptr ? *options.progress : silent_progress();
  XorPlan out;
  const Folder base = base_folder(base_path);
  const Folder payload = payload_folder(payload_path, base, out.notes);
  out.payload = payload.path;
  require_other_folders(payload.path, base_path);
  for (const std::string& name : names_to_process(payload, base, out.notes)) {
    const SourcePtr packed = open_file(payload.path / name);
    refuse_lfs_pointer(*packed);
    if (!base.files.contains(name)) {
      out.files.push_back({name, true, Compression::none, packed->size()});
      out.plan.files.push_back(copy_layout(name, packed));
      check_beginning(name, packed);
      continue;
    }
    const SourcePtr key = open_file(base.path / name);
    refuse_lfs_pointer(*key);
    const Compression compression = options.compression.value_or(detect_compression(*packed));
    SourcePtr plain = packed;
    if (compression != Compression::none) {
      const StepScope scope(progress, "unpacking " + name);
      plain = decompressed_source(packed, compression, largest_output(key->size()), progress);
      out.most_threads = threads_on_streams();
    }
    const SourcePtr decoded = xor_source(plain, key);
    const DecodedFile file{name, plain, key, decoded};
    explain_failure(file, [&] { check_beginning(name, decoded); });
    out.files.push_back({name, false, compression, decoded->size()});
    out.plan.files.push_back(copy_layout(name, decoded));
    out.plan.files.back().check = [file](const SourcePtr& finished) {
      explain_failure(file, [&] { check_content(file.name, finished); });
    };
    if (const ReleaseFile* expected = find_file(options.expected, name)) {
      const ReleaseFile* of_base = find_file(options.expected_base, name);
      out.plan.files.back().accept =
          [file, entry = *expected, base_entry = of_base != nullptr ? std::optional(*of_base) : std::nullopt](
              const WrittenFile& finished) {
            require_published(file, finished, entry, base_entry ? &*base_entry : nullptr);
          };
    }
  }
  return out;
}

XorPlan plan_encode(const fs::path& finetuned_path, const fs::path& base_path, Compression compression,
                    Progress* progress_or_null) {
  require_other_folders(finetuned_path, base_path);
  Progress& progress = progress_or_null != nullptr ? *progress_or_null : silent_progress();
  XorPlan out;
  const Folder base = base_folder(base_path);
  const Folder finetuned = list_folder(finetuned_path, "the folder of fine-tuned weights");
  out.payload = finetuned.path;
  for (const std::string& name : names_to_process(finetuned, base, out.notes)) {
    SourcePtr source = open_file(finetuned.path / name);
    refuse_lfs_pointer(*source);
    const bool copied = !base.files.contains(name);
    if (!copied) {
      const SourcePtr key = open_file(base.path / name);
      refuse_lfs_pointer(*key);
      source = xor_source(source, key);
      if (compression != Compression::none) {
        const StepScope scope(progress, "packing " + name);
        source = compressed_source(source, compression, progress);
        out.most_threads = threads_on_streams();
      }
    }
    out.files.push_back({name, copied, copied ? Compression::none : compression, source->size()});
    out.plan.files.push_back(copy_layout(name, source));
  }
  if (out.files.empty()) throw Error(ErrorKind::input, "there is nothing to encode").file(finetuned_path);
  return out;
}

}  // namespace galatea
