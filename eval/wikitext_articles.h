// WikiText as lm-evaluation-harness scores it: its articles, with the spaces taken out that the data set has around
// punctuation. Sources: the loading script of wikitext_document_level, and preprocess_wikitext.py of the task.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace galatea {

/// The articles of the raw file: a line "= Title =" starts one. Those of white space only are left out.
std::vector<std::string> wikitext_articles(std::string_view text);

/// The article with "@-@" as "-", " ," as "," and so on.
std::string wikitext_unspaced(std::string_view article);

}  // namespace galatea
