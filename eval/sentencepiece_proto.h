// Writes the protocol-buffer message ModelProto that SentencePiece loads; its fields are listed in
// format/sentencepiece_model.h.
//
// SentencePiece never sees a file: whatever the vocabulary came from (tokenizer.model, GGUF), it is checked
// by our own reader first and handed over in this form.
#pragma once

#include <string>

#include "format/gguf.h"
#include "format/sentencepiece_model.h"

namespace galatea {

std::string write_sentencepiece_model(const SentencePieceModel& model);

/// The vocabulary inside a GGUF (tokenizer.ggml.tokens, .scores, .token_type), with LLaMA's options:
/// BPE, nothing normalised, one space put in front. Checked like a tokenizer.model. Throws Error(input) when
/// there is none or it is of another kind than "llama".
SentencePieceModel sentencepiece_model_of(const GgufFile& file);

}  // namespace galatea
