// A page about runs of perplexity, for people: one file, with its style and drawings inside, that loads nothing.
//
// A table of the runs, the perplexity of each window, perplexity against the size of the model where there are several,
// and what was expected against what was found. Input is the JSON of runs.
#pragma once

#include <span>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace galatea {

/// Throws Error(input) when a document is no run.
std::string html_report(std::span<const nlohmann::json> documents);

}  // namespace galatea
