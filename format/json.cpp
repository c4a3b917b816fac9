#include "format/json.h"

#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "format/error.h"
#include "format/python_json.h"

namespace galatea {
namespace {

/// Walks over the text and tells where the parser stands.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, std::uint64_t* count) : at_(at), count_(count) {}
  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*count_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountingIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  std::uint64_t* count_;
};

/// Builds the value from the parser's events.
template <class Json>
class Builder {
 public:
  using number_integer_t = typename Json::number_integer_t;
  using number_unsigned_t = typename Json::number_unsigned_t;
  using number_float_t = typename Json::number_float_t;
  using string_t = typename Json::string_t;
  using binary_t = typename Json::binary_t;

  Builder(const std::filesystem::path& name, std::uint64_t origin, const JsonLimits& limits)
      : name_(name), origin_(origin), limits_(limits) {}

  bool null() { return add(Json(nullptr)); }
  bool boolean(bool value) { return add(Json(value)); }
  bool number_integer(number_integer_t value) { return add(Json(value)); }
  bool number_unsigned(number_unsigned_t value) { return add(Json(value)); }
  bool number_float(number_float_t value, const string_t& digits) {
    if (limits_.keep_big_integers && digits.find_first_of(".eE") == string_t::npos) {
      return add(Json::binary({digits.begin(), digits.end()}, big_integer_subtype));
    }
    return add(Json(value));
  }
  bool string(string_t& value) { return add(Json(std::move(value))); }
  bool binary(binary_t& value) { return add(Json(std::move(value))); }

  bool start_object(std::size_t) { return open(Json::object()); }
  bool key(string_t& name) {
    if (!open_.back().names.insert(name).second) {
      fail("the JSON has the same name twice in one object", consumed_)
          .found("\"" + printable(name) + "\"")
          .expected("each name once");
      throw std::move(*failure_);
    }
    open_.back().name = std::move(name);
    return true;
  }
  bool end_object() { return close(); }
  bool start_array(std::size_t) { return open(Json::array()); }
  bool end_array() { return close(); }

  bool parse_error(std::size_t position, const std::string& token, const nlohmann::detail::exception& error) {
    // The library's sentence after its own number, line and column: "syntax error while parsing value - ...".
    std::string reason = error.what();
    if (const std::size_t cut = reason.find(": "); cut != std::string::npos) reason.erase(0, cut + 2);
    (void)token;
    fail("is not valid JSON: " + printable(reason, 300), position > 0 ? position - 1 : 0);
    throw std::move(*failure_);
  }

  std::uint64_t* consumed() { return &consumed_; }
  Json take() { return std::move(root_); }

 private:
  struct Level {
    Json value;
    std::set<std::string, std::less<>> names;  ///< of an object, to find a second one
    std::string name;                          ///< of the member whose value comes next
  };

  Error& fail(const std::string& problem, std::uint64_t position) {
    failure_.emplace(ErrorKind::input, problem);
    return failure_->file(name_).at(origin_ + position);
  }

  bool open(Json empty) {
    if (open_.size() >= limits_.depth) {
      fail("the JSON is nested too deeply", consumed_)
          .expected("at most " + std::to_string(limits_.depth) + " levels");
      throw std::move(*failure_);
    }
    open_.push_back({std::move(empty), {}, {}});
    return true;
  }

  bool close() {
    Json value = std::move(open_.back().value);
    open_.pop_back();
    return add(std::move(value));
  }

  bool add(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Level& level = open_.back(); level.value.is_array()) {
      level.value.push_back(std::move(value));
    } else if constexpr (std::is_same_v<Json, nlohmann::ordered_json>) {
      // A plain append: ordered_json would search for the name again.
      auto& members = level.value.template get_ref<typename Json::object_t&>();
      static_cast<typename Json::object_t::Container&>(members).emplace_back(std::move(level.name),
                                                                             std::move(value));
    } else {
      level.value[std::move(level.name)] = std::move(value);
    }
    return true;
  }

  const std::filesystem::path& name_;
  std::uint64_t origin_;
  const JsonLimits& limits_;
  std::uint64_t consumed_ = 0;
  std::vector<Level> open_;
  Json root_;
  std::optional<Error> failure_;
};

template <class Json>
Json parse(std::string_view text, const std::filesystem::path& name, std::uint64_t origin,
           const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    throw Error(ErrorKind::input, "the JSON is larger than it can be here")
        .file(name)
        .expected("at most " + std::to_string(limits.bytes) + " bytes")
        .found(std::to_string(text.size()));
  }
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    throw Error(ErrorKind::input, "the JSON starts with a byte order mark")
        .file(name)
        .at(origin)
        .remedy("save it as UTF-8 without one");
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    // The library would take it for the end and not look at what follows.
    throw Error(ErrorKind::input, "is not valid JSON: a zero byte").file(name).at(origin + nul);
  }
  Builder<Json> builder(name, origin, limits);
  const CountingIterator begin(text.data(), builder.consumed());
  const CountingIterator end(text.data() + text.size(), builder.consumed());
  Json::sax_parse(begin, end, &builder);
  return builder.take();
}

std::string text_of(const ByteSource& source, const JsonLimits& limits) {
  return source.read_text(limits.bytes);
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::filesystem::path& name, std::uint64_t origin,
                          const JsonLimits& limits) {
  return parse<nlohmann::json>(text, name, origin, limits);
}

nlohmann::json parse_json(const ByteSource& source, const JsonLimits& limits) {
  return parse_json(text_of(source, limits), source.name(), source.origin(), limits);
}

nlohmann::json parse_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(*open_file(path), limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::filesystem::path& name,
                                          std::uint64_t origin, const JsonLimits& limits) {
  return parse<nlohmann::ordered_json>(text, name, origin, limits);
}

nlohmann::ordered_json parse_ordered_json(const ByteSource& source, const JsonLimits& limits) {
  return parse_ordered_json(text_of(source, limits), source.name(), source.origin(), limits);
}

nlohmann::ordered_json parse_ordered_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_ordered_json(*open_file(path), limits);
}

}  // namespace galatea
