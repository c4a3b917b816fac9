#include "converter/decode_causes.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "converter/content_check.h"
#include "converter/hf_folder.h"
#include "converter/hf_side_files.h"
#include "converter/json_repair.h"
#include "converter/xor_codec.h"
#include "format/error.h"
#include "format/torch_file.h"
#include "format/zip_archive.h"
#include "verify/compare.h"

namespace galatea {
namespace {

constexpr std::uint64_t text_limit = std::uint64_t{16} << 20U;
constexpr const char* convert_again =
    "convert the base again with the tools of spring 2023 (transformers 4.28.0.dev0, torch 1.13.1), or with "
    "galatea base and the --profile of that version";

bool is_right(const std::string& name, const SourcePtr& content) {
  try {
    check_beginning(name, content);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string without_cr(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r' || i + 1 == text.size() || text[i + 1] != '\n') out += text[i];
  }
  return out;
}

std::optional<DecodeCause> text_cause(const DecodedFile& file) {
  if (file.payload->size() > text_limit || file.base->size() > text_limit) return std::nullopt;
  const std::string payload = file.payload->read_text(text_limit), base = file.base->read_text(text_limit);
  const auto decodes = [&](const std::string& a, const std::string& b) {
    return is_right(file.name, xor_source(memory_source(a, file.name), memory_source(b, file.name)));
  };
  const std::string repaired = without_cr(payload);
  if (repaired.size() != payload.size() && decodes(repaired, base)) {
    return DecodeCause{"the line ends of the payload's file were turned into CR LF, as git on Windows does",
                       "fetch the payload again with git config core.autocrlf false, or on another system"};
  }
  const std::string repaired_base = without_cr(base);
  if (repaired_base.size() != base.size() && decodes(payload, repaired_base)) {
    return DecodeCause{"the line ends of the base's file were turned into CR LF, as git on Windows does",
                       "convert or fetch the base again without changing line ends"};
  }
  for (const std::string_view version : transformers_versions_of_2023()) {
    const auto restamped = with_version(base, version);
    if (restamped && *restamped != base && decodes(payload, *restamped)) {
      return DecodeCause{"the base was converted by transformers " + version_in(base) +
                             ", the one that the payload was made from by another version (" +
                             std::string(version) + " would fit)",
                         convert_again};
    }
  }
  if (const std::string version = version_in(base); !version.empty()) {
    return DecodeCause{
        "the base's file has another content than the one the payload was made from; it was written by "
        "transformers " +
            version,
        std::string(convert_again) + "; --leave-out " + file.name + " decodes the other files"};
  }
  return std::nullopt;
}

bool has_two_byte_rotary_tables(const SourcePtr& base) {
  try {
    const TorchFile file = TorchFile::open(base);
    return std::any_of(file.tensors().begin(), file.tensors().end(), [](const Tensor& tensor) {
      return is_inv_freq(tensor.name) && type_info(tensor.type()).block_bytes == 2;
    });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    return false;
  }
}

/// Where base and payload part: the first tensor of the base before which the decoded file lacks the header
/// of a record. Empty when there is none, or when the base's tables cannot be read.
std::string first_failing_tensor(const DecodedFile& file) {
  try {
    const TorchFile base = TorchFile::open(file.base);
    for (const Tensor& tensor : base.all_tensors()) {
      const auto& records = base.archive().records();
      const auto record = std::find_if(records.begin(), records.end(), [&](const ZipRecord& candidate) {
        return tensor.offset >= candidate.data_offset &&
               tensor.offset - candidate.data_offset < candidate.size;
      });
      if (record == records.end()) continue;
      const std::uint64_t header = record->header_offset;
      const bool within = header < file.decoded->size() && file.decoded->size() - header >= 4;
      if (!within || !looks_like_zip(*part_of(file.decoded, header, 4))) return tensor.name;
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
  }
  return {};
}

std::optional<DecodeCause> container_cause(const DecodedFile& file) {
  if (!looks_like_zip(*file.base)) {
    return DecodeCause{"the base's file is no zip file of torch.save (a legacy file, or another format)",
                       convert_again};
  }
  std::optional<ZipArchive> archive;
  try {
    archive = ZipArchive::open(file.base);
  } catch (const Error& error) {
    return DecodeCause{"the base's file is itself damaged: " + error.problem(),
                       "convert or fetch the base again"};
  }
  for (const ZipRecord& record : archive->records()) {
    const std::string_view name = record.name;
    if (name.ends_with("/byteorder") || name.ends_with("/.data/serialization_id")) {
      return DecodeCause{"the base was saved by torch 2.1 or later, whose files have more records",
                         convert_again};
    }
  }
  const std::string folder = archive->records().empty() ? "" : archive->records().front().name;
  if (folder.starts_with("archive/") && file.name != "archive.bin") {
    return DecodeCause{"the base was saved through a Python file object (its records lie in \"archive/\")",
                       convert_again};
  }
  if (has_two_byte_rotary_tables(file.base)) {
    return DecodeCause{
        "the base has rotary tables (inv_freq) of 2-byte numbers; the releases were made from 4-byte ones",
        "give --profile pygmalion, which makes the base with 4-byte ones on the fly"};
  }
  return std::nullopt;
}

/// Record sizes of a base of the right container tell nothing more; whether it is sound does.
std::optional<DecodeCause> damage_of_base(const DecodedFile& file) {
  try {
    check_content(file.name, file.base);
    return std::nullopt;
  } catch (const Error& error) {
    return DecodeCause{"the base's file is itself damaged: " + error.problem(),
                       "convert or fetch the base again"};
  }
}

bool opens_as_zip(const SourcePtr& source) {
  try {
    ZipArchive::open(source);
    return true;
  } catch (const Error&) {
    return false;
  }
}

bool is_weights(const std::string& name) { return name.ends_with(".bin"); }

/// Whether the base's file is the one that was published, in a sentence.
std::string verdict_on_base(const DecodedFile& file, const ReleaseFile& entry) {
  const FileCheck check =
      judge_content(entry, file.base->size(), digest_source(*file.base, kinds_needed(entry)));
  switch (check.status) {
    case FileStatus::ok:
      return "the base's file is the published one: the payload is damaged, or of another revision than the "
             "digests";
    case FileStatus::alternate:
      return "the base's file is an alternate one: " + check.detail;
    case FileStatus::not_listed:
      return "of the base's file no digest was published: compare the other files of the base";
    default:
      return "the base's file " + file.base->name().string() + " is not the published one" +
             (check.detail.empty() ? "" : ": " + check.detail) +
             (check.remedy.empty() ? "" : "; " + check.remedy);
  }
}

}  // namespace

DecodeCause find_cause(const DecodedFile& file) {
  if (all_zero(*file.decoded)) {
    return {"payload and base have the same file, so their XOR is all zeros: the payload's is the plain file",
            "take the base's own " + file.name + " in its place"};
  }
  if (is_right(file.name, file.payload)) {
    return {"the payload's file is the plain file and not its XOR", "take it as it is"};
  }
  if (is_weights(file.name)) {
    if (file.base_is_costly) {
      return {
          "payload and base do not belong together: the payload was made from weights of another container "
          "or model",
          "check that they are of one release; --profile chooses the generation"};
    }
    if (auto cause = container_cause(file)) return *std::move(cause);
    if (auto cause = damage_of_base(file)) return *std::move(cause);
    if (opens_as_zip(file.decoded)) {
      // CRC-32 is linear: sound weights XORed with a payload of sound weights keep right CRCs,
      // whatever they were.
      return {"the payload's file is damaged", "fetch the payload again"};
    }
    return {
        "the base's file is laid out otherwise than the one the payload was made from (other sizes of its "
        "tensors, "
        "number type, or version of torch), or the payload is damaged",
        std::string(convert_again) + "; compare its size with the published one"};
  }
  if (auto cause = text_cause(file)) return *std::move(cause);
  return {"the base's file is not the one the payload was made from", convert_again};
}

void explain_failure(const DecodedFile& file, const std::function<void()>& check) {
  try {
    check();
  } catch (Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    const DecodeCause cause = find_cause(file);
    if (is_weights(file.name) && !file.base_is_costly && error.tensor_name().empty()) {
      if (const std::string tensor = first_failing_tensor(file); !tensor.empty()) error.tensor(tensor);
    }
    error.context("decoding " + file.payload->name().string() + " with " + file.base->name().string());
    error.replace_remedy("likely cause: " + cause.cause + "; " + cause.remedy);
    throw;
  }
}

void require_published(const DecodedFile& file, const WrittenFile& written, const ReleaseFile& expected,
                       const ReleaseFile* base_entry) {
  const FileCheck check = judge_content(expected, written.size, written.digests);
  if (!check.failed) return;
  Error error(ErrorKind::check_failed, "the decoded file is not the published one");
  error.file(file.name).expected(check.expected);
  error.found(check.found + ", " + std::to_string(check.size) + " bytes" +
              (check.detail.empty() ? "" : "; " + check.detail));
  if (!check.remedy.empty()) {
    error.remedy(check.remedy);
  } else if (base_entry != nullptr) {
    error.remedy(verdict_on_base(file, *base_entry));
  } else {
    error.remedy("compare the base with its published digests (galatea verify BASE --release NAME)");
  }
  throw error;
}

}  // namespace galatea
