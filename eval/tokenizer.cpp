#include "eval/tokenizer.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "format/error.h"
#include "format/gguf.h"
#include "format/gguf_llama.h"
#include "format/utf8.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view space_mark = "\xE2\x96\x81";  // U+2581

void require_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_length(text.substr(at));
    if (length == 0)
      throw Error(ErrorKind::input, "the text is not UTF-8").at(at).found(printable(text.substr(at, 4)));
    at += length;
  }
}

/// U+2581 in front, and every other one of them a space.
std::string marked(std::string_view text) {
  std::string out(space_mark);
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at).starts_with(space_mark)) {
      out += ' ';
      at += space_mark.size();
    } else {
      out += text[at++];
    }
  }
  return out;
}

Tokenizer finish(SentencePieceModel model, SpecialTokens special, std::optional<UnkRule> rule,
                 const fs::path& name) {
  if (rule) special = with_rule(std::move(special), *rule, model);
  return {Segmenter(std::move(model), name), std::move(special)};
}

Tokenizer from_model_file(const fs::path& file, std::optional<UnkRule> rule) {
  SentencePieceModel model = read_sentencepiece_model(*open_file(file));
  SpecialTokens special = special_tokens_in(file.parent_path(), model);
  return finish(std::move(model), std::move(special), rule, file);
}

void require_no_rule(std::optional<UnkRule> rule, const fs::path& file) {
  if (!rule) return;
  throw Error(ErrorKind::usage, "this tokenizer leaves no choice how special tokens are taken")
      .file(file)
      .found("--unk")
      .remedy("leave --unk out, or name a tokenizer.model");
}

Tokenizer from_json_file(const fs::path& file, std::optional<UnkRule> rule) {
  require_no_rule(rule, file);
  return {read_tokenizer_json(file), "tokenizer.json"};
}

Tokenizer from_gguf(const GgufFile& file, std::optional<UnkRule> rule) {
  const std::string* kind = file.get_string("tokenizer.ggml.model");
  if (kind != nullptr && *kind == "gpt2") {
    require_no_rule(rule, file.files().front());
    return {byte_level_tokenizer_of(file), "the GGUF file's vocabulary"};
  }
  SentencePieceModel model = sentencepiece_from_gguf(file);
  SpecialTokens special = special_tokens_of(model);
  if (!file.get_boolean("tokenizer.ggml.add_bos_token").value_or(true)) special.first.reset();
  if (file.get_boolean("tokenizer.ggml.add_eos_token").value_or(false) && model.eos_id >= 0)
    special.last = model.eos_id;
  return finish(std::move(model), std::move(special), rule, file.files().front());
}

/// tokenizer.model in `folder` or the one above it, else tokenizer.json in it; nothing when there is none.
std::optional<fs::path> tokenizer_file_near(const fs::path& folder) {
  for (const fs::path& place :
       {folder / "tokenizer.model", folder / ".." / "tokenizer.model", folder / "tokenizer.json"}) {
    std::error_code ignored;
    if (fs::is_regular_file(place, ignored)) return place.lexically_normal();
  }
  return {};
}

Tokenizer from_tokenizer_file(const fs::path& file, std::optional<UnkRule> rule) {
  return file.extension() == ".json" ? from_json_file(file, rule) : from_model_file(file, rule);
}

/// Any other JSON (a release, say) has no "added_tokens" so early.
bool starts_like_tokenizer_json(const ByteSource& source) {
  const std::vector<std::byte> start = source.read(0, std::min<std::uint64_t>(source.size(), 4096));
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  return text.starts_with("{") && text.find("\"added_tokens\"") != std::string_view::npos;
}

bool starts_like_sentencepiece(const ByteSource& source) {
  std::array<std::byte, 1> first{};
  if (source.size() == 0) return false;
  source.read(0, first);
  return first[0] == std::byte{0x0A};  // field 1, a message: the first piece
}

}  // namespace

Tokenizer::Tokenizer(Segmenter segmenter, SpecialTokens special)
    : segmenter_(std::move(segmenter)), special_(std::move(special)) {}

Tokenizer::Tokenizer(FastTokenizer fast, const std::string& source) : fast_(std::move(fast)) {
  special_.variant = "as the tokenizer has it";
  special_.source = source;
}

std::vector<std::int32_t> Tokenizer::encode_stretch(std::string_view text) const {
  if (special_.legacy) return segmenter_->segment(text, Segmenter::Prefix::as_model);
  if (!text.starts_with(space_mark) && !text.starts_with(' '))
    return segmenter_->segment(text, Segmenter::Prefix::none);
  // transformers puts the unknown token's text in front and takes its pieces off again.
  const std::string& unk = segmenter_->model().unk_piece;
  const std::size_t skip = segmenter_->segment(unk, Segmenter::Prefix::none).size();
  std::vector<std::int32_t> ids = segmenter_->segment(unk + std::string(text), Segmenter::Prefix::none);
  if (ids.size() >= skip) ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(skip));
  return ids;
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool around) const {
  require_utf8(text);
  if (fast_) return fast_->encode(text, around);
  std::string with_mark;
  if (!special_.legacy && !text.empty()) text = with_mark = marked(text);
  const std::vector<Stretch> stretches = cut_at_special_tokens(text, special_);
  std::vector<std::int32_t> out;
  if (around && special_.first) out.push_back(*special_.first);
  for (std::size_t i = 0; i < stretches.size(); ++i) {
    if (stretches[i].special != nullptr) {
      out.push_back(stretches[i].special->id);
      continue;
    }
    const std::vector<std::int32_t> ids = encode_stretch(stretches[i].text);
    const bool lone_mark = !special_.legacy && i == 0 && stretches.size() > 1 &&
                           stretches[1].special->named && ids.size() == 1 &&
                           segmenter_->model().pieces[static_cast<std::size_t>(ids[0])].text == space_mark;
    if (!lone_mark) out.insert(out.end(), ids.begin(), ids.end());
  }
  if (around && special_.last) out.push_back(*special_.last);
  return out;
}

std::size_t Tokenizer::vocabulary_size() const {
  if (fast_) return fast_->vocabulary_size();
  std::size_t size = segmenter_->model().pieces.size();
  for (const SpecialToken& token : special_.tokens)
    size = std::max(size, static_cast<std::size_t>(token.id) + 1);
  return size;
}

Tokenizer open_tokenizer(const fs::path& path, std::optional<UnkRule> rule) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    const auto file = tokenizer_file_near(path);
    if (!file) {
      throw Error(ErrorKind::input, "the folder has no tokenizer.model and no tokenizer.json")
          .file(path)
          .remedy("copy the tokenizer of the model there, or name it");
    }
    return from_tokenizer_file(*file, rule);
  }
  const SourcePtr source = open_file(path);
  if (GgufFile::recognise(*source)) return from_gguf(GgufFile::open(path), rule);
  const bool a_model = path.extension() == ".model" || starts_like_sentencepiece(*source);
  if (a_model) return from_model_file(path, rule);
  if (path.filename() == "tokenizer.json" || starts_like_tokenizer_json(*source))
    return from_json_file(path, rule);
  const auto beside = tokenizer_file_near(path.parent_path());
  if (!beside) {
    throw Error(ErrorKind::input, "is no tokenizer, and no tokenizer.model lies beside it")
        .file(path)
        .expected("tokenizer.model, tokenizer.json, a GGUF file, or a checkpoint with one of them");
  }
  return from_tokenizer_file(*beside, rule);
}

Tokenizer open_tokenizer(const Checkpoint& checkpoint, std::optional<UnkRule> rule) {
  if (checkpoint.gguf() != nullptr) return from_gguf(*checkpoint.gguf(), rule);
  if (!checkpoint.tokenizer_model()) {
    std::error_code ignored;
    const bool folder = fs::is_directory(checkpoint.path(), ignored);
    const fs::path beside = (folder ? checkpoint.path() : checkpoint.path().parent_path()) / "tokenizer.json";
    if (fs::is_regular_file(beside, ignored)) return from_json_file(beside, rule);
    throw Error(ErrorKind::input, "the checkpoint brings no tokenizer.model and no tokenizer.json")
        .file(checkpoint.path())
        .remedy("copy the tokenizer of the model there, or name it with --tokenizer");
  }
  return from_model_file(*checkpoint.tokenizer_model(), rule);
}

}  // namespace galatea
