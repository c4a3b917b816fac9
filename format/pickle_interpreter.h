// The stack machine of pickles, which calls nothing: calls become nodes.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "format/pickle.h"
#include "format/pickle_bytes.h"

namespace galatea {

class PickleInterpreter {
 public:
  PickleInterpreter(PickleBytes& in, const PickleLimits& limits) : in_(in), limits_(limits) {}

  /// Follows the opcodes up to STOP. When it throws, `tree` holds what was asked for until then.
  void run();

  PickleTree tree;
  std::set<std::string> foreign;  ///< opcodes and uses of opcodes that torch never writes

 private:
  // One step, by kind of opcode; false when it is none of that kind.
  void step(PickleOp op);
  bool constant(PickleOp op);
  bool container(PickleOp op);
  bool memo(PickleOp op);
  void object(PickleOp op);
  void check_protocol() const;

  PickleId add(PickleNode node);
  void push_id(PickleId id);
  void push(PickleNode node) { push_id(add(std::move(node))); }
  void push_integer(std::int64_t value, PickleKind kind = PickleKind::integer);
  void push_long(std::uint64_t width);
  void push_text(PickleKind kind, std::size_t width);
  void push_tuple(std::size_t count);
  void push_call(PickleId callable, PickleId args, bool new_object);
  void push_extension(std::size_t width);

  Error underflow() const { return in_.fault("the pickle takes more values than there are"); }
  /// Values above the last mark.
  std::size_t free_values() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  PickleId pop();
  PickleNode& top();
  std::vector<PickleId> take_marked();

  void append(const std::vector<PickleId>& items);
  void set_items(const std::vector<PickleId>& pairs);
  void build();
  void memo_put(std::uint64_t index);
  void memo_get(std::uint64_t index);
  std::uint64_t line_number();

  PickleBytes& in_;
  const PickleLimits& limits_;
  std::vector<PickleId> stack_;
  std::vector<std::size_t> marks_;  ///< heights of the stack
  std::vector<PickleId> memo_;
  std::uint64_t memo_used_ = 0;
};

}  // namespace galatea
