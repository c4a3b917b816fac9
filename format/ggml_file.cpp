#include "format/ggml_file.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "format/checked.h"
#include "format/error.h"
#include "format/header_cursor.h"

namespace galatea {
namespace {

constexpr std::uint64_t most_tokens = std::uint64_t{1} << 24U;
constexpr std::uint64_t longest_token = 65'536;
constexpr std::uint64_t longest_name = 255;
constexpr std::uint64_t most_tensors = 100'000;
constexpr std::uint64_t padding = 32;

class Reader {
 public:
  explicit Reader(const SourcePtr& source) : source_(source), cursor_(source) {}

  GgmlFile read() {
    read_container();
    cursor_.take(file_.numbers.data(), sizeof file_.numbers);
    read_tokens();
    std::unordered_set<std::string> names;
    while (cursor_.remaining() > 0) {
      if (names.size() == most_tensors) cursor_.fail("has more than 100,000 tensors", cursor_.position());
      const std::uint64_t start = cursor_.position();
      GgmlTensor tensor = read_tensor();
      if (!names.insert(tensor.name).second) {
        throw Error(ErrorKind::input, "a tensor is there twice")
            .file(source_->name())
            .tensor(tensor.name)
            .at(start);
      }
      file_.tensors.push_back(std::move(tensor));
    }
    return std::move(file_);
  }

 private:
  void read_container() {
    std::array<char, 4> magic{};
    cursor_.take(magic.data(), magic.size());
    const std::string_view name(magic.data(), magic.size());
    if (name == "lmgg") {
      file_.container = "GGML";
      file_.scores = false;
      file_.may_have_parts = true;
      file_.blocks = GgmlBlocks::pairs;
      return;
    }
    const auto version = cursor_.number<std::uint32_t>();
    const bool ggmf = name == "fmgg";
    if (version < 1 || version > (ggmf ? 1U : 3U)) {
      throw Error(ErrorKind::input, "has a version that there was never")
          .file(source_->name())
          .at(4)
          .expected(ggmf ? "GGMF 1" : "GGJT 1 to 3")
          .found(std::to_string(version));
    }
    file_.container = (ggmf ? "GGMF " : "GGJT ") + std::to_string(version);
    file_.may_have_parts = ggmf;
    padded_ = !ggmf;
    if (version <= 2) file_.blocks = version == 1 ? GgmlBlocks::pairs : GgmlBlocks::wide;
  }

  void read_tokens() {
    const std::uint64_t smallest = file_.scores ? 8 : 4;
    const std::uint64_t most = std::min(most_tokens, cursor_.remaining() / smallest);
    if (file_.vocabulary() < 3 || file_.vocabulary() > most) {
      throw Error(ErrorKind::input, "claims more tokens than the file can hold, or none")
          .file(source_->name())
          .at(cursor_.position() - sizeof file_.numbers)
          .expected("3 to " + std::to_string(most))
          .found(std::to_string(file_.vocabulary()));
    }
    file_.tokens.reserve(static_cast<std::size_t>(file_.vocabulary()));
    for (std::uint64_t i = 0; i < file_.vocabulary(); ++i) {
      GgmlToken token;
      token.text = text(longest_token, "token");
      if (file_.scores) token.score = cursor_.number<float>();
      file_.tokens.push_back(std::move(token));
    }
  }

  std::string text(std::uint64_t longest, const char* what) {
    const std::uint64_t at = cursor_.position();
    return text_of(cursor_.number<std::uint32_t>(), longest, what, at);
  }

  std::string text_of(std::uint64_t size, std::uint64_t longest, const char* what, std::uint64_t at) {
    if (size > longest || size > cursor_.remaining()) {
      throw Error(ErrorKind::input,
                  std::string("a ") + what + " is too long, or reaches past the end of the file")
          .file(source_->name())
          .at(at)
          .expected("at most " + std::to_string(std::min(longest, cursor_.remaining())) + " bytes")
          .found(std::to_string(size));
    }
    std::string out(static_cast<std::size_t>(size), '\0');
    cursor_.take(out.data(), size);
    return out;
  }

  GgmlTensor read_tensor() {
    const std::uint64_t start = cursor_.position();
    const auto rank = cursor_.number<std::uint32_t>();
    const auto name_size = cursor_.number<std::uint32_t>();
    const auto id = cursor_.number<std::uint32_t>();
    if (rank < 1 || rank > 2) {
      throw Error(ErrorKind::input, "a tensor is neither a vector nor a matrix")
          .file(source_->name())
          .at(start)
          .expected("1 or 2 dimensions")
          .found(std::to_string(rank))
          .remedy("the file is cut within a tensor before, or of another kind of model than LLaMA");
    }
    GgmlTensor tensor;
    for (std::uint32_t i = 0; i < rank; ++i) tensor.shape.push_back(cursor_.number<std::uint32_t>());
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    tensor.name = text_of(name_size, longest_name, "tensor name", start + 4);
    const auto fail = [&](const std::string& problem) {
      return Error(ErrorKind::input, problem).file(source_->name()).tensor(tensor.name).at(start);
    };
    const std::optional<GgmlType> type = find_ggml_type(id, file_.blocks);
    if (!type) {
      throw fail("a tensor has a type that files of this version do not have")
          .expected("a type of " + file_.container)
          .found("ggml type " + std::to_string(id));
    }
    tensor.type = *type;
    if (std::find(tensor.shape.begin(), tensor.shape.end(), 0U) != tensor.shape.end())
      throw fail("a tensor is empty: " + to_string(tensor.shape));
    if (padded_) skip_padding(fail);
    tensor.offset = cursor_.position();
    try {
      store(tensor);
    } catch (Error& error) {
      throw error.file(source_->name()).tensor(tensor.name).at(start);
    }
    return tensor;
  }

  template <class Fail>
  void skip_padding(const Fail& fail) {
    const std::uint64_t begin = align_up(cursor_.position(), padding);
    if (begin - cursor_.position() > cursor_.remaining())
      throw fail("the file ends in front of a tensor's data");
    cursor_.seek(begin);
  }

  void store(GgmlTensor& tensor) {
    const bool plain_vector = tensor.shape.size() == 1 && tensor.type.block_length == 1;
    const std::uint64_t rows = plain_vector || tensor.shape.size() == 2 ? tensor.shape.front() : 1;
    const std::uint64_t cols = plain_vector ? 1 : tensor.shape.back();
    const std::uint64_t row_bytes = tensor.type.bytes_for(cols);
    const std::uint64_t bytes = checked_mul(rows, row_bytes, "the size of a tensor in bytes");
    if (bytes > cursor_.remaining()) {
      throw Error(ErrorKind::input, "the data of a tensor ends past the end of the file")
          .expected("at least " + std::to_string(bytes) + " bytes more")
          .found(std::to_string(cursor_.remaining()))
          .remedy("the download is probably incomplete: fetch it again");
    }
    tensor.stored = stored_rows(source_, tensor.offset, DType::u8, rows, row_bytes);
    cursor_.seek(tensor.offset + bytes);
  }

  SourcePtr source_;
  HeaderCursor cursor_;
  GgmlFile file_;
  bool padded_ = false;
};

}  // namespace

bool is_ggml_file(const ByteSource& source) {
  if (source.size() < 4) return false;
  std::array<std::byte, 4> magic{};
  source.read(0, magic);
  const std::string_view name(reinterpret_cast<const char*>(magic.data()), magic.size());
  return name == "lmgg" || name == "fmgg" || name == "tjgg";
}

GgmlFile read_ggml_file(const SourcePtr& source) { return Reader(source).read(); }

}  // namespace galatea
