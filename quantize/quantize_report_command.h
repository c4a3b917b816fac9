// What `galatea quantize` says about a plan: the tables for people, the document for programs.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "format/console.h"
#include "quantize/importance_file.h"
#include "quantize/quantize_model.h"

namespace galatea::quantize_report {

/// printf of one number.
std::string text(const char* pattern, double value);

/// One line for each type, or for each tensor with the ten that lost most below; errors are shown when they
/// were measured, relative to the tensor's own root mean square.
void print_table(const QuantizationPlan& plan, bool per_tensor, bool measured, Console& console);

/// "tensors" and, where errors were measured, "worst"; sizes.
nlohmann::json document_of(const QuantizationPlan& plan, bool measured);

/// What an importance matrix has for a model and what not, in one line; empty lists stay unsaid.
struct Coverage {
  std::string file;
  std::string dataset;
  std::uint64_t matrices = 0, chunks = 0;
  std::vector<std::string> missing;  ///< matrices of the model without weights
  std::vector<std::string> unused;   ///< with a count of zero
  std::vector<std::string> thin;     ///< of much less text than the others
};
std::string line_of(const Coverage& coverage);
nlohmann::json json_of(const Coverage& coverage);

}  // namespace galatea::quantize_report
