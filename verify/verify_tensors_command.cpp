#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "format/checkpoint.h"
#include "format/source.h"
#include "verify/common_tensors.h"
#include "verify/tensor_compare.h"
#include "verify/tensor_digest.h"
#include "verify/verify_command.h"

namespace galatea {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t largest_list = std::uint64_t{64} << 20U;

CommonTensors tensors_of(const std::string& path, Console& console) {
  CommonTensors tensors = common_tensors(Checkpoint::open(path));
  const std::string start = path + ": ";
  for (const std::string& note : tensors.notes) console.progress().note(start + note);
  return tensors;
}

/// From a list of digests, else from the checkpoint itself.
std::vector<TensorDigest> wanted_digests(const std::string& path, Console& console) {
  if (fs::is_regular_file(path)) {
    const SourcePtr source = open_file(path);
    const std::vector<std::byte> head =
        source->ByteSource::read(0, std::min<std::uint64_t>(source->size(), 64));
    if (is_tensor_list({reinterpret_cast<const char*>(head.data()), head.size()}))
      return parse_tensor_list(source->read_text(largest_list), path);
  }
  return tensor_digests(tensors_of(path, console).tensors, console.progress());
}

}  // namespace

int verify_tensors(const VerifyOptions& options, Console& console) {
  const CommonTensors mine = tensors_of(options.path, console);
  if (options.tensors_of.empty()) {
    const std::vector<TensorDigest> digests = tensor_digests(mine.tensors, console.progress());
    std::string text = tensor_list_text(digests);
    text.pop_back();
    console.print(text);
    nlohmann::json document = tensor_list_json(digests);
    document["path"] = options.path;
    console.print_json(document);
    return 0;
  }
  const std::vector<TensorDigest> wanted = wanted_digests(options.tensors_of, console);
  const std::vector<TensorDigest> digests = tensor_digests(mine.tensors, console.progress());
  const TensorReport report = compare_tensors(mine.tensors, digests, wanted, console.progress());
  console.print(options.path + " against the tensors of " + options.tensors_of);
  console.print(tensor_report_text(report));
  nlohmann::json document = tensor_report_json(report);
  document["path"] = options.path;
  document["against"] = options.tensors_of;
  console.print_json(document);
  return verify_exit_code(report.passed());
}

}  // namespace galatea
