// Pickle nodes as text for people.
#include <algorithm>

#include "format/error.h"
#include "format/pickle.h"
#include "format/python_json.h"

namespace galatea {
namespace {

constexpr int deepest = 6;

class Describer {
 public:
  Describer(const PickleTree& tree, std::size_t limit) : tree_(tree), limit_(limit) {}

  void node(PickleId id, int depth) {
    if (full()) return;
    const PickleNode& node = tree_[id];
    if (depth > deepest) {
      out_ += "...";
      return;
    }
    switch (node.kind) {
      case PickleKind::none:
        out_ += "None";
        return;
      case PickleKind::boolean:
        out_ += node.integer != 0 ? "True" : "False";
        return;
      case PickleKind::integer:
      case PickleKind::big_integer:
        out_ += integer_digits(node);
        return;
      case PickleKind::floating:
        out_ += python_float_repr(node.floating);
        return;
      case PickleKind::string:
        quoted(node.text);
        return;
      case PickleKind::bytes:
        out_ += "b";
        quoted(node.text);
        return;
      case PickleKind::list:
        list("[", node.items, "]", depth);
        return;
      case PickleKind::tuple:
        list("(", node.items, node.items.size() == 1 ? ",)" : ")", depth);
        return;
      case PickleKind::set:
        list("{", node.items, "}", depth);
        return;
      case PickleKind::frozenset:
        list("frozenset({", node.items, "})", depth);
        return;
      case PickleKind::dict:
        pairs(node.pairs, depth);
        return;
      case PickleKind::global:
        out_ += printable(node.text, limit_) + "." + printable(node.name, limit_);
        return;
      case PickleKind::persistent:
        out_ += "storage";
        this->node(node.args, depth + 1);
        return;
      case PickleKind::call:
        break;
    }
    this->node(node.callable, depth + 1);
    if (node.new_object) out_ += ".__new__";
    const PickleNode& args = tree_[node.args];
    if (args.kind == PickleKind::tuple) {
      list("(", args.items, ")", depth);
    } else {
      out_ += "(*";
      this->node(node.args, depth + 1);
      out_ += ")";
    }
  }

  std::string take() {
    if (out_.size() > limit_) {
      out_.resize(limit_);
      while (!out_.empty() && (static_cast<unsigned char>(out_.back()) & 0xC0U) == 0x80U) out_.pop_back();
      if (!out_.empty() && static_cast<unsigned char>(out_.back()) >= 0xC0U) out_.pop_back();
      out_ += "...";
    }
    return std::move(out_);
  }

 private:
  bool full() const { return out_.size() > limit_; }

  void quoted(const std::string& text) { out_ += "'" + printable(text, limit_) + "'"; }

  void list(const char* open, const std::vector<PickleId>& items, const char* close, int depth) {
    out_ += open;
    for (std::size_t i = 0; i < items.size() && !full(); ++i) {
      if (i > 0) out_ += ", ";
      node(items[i], depth + 1);
    }
    out_ += close;
  }

  void pairs(const std::vector<PickleId>& pairs, int depth) {
    out_ += "{";
    for (std::size_t i = 0; i + 1 < pairs.size() && !full(); i += 2) {
      if (i > 0) out_ += ", ";
      node(pairs[i], depth + 1);
      out_ += ": ";
      node(pairs[i + 1], depth + 1);
    }
    out_ += "}";
  }

  const PickleTree& tree_;
  std::size_t limit_;
  std::string out_;
};

}  // namespace

std::string describe(const PickleTree& tree, PickleId id, std::size_t limit) {
  Describer describer(tree, limit);
  describer.node(id, 0);
  return describer.take();
}

std::string integer_digits(const PickleNode& node) {
  if (node.kind != PickleKind::big_integer) return std::to_string(node.integer);
  // The absolute value as base-256 digits, lowest first, then divided by ten again and again.
  std::vector<unsigned> digits;
  for (const char c : node.text) digits.push_back(static_cast<unsigned char>(c));
  const bool negative = !digits.empty() && digits.back() >= 0x80;
  if (negative) {
    unsigned carry = 1;
    for (unsigned& digit : digits) {
      digit = (digit ^ 0xFFU) + carry;
      carry = digit >> 8U;
      digit &= 0xFFU;
    }
  }
  std::string out;
  while (std::any_of(digits.begin(), digits.end(), [](unsigned digit) { return digit != 0; })) {
    unsigned rest = 0;
    for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) {
      const unsigned value = rest * 256 + *digit;
      *digit = value / 10;
      rest = value % 10;
    }
    out += static_cast<char>('0' + rest);
  }
  if (out.empty()) out = "0";
  if (negative) out += '-';
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace galatea
