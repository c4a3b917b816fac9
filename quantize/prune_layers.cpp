#include "quantize/prune_layers.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "format/error.h"

namespace galatea {
namespace {

constexpr std::uint64_t most_layers = 100'000;
constexpr std::string_view layer_prefix = "blk.";

struct LayerName {
  std::uint64_t layer;
  std::string_view rest;  ///< ".attn_q.weight"
};

std::optional<LayerName> layer_in(std::string_view name) {
  if (!name.starts_with(layer_prefix)) return std::nullopt;
  name.remove_prefix(layer_prefix.size());
  std::uint64_t layer = 0;
  const auto [end, fault] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (fault != std::errc{} || end == name.data() + name.size() || *end != '.') return std::nullopt;
  return LayerName{layer, name.substr(static_cast<std::size_t>(end - name.data()))};
}

/// The name after pruning; empty for what goes.
std::string moved(const std::string& name, const std::set<std::uint64_t>& layers) {
  const auto found = layer_in(name);
  if (!found) return name;
  if (layers.contains(found->layer)) return {};
  const auto before =
      static_cast<std::uint64_t>(std::distance(layers.begin(), layers.lower_bound(found->layer)));
  return std::string(layer_prefix) + std::to_string(found->layer - before) + std::string(found->rest);
}

[[noreturn]] void refuse(const std::string& problem, std::string_view found) {
  throw Error(ErrorKind::usage, problem).expected("layers like 3,7 or 20-23").found(found);
}

std::uint64_t layer_number(std::string_view text, std::string_view whole) {
  std::uint64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc{} || end != text.data() + text.size() || value >= most_layers)
    refuse("not a list of layers", whole);
  return value;
}

}  // namespace

std::set<std::uint64_t> parse_layers(std::string_view text) {
  std::set<std::uint64_t> layers;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view item = text.substr(begin, comma - begin);
    const std::size_t dash = item.find('-');
    const std::uint64_t first = layer_number(item.substr(0, dash), text);
    const std::uint64_t last =
        dash == std::string_view::npos ? first : layer_number(item.substr(dash + 1), text);
    if (last < first) refuse("a range of layers ends before it begins", text);
    for (std::uint64_t layer = first; layer <= last; ++layer) layers.insert(layer);
    begin = comma + 1;
  }
  return layers;
}

void prune_layers(GgufModel& model, ImportanceMatrix& importance, const std::set<std::uint64_t>& layers) {
  if (layers.empty()) return;
  std::set<std::uint64_t> present;
  for (const Tensor& tensor : model.tensors) {
    if (const auto name = layer_in(tensor.name)) present.insert(name->layer);
  }
  for (const std::uint64_t layer : layers) {
    if (!present.contains(layer)) {
      throw Error(ErrorKind::usage, "the model has no such layer")
          .expected(present.empty() ? "none" : "0 to " + std::to_string(*present.rbegin()))
          .found(std::to_string(layer));
    }
  }
  if (layers.size() == present.size()) throw Error(ErrorKind::usage, "no layer would be left of the model");
  std::vector<Tensor> kept;
  for (Tensor& tensor : model.tensors) {
    tensor.name = moved(tensor.name, layers);
    if (!tensor.name.empty()) kept.push_back(std::move(tensor));
  }
  model.tensors = std::move(kept);
  ImportanceMatrix moved_importance;
  for (auto& [name, weights] : importance) {
    std::string place = moved(name, layers);
    if (!place.empty()) moved_importance.emplace(std::move(place), std::move(weights));
  }
  importance = std::move(moved_importance);
  for (GgufEntry& entry : model.metadata) {
    if (entry.key.ends_with(".block_count"))
      entry.value = static_cast<std::uint32_t>(present.size() - layers.size());
  }
}

}  // namespace galatea
