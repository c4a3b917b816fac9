// The containers of weights: whatever is listed can be read, and nothing outside of the file is listed.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "format/checkpoint.h"
#include "format/ggml_file.h"
#include "format/gguf.h"
#include "format/layout_source.h"
#include "format/llama2c.h"
#include "format/pickle.h"
#include "format/safetensors.h"
#include "format/torch_file.h"
#include "format/torch_globals.h"
#include "format/torch_older.h"
#include "format/zip_archive.h"
#include "tests/fuzz/target.h"

using namespace galatea;  // NOLINT(google-build-using-namespace)

namespace {

SourcePtr source_of(fuzz::Bytes input, const char* name) {
  return memory_source(std::vector<std::byte>(input.begin(), input.end()), name);
}

// The first and the last row of each of the first tensors: a row that is listed can be read.
void read_some(const std::vector<Tensor>& tensors, std::uint64_t limit) {
  constexpr std::size_t most = 16;
  for (std::size_t i = 0; i < std::min(most, tensors.size()); ++i) {
    const Rows& rows = *tensors[i].data;
    if (rows.rows() == 0) continue;
    fuzz::promise(rows.row_bytes() <= limit, "a row is longer than the file that holds it");
    std::vector<std::byte> row(rows.row_bytes());
    rows.read(0, 1, row);
    rows.read(rows.rows() - 1, 1, row);
  }
}

// In any order: that of a file is its writer's.
bool same_tensors(std::vector<Tensor> a, std::vector<Tensor> b) {
  for (std::vector<Tensor>* tensors : {&a, &b})
    std::sort(tensors->begin(), tensors->end(),
              [](const Tensor& x, const Tensor& y) { return x.name < y.name; });
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Tensor& x, const Tensor& y) {
    return x.name == y.name && x.shape == y.shape && x.type() == y.type();
  });
}

}  // namespace

FUZZ_TARGET(safetensors, "data/safetensors", "attacks") {
  const SafetensorsFile file = open_safetensors(source_of(input, "fuzz.safetensors"));
  std::uint64_t bytes = 0;
  for (const Tensor& tensor : file.tensors) bytes += tensor.bytes();
  fuzz::promise(bytes < input.size(), "safetensors: more bytes of tensors than the file has");
  read_some(file.tensors, input.size());
  const SafetensorsFile again = open_safetensors(
      layout_source(safetensors_layout("again.safetensors", file.tensors, file.metadata), "again"));
  fuzz::promise(same_tensors(file.tensors, again.tensors), "safetensors: tensors differ after writing");
}

FUZZ_TARGET(gguf, "data/gguf", "attacks/gguf", "data/lora") {
  const GgufFile file = GgufFile::read(source_of(input, "fuzz.gguf"));
  read_some(file.tensors(), input.size());
  // What was read is written, and read again, as the same.
  const GgufMetadata metadata = without_container_keys(file.metadata());
  const GgufFile again =
      GgufFile::read(layout_source(gguf_layout("again.gguf", metadata, file.tensors()), "again.gguf"));
  fuzz::promise(without_container_keys(again.metadata()).size() == metadata.size(),
                "gguf: metadata is lost in writing");
  fuzz::promise(same_tensors(file.tensors(), again.tensors()), "gguf: tensors differ after writing");
}

FUZZ_TARGET(zip, "data/torch", "attacks") {
  const ZipArchive archive = ZipArchive::open(source_of(input, "fuzz.zip"));
  for (const ZipRecord& record : archive.records()) {
    fuzz::promise(record.data_offset <= input.size() && record.size <= input.size() - record.data_offset,
                  "zip: a record lies outside of the file");
    try {
      archive.check_crc(record);
    } catch (const Error&) {
    }
  }
}

FUZZ_TARGET(pickle, "data/pickle") {
  const PickleTree tree = read_pickle(input, "fuzz.pkl", 0, torch_allows);
  (void)describe(tree, tree.root);
}

FUZZ_TARGET(torch, "data/torch", "data/miniature/adapter", "attacks", "data/lora") {
  const SourcePtr source = source_of(input, "fuzz.bin");
  if (is_older_torch(*source)) refuse_older_torch(*source);
  const TorchFile file = TorchFile::open(source);
  read_some(file.tensors(), input.size());
  (void)file.values();
}

FUZZ_TARGET(ggml, "data/ggml", "attacks/ggml") {
  const GgmlFile file = read_ggml_file(source_of(input, "fuzz.bin"));
  fuzz::promise(file.tokens.size() <= input.size(), "ggml: more tokens than bytes");
  for (const GgmlTensor& tensor : file.tensors) {
    if (tensor.stored->rows() == 0) continue;
    fuzz::promise(tensor.stored->row_bytes() <= input.size(), "ggml: a row is longer than its file");
    std::vector<std::byte> row(tensor.stored->row_bytes());
    tensor.stored->read(tensor.stored->rows() - 1, 1, row);
  }
}

FUZZ_TARGET(llama2c, ) {
  const auto model = read_llama2c(source_of(input, "fuzz.bin"));
  if (model) read_some(model->tensors, input.size());
}

// A single file that a user names as a checkpoint, whatever it turns out to be.
FUZZ_TARGET(checkpoint_file, "data/safetensors", "data/torch", "data/gguf", "data/ggml", "attacks") {
  const Checkpoint checkpoint = Checkpoint::open(fuzz::as_file("model.bin", input));
  read_some(checkpoint.tensors(), input.size());
}
