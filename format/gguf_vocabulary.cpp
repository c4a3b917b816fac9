#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

#include "format/error.h"
#include "format/gguf_llama.h"

namespace galatea {
namespace {

constexpr std::string_view remedy = "give the tokenizer.model of the model with --tokenizer";

std::optional<std::int32_t> special_id(const GgufFile& file, std::string_view key, std::size_t vocabulary) {
  const auto id = file.get_signed(key);
  if (!id) return {};
  // Some writers say "none" with -1 or with the largest u32.
  if (*id == -1 || *id == std::numeric_limits<std::uint32_t>::max()) return {};
  if (*id < 0 || static_cast<std::uint64_t>(*id) >= vocabulary) {
    throw Error(ErrorKind::input, std::string(key) + " is outside of the vocabulary")
        .file(file.files().front())
        .expected("0 to " + std::to_string(vocabulary - 1))
        .found(std::to_string(*id));
  }
  return static_cast<std::int32_t>(*id);
}

}  // namespace

SentencePieceModel sentencepiece_from_gguf(const GgufFile& file) {
  const auto fail = [&](const std::string& problem) {
    return Error(ErrorKind::input, problem).file(file.files().front()).remedy(remedy);
  };
  const std::string* kind = file.get_string("tokenizer.ggml.model");
  if (kind == nullptr) throw fail("the GGUF file carries no vocabulary");
  if (*kind != "llama") {
    throw fail("the vocabulary of the GGUF file is of a kind that galatea does not know")
        .expected("tokenizer.ggml.model = llama (SentencePiece)")
        .found(printable(*kind));
  }
  const auto* tokens = file.get_strings("tokenizer.ggml.tokens");
  const auto scores = file.get_numbers("tokenizer.ggml.scores");
  const auto types = file.get_integers("tokenizer.ggml.token_type");
  if (tokens == nullptr || !scores || !types || tokens->empty() || scores->size() != tokens->size() ||
      types->size() != tokens->size()) {
    throw fail("the vocabulary of the GGUF file is not whole")
        .expected("tokenizer.ggml.tokens, .scores and .token_type of one length");
  }
  SentencePieceModel model;
  model.algorithm = SentencePieceAlgorithm::bpe;
  model.normalizer_name = "identity";
  model.remove_extra_whitespaces =
      file.get_boolean("tokenizer.ggml.remove_extra_whitespaces").value_or(false);
  model.add_dummy_prefix = file.get_boolean("tokenizer.ggml.add_space_prefix").value_or(true);
  for (std::size_t i = 0; i < tokens->size(); ++i) {
    const std::int64_t type = (*types)[i];
    if (type < 1 || type > 6) throw fail("a token has the unknown type " + std::to_string(type));
    if ((*tokens)[i].empty()) throw fail("token " + std::to_string(i) + " of the vocabulary is empty");
    model.pieces.push_back({(*tokens)[i], static_cast<float>((*scores)[i]), static_cast<PieceType>(type)});
    if (model.pieces.back().type == PieceType::byte) model.byte_fallback = true;
    if (model.pieces.back().type == PieceType::unknown) model.unk_id = static_cast<std::int32_t>(i);
  }
  const auto take = [&](std::string_view key, std::int32_t fallback, std::int32_t& id, std::string& piece) {
    const auto stated =
        file.find(key) == nullptr ? fallback : special_id(file, key, tokens->size()).value_or(-1);
    id = stated >= 0 && static_cast<std::size_t>(stated) < tokens->size() ? stated : -1;
    if (id >= 0) piece = (*tokens)[static_cast<std::size_t>(id)];
  };
  take("tokenizer.ggml.bos_token_id", 1, model.bos_id, model.bos_piece);
  take("tokenizer.ggml.eos_token_id", 2, model.eos_id, model.eos_piece);
  take("tokenizer.ggml.padding_token_id", -1, model.pad_id, model.pad_piece);
  model.unk_piece = model.pieces[static_cast<std::size_t>(model.unk_id)].text;
  return read_sentencepiece_model(*memory_source(write_sentencepiece_model(model), file.files().front()));
}

GgufTokenizer tokenizer_from_gguf(const GgufFile& file) {
  GgufTokenizer out;
  out.model = sentencepiece_from_gguf(file);
  std::vector<SentencePiece>& pieces = out.model.pieces;
  const auto text_of = [&](std::int32_t id) {
    return id < 0 ? std::string() : pieces[static_cast<std::size_t>(id)].text;
  };
  out.bos = text_of(out.model.bos_id);
  out.eos = text_of(out.model.eos_id);
  out.unknown = text_of(out.model.unk_id);
  out.pad = text_of(out.model.pad_id);

  std::size_t end = pieces.size();
  while (end > 0 && pieces[end - 1].type == PieceType::unused &&
         pieces[end - 1].text == "[PAD" + std::to_string(end - 1) + "]")
    --end;
  std::size_t own = end;
  while (own > 0 && pieces[own - 1].score == score_of_added_token &&
         (pieces[own - 1].type == PieceType::control || pieces[own - 1].type == PieceType::user_defined))
    --own;
  for (std::size_t id = own; id < end; ++id)
    out.added.push_back({id, pieces[id].text, pieces[id].type == PieceType::control});
  pieces.resize(own);
  const auto forget = [&](std::int32_t& id, std::string& piece, const char* usual) {
    if (id < 0 || static_cast<std::size_t>(id) < own) return;
    id = -1;
    piece = usual;
  };
  forget(out.model.bos_id, out.model.bos_piece, "<s>");
  forget(out.model.eos_id, out.model.eos_piece, "</s>");
  forget(out.model.pad_id, out.model.pad_piece, "<pad>");
  return out;
}

}  // namespace galatea
