// Is a file what its name says? The XOR of files that do not belong together gives bytes without sense, and
// this tells without any published digest.
//
//   *.bin *.pth *.pt      a zip file as torch.save writes it, every record's CRC-32 right
//   *.json                JSON
//   tokenizer.model       a SentencePiece model (so not all zeros)
//   *.safetensors         a safetensors file
//   others                nothing is known of them
//
// What it cannot tell: a base of the same container, shapes and types with other weights. CRC-32 is linear,
// so the XOR of an odd number of sound files of one layout is sound again; and as the payload's high bits are
// mostly zero, the values look like weights, too. Only digests tell.
#pragma once

#include <string_view>

#include "format/source.h"

namespace galatea {

/// Throws Error(input) saying what is wrong with the content; several threads read large files. `name` is the
/// file's name, which may differ from that of `content`.
void check_content(std::string_view name, const SourcePtr& content);

/// The part of check_content that needs only a few bytes of a large file, and all of a small one.
void check_beginning(std::string_view name, const SourcePtr& content);

/// Throws Error(input) when a file of torch.save does not end as one: for a file whose last bytes are cheap to
/// read and whose tables are not.
void check_end(std::string_view name, const SourcePtr& content);

/// Files of this name consist of records with CRC-32s (*.bin, *.pth, *.pt): see record_watch.h.
bool has_records(std::string_view name);

/// All bytes are zero (and there are any). Reads until the first that is not.
bool all_zero(const ByteSource& content);

}  // namespace galatea
