#include "converter/tokenizer_json.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

#include "format/error.h"
#include "format/python_json.h"
#include "format/utf8.h"

namespace galatea {
namespace {

constexpr std::array<std::string_view, 3> special_pieces = {"<unk>", "<s>", "</s>"};

void check(const SentencePieceModel& model) {
  if (model.algorithm != SentencePieceAlgorithm::bpe) {
    throw Error(ErrorKind::input, "tokenizer.json can only be made from a BPE vocabulary")
        .expected("model_type 2 (BPE)")
        .found("model_type " + std::to_string(static_cast<int>(model.algorithm)));
  }
  for (std::size_t id = 0; id < special_pieces.size(); ++id) {
    const std::string_view piece = id < model.pieces.size() ? model.pieces[id].text : std::string_view();
    if (piece != special_pieces[id]) {
      throw Error(ErrorKind::input,
                  "token " + std::to_string(id) + " is not the one LLaMA vocabularies have there")
          .expected(special_pieces[id])
          .found(piece.empty() ? "no piece" : piece)
          .remedy("use tokenizer.model itself; the fast tokenizer's file would not tokenize alike");
    }
  }
}

// The parts before and after the vocabulary. They hold no value that depends on the model but unk_token.
constexpr std::string_view before_added_tokens = R"({
  "version": "1.0",
  "truncation": null,
  "padding": null,
  "added_tokens": [
)";

constexpr std::string_view after_added_tokens = R"(  ],
  "normalizer": {
    "type": "Sequence",
    "normalizers": [
      {
        "type": "Prepend",
        "prepend": "▁"
      },
      {
        "type": "Replace",
        "pattern": {
          "String": " "
        },
        "content": "▁"
      }
    ]
  },
  "pre_tokenizer": null,
  "post_processor": {
    "type": "TemplateProcessing",
    "single": [
      {
        "SpecialToken": {
          "id": "<s>",
          "type_id": 0
        }
      },
      {
        "Sequence": {
          "id": "A",
          "type_id": 0
        }
      }
    ],
    "pair": [
      {
        "SpecialToken": {
          "id": "<s>",
          "type_id": 0
        }
      },
      {
        "Sequence": {
          "id": "A",
          "type_id": 0
        }
      },
      {
        "Sequence": {
          "id": "B",
          "type_id": 0
        }
      }
    ],
    "special_tokens": {
      "<s>": {
        "id": "<s>",
        "ids": [
          1
        ],
        "tokens": [
          "<s>"
        ]
      }
    }
  },
  "decoder": {
    "type": "Sequence",
    "decoders": [
      {
        "type": "Replace",
        "pattern": {
          "String": "▁"
        },
        "content": " "
      },
      {
        "type": "ByteFallback"
      },
      {
        "type": "Fuse"
      },
      {
        "type": "Strip",
        "content": " ",
        "start": 1,
        "stop": 0
      }
    ]
  },
  "model": {
    "type": "BPE",
    "dropout": null,
    "unk_token": )";

constexpr std::string_view before_vocab = R"(,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": true,
    "byte_fallback": true,
    "vocab": {
)";

std::string added_token(std::uint64_t id, std::string_view content, bool normalized, bool special) {
  const auto truth = [](bool value) { return value ? "true" : "false"; };
  return "    {\n      \"id\": " + std::to_string(id) +
         ",\n      \"content\": " + json_string(content, false) +
         ",\n      \"single_word\": false,\n      \"lstrip\": false,\n      \"rstrip\": false,\n"
         "      \"normalized\": " +
         truth(normalized) + ",\n      \"special\": " + truth(special) + "\n    }";
}

}  // namespace

std::vector<BpeMerge> merge_list(const SentencePieceModel& model) {
  std::unordered_map<std::string_view, std::uint32_t> ids;
  ids.reserve(model.pieces.size());
  for (std::size_t id = 0; id < model.pieces.size(); ++id)
    ids.emplace(model.pieces[id].text, static_cast<std::uint32_t>(id));

  struct Scored {
    BpeMerge merge;
    float score;
  };
  std::vector<Scored> found;
  for (std::size_t id = special_pieces.size(); id < model.pieces.size(); ++id) {
    const std::string_view whole = model.pieces[id].text;
    const float score = model.pieces[id].score;
    if (score == 0.0F) continue;
    for (std::size_t cut = utf8_length(whole); cut < whole.size(); cut += utf8_length(whole.substr(cut))) {
      const auto left = ids.find(whole.substr(0, cut));
      if (left == ids.end()) continue;
      const auto right = ids.find(whole.substr(cut));
      if (right != ids.end()) found.push_back({{left->second, right->second}, score});
    }
  }
  std::sort(found.begin(), found.end(), [](const Scored& a, const Scored& b) {
    if (a.score != b.score) return a.score > b.score;
    if (a.merge.left != b.merge.left) return a.merge.left < b.merge.left;
    return a.merge.right < b.merge.right;
  });
  std::vector<BpeMerge> merges;
  merges.reserve(found.size());
  for (const Scored& entry : found) merges.push_back(entry.merge);
  return merges;
}

std::string tokenizer_json(const SentencePieceModel& model, const std::vector<AddedToken>& added) {
  check(model);
  std::string text(before_added_tokens);
  for (std::size_t id = 0; id < special_pieces.size(); ++id)
    text += (id == 0 ? "" : ",\n") + added_token(id, special_pieces[id], true, true);
  for (const AddedToken& token : added)
    text += ",\n" + added_token(token.id, token.text, !token.special, token.special);
  text += "\n";
  text += after_added_tokens;
  text += json_string(model.unk_piece, false);
  text += before_vocab;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    text += "      " + json_string(model.pieces[id].text, false) + ": " + std::to_string(id);
    text += id + 1 < model.pieces.size() ? ",\n" : "\n";
  }
  const std::vector<BpeMerge> merges = merge_list(model);
  text += merges.empty() ? "    },\n    \"merges\": []" : "    },\n    \"merges\": [\n";
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string pair = model.pieces[merges[i].left].text + " " + model.pieces[merges[i].right].text;
    text += "      " + json_string(pair, false) + (i + 1 < merges.size() ? ",\n" : "\n    ]");
  }
  text += "\n  }\n}";
  return text;
}

}  // namespace galatea
