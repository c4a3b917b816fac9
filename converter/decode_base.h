// The base of an XOR payload: the files that it is XORed with, as they lie in a folder or made while they are
// read.
//
//   given                                            taken
//   Hugging Face folder of torch 1.6 to 2.0, or      as it is, byte for byte
//   of a newer torch that the payload fits
//   Meta folder, safetensors, Hugging Face folder    brought into the generation asked for, on the fly: the bytes
//   of another torch, or cut into other shards       that `galatea base` would write (base.h, layout_source.h)
//
// Which it is to be can be said; else the payload's names and the beginnings of its weights decide.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "converter/base.h"
#include "format/plan.h"
#include "format/source.h"

namespace galatea {

struct DecodeBaseOptions {
  BaseOptions wanted;         ///< what a base that is made on the fly is to be
  bool always_bring = false;  ///< even a folder that could be taken as it is
};

class DecodeBase {
 public:
  /// `payload_files` are the files of the payload, by name. Throws Error(input) when `path` is nothing that
  /// could be a base, or lacks what making one needs (tokenizer.model, params.json).
  static DecodeBase open(const std::filesystem::path& path,
                         const std::map<std::string, std::filesystem::path>& payload_files,
                         const DecodeBaseOptions& options);

  const std::filesystem::path& path() const { return path_; }
  const std::set<std::string>& files() const { return names_; }
  /// The bytes of one of files().
  SourcePtr file(const std::string& name) const;

  /// True when the files are made while they are read.
  bool brought() const { return !layouts_.empty(); }
  /// "Meta folder", "Hugging Face folder of safetensors", ...
  const std::string& kind() const { return kind_; }
  /// What it is by the sizes of its weights and their container: "LLaMA 13B, torch 1.6 to 2.0, 4-byte rotary
  /// buffers", or what of that is known; may be empty.
  const std::string& recognised() const { return recognised_; }
  /// The generation of files that are made.
  const HfGeneration& generation() const { return generation_; }
  /// One line for people.
  std::string summary() const;

 private:
  std::filesystem::path path_;
  std::set<std::string> names_;
  std::map<std::string, FileLayout> layouts_;
  std::string kind_, recognised_;
  HfGeneration generation_ = hf_generations().front();
};

}  // namespace galatea
