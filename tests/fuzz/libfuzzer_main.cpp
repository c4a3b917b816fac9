// The fuzz targets under libFuzzer: GALATEA_FUZZ_TARGET says which. See scripts/fuzz.sh.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <sanitizer/allocator_interface.h>

#include "tests/fuzz/target.h"

namespace {

const galatea::fuzz::Target* chosen = nullptr;
std::atomic<std::int64_t> held{0}, most{0};

void taken(const volatile void* memory, std::size_t /*asked*/) {
  const auto size =
      static_cast<std::int64_t>(__sanitizer_get_allocated_size(const_cast<const void*>(memory)));
  const std::int64_t now = held.fetch_add(size) + size;
  std::int64_t before = most.load();
  while (now > before && !most.compare_exchange_weak(before, now)) {
  }
}

void released(const volatile void* memory) {
  if (memory != nullptr)
    held.fetch_sub(
        static_cast<std::int64_t>(__sanitizer_get_allocated_size(const_cast<const void*>(memory))));
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  const char* name = std::getenv("GALATEA_FUZZ_TARGET");
  chosen = name == nullptr ? nullptr : galatea::fuzz::find_target(name);
  if (chosen == nullptr) {
    std::fprintf(stderr, "GALATEA_FUZZ_TARGET must name a target:\n");
    for (const auto& target : galatea::fuzz::targets())
      std::fprintf(stderr, "  %.*s\n", static_cast<int>(target.name.size()), target.name.data());
    std::exit(2);
  }
  __sanitizer_install_malloc_and_free_hooks(taken, released);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::int64_t before = held.load();
  most = before;
  galatea::fuzz::accepted(*chosen, {reinterpret_cast<const std::byte*>(data), size});
  galatea::fuzz::promise(most.load() - before <= 4 * static_cast<std::int64_t>(size) + (16 << 20),
                         "an input made its reader take more than 4 times its length and 16 MiB");
  return 0;
}
