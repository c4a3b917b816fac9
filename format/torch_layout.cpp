#include "format/torch_layout.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "format/error.h"
#include "format/pickle_write.h"
#include "format/strided_view.h"
#include "format/torch_zip_writer.h"

namespace galatea {
namespace {

/// Makes the nodes that torch makes for a tensor; what Python shares (names of classes, 'storage', 'cpu') is
/// one node here.
class TreeBuilder {
 public:
  explicit TreeBuilder(TorchDict dict) {
    PickleNode root{.kind = PickleKind::dict};
    if (dict == TorchDict::ordered) {
      root.kind = PickleKind::call;
      root.callable = ordered_dict();
      root.args = tree_.add_tuple({});
    }
    tree_.root = tree_.add(std::move(root));
  }

  void add(const Tensor& tensor, const std::string& key) {
    const PickleId hooks = tree_.add_call(ordered_dict(), tree_.add_tuple({}));
    const PickleId args =
        tree_.add_tuple({storage(tensor, key), tree_.add_integer(0), counts(tensor.shape),
                         counts(contiguous_strides(tensor.shape)), tree_.add_boolean(false), hooks});
    const PickleId value = tree_.add_call(shared_global("torch._utils", "_rebuild_tensor_v2"), args);
    const PickleId name = tree_.add_string(tensor.name);
    tree_.nodes[tree_.root].pairs.insert(tree_.nodes[tree_.root].pairs.end(), {name, value});
  }

  PickleTree take() { return std::move(tree_); }

 private:
  PickleId ordered_dict() { return shared_global("collections", "OrderedDict"); }

  PickleId shared_global(const std::string& module, const std::string& name) {
    const auto [it, is_new] = globals_.try_emplace({module, name}, no_pickle);
    if (is_new) it->second = tree_.add_global(module, name);
    return it->second;
  }
  PickleId shared_text(const std::string& text) {
    const auto [it, is_new] = texts_.try_emplace(text, no_pickle);
    if (is_new) it->second = tree_.add_string(text);
    return it->second;
  }

  PickleId storage(const Tensor& tensor, const std::string& key) {
    const auto elements = static_cast<std::int64_t>(element_count(tensor.shape));
    return tree_.add_persistent(tree_.add_tuple(
        {shared_text("storage"), shared_global("torch", std::string(type_info(tensor.type()).torch_storage)),
         tree_.add_string(key), shared_text("cpu"), tree_.add_integer(elements)}));
  }

  PickleId counts(const std::vector<std::uint64_t>& values) {
    std::vector<PickleId> items;
    items.reserve(values.size());
    for (const std::uint64_t value : values)
      items.push_back(tree_.add_integer(static_cast<std::int64_t>(value)));
    return tree_.add_tuple(std::move(items));
  }

  PickleTree tree_;
  std::map<std::pair<std::string, std::string>, PickleId> globals_;
  std::map<std::string, PickleId> texts_;
};

std::string default_folder(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  std::string base = slash == std::string::npos ? name : name.substr(slash + 1);
  const std::size_t dot = base.rfind('.');
  return dot == std::string::npos ? base : base.substr(0, dot);
}

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

using Storages = std::map<std::string, Tensor>;

std::vector<const Storages::value_type*> in_file_order(const Storages& storages, TorchGeneration generation) {
  std::vector<const Storages::value_type*> order;
  for (const auto& entry : storages) order.push_back(&entry);
  if (generation == TorchGeneration::torch_2_7) {
    // Keys are numbers without leading zeros, and in order of text already.
    std::stable_sort(order.begin(), order.end(),
                     [](const auto* a, const auto* b) { return a->first.size() < b->first.size(); });
  }
  return order;
}

}  // namespace

FileLayout torch_zip_layout(std::string name, std::vector<Tensor> tensors,
                            const TorchLayoutOptions& options) {
  TreeBuilder builder(options.dict);
  std::set<std::string> names;
  std::map<std::string, Tensor> storages;
  for (Tensor& tensor : tensors) {
    if (type_info(tensor.type()).torch_storage.empty()) {
      throw Error(ErrorKind::usage, "torch 1.13 has no type for this tensor")
          .tensor(tensor.name)
          .found(type_info(tensor.type()).name)
          .remedy("convert it to F32, F16 or BF16");
    }
    if (!names.insert(tensor.name).second)
      throw Error(ErrorKind::input, "two tensors of one file have the same name").tensor(tensor.name);
    const std::string key = std::to_string(storages.size());
    builder.add(tensor, key);
    storages.emplace(key, std::move(tensor));
  }
  const std::string folder = options.folder.empty() ? default_folder(name) : options.folder;
  return torch_tree_layout(std::move(name), builder.take(), storages, folder, options.generation);
}

FileLayout torch_tree_layout(std::string name, const PickleTree& tree,
                             const std::map<std::string, Tensor>& storages, const std::string& folder,
                             TorchGeneration generation) {
  TorchZipWriter writer(std::move(name));
  writer.add(folder + "/data.pkl", write_pickle(tree));
  if (generation == TorchGeneration::torch_2_7) {
    writer.add(folder + "/.format_version", bytes_of("1"));
    writer.add(folder + "/.storage_alignment", bytes_of("64"));
  }
  if (generation != TorchGeneration::torch_1_6) writer.add(folder + "/byteorder", bytes_of("little"));
  for (const auto* entry : in_file_order(storages, generation))
    writer.add(folder + "/data/" + entry->first, entry->second);
  writer.add(folder + "/version", bytes_of("3\n"));
  if (generation != TorchGeneration::torch_1_6) writer.add_serialization_id(folder);
  FileLayout layout = writer.finish();
  layout.check = [](const SourcePtr& finished) { (void)TorchFile::open(finished); };
  return layout;
}

FileLayout copy_torch_layout(std::string name, const TorchFile& file) {
  std::map<std::string, Tensor> storages;
  for (PickleId id = 0; id < file.pickle().nodes.size(); ++id) {
    const auto info = file.tensor_at(id);
    if (!info || storages.contains(info->storage)) continue;
    const ZipRecord& record = file.storage_record(info->storage);
    RowsPtr rows = stored_rows(file.archive().data(record), 0, DType::u8, record.size, 1);
    storages.emplace(info->storage, Tensor{record.name, {record.size}, std::move(rows), {}, 0});
  }
  return torch_tree_layout(std::move(name), file.pickle(), storages, file.folder(), file.generation());
}

}  // namespace galatea
