// The values of a torch file that are no tensors, as JSON.
#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/python_json.h"
#include "format/torch_file.h"

namespace galatea {
namespace {

using Json = nlohmann::ordered_json;

constexpr int deepest = 40;
constexpr std::uint64_t most_values = 1'000'000;

std::string hex(const std::string& bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    out += digits[static_cast<unsigned char>(c) >> 4U];
    out += digits[static_cast<unsigned char>(c) & 15U];
  }
  return out;
}

class ValueReader {
 public:
  explicit ValueReader(const TorchFile& file) : file_(file), tree_(file.pickle()) {}

  /// False when the node is a tensor.
  bool read(PickleId id, Json& out, int depth) {
    if (depth > deepest) throw fault("the values of the torch file are nested too deeply");
    if (++visited_ > most_values) throw fault("the torch file holds too many values");
    const PickleNode& node = tree_[id];
    switch (node.kind) {
      case PickleKind::none:
        out = nullptr;
        return true;
      case PickleKind::boolean:
        out = node.integer != 0;
        return true;
      case PickleKind::integer:
        out = node.integer;
        return true;
      case PickleKind::big_integer:
        out = big_integer(integer_digits(node));
        return true;
      case PickleKind::floating:
        out = node.floating;
        return true;
      case PickleKind::string:
        out = node.text;
        return true;
      case PickleKind::bytes:
        out = Json{{"bytes", hex(node.text)}};
        return true;
      case PickleKind::list:
      case PickleKind::tuple:
      case PickleKind::set:
      case PickleKind::frozenset:
        array(node.items, out, depth);
        return true;
      case PickleKind::dict:
        object(node.pairs, out, depth);
        return true;
      case PickleKind::global:
        out = describe(tree_, id);
        return true;
      case PickleKind::persistent:
        return false;
      case PickleKind::call:
        break;
    }
    return call(id, out, depth);
  }

 private:
  Error fault(const std::string& problem) const {
    return std::move(Error(ErrorKind::input, problem).file(file_.archive().source()->name()));
  }

  void array(const std::vector<PickleId>& items, Json& out, int depth) {
    out = Json::array();
    for (const PickleId item : items) {
      Json value;
      if (read(item, value, depth + 1)) out.push_back(std::move(value));
    }
  }

  void object(const std::vector<PickleId>& pairs, Json& out, int depth) {
    Json::object_t members;
    for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
      Json value;
      if (!read(pairs[i + 1], value, depth + 1)) continue;
      const PickleNode& key = tree_[pairs[i]];
      static_cast<Json::object_t::Container&>(members).emplace_back(
          key.kind == PickleKind::string ? key.text : describe(tree_, pairs[i]), std::move(value));
    }
    out = std::move(members);
  }

  bool call(PickleId id, Json& out, int depth) {
    const PickleNode& node = tree_[id];
    const PickleNode& callable = tree_[node.callable];
    const PickleNode& args = tree_[node.args];
    if (callable.is_global("collections", "OrderedDict")) {
      object(node.pairs, out, depth);
      return true;
    }
    if (callable.kind == PickleKind::global && callable.text == "torch._utils") return false;
    const bool holds_list = callable.is_global("torch", "Size") || callable.is_global("__builtin__", "set") ||
                            callable.is_global("builtins", "set") ||
                            callable.is_global("__builtin__", "frozenset") ||
                            callable.is_global("builtins", "frozenset");
    if (holds_list && args.kind == PickleKind::tuple && args.items.size() == 1)
      return read(args.items[0], out, depth + 1);
    out = describe(tree_, id);
    return true;
  }

  const TorchFile& file_;
  const PickleTree& tree_;
  std::uint64_t visited_ = 0;
};

}  // namespace

Json TorchFile::values() const {
  Json out;
  ValueReader(*this).read(pickle_.root, out, 0);
  return out;
}

}  // namespace galatea
