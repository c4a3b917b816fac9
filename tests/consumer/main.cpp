#include <cstdio>

#include "format/dtype.h"

int main() {
  for (const galatea::TypeInfo& type : galatea::all_types()) {
    std::printf("%.*s %.4g\n", static_cast<int>(type.name.size()), type.name.data(), type.bits_per_weight());
  }
}
