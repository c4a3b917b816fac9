#include "format/pickle_interpreter.h"

#include <bit>
#include <utility>

#include "format/utf8.h"

namespace galatea {

void PickleInterpreter::run() {
  for (std::uint64_t count = 0;; ++count) {
    if (count >= limits_.opcodes) throw in_.fault("the pickle has too many opcodes");
    const PickleOp op = in_.opcode();
    if (op == PickleOp::stop) break;
    step(op);
    if (const auto name = foreign_opcode_name(op); !name.empty()) foreign.emplace(name);
  }
  if (stack_.size() != 1 || !marks_.empty()) throw in_.fault("the pickle does not end with one value");
  tree.root = stack_.front();
  tree.length = in_.position();
}

void PickleInterpreter::step(PickleOp op) {
  if (!constant(op) && !container(op) && !memo(op)) object(op);
}

bool PickleInterpreter::constant(PickleOp op) {
  switch (op) {
    case PickleOp::none:
      push({});
      return true;
    case PickleOp::newtrue:
      push_integer(1, PickleKind::boolean);
      return true;
    case PickleOp::newfalse:
      push_integer(0, PickleKind::boolean);
      return true;
    case PickleOp::binint:
      push_integer(static_cast<std::int32_t>(in_.number(4)));
      return true;
    case PickleOp::binint1:
      push_integer(static_cast<std::int64_t>(in_.number(1)));
      return true;
    case PickleOp::binint2:
      push_integer(static_cast<std::int64_t>(in_.number(2)));
      return true;
    case PickleOp::long1:
      push_long(in_.number(1));
      return true;
    case PickleOp::long4:
      push_long(in_.number(4));
      return true;
    case PickleOp::binfloat: {
      PickleNode node{.kind = PickleKind::floating};
      std::uint64_t bits = 0;
      for (const std::byte byte : in_.take(8)) bits = (bits << 8U) | std::to_integer<std::uint64_t>(byte);
      node.floating = std::bit_cast<double>(bits);
      push(std::move(node));
      return true;
    }
    case PickleOp::binunicode:
      push_text(PickleKind::string, 4);
      return true;
    case PickleOp::short_binunicode:
      push_text(PickleKind::string, 1);
      return true;
    case PickleOp::binunicode8:
      push_text(PickleKind::string, 8);
      return true;
    case PickleOp::short_binbytes:
      push_text(PickleKind::bytes, 1);
      return true;
    case PickleOp::binbytes:
      push_text(PickleKind::bytes, 4);
      return true;
    case PickleOp::binbytes8:
    case PickleOp::bytearray8:
      push_text(PickleKind::bytes, 8);
      return true;
    case PickleOp::binstring:
      push_text(PickleKind::string, 4);
      return true;
    case PickleOp::short_binstring:
      push_text(PickleKind::string, 1);
      return true;
    case PickleOp::float_text:
    case PickleOp::int_text:
    case PickleOp::long_text:
    case PickleOp::string:
    case PickleOp::unicode:
      push({.kind = PickleKind::string, .text = in_.line()});
      return true;
    default:
      return false;
  }
}

bool PickleInterpreter::container(PickleOp op) {
  switch (op) {
    case PickleOp::mark:
      marks_.push_back(stack_.size());
      return true;
    case PickleOp::empty_tuple:
      push({.kind = PickleKind::tuple});
      return true;
    case PickleOp::tuple:
      push({.kind = PickleKind::tuple, .items = take_marked()});
      return true;
    case PickleOp::tuple1:
      push_tuple(1);
      return true;
    case PickleOp::tuple2:
      push_tuple(2);
      return true;
    case PickleOp::tuple3:
      push_tuple(3);
      return true;
    case PickleOp::empty_list:
      push({.kind = PickleKind::list});
      return true;
    case PickleOp::list:
      push({.kind = PickleKind::list, .items = take_marked()});
      return true;
    case PickleOp::append:
      append({pop()});
      return true;
    case PickleOp::appends:
      append(take_marked());
      return true;
    case PickleOp::empty_dict:
      push({.kind = PickleKind::dict});
      return true;
    case PickleOp::dict: {
      const std::vector<PickleId> pairs = take_marked();
      push({.kind = PickleKind::dict});
      set_items(pairs);
      return true;
    }
    case PickleOp::setitem: {
      const PickleId value = pop();
      const PickleId key = pop();
      set_items({key, value});
      return true;
    }
    case PickleOp::setitems:
      set_items(take_marked());
      return true;
    case PickleOp::empty_set:
      push({.kind = PickleKind::set});
      return true;
    case PickleOp::frozenset:
      push({.kind = PickleKind::frozenset, .items = take_marked()});
      return true;
    case PickleOp::additems: {
      auto items = take_marked();
      PickleNode& target = top();
      if (target.kind != PickleKind::set)
        throw in_.fault("the pickle adds members to something that is no set");
      target.items.insert(target.items.end(), items.begin(), items.end());
      return true;
    }
    case PickleOp::pop:
      if (!marks_.empty() && marks_.back() == stack_.size()) {
        marks_.pop_back();
      } else {
        pop();
      }
      return true;
    case PickleOp::pop_mark:
      take_marked();
      return true;
    case PickleOp::dup: {
      const PickleId id = pop();
      push_id(id);
      push_id(id);
      return true;
    }
    default:
      return false;
  }
}

bool PickleInterpreter::memo(PickleOp op) {
  switch (op) {
    case PickleOp::binput:
      memo_put(in_.number(1));
      return true;
    case PickleOp::long_binput:
      memo_put(in_.number(4));
      return true;
    case PickleOp::memoize:
      memo_put(memo_used_);
      return true;
    case PickleOp::binget:
      memo_get(in_.number(1));
      return true;
    case PickleOp::long_binget:
      memo_get(in_.number(4));
      return true;
    case PickleOp::get:
      memo_get(line_number());
      return true;
    case PickleOp::put:
      memo_put(line_number());
      return true;
    default:
      return false;
  }
}

void PickleInterpreter::object(PickleOp op) {
  switch (op) {
    case PickleOp::proto:
      tree.protocol = static_cast<int>(in_.number(1));
      check_protocol();
      return;
    case PickleOp::frame: {
      const std::uint64_t length = in_.number(8);
      if (length > in_.left()) throw in_.fault("a frame of the pickle ends past its end");
      return;
    }
    case PickleOp::global: {
      std::string module = in_.line();
      push({.kind = PickleKind::global, .text = std::move(module), .name = in_.line()});
      return;
    }
    case PickleOp::stack_global: {
      const PickleNode& name = tree[pop()];
      const PickleNode& module = tree[pop()];
      if (name.kind != PickleKind::string || module.kind != PickleKind::string)
        throw in_.fault("a class of the pickle is named by something else than text");
      push({.kind = PickleKind::global, .text = module.text, .name = name.text});
      return;
    }
    case PickleOp::reduce: {
      const PickleId args = pop();
      push_call(pop(), args, false);
      return;
    }
    case PickleOp::newobj: {
      const PickleId args = pop();
      push_call(pop(), args, true);
      return;
    }
    case PickleOp::newobj_ex: {
      pop();
      const PickleId args = pop();
      push_call(pop(), args, true);
      return;
    }
    case PickleOp::inst: {
      std::string module = in_.line();
      std::string name = in_.line();
      const PickleId args = add({.kind = PickleKind::tuple, .items = take_marked()});
      push_call(add({.kind = PickleKind::global, .text = std::move(module), .name = std::move(name)}), args,
                false);
      return;
    }
    case PickleOp::obj: {
      auto items = take_marked();
      if (items.empty()) throw in_.fault("an object of the pickle has no class");
      const PickleId callable = items.front();
      items.erase(items.begin());
      push_call(callable, add({.kind = PickleKind::tuple, .items = std::move(items)}), false);
      return;
    }
    case PickleOp::build:
      build();
      return;
    case PickleOp::binpersid:
      push({.kind = PickleKind::persistent, .args = pop()});
      return;
    case PickleOp::persid: {
      const PickleId id = add({.kind = PickleKind::string, .text = in_.line()});
      push({.kind = PickleKind::persistent, .args = id});
      return;
    }
    case PickleOp::ext1:
      push_extension(1);
      return;
    case PickleOp::ext2:
      push_extension(2);
      return;
    case PickleOp::ext4:
      push_extension(4);
      return;
    case PickleOp::next_buffer:
      push({});
      return;
    case PickleOp::readonly_buffer:
      top();
      return;
    default:
      break;
  }
  throw in_.fault("unknown pickle opcode").found(std::to_string(static_cast<unsigned>(op)));
}

void PickleInterpreter::check_protocol() const {
  if (tree.protocol > 5) {
    throw in_.fault("the pickle has a newer protocol than any known")
        .expected("at most 5")
        .found(std::to_string(tree.protocol));
  }
}

PickleId PickleInterpreter::add(PickleNode node) {
  if (tree.nodes.size() >= limits_.nodes) throw in_.fault("the pickle holds too many values");
  return tree.add(std::move(node));
}

void PickleInterpreter::push_id(PickleId id) {
  if (stack_.size() >= limits_.nodes) throw in_.fault("the stack of the pickle is too deep");
  stack_.push_back(id);
}

void PickleInterpreter::push_integer(std::int64_t value, PickleKind kind) {
  push({.kind = kind, .integer = value});
}

void PickleInterpreter::push_long(std::uint64_t width) {
  if (width > limits_.integer_bytes)
    throw in_.fault("an integer of the pickle is too long").found(std::to_string(width) + " bytes");
  if (width > 8) return push({.kind = PickleKind::big_integer, .text = in_.text(width)});
  const auto bytes = in_.take(width);
  std::uint64_t value = LittleEndian(bytes).u64(0);
  if (width > 0 && width < 8 && (value >> (8 * width - 1)) != 0) value |= ~std::uint64_t{0} << (8 * width);
  push_integer(static_cast<std::int64_t>(value));
}

void PickleInterpreter::push_text(PickleKind kind, std::size_t width) {
  const std::uint64_t length = in_.number(width);
  std::string text = in_.text(length);
  if (kind == PickleKind::string && !is_utf8(text))
    throw in_.fault("a text of the pickle is not valid UTF-8");
  push({.kind = kind, .text = std::move(text)});
}

void PickleInterpreter::push_tuple(std::size_t count) {
  if (free_values() < count) throw underflow();
  PickleNode node{.kind = PickleKind::tuple};
  node.items.assign(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  push(std::move(node));
}

void PickleInterpreter::push_call(PickleId callable, PickleId args, bool new_object) {
  push({.kind = PickleKind::call, .callable = callable, .args = args, .new_object = new_object});
}

void PickleInterpreter::push_extension(std::size_t width) {
  push({.kind = PickleKind::global,
        .text = "copyreg",
        .name = "extension_" + std::to_string(in_.number(width))});
}

PickleId PickleInterpreter::pop() {
  if (free_values() == 0) throw underflow();
  const PickleId id = stack_.back();
  stack_.pop_back();
  return id;
}

PickleNode& PickleInterpreter::top() {
  if (free_values() == 0) throw underflow();
  return tree.nodes[stack_.back()];
}

std::vector<PickleId> PickleInterpreter::take_marked() {
  if (marks_.empty()) throw in_.fault("the pickle lacks a mark");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<PickleId> out(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return out;
}

void PickleInterpreter::append(const std::vector<PickleId>& items) {
  PickleNode& target = top();
  if (target.kind != PickleKind::list && target.kind != PickleKind::call)
    throw in_.fault("the pickle appends to something that is no list");
  target.items.insert(target.items.end(), items.begin(), items.end());
}

void PickleInterpreter::set_items(const std::vector<PickleId>& pairs) {
  if (pairs.size() % 2 != 0) throw in_.fault("a dict of the pickle has a key without a value");
  PickleNode& target = top();
  if (target.kind != PickleKind::dict && target.kind != PickleKind::call)
    throw in_.fault("the pickle sets members of something that is no dict");
  target.pairs.insert(target.pairs.end(), pairs.begin(), pairs.end());
}

void PickleInterpreter::build() {
  const PickleId state = pop();
  PickleNode& target = top();
  if (target.kind != PickleKind::call || target.state != no_pickle) {
    foreign.emplace("BUILD of what has no state");
  } else {
    target.state = state;
  }
}

void PickleInterpreter::memo_put(std::uint64_t index) {
  if (index >= limits_.nodes)
    throw in_.fault("a memo number of the pickle is too high").found(std::to_string(index));
  top();
  if (index >= memo_.size()) memo_.resize(static_cast<std::size_t>(index) + 1, no_pickle);
  if (memo_[static_cast<std::size_t>(index)] == no_pickle) ++memo_used_;
  memo_[static_cast<std::size_t>(index)] = stack_.back();
}

void PickleInterpreter::memo_get(std::uint64_t index) {
  if (index >= memo_.size() || memo_[static_cast<std::size_t>(index)] == no_pickle)
    throw in_.fault("the pickle asks its memo for what is not there").found(std::to_string(index));
  push_id(memo_[static_cast<std::size_t>(index)]);
}

std::uint64_t PickleInterpreter::line_number() {
  const std::string digits = in_.line();
  if (digits.empty() || digits.size() > 9 || digits.find_first_not_of("0123456789") != std::string::npos)
    throw in_.fault("a memo number of the pickle is no number");
  return std::stoull(digits);
}

}  // namespace galatea
