#include "eval/html_report.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "eval/junit.h"
#include "eval/score.h"

namespace galatea {
namespace {

using nlohmann::json;

constexpr double width = 860, height = 260, left = 64, bottom = 34, top = 12, right = 12;
constexpr std::size_t most_points = 2000;
constexpr const char* colours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"};

std::string number(const char* pattern, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), pattern, value);
  return text.data();
}

struct Run {
  PerplexityResult result;
  std::string model, data;
  double bytes = 0;
  json document;
};

std::string text_of(const json& document, const char* key) {
  const auto place = document.find(key);
  return place != document.end() && place->is_string() ? place->get<std::string>() : "";
}

double number_of(const json& document, const char* key) {
  const auto place = document.find(key);
  return place != document.end() && place->is_number() ? place->get<double>() : 0;
}

Run run_of(const json& document) {
  Run out{perplexity_from_json(document), text_of(document, "model"), text_of(document, "data"),
          number_of(document, "model_bytes"), document};
  const std::filesystem::path path = out.model;
  out.model = path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
  if (out.model.empty()) out.model = "model";
  return out;
}

/// A drawing with axes; points are put in by their values.
class Plot {
 public:
  Plot(double x_low, double x_high, double y_low, double y_high) : x_low_(x_low), y_low_(y_low) {
    x_step_ = (width - left - right) / std::max(x_high - x_low, 1e-12);
    y_step_ = (height - bottom - top) / std::max(y_high - y_low, 1e-12);
    body_ = "<svg viewBox=\"0 0 " + number("%g", width) + " " + number("%g", height) + "\" role=\"img\">";
    for (int i = 0; i <= 4; ++i) {
      const double value = y_low + (y_high - y_low) * i / 4;
      line(left, y(value), width - right, y(value), "#ddd");
      label(left - 6, y(value) + 4, number("%.4g", value), "end");
      const double across = x_low + (x_high - x_low) * i / 4;
      label(x(across), height - bottom + 16, number("%.4g", across), i == 4 ? "end" : "middle");
    }
  }
  double x(double value) const { return left + (value - x_low_) * x_step_; }
  double y(double value) const { return height - bottom - (value - y_low_) * y_step_; }
  void line(double x1, double y1, double x2, double y2, const char* colour) {
    body_ += "<line x1=\"" + number("%.1f", x1) + "\" y1=\"" + number("%.1f", y1) + "\" x2=\"" +
             number("%.1f", x2) + "\" y2=\"" + number("%.1f", y2) + "\" stroke=\"" + colour + "\"/>";
  }
  void label(double at_x, double at_y, const std::string& text, const char* anchor) {
    body_ += "<text x=\"" + number("%.1f", at_x) + "\" y=\"" + number("%.1f", at_y) + "\" text-anchor=\"" +
             anchor + "\">" + escaped_markup(text) + "</text>";
  }
  void dot(double at_x, double at_y, const char* colour, const std::string& title) {
    body_ += "<circle cx=\"" + number("%.1f", at_x) + "\" cy=\"" + number("%.1f", at_y) +
             "\" r=\"4\" fill=\"" + colour + "\"><title>" + escaped_markup(title) + "</title></circle>";
  }
  void curve(const std::string& points, const char* colour) {
    body_ += "<polyline fill=\"none\" stroke=\"" + std::string(colour) + "\" points=\"" + points + "\"/>";
  }
  std::string finish(const std::string& across) {
    label((left + width - right) / 2, height - 3, across, "middle");
    return body_ + "</svg>";
  }

 private:
  double x_low_, y_low_, x_step_, y_step_;
  std::string body_;
};

std::string legend(const std::vector<const Run*>& runs) {
  std::string out = "<p>";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    out += "<span class=\"key\" style=\"color:" + std::string(colours[i % std::size(colours)]) +
           "\">&#9679; " + escaped_markup(runs[i]->model) + "</span> ";
  }
  return out + "</p>";
}

std::string windows_of(const std::vector<const Run*>& runs) {
  double low = INFINITY;
  double high = 0;
  double first = INFINITY;
  double last = 1;
  for (const Run* run : runs) {
    for (const double loss : run->result.window_losses) {
      low = std::min(low, std::exp(loss));
      high = std::max(high, std::exp(loss));
    }
    first = std::min(first, static_cast<double>(run->result.first_window));
    last =
        std::max(last, static_cast<double>(run->result.first_window + run->result.window_losses.size() - 1));
  }
  if (!std::isfinite(high)) return "<p>Beyond what can be drawn.</p>";
  Plot plot(first, last, low, high);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const std::vector<double>& losses = runs[i]->result.window_losses;
    const std::size_t step = (losses.size() + most_points - 1) / most_points;
    std::string points;
    for (std::size_t w = 0; w < losses.size(); w += step) {
      const double at = static_cast<double>(runs[i]->result.first_window + w);
      points += number("%.1f", plot.x(at)) + "," + number("%.1f", plot.y(std::exp(losses[w]))) + " ";
    }
    plot.curve(points, colours[i % std::size(colours)]);
  }
  return legend(runs) + plot.finish("window");
}

std::string against_size(const std::vector<const Run*>& runs) {
  double low = INFINITY;
  double high = 0;
  double largest = 0;
  for (const Run* run : runs) {
    low = std::min(low, run->result.perplexity);
    high = std::max(high, run->result.perplexity);
    largest = std::max(largest, run->bytes);
  }
  if (runs.size() < 2 || largest <= 0 || !std::isfinite(high)) return "";
  const double unit = largest >= 1e9 ? 1e9 : 1e6;
  const double margin = std::max((high - low) * 0.1, 1e-6 * high);
  Plot plot(0, 1.1 * largest / unit, low - margin, high + margin);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const double at_x = plot.x(runs[i]->bytes / unit);
    const double at_y = plot.y(runs[i]->result.perplexity);
    plot.dot(at_x, at_y, colours[i % std::size(colours)],
             runs[i]->model + ": " + number("%.6f", runs[i]->result.perplexity));
    plot.label(at_x + (at_x > width / 2 ? -8 : 8), at_y + 4, runs[i]->model,
               at_x > width / 2 ? "end" : "start");
  }
  return "<h3>Perplexity against size</h3>" + plot.finish(unit > 1e8 ? "size in GB" : "size in MB");
}

std::string row_of(const Run& run) {
  const PerplexityResult& result = run.result;
  const json& document = run.document;
  const auto cell = [](const std::string& text, const char* kind = "") {
    return "<td" + std::string(kind) + ">" + text + "</td>";
  };
  std::string out =
      "<tr>" + cell(escaped_markup(run.model)) + cell(escaped_markup(run.data)) +
      cell(escaped_markup(result.protocol) + ", " + std::to_string(result.context)) +
      cell(run.bytes > 0 ? number("%.3f", run.bytes / 1e9) : "") +
      cell(number("%.6f", result.perplexity) + " &#177; " + number("%.4f", result.standard_error));
  const bool compared = document.contains("expected") && document.contains("passed");
  if (compared) {
    const bool passed = document.at("passed") == true;
    out += cell(number("%.6f", number_of(document, "expected")) + " (" +
                escaped_markup(text_of(document, "expected_from")) + ")") +
           cell(number("%+.2e", number_of(document, "relative_difference"))) +
           cell(number("%+.2f", number_of(document, "standard_errors"))) +
           cell(passed ? "pass" : "fail", passed ? " class=\"pass\"" : " class=\"fail\"");
  } else {
    out += cell("") + cell("") + cell("") + cell("");
  }
  const json divergence = document.value("kl_divergence", json::object());
  const json mean = divergence.is_object() ? divergence.value("mean", json::object()) : json::object();
  out += cell(mean.is_object() && mean.contains("value") ? number("%.6f", number_of(mean, "value")) : "");
  return out + "</tr>\n";
}

constexpr const char* head = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>galatea perplexity</title>
<style>
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; font-size: 14px; }
th, td { border-bottom: 1px solid #ddd; padding: 4px 8px; text-align: right; }
th:first-child, td:first-child, td:nth-child(2), th:nth-child(2) { text-align: left; }
td { white-space: nowrap; }
.pass { color: #156f2c; font-weight: bold; } .fail { color: #b3151b; font-weight: bold; }
svg { width: 100%; height: auto; font: 11px sans-serif; } .key { margin-right: 1em; }
code { font-size: 12px; word-break: break-all; }
</style></head><body>
<h1>Perplexity</h1>
<table><tr><th>Model</th><th>Text</th><th>Protocol</th><th>GB</th><th>Perplexity</th><th>Expected</th>
<th>Difference</th><th>Std. errors</th><th></th><th>KL mean</th></tr>
)";

}  // namespace

std::string html_report(std::span<const json> documents) {
  std::vector<Run> runs;
  for (const json& document : documents) runs.push_back(run_of(document));
  std::string out = head;
  std::map<std::string, std::vector<const Run*>> by_stream;  // what can be compared
  for (const Run& run : runs) {
    out += row_of(run);
    by_stream[run.result.protocol + " " + std::to_string(run.result.context) + " " + run.result.stream_sha256]
        .push_back(&run);
  }
  out += "</table>\n";
  for (const auto& [key, group] : by_stream) {
    const PerplexityResult& first = group.front()->result;
    out += "<h2>" + escaped_markup(group.front()->data.empty() ? "A stream of ids" : group.front()->data) +
           ", " + escaped_markup(first.protocol) + "</h2>\n<p>" + std::to_string(first.tokens) + " tokens, " +
           std::to_string(first.windows) + " windows of " + std::to_string(first.context) +
           ", SHA-256 of the ids <code>" + escaped_markup(first.stream_sha256) +
           "</code></p>\n<h3>Perplexity of each window</h3>" + windows_of(group) + "\n" +
           against_size(group) + "\n";
  }
  return out + "</body></html>\n";
}

}  // namespace galatea
