// JSON as Python's json.dumps writes it, byte for byte: what Hugging Face's libraries leave beside weights
// (config.json, *.index.json, tokenizer_config.json), so that files made here equal files made there.
//
//   numbers   integers in full; floats as repr() shows them: shortest digits that give the same float64,
//             "1.0", "1e-06", "1e+30", and the words NaN, Infinity, -Infinity
//   strings   \" \\ \n \r \t \f \b, other control characters \u00XX; with ensure_ascii everything outside of
//             printable ASCII as \uXXXX (two of them beyond U+FFFF)
//   layout    indent spaces a level, "," at the line's end, ": " after names; empty containers "{}" and "[]"
//             without indent one line, ", " between members
#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace galatea {

struct PythonJsonStyle {
  int indent = 2;          ///< -1: one line (indent=None)
  bool sort_keys = false;  ///< by code point, as Python compares strings
  bool ensure_ascii = true;
};

/// json.dumps(value, indent=..., sort_keys=..., ensure_ascii=...). No newline at the end. Throws Error(input)
/// when a string is no UTF-8.
std::string python_json(const nlohmann::ordered_json& value, const PythonJsonStyle& style = {});

/// `text` as a JSON string in quotation marks; without ensure_ascii also as Rust's serde_json writes it.
std::string json_string(std::string_view text, bool ensure_ascii);

/// repr(float) of Python 3: "0.1", "1e-06", "1e+16", "inf", "nan".
std::string python_float_repr(double value);

/// An integer of any length, given by its decimal digits ("-" first when negative), as a JSON value that
/// python_json() writes in full: model_max_length = 1000000000000000019884624838656.
/// It is held as binary of subtype `big_integer_subtype`.
nlohmann::ordered_json big_integer(std::string_view digits);
inline constexpr unsigned big_integer_subtype = 0xB1;

}  // namespace galatea
