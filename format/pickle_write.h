// Writing pickles as Python's own pickler (the C one, protocol 2) does, byte for byte.
//
// Every container, text, class and call gets the next memo number when it is first written (BINPUT below 256,
// LONG_BINPUT from there on) and is asked back from the memo (BINGET, LONG_BINGET) each time its node turns
// up again: nodes that are shared in the tree are shared in the pickle. None, booleans, numbers, () and
// persistent values are written anew each time. Members of dicts and lists come in batches of 1000.
// So a tree from read_pickle() gives the bytes that it was read from, when the C pickler had written them.
#pragma once

#include <cstddef>
#include <vector>

#include "format/pickle.h"

namespace galatea {

/// The pickle of tree.root. Throws Error(input) when the tree is nested beyond 500 levels, Error(usage) for
/// bytes and sets, which protocol 2 has no opcodes for.
std::vector<std::byte> write_pickle(const PickleTree& tree);

}  // namespace galatea
