#include "verify/bits_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <utility>

#include "format/amount.h"
#include "format/error.h"
#include "format/llama_tensors.h"

namespace galatea {
namespace {

constexpr std::uint64_t most_layers = 2048;
constexpr double margin = 24, label_width = 96, bar_height = 170, cell_height = 24, line_height = 20;
constexpr double letter_width = 6.6;

constexpr std::array<std::pair<LlamaRole, const char*>, 9> grid_roles = {{{LlamaRole::embedding, "embedding"},
                                                                          {LlamaRole::q, "attn q"},
                                                                          {LlamaRole::k, "attn k"},
                                                                          {LlamaRole::v, "attn v"},
                                                                          {LlamaRole::o, "attn output"},
                                                                          {LlamaRole::gate, "ffn gate"},
                                                                          {LlamaRole::up, "ffn up"},
                                                                          {LlamaRole::down, "ffn down"},
                                                                          {LlamaRole::output, "output"}}};

struct Size {
  std::uint64_t tensors = 0, bytes = 0, values = 0;

  void add(const Tensor& tensor) {
    ++tensors;
    bytes += tensor.bytes();
    values += element_count(tensor.shape);
  }
  double bits() const {
    return values == 0 ? 0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(values);
  }
};

struct Colour {
  double red, green, blue;
};

/// From few bits to many: blue, teal, green, yellow, orange, red; most steps where the types are.
Colour colour_of(double bits) {
  constexpr std::array<std::pair<double, Colour>, 9> stops = {{{1.5, {49, 54, 149}},
                                                               {2.5, {69, 117, 180}},
                                                               {3.5, {90, 174, 188}},
                                                               {4.5, {127, 201, 140}},
                                                               {5.5, {200, 224, 120}},
                                                               {6.6, {254, 217, 100}},
                                                               {8.5, {253, 164, 80}},
                                                               {16, {226, 86, 60}},
                                                               {32, {140, 20, 50}}}};
  const double place = std::clamp(bits, stops.front().first, stops.back().first);
  for (std::size_t i = 1; i < stops.size(); ++i) {
    if (place > stops[i].first) continue;
    const Colour &a = stops[i - 1].second, &b = stops[i].second;
    const double part = (place - stops[i - 1].first) / (stops[i].first - stops[i - 1].first);
    return {a.red + part * (b.red - a.red), a.green + part * (b.green - a.green),
            a.blue + part * (b.blue - a.blue)};
  }
  return stops.back().second;
}

std::string number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

std::string fixed(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return text.data();
}

std::string hex(const Colour& colour) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "#%02x%02x%02x", static_cast<unsigned>(std::lround(colour.red)),
                static_cast<unsigned>(std::lround(colour.green)),
                static_cast<unsigned>(std::lround(colour.blue)));
  return text.data();
}

/// As text of XML; names come from files that anyone may have written.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text, 200)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

class Picture {
 public:
  Picture(std::string_view title, const std::vector<Tensor>& tensors) : title_(title) {
    for (const Tensor& tensor : tensors) take(tensor);
    columns_ = layers_ + 2;
    const double wanted = 900.0 / static_cast<double>(columns_);
    cell_width_ = std::clamp(wanted, 6.0, 56.0);
    width_ = std::max(2 * margin + label_width + cell_width_ * static_cast<double>(columns_), 640.0);
  }

  std::string text() {
    double top = margin + 16;
    label(margin, top, title_, "font-size=\"16\" font-weight=\"bold\"");
    top += line_height;
    label(margin, top,
          std::to_string(whole_.tensors) + " tensors, " + amount(static_cast<double>(whole_.values), "") +
              " values, " + amount(static_cast<double>(whole_.bytes), "B") + ", " + fixed(whole_.bits()) +
              " bits for each weight");
    top += line_height;
    if (!cells_.empty()) {
      bars(top);
      top += bar_height + 2 * line_height;
      grid(top);
      top += cell_height * static_cast<double>(grid_roles.size()) + line_height;
    }
    list(top);
    top += line_height * static_cast<double>(types_.size() + 1) + margin;
    return "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + number(width_) + "\" height=\"" +
           number(top) + "\" viewBox=\"0 0 " + number(width_) + " " + number(top) +
           "\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n" +
           "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n" + out_ + "</svg>\n";
  }

 private:
  struct Cell {
    std::string name;
    DType type;
    double bits;
  };

  void take(const Tensor& tensor) {
    whole_.add(tensor);
    types_[tensor.type()].add(tensor);
    const auto id = parse_tensor_name(tensor.name);
    if (!id || id->layer >= most_layers || id->role == LlamaRole::final_norm) return;
    const bool outside = id->role == LlamaRole::embedding || id->role == LlamaRole::output;
    // Places: -1 the embedding, layers from 0, the output head behind them, which is not known yet.
    const std::int64_t place = id->role == LlamaRole::embedding ? -1
                               : id->role == LlamaRole::output  ? INT64_MAX
                                                                : static_cast<std::int64_t>(id->layer);
    if (!outside) layers_ = std::max(layers_, id->layer + 1);
    by_place_[place].add(tensor);
    if (tensor.shape.size() < 2) return;
    cells_.insert_or_assign({place, id->role}, Cell{tensor.name, tensor.type(),
                                                    8.0 * static_cast<double>(tensor.bytes()) /
                                                        static_cast<double>(element_count(tensor.shape))});
  }

  double left_of(std::int64_t place) const {
    const auto column =
        place == INT64_MAX ? static_cast<double>(columns_ - 1) : static_cast<double>(place + 1);
    return margin + label_width + cell_width_ * column;
  }

  void label(double x, double y, std::string_view text, const std::string& style = "") {
    out_ += "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\"" + (style.empty() ? "" : " " + style) +
            ">" + escaped(text) + "</text>\n";
  }

  void box(double x, double y, double width, double height, double bits, const std::string& tip) {
    out_ += "<rect x=\"" + number(x) + "\" y=\"" + number(y) + "\" width=\"" + number(width) +
            "\" height=\"" + number(height) + "\" fill=\"" + hex(colour_of(bits)) +
            "\" stroke=\"#fff\" stroke-width=\"0.5\"><title>" + escaped(tip) + "</title></rect>\n";
  }

  static std::string name_of(std::int64_t place) {
    if (place == -1) return "embedding";
    return place == INT64_MAX ? "output" : "layer " + std::to_string(place);
  }

  void bars(double top) {
    double most = 1;
    for (const auto& [place, size] : by_place_) most = std::max(most, size.bits());
    const double step = most > 16 ? 8 : most > 8 ? 4 : most > 4 ? 2 : 1;
    const auto lines = static_cast<int>(std::ceil(most / step));
    const double ceiling = step * lines;
    const double base = top + bar_height;
    for (int line = 0; line <= lines; ++line) {
      const double bits = step * line;
      const double y = base - bar_height * bits / ceiling;
      out_ += "<line x1=\"" + number(margin + label_width) + "\" x2=\"" +
              number(margin + label_width + cell_width_ * static_cast<double>(columns_)) + "\" y1=\"" +
              number(y) + "\" y2=\"" + number(y) + "\" stroke=\"#ddd\"/>\n";
      label(margin + label_width - 6, y + 4, number(bits), "text-anchor=\"end\"");
    }
    label(margin, top + 4, "bits");
    for (const auto& [place, size] : by_place_) {
      const double height = bar_height * size.bits() / ceiling;
      box(left_of(place) + 1, base - height, std::max(cell_width_ - 2, 1.0), height, size.bits(),
          name_of(place) + ": " + fixed(size.bits()) + " bits, " +
              amount(static_cast<double>(size.bytes), "B"));
    }
    names_below(base + 16);
  }

  /// Numbers of layers as often as there is room for them.
  void names_below(double y) {
    const auto every = static_cast<std::uint64_t>(std::ceil(4 * letter_width / cell_width_));
    for (std::uint64_t layer = 0; layer < layers_; layer += every) {
      label(left_of(static_cast<std::int64_t>(layer)) + cell_width_ / 2, y, std::to_string(layer),
            "text-anchor=\"middle\"");
    }
    label(margin, y, "layer");
  }

  void grid(double top) {
    for (std::size_t row = 0; row < grid_roles.size(); ++row)
      label(margin, top + cell_height * static_cast<double>(row) + 16, grid_roles[row].second);
    for (const auto& [key, cell] : cells_) {
      const auto& [place, role] = key;
      const auto row = std::find_if(grid_roles.begin(), grid_roles.end(),
                                    [wanted = role](const auto& one) { return one.first == wanted; });
      if (row == grid_roles.end()) continue;
      const double y = top + cell_height * static_cast<double>(row - grid_roles.begin());
      const std::string type(type_info(cell.type).name);
      box(left_of(place), y, cell_width_, cell_height, cell.bits,
          cell.name + ": " + type + ", " + fixed(cell.bits) + " bits");
      const bool dark = cell.bits <= 2.6 || cell.bits > 20;
      if (static_cast<double>(type.size()) * letter_width <= cell_width_ - 4) {
        label(left_of(place) + cell_width_ / 2, y + 16, type,
              std::string("text-anchor=\"middle\" font-size=\"10\" pointer-events=\"none\"") +
                  (dark ? " fill=\"#fff\"" : ""));
      }
    }
  }

  void list(double top) {
    double y = top + line_height;
    const auto line = [&](double at, const std::array<std::string, 5>& cells, const std::string& style) {
      constexpr std::array<double, 5> right = {0, 180, 260, 380, 460};
      label(margin + 22, at, cells[0], style);
      for (std::size_t i = 1; i < cells.size(); ++i)
        label(margin + right[i], at, cells[i], "text-anchor=\"end\"" + (style.empty() ? "" : " " + style));
    };
    line(y, {"type", "bits", "tensors", "bytes", "share"}, "fill=\"#666\"");
    std::vector<std::pair<DType, Size>> types(types_.begin(), types_.end());
    std::stable_sort(types.begin(), types.end(),
                     [](const auto& a, const auto& b) { return a.second.bytes > b.second.bytes; });
    for (const auto& [type, size] : types) {
      y += line_height;
      const double share = 100.0 * static_cast<double>(size.bytes) / static_cast<double>(whole_.bytes);
      box(margin, y - 11, 14, 14, size.bits(), std::string(type_info(type).name));
      line(y,
           {std::string(type_info(type).name), fixed(size.bits()), std::to_string(size.tensors),
            amount(static_cast<double>(size.bytes), "B"), fixed(share) + " %"},
           "");
    }
  }

  std::string title_, out_;
  Size whole_;
  std::map<DType, Size> types_;
  std::map<std::int64_t, Size> by_place_;
  std::map<std::pair<std::int64_t, LlamaRole>, Cell> cells_;
  std::uint64_t layers_ = 0, columns_ = 2;
  double cell_width_ = 0, width_ = 0;
};

}  // namespace

std::string bits_picture(std::string_view title, const std::vector<Tensor>& tensors) {
  return Picture(title, tensors).text();
}

}  // namespace galatea
