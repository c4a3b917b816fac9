#include "format/pickle.h"

#include <algorithm>
#include <set>
#include <utility>

#include "format/error.h"
#include "format/pickle_interpreter.h"

namespace galatea {
namespace {

/// What the pickle asks for and may not have, each once, in order.
std::vector<std::string> forbidden_requests(const PickleTree& tree, const PickleAllows& allows) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  const auto request = [&](std::string text) {
    if (seen.size() < 1000 && seen.insert(text).second) out.push_back(std::move(text));
  };
  const auto allowed = [&](const PickleNode& node) {
    return node.kind == PickleKind::global && allows(node.text, node.name);
  };
  std::vector<bool> called(tree.nodes.size(), false);
  for (const PickleNode& node : tree.nodes)
    if (node.kind == PickleKind::call) called[node.callable] = true;
  for (PickleId id = 0; id < tree.nodes.size(); ++id) {
    const PickleNode& node = tree[id];
    const bool bad_call = node.kind == PickleKind::call && (node.new_object || !allowed(tree[node.callable]));
    const bool bad_name = node.kind == PickleKind::global && !called[id] && !allowed(node);
    if (bad_call || bad_name) request(describe(tree, id));
  }
  return out;
}

[[noreturn]] void refuse(const std::vector<std::string>& requests, const std::filesystem::path& file) {
  constexpr std::size_t shown = 8;
  std::string list;
  for (std::size_t i = 0; i < std::min(requests.size(), shown); ++i)
    list += (i == 0 ? "" : "; ") + requests[i];
  if (requests.size() > shown) list += "; and " + std::to_string(requests.size() - shown) + " more";
  throw Error(ErrorKind::input,
              "the pickle asks for more than tensors and plain values; nothing of it was executed")
      .file(file)
      .expected("only what torch.save needs for a state dict")
      .found(list)
      .remedy("do not load this file with Python either unless you trust it; get the weights as safetensors");
}

}  // namespace

PickleId PickleTree::add(PickleNode node) {
  nodes.push_back(std::move(node));
  return static_cast<PickleId>(nodes.size() - 1);
}
PickleId PickleTree::add_integer(std::int64_t value) {
  return add({.kind = PickleKind::integer, .integer = value});
}
PickleId PickleTree::add_boolean(bool value) {
  return add({.kind = PickleKind::boolean, .integer = value ? 1 : 0});
}
PickleId PickleTree::add_string(std::string_view value) {
  return add({.kind = PickleKind::string, .text = std::string(value)});
}
PickleId PickleTree::add_tuple(std::vector<PickleId> items) {
  return add({.kind = PickleKind::tuple, .items = std::move(items)});
}
PickleId PickleTree::add_global(std::string_view module, std::string_view name) {
  return add({.kind = PickleKind::global, .text = std::string(module), .name = std::string(name)});
}
PickleId PickleTree::add_call(PickleId callable, PickleId args) {
  return add({.kind = PickleKind::call, .callable = callable, .args = args});
}
PickleId PickleTree::add_persistent(PickleId id) { return add({.kind = PickleKind::persistent, .args = id}); }

PickleTree read_pickle(std::span<const std::byte> bytes, const std::filesystem::path& file,
                       std::uint64_t origin, const PickleAllows& allows, const PickleLimits& limits) {
  if (bytes.size() > limits.bytes) {
    throw Error(ErrorKind::input, "the pickle is larger than it can be here")
        .file(file)
        .at(origin)
        .expected("at most " + std::to_string(limits.bytes) + " bytes")
        .found(std::to_string(bytes.size()));
  }
  PickleBytes in(bytes, file, origin);
  PickleInterpreter interpreter(in, limits);
  try {
    interpreter.run();
  } catch (const Error&) {
    // What it asked for so far matters more than where it breaks off.
    const auto requests = forbidden_requests(interpreter.tree, allows);
    if (!requests.empty()) refuse(requests, file);
    throw;
  }
  const auto requests = forbidden_requests(interpreter.tree, allows);
  if (!requests.empty()) refuse(requests, file);
  if (!interpreter.foreign.empty()) {
    std::string list;
    for (const std::string& name : interpreter.foreign) list += (list.empty() ? "" : ", ") + name;
    throw Error(ErrorKind::input, "the pickle uses opcodes that torch.save never writes")
        .file(file)
        .at(origin)
        .found(list);
  }
  return std::move(interpreter.tree);
}

}  // namespace galatea
