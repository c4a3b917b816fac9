#include "format/torch_file.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "format/checked.h"
#include "format/error.h"
#include "format/python_json.h"
#include "format/strided_view.h"
#include "format/torch_globals.h"
#include "format/torch_older.h"

namespace galatea {
namespace {

constexpr std::uint64_t pickle_limit = std::uint64_t{64} << 20U;
constexpr std::uint64_t small_record_limit = 1024;
constexpr int deepest = 40;
constexpr std::uint64_t most_values = 1'000'000;
/// A name is repeated for each member below it, so a file of a few MB could name gigabytes.
constexpr std::uint64_t most_name_bytes = std::uint64_t{256} << 20U;
constexpr std::size_t highest_rank = 64;

/// Reads the description of a tensor out of the pickle; every fault says what stands there.
class TensorReader {
 public:
  TensorReader(const PickleTree& tree, const std::filesystem::path& file) : tree_(tree), file_(file) {}

  std::optional<TorchTensor> read(PickleId id) const {
    const PickleNode& node = tree_[id];
    if (node.kind != PickleKind::call) return std::nullopt;
    const PickleNode& callable = tree_[node.callable];
    if (callable.kind != PickleKind::global || callable.text != "torch._utils") return std::nullopt;
    if (!node.items.empty() || !node.pairs.empty() || node.state != no_pickle)
      throw fault(id, "a tensor has members or a state");
    const PickleNode& args = tree_[node.args];
    if (args.kind != PickleKind::tuple) throw fault(id, "a tensor is made of no tuple");
    if (callable.name == "_rebuild_parameter") return parameter(id, args.items);
    return tensor(id, callable.name, args.items);
  }

 private:
  Error fault(PickleId id, const std::string& problem) const {
    return std::move(Error(ErrorKind::input, "the pickle describes a tensor that cannot be: " + problem)
                         .file(file_)
                         .found(describe(tree_, id, 400)));
  }

  TorchTensor parameter(PickleId id, const std::vector<PickleId>& args) const {
    const bool inner_is_tensor =
        args.size() == 3 && tree_[args[0]].kind == PickleKind::call &&
        !tree_[tree_[args[0]].callable].is_global("torch._utils", "_rebuild_parameter");
    if (!inner_is_tensor || tree_[args[1]].kind != PickleKind::boolean)
      throw fault(id, "a parameter needs a tensor, a flag and its hooks");
    auto out = read(args[0]);
    if (!out) throw fault(id, "a parameter holds no tensor");
    out->parameter = true;
    out->requires_grad = tree_[args[1]].integer != 0;
    return *out;
  }

  /// (storage, offset, size, stride, requires_grad, hooks, [type of _v3,] [metadata])
  TorchTensor tensor(PickleId id, std::string_view function, const std::vector<PickleId>& args) const {
    const bool v3 = function == "_rebuild_tensor_v3";
    const std::size_t least = function == "_rebuild_tensor" ? 4 : v3 ? 7 : 6;
    const std::size_t most = function == "_rebuild_tensor" ? 4 : least + 1;
    if (args.size() < least || args.size() > most) throw fault(id, "wrong number of arguments");
    TorchTensor out = storage(id, args[0], v3 ? args[6] : no_pickle);
    out.offset = count(id, args[1]);
    out.shape = counts(id, args[2]);
    out.strides = counts(id, args[3]);
    if (out.shape.size() != out.strides.size()) throw fault(id, "it has not one stride for each axis");
    if (out.shape.size() > highest_rank) throw fault(id, "it has too many axes");
    if (args.size() > 4) {
      if (tree_[args[4]].kind != PickleKind::boolean) throw fault(id, "requires_grad is no flag");
      out.requires_grad = tree_[args[4]].integer != 0;
    }
    return out;
  }

  /// The persistent id, and the type: of the storage's class, or of _v3's argument.
  TorchTensor storage(PickleId id, PickleId storage_id, PickleId type_id) const {
    const PickleNode& node = tree_[storage_id];
    if (node.kind != PickleKind::persistent) throw fault(id, "it has no storage");
    const PickleNode& key = tree_[node.args];
    if (key.kind != PickleKind::tuple || key.items.size() != 5 ||
        tree_[key.items[0]].kind != PickleKind::string || tree_[key.items[0]].text != "storage" ||
        tree_[key.items[1]].kind != PickleKind::global || tree_[key.items[2]].kind != PickleKind::string ||
        tree_[key.items[3]].kind != PickleKind::string) {
      throw fault(id, "its storage is not named as torch.save names it");
    }
    TorchTensor out{DType::u8, {}, {}, 0, tree_[key.items[2]].text, count(id, key.items[4]), false, false};
    const PickleNode& type = type_id == no_pickle ? tree_[key.items[1]] : tree_[type_id];
    const auto found = type_id == no_pickle ? find_type_by_torch_storage(type.name) : type_by_name(type.name);
    if (type.kind != PickleKind::global || !found) {
      throw Error(ErrorKind::input, "the tensor has a type that galatea cannot read")
          .file(file_)
          .found(describe(tree_, type_id == no_pickle ? key.items[1] : type_id));
    }
    out.type = *found;
    if (type_id != no_pickle) {  // an untyped storage is counted in bytes
      const std::uint64_t width = type_info(out.type).block_bytes;
      if (out.storage_elements % width != 0) throw fault(id, "its storage holds no whole values");
      out.storage_elements /= width;
    }
    return out;
  }

  static std::optional<DType> type_by_name(std::string_view name) {
    if (name == "float8_e4m3fn") return DType::f8_e4m3;
    if (name == "float8_e5m2") return DType::f8_e5m2;
    return std::nullopt;
  }

  std::uint64_t count(PickleId id, PickleId number) const {
    const PickleNode& node = tree_[number];
    if (node.kind != PickleKind::integer || node.integer < 0) throw fault(id, "a size is no whole number");
    return static_cast<std::uint64_t>(node.integer);
  }
  Shape counts(PickleId id, PickleId tuple) const {
    const PickleNode& node = tree_[tuple];
    if (node.kind != PickleKind::tuple) throw fault(id, "a shape is no tuple");
    Shape out;
    for (const PickleId item : node.items) out.push_back(count(id, item));
    return out;
  }

  const PickleTree& tree_;
  const std::filesystem::path& file_;
};

bool is_ordered_dict(const PickleTree& tree, const PickleNode& node) {
  return node.kind == PickleKind::call && tree[node.callable].is_global("collections", "OrderedDict");
}

bool is_dict(const PickleTree& tree, const PickleNode& node) {
  return node.kind == PickleKind::dict || is_ordered_dict(tree, node);
}

bool is_sequence(const PickleNode& node) {
  return node.kind == PickleKind::list || node.kind == PickleKind::tuple;
}

}  // namespace

/// Fills a TorchFile.
class TorchReader {
 public:
  TorchReader(TorchFile& out, const SourcePtr& source) : out_(out), source_(source) {}

  void read() {
    out_.archive_ = ZipArchive::open(source_);
    find_folder();
    find_generation();
    const ZipRecord& record = *out_.archive_.find(out_.folder_ + "/data.pkl");
    if (record.size > pickle_limit) {
      throw Error(ErrorKind::input, "data.pkl is larger than it can be")
          .file(source_->name())
          .at(record.data_offset)
          .expected("at most " + std::to_string(pickle_limit) + " bytes")
          .found(std::to_string(record.size));
    }
    const std::vector<std::byte> bytes = source_->ByteSource::read(record.data_offset, record.size);
    out_.pickle_ = read_pickle(bytes, source_->name(), record.data_offset, torch_allows);
    if (out_.pickle_.length != bytes.size()) {
      throw Error(ErrorKind::input, "there are bytes after the end of the pickle")
          .file(source_->name())
          .at(record.data_offset + out_.pickle_.length);
    }
    out_.archive_.check_crc(record);
    visit(out_.pickle_.root, "", 0);
  }

 private:
  Error not_torch(const std::string& problem) const {
    return std::move(Error(ErrorKind::input, problem).file(source_->name()));
  }

  void find_folder() {
    constexpr std::string_view tail = "/data.pkl";
    for (const ZipRecord& record : out_.archive_.records()) {
      const std::string_view name = record.name;
      if (!name.ends_with(tail) || name.find('/') != name.size() - tail.size()) continue;
      if (!out_.folder_.empty())
        throw not_torch("the zip archive holds two torch files").at(record.header_offset);
      out_.folder_ = name.substr(0, name.size() - tail.size());
    }
    if (out_.folder_.empty()) {
      throw not_torch("is a zip archive, but not one of torch.save")
          .expected("a record NAME/data.pkl")
          .found(out_.archive_.records().empty()
                     ? "an empty archive"
                     : "\"" + printable(out_.archive_.records().front().name) + "\" ...");
    }
    const std::string prefix = out_.folder_ + "/";
    for (const ZipRecord& record : out_.archive_.records()) {
      if (!record.name.starts_with(prefix)) {
        throw not_torch("the zip archive holds records outside of its folder")
            .at(record.header_offset)
            .expected("\"" + printable(prefix) + "...\"")
            .found("\"" + printable(record.name) + "\"");
      }
    }
    if (out_.archive_.find(prefix + "constants.pkl") != nullptr) {
      throw not_torch("is a TorchScript program, not a checkpoint")
          .remedy("in Python: torch.save(torch.jit.load(FILE).state_dict(), NEW_FILE)");
    }
  }

  std::string small_record(const char* name) const {
    const ZipRecord* record = out_.archive_.find(out_.folder_ + "/" + name);
    if (record == nullptr) return {};
    return out_.archive_.data(*record)->read_text(small_record_limit);
  }

  void find_generation() {
    const bool version_2_1 = out_.archive_.find(out_.folder_ + "/byteorder") != nullptr ||
                             out_.archive_.find(out_.folder_ + "/.data/serialization_id") != nullptr;
    const bool version_2_7 = out_.archive_.find(out_.folder_ + "/.format_version") != nullptr;
    out_.generation_ = version_2_7   ? TorchGeneration::torch_2_7
                       : version_2_1 ? TorchGeneration::torch_2_1
                                     : TorchGeneration::torch_1_6;
    if (const std::string order = small_record("byteorder"); !order.empty() && order != "little") {
      throw not_torch("the tensors are not little-endian")
          .found("byteorder \"" + printable(order) + "\"")
          .remedy("save it on a little-endian machine (x86, ARM)");
    }
    const ZipRecord* version = out_.archive_.find(out_.folder_ + "/version");
    if (version == nullptr)
      throw not_torch("the torch file has no record \"version\"").remedy("download it again");
    const std::string text = small_record("version");
    if (text.empty() || text.size() > 4 || text.find_first_not_of("0123456789\n") != std::string::npos)
      throw not_torch("the torch file has a strange version").at(version->data_offset).found(printable(text));
  }

  /// Walks over the values and collects the tensors. A value that is shared is visited each time it turns up.
  void visit(PickleId id, const std::string& name, int depth) {
    if (depth > deepest) throw not_torch("the values of the torch file are nested too deeply").tensor(name);
    if (++visited_ > most_values) throw not_torch("the torch file holds too many values");
    name_bytes_ += name.size();
    if (name_bytes_ > most_name_bytes)
      throw not_torch("the names in the torch file are too long all together");
    const PickleNode& node = out_.pickle_[id];
    if (is_dict(out_.pickle_, node)) {
      std::set<std::string> keys;
      for (std::size_t i = 0; i + 1 < node.pairs.size(); i += 2) {
        std::string key = key_text(node.pairs[i]);
        visit(node.pairs[i + 1], join(name, key), depth + 1);
        // Python would keep the last one without a word.
        if (const auto [it, is_new] = keys.insert(std::move(key)); !is_new)
          throw not_torch("a dict of the torch file has the same key twice")
              .found("\"" + printable(*it) + "\"");
      }
    } else if (is_sequence(node)) {
      for (std::size_t i = 0; i < node.items.size(); ++i)
        visit(node.items[i], join(name, std::to_string(i)), depth + 1);
    } else if (node.kind == PickleKind::call) {
      add_tensor(id, depth == 0 ? "tensor" : name, depth);
    } else if (node.kind == PickleKind::persistent) {
      throw not_torch("the torch file holds a storage without a tensor").tensor(name);
    }
  }

  static std::string join(const std::string& outer, const std::string& inner) {
    return outer.empty() ? inner : outer + "." + inner;
  }

  std::string key_text(PickleId id) const {
    const PickleNode& key = out_.pickle_[id];
    return key.kind == PickleKind::string ? key.text : describe(out_.pickle_, id);
  }

  void add_tensor(PickleId id, const std::string& name, int depth) {
    try {
      const auto info = out_.tensor_at(id);
      if (!info) return;
      Tensor tensor = make(name, *info);
      if (!names_.insert(name).second) throw not_torch("two tensors of the torch file have the same name");
      out_.all_tensors_.push_back(tensor);
      if (depth <= 1 && !is_sequence(out_.pickle_[out_.pickle_.root]))
        out_.tensors_.push_back(std::move(tensor));
    } catch (Error& error) {
      error.tensor(name);
      throw;
    }
  }

  Tensor make(const std::string& name, const TorchTensor& info) const {
    const ZipRecord& record = out_.storage_record(info.storage);
    const std::uint64_t width = type_info(info.type).block_bytes;
    if (record.size != checked_mul(info.storage_elements, width, "the size of a storage")) {
      throw not_torch("the record of a storage has another size than the pickle says")
          .at(record.data_offset)
          .expected(std::to_string(info.storage_elements * width) + " bytes")
          .found(std::to_string(record.size));
    }
    (void)type_info(info.type).bytes_for(element_count(info.shape));
    RowsPtr rows = view_rows(out_.archive_.data(record), info.type, info.offset, info.shape, info.strides);
    return {name, info.shape, std::move(rows), source_->name(),
            checked_add(record.data_offset, info.offset * width, "an offset")};
  }

  TorchFile& out_;
  const SourcePtr& source_;
  std::set<std::string> names_;
  std::uint64_t visited_ = 0;
  std::uint64_t name_bytes_ = 0;
};

std::string_view to_string(TorchGeneration generation) {
  switch (generation) {
    case TorchGeneration::torch_2_1:
      return "torch 2.1 to 2.6";
    case TorchGeneration::torch_2_7:
      return "torch 2.7 or later";
    case TorchGeneration::torch_1_6:
      break;
  }
  return "torch 1.6 to 2.0";
}

TorchFile TorchFile::open(const SourcePtr& source) {
  refuse_older_torch(*source);
  TorchFile out;
  try {
    TorchReader(out, source).read();
  } catch (Error& error) {
    error.file(source->name());
    throw;
  }
  return out;
}

bool TorchFile::recognises(const ByteSource& source) {
  return looks_like_zip(source) || is_older_torch(source);
}

std::optional<TorchTensor> TorchFile::tensor_at(PickleId id) const {
  return TensorReader(pickle_, archive_.source()->name()).read(id);
}

const ZipRecord& TorchFile::storage_record(std::string_view key) const {
  const ZipRecord* record = archive_.find(folder_ + "/data/" + std::string(key));
  if (record == nullptr) {
    throw Error(ErrorKind::input, "the torch file lacks the record of a storage")
        .file(archive_.source()->name())
        .expected("\"" + folder_ + "/data/" + std::string(key) + "\"")
        .remedy("download it again");
  }
  return *record;
}

}  // namespace galatea
