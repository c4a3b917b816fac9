#include "format/gguf_rope.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <utility>

#include "format/error.h"
#include "format/tensor.h"

namespace galatea {
namespace {

constexpr double closeness = 1e-5;
constexpr std::uint64_t least_context = 256, most_context = std::uint64_t{1} << 24U;

[[noreturn]] void refuse(const GgufFile& file, const std::string& problem, const std::string& expected,
                         const std::string& found) {
  throw Error(ErrorKind::input, problem)
      .file(file.files().front())
      .expected(expected)
      .found(found)
      .remedy(
          "galatea perplexity scores it from its Hugging Face folder if config.json says it in a way that is "
          "known");
}

bool alike(const std::vector<float>& a, const std::vector<float>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](float x, float y) {
    return std::fabs(static_cast<double>(x) - static_cast<double>(y)) <= closeness * static_cast<double>(x);
  });
}

/// Of the factors in the file, the scaling that gives them.
RopeScaling scaling_of(const GgufFile& file, const std::vector<float>& factors, LlamaConfig config) {
  const bool sane = factors.size() == config.head_dim / 2 &&
                    std::all_of(factors.begin(), factors.end(),
                                [](float factor) { return factor > 0 && std::isfinite(factor); });
  if (!sane) {
    refuse(file, "the factors of the rotary embedding cannot be used",
           std::to_string(config.head_dim / 2) + " numbers above 0 in " + rope_factors_name,
           std::to_string(factors.size()));
  }
  const auto [least, most] = std::minmax_element(factors.begin(), factors.end());
  if (*least == 1 && *most == 1) return {};
  RopeScaling& scaling = config.rope_scaling;
  scaling.kind = RopeScaling::Kind::llama3;
  scaling.factor = meant_decimal(static_cast<double>(*most));
  std::vector<std::uint64_t> contexts;
  if (const auto given = file.get_unsigned("llama.rope.scaling.original_context_length"))
    contexts.push_back(*given);
  contexts.push_back(8192);
  for (std::uint64_t context = least_context; context <= most_context; context *= 2)
    contexts.push_back(context);
  for (const std::uint64_t context : contexts) {
    scaling.original_context = static_cast<double>(context);
    if (context > 0 && alike(factors, llama3_rope_factors(config))) return scaling;
  }
  refuse(file, "the model stretches its rotary embedding in a way that galatea does not know",
         std::string("factors as rope_scaling llama3 makes them in ") + rope_factors_name,
         "others, from " + std::to_string(*least) + " to " + std::to_string(*most));
}

}  // namespace

double meant_decimal(double stored) {
  std::array<char, 64> text{};
  const auto written = std::to_chars(text.data(), text.data() + text.size(), static_cast<float>(stored));
  double meant = stored;
  std::from_chars(text.data(), written.ptr, meant);
  return meant;
}

std::vector<float> llama3_rope_factors(const LlamaConfig& config) {
  const RopeScaling& scaling = config.rope_scaling;
  std::vector<float> out;
  out.reserve(config.head_dim / 2);
  for (std::uint64_t i = 0; i < config.head_dim; i += 2) {
    const double exponent = static_cast<double>(i) / static_cast<double>(config.head_dim);
    const double turns = scaling.original_context / (2 * M_PI * std::pow(config.rope_theta, exponent));
    const double share = (turns - scaling.low_frequency) / (scaling.high_frequency - scaling.low_frequency);
    const double kept = std::clamp(share, 0.0, 1.0);
    out.push_back(static_cast<float>(1 / ((1 - kept) / scaling.factor + kept)));
  }
  return out;
}

void read_gguf_attention(const GgufFile& file, LlamaConfig& config) {
  config.sliding_window = file.get_unsigned("llama.attention.sliding_window").value_or(0);
  const std::string* type = file.get_string("llama.rope.scaling.type");
  if (type != nullptr && *type != "none" && *type != "linear") {
    refuse(file, "the model stretches its rotary embedding in a way that galatea does not know",
           "llama.rope.scaling.type none or linear", printable(*type));
  }
  const double factor =
      meant_decimal(file.get_number("llama.rope.scaling.factor")
                        .value_or(file.get_number("llama.rope.scale_linear").value_or(1.0)));
  const bool linear = factor != 1 && (type == nullptr || *type == "linear");
  if (linear) {
    if (!(factor > 1 && factor < 1e6))
      refuse(file, "the factor of the rotary embedding cannot be used", "a number above 1",
             std::to_string(factor));
    config.rope_scaling.kind = RopeScaling::Kind::linear;
    config.rope_scaling.factor = factor;
  }
  const auto factors = std::find_if(file.tensors().begin(), file.tensors().end(),
                                    [](const Tensor& tensor) { return tensor.name == rope_factors_name; });
  if (factors == file.tensors().end()) return;
  const RopeScaling scaling = scaling_of(file, read_all_f32(*factors), config);
  if (scaling.kind == RopeScaling::Kind::none) return;
  if (linear) {
    refuse(file, "the model stretches its rotary embedding twice",
           std::string("llama.rope.scaling.factor or ") + rope_factors_name, "both");
  }
  config.rope_scaling = scaling;
}

}  // namespace galatea
