#include "format/torch_globals.h"

#include <algorithm>
#include <array>
#include <utility>

namespace galatea {
namespace {

using Global = std::pair<std::string_view, std::string_view>;

constexpr std::array allowed{
    Global{"torch._utils", "_rebuild_tensor"},
    Global{"torch._utils", "_rebuild_tensor_v2"},
    Global{"torch._utils", "_rebuild_tensor_v3"},
    Global{"torch._utils", "_rebuild_parameter"},
    Global{"torch.serialization", "_get_layout"},
    Global{"torch.storage", "UntypedStorage"},
    Global{"torch", "Size"},
    Global{"torch", "device"},
    Global{"collections", "OrderedDict"},
    Global{"_codecs", "encode"},  // how protocol 2 writes bytes
    Global{"builtins", "set"},
    Global{"builtins", "frozenset"},
    Global{"__builtin__", "set"},  // the same as protocol 2 spells them
    Global{"__builtin__", "frozenset"},
};

/// Types and storages: torch.NAME.
constexpr std::array<std::string_view, 45> torch_names{
    "float64",
    "double",
    "float32",
    "float",
    "float16",
    "half",
    "bfloat16",
    "int64",
    "long",
    "int32",
    "int",
    "int16",
    "short",
    "int8",
    "uint8",
    "bool",
    "uint16",
    "uint32",
    "uint64",
    "complex32",
    "complex64",
    "complex128",
    "float8_e4m3fn",
    "float8_e5m2",
    "strided",
    "DoubleStorage",
    "FloatStorage",
    "HalfStorage",
    "BFloat16Storage",
    "LongStorage",
    "IntStorage",
    "ShortStorage",
    "CharStorage",
    "ByteStorage",
    "BoolStorage",
    "UntypedStorage",
    "ComplexFloatStorage",
    "ComplexDoubleStorage",
    "QInt8Storage",
    "QUInt8Storage",
    "QInt32Storage",
    "QUInt4x2Storage",
    "QUInt2x4Storage",
    "contiguous_format",
    "preserve_format",
};

}  // namespace

bool torch_allows(std::string_view module, std::string_view name) {
  if (std::find(allowed.begin(), allowed.end(), Global{module, name}) != allowed.end()) return true;
  return module == "torch" && std::find(torch_names.begin(), torch_names.end(), name) != torch_names.end();
}

}  // namespace galatea
