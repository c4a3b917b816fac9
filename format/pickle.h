// Python pickles as data. Nothing of a pickle is ever executed: calls, classes and attributes become nodes of
// a tree that say what the pickle asked for.
//
//   opcodes  what torch.save writes with protocols 2 to 5
//   PROTO 80 n   STOP .   MARK (   FRAME 95 len8                                        frame
//   NONE N  NEWTRUE 88  NEWFALSE 89  BININT J i4  BININT1 K u1  BININT2 M u2
//   LONG1 8a u1  LONG4 8b i4  BINFLOAT G f8 (big-endian)                                numbers
//   BINUNICODE X u4  SHORT_BINUNICODE 8c u1  BINUNICODE8 8d u8
//   SHORT_BINBYTES C u1  BINBYTES B u4  BINBYTES8 8e u8                                 text, bytes
//   EMPTY_TUPLE )  TUPLE t  TUPLE1..3 85 86 87  EMPTY_LIST ]  APPEND a  APPENDS e
//   EMPTY_DICT }  SETITEM s  SETITEMS u  EMPTY_SET 8f  ADDITEMS 90  FROZENSET 91        containers
//   BINPUT q u1  LONG_BINPUT r u4  MEMOIZE 94  BINGET h u1  LONG_BINGET j u4            memo
//   GLOBAL c module\n name\n  STACK_GLOBAL 93  REDUCE R  BUILD b  NEWOBJ 81             classes and calls
//   BINPERSID Q                                                                         storages
//
// The other opcodes (of text protocols, INST, OBJ, the extension registry ...) are followed so far that the
// message can say what the pickle asked for, and then refused. Source: Python's pickletools.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace galatea {

/// A node's place in PickleTree::nodes: its identity, as a memo shares it.
using PickleId = std::uint32_t;
inline constexpr PickleId no_pickle = 0xFFFFFFFF;

enum class PickleKind : std::uint8_t {
  none,
  boolean,
  integer,
  big_integer,
  floating,
  string,
  bytes,
  list,
  tuple,
  dict,
  set,
  frozenset,
  global,      ///< a class or function, by name
  call,        ///< callable(args), not called
  persistent,  ///< a storage, by its id
};

struct PickleNode {
  PickleKind kind = PickleKind::none;
  std::int64_t integer = 0;  ///< boolean: 0 or 1
  double floating = 0;
  /// string: UTF-8. bytes: as they are. global: the module. big_integer: two's complement, little-endian.
  std::string text{};
  std::string name{};             ///< global: the name in its module
  std::vector<PickleId> items{};  ///< list, tuple, set: the members; call: what was appended to its result
  std::vector<PickleId> pairs{};  ///< dict: key, value, key, value ...; call: what was set in its result
  PickleId callable = no_pickle, args = no_pickle;  ///< call; persistent: args is the id
  PickleId state = no_pickle;                       ///< call: what BUILD would give its result
  bool new_object = false;                          ///< call: NEWOBJ, callable.__new__(callable, *args)

  bool is_global(std::string_view module, std::string_view attribute) const {
    return kind == PickleKind::global && text == module && name == attribute;
  }
};

struct PickleTree {
  std::vector<PickleNode> nodes;
  PickleId root = no_pickle;
  int protocol = 0;
  std::uint64_t length = 0;  ///< bytes up to and with STOP

  const PickleNode& operator[](PickleId id) const { return nodes[id]; }
  PickleId add(PickleNode node);
  // Nodes for writers.
  PickleId add_integer(std::int64_t value);
  PickleId add_boolean(bool value);
  PickleId add_string(std::string_view value);
  PickleId add_tuple(std::vector<PickleId> items);
  PickleId add_global(std::string_view module, std::string_view name);
  PickleId add_call(PickleId callable, PickleId args);
  PickleId add_persistent(PickleId id);
};

struct PickleLimits {
  std::uint64_t bytes = std::uint64_t{64} << 20U;
  std::uint64_t opcodes = 8'000'000;
  std::uint64_t nodes = 1'000'000;    ///< also of the memo and of the stack
  std::uint64_t integer_bytes = 256;  ///< of one integer
};

/// Says whether a pickle may name `module`.`name`.
using PickleAllows = std::function<bool(std::string_view module, std::string_view name)>;

/// Interprets one pickle at the start of `bytes`. `file` and `origin` (the byte of the file where `bytes`
/// start) are for errors. Throws Error(input): damaged, beyond the limits, or asking for what `allows`
/// refuses; then the message lists what was asked for, arguments included: "os.system('rm -rf /')".
PickleTree read_pickle(std::span<const std::byte> bytes, const std::filesystem::path& file,
                       std::uint64_t origin, const PickleAllows& allows, const PickleLimits& limits = {});

/// A node as Python would show it, cut to about `limit` characters: "collections.OrderedDict()".
std::string describe(const PickleTree& tree, PickleId id, std::size_t limit = 200);

/// The digits of an integer or big_integer node.
std::string integer_digits(const PickleNode& node);

}  // namespace galatea
