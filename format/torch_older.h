// The kinds of torch files from before torch 1.6, which are recognised only to be refused by name.
//
//   since 0.1.10   five pickles one after another (magic number, protocol, system, values, keys), then the
//                  storages
//   before that    a tar archive of pickles
#pragma once

#include "format/source.h"

namespace galatea {

bool is_older_torch(const ByteSource& source);

/// Throws Error(input) for these kinds, for bare pickles and for files that are no zip archive. Pickles are
/// looked through: what they ask for beyond tensors is listed.
void refuse_older_torch(const ByteSource& source);

}  // namespace galatea
