#include "format/pickle_write.h"

#include <algorithm>
#include <bit>
#include <span>
#include <string_view>
#include <utility>

#include "format/checked.h"
#include "format/error.h"
#include "format/little_endian.h"
#include "format/pickle_opcodes.h"

namespace galatea {
namespace {

constexpr std::size_t batch = 1000;
constexpr int deepest = 500;

class Pickler {
 public:
  explicit Pickler(const PickleTree& tree) : tree_(tree), memo_(tree.nodes.size(), no_memo) {}

  std::vector<std::byte> run() {
    op(PickleOp::proto);
    number(2, 1);
    save(tree_.root, 0);
    op(PickleOp::stop);
    return std::move(out_);
  }

 private:
  static constexpr std::uint32_t no_memo = 0xFFFFFFFF;

  void op(PickleOp code) { out_.push_back(static_cast<std::byte>(code)); }
  void number(std::uint64_t value, std::size_t width) { append_little_endian(out_, value, width); }
  void text(std::string_view value) {
    const auto bytes = std::as_bytes(std::span(value.data(), value.size()));
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }

  void save(PickleId id, int depth) {
    if (depth > deepest) throw Error(ErrorKind::input, "values are nested too deeply to be pickled");
    if (id >= tree_.nodes.size()) throw Error(ErrorKind::input, "a value to be pickled is missing");
    const PickleNode& node = tree_[id];
    if (save_atom(node, depth)) return;
    if (memo_[id] != no_memo) return get(id);
    switch (node.kind) {
      case PickleKind::string:
        op(PickleOp::binunicode);
        number(checked_cast<std::uint32_t>(node.text.size(), "the length of a text"), 4);
        text(node.text);
        return put(id);
      case PickleKind::tuple:
        return save_tuple(id, depth);
      case PickleKind::list:
        op(PickleOp::empty_list);
        put(id);
        return save_list_items(node.items, depth);
      case PickleKind::dict:
        op(PickleOp::empty_dict);
        put(id);
        return save_dict_pairs(node.pairs, depth);
      case PickleKind::global:
        op(PickleOp::global);
        text(node.text + "\n" + node.name + "\n");
        return put(id);
      case PickleKind::call:
        return save_call(id, depth);
      default:
        break;
    }
    throw Error(ErrorKind::usage, "bytes and sets cannot be pickled with protocol 2");
  }

  /// What is never memoized.
  bool save_atom(const PickleNode& node, int depth) {
    switch (node.kind) {
      case PickleKind::none:
        op(PickleOp::none);
        return true;
      case PickleKind::boolean:
        op(node.integer != 0 ? PickleOp::newtrue : PickleOp::newfalse);
        return true;
      case PickleKind::integer:
        save_integer(node.integer);
        return true;
      case PickleKind::big_integer:
        op(PickleOp::long1);
        number(checked_cast<std::uint8_t>(node.text.size(), "the length of an integer"), 1);
        text(node.text);
        return true;
      case PickleKind::floating: {
        op(PickleOp::binfloat);
        const auto bits = std::bit_cast<std::uint64_t>(node.floating);
        for (int shift = 56; shift >= 0; shift -= 8) out_.push_back(static_cast<std::byte>(bits >> shift));
        return true;
      }
      case PickleKind::persistent:
        save(node.args, depth + 1);
        op(PickleOp::binpersid);
        return true;
      case PickleKind::tuple:
        if (!node.items.empty()) return false;
        op(PickleOp::empty_tuple);
        return true;
      default:
        return false;
    }
  }

  void save_integer(std::int64_t value) {
    if (value >= 0 && value <= 0xFF) {
      op(PickleOp::binint1);
      return number(static_cast<std::uint64_t>(value), 1);
    }
    if (value >= 0 && value <= 0xFFFF) {
      op(PickleOp::binint2);
      return number(static_cast<std::uint64_t>(value), 2);
    }
    if (std::in_range<std::int32_t>(value)) {
      op(PickleOp::binint);
      return number(static_cast<std::uint64_t>(value), 4);
    }
    std::size_t width = 1;
    while (width < 8 && ((value >> (8 * width - 1)) != 0 && (value >> (8 * width - 1)) != -1)) ++width;
    op(PickleOp::long1);
    number(width, 1);
    number(static_cast<std::uint64_t>(value), width);
  }

  void save_tuple(PickleId id, int depth) {
    const PickleNode& node = tree_[id];
    const std::size_t size = node.items.size();
    if (size > 3) op(PickleOp::mark);
    for (const PickleId item : node.items) save(item, depth + 1);
    if (memo_[id] != no_memo) throw Error(ErrorKind::input, "a tuple to be pickled contains itself");
    op(size == 1   ? PickleOp::tuple1
       : size == 2 ? PickleOp::tuple2
       : size == 3 ? PickleOp::tuple3
                   : PickleOp::tuple);
    put(id);
  }

  void save_list_items(const std::vector<PickleId>& items, int depth) {
    if (items.size() == 1) {
      save(items[0], depth + 1);
      return op(PickleOp::append);
    }
    for (std::size_t i = 0; i < items.size();) {
      op(PickleOp::mark);
      for (const std::size_t end = std::min(i + batch, items.size()); i < end; ++i) save(items[i], depth + 1);
      op(PickleOp::appends);
    }
  }

  void save_pair(const std::vector<PickleId>& pairs, std::size_t pair, int depth) {
    save(pairs[2 * pair], depth + 1);
    save(pairs[2 * pair + 1], depth + 1);
  }

  /// A dict itself: after a full batch another one follows, even when nothing is left for it.
  void save_dict_pairs(const std::vector<PickleId>& pairs, int depth) {
    const std::size_t count = pairs.size() / 2;
    if (count == 0) return;
    if (count == 1) {
      save_pair(pairs, 0, depth);
      return op(PickleOp::setitem);
    }
    for (std::size_t i = 0;;) {
      const std::size_t begin = i;
      op(PickleOp::mark);
      for (const std::size_t end = std::min(i + batch, count); i < end; ++i) save_pair(pairs, i, depth);
      op(PickleOp::setitems);
      if (i - begin < batch) return;
    }
  }

  /// Members set in the result of a call (OrderedDict): a rest of one stands alone.
  void save_set_items(const std::vector<PickleId>& pairs, int depth) {
    const std::size_t count = pairs.size() / 2;
    for (std::size_t i = 0; i < count;) {
      if (count - i == 1) {
        save_pair(pairs, i, depth);
        return op(PickleOp::setitem);
      }
      op(PickleOp::mark);
      for (const std::size_t end = std::min(i + batch, count); i < end; ++i) save_pair(pairs, i, depth);
      op(PickleOp::setitems);
    }
  }

  /// Members appended to the result of a call: the same.
  void save_append_items(const std::vector<PickleId>& items, int depth) {
    for (std::size_t i = 0; i < items.size();) {
      if (items.size() - i == 1) {
        save(items[i], depth + 1);
        return op(PickleOp::append);
      }
      op(PickleOp::mark);
      for (const std::size_t end = std::min(i + batch, items.size()); i < end; ++i) save(items[i], depth + 1);
      op(PickleOp::appends);
    }
  }

  void save_call(PickleId id, int depth) {
    const PickleNode& node = tree_[id];
    save(node.callable, depth + 1);
    save(node.args, depth + 1);
    op(node.new_object ? PickleOp::newobj : PickleOp::reduce);
    if (memo_[id] != no_memo) throw Error(ErrorKind::input, "a value to be pickled is an argument of itself");
    put(id);
    save_append_items(node.items, depth);
    save_set_items(node.pairs, depth);
    if (node.state != no_pickle) {
      save(node.state, depth + 1);
      op(PickleOp::build);
    }
  }

  void put(PickleId id) {
    memo_[id] = used_++;
    op(memo_[id] < 256 ? PickleOp::binput : PickleOp::long_binput);
    number(memo_[id], memo_[id] < 256 ? 1 : 4);
  }
  void get(PickleId id) {
    op(memo_[id] < 256 ? PickleOp::binget : PickleOp::long_binget);
    number(memo_[id], memo_[id] < 256 ? 1 : 4);
  }

  const PickleTree& tree_;
  std::vector<std::uint32_t> memo_;
  std::uint32_t used_ = 0;
  std::vector<std::byte> out_;
};

}  // namespace

std::vector<std::byte> write_pickle(const PickleTree& tree) { return Pickler(tree).run(); }

}  // namespace galatea
