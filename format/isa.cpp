#include "format/isa.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "format/error.h"

#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>

#include <cpuid.h>
#endif

namespace galatea {
namespace {

#if defined(__x86_64__)
/// Linux hands out the AMX tile state only to processes that ask for it.
bool amx_permitted() {
  unsigned int a = 0;
  unsigned int b = 0;
  unsigned int c = 0;
  unsigned int d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned int amx_bf16 = 1U << 22U;
  constexpr unsigned int amx_tile = 1U << 24U;
  if ((d & amx_bf16) == 0 || (d & amx_tile) == 0) return false;
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;               // XFEATURE_XTILEDATA
  return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

Isa detect() {
  // These look at the operating system's saved state too, not only at CPUID.
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Isa::scalar;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
    return Isa::avx2;
  }
  if (!__builtin_cpu_supports("avx512bf16")) return Isa::avx512;
  return amx_permitted() ? Isa::amx : Isa::avx512_bf16;
}
#else
Isa detect() { return Isa::scalar; }
#endif

Isa choose() {
  const char* forced = std::getenv("GALATEA_ISA");
  if (forced == nullptr || *forced == '\0') return best_isa();
  for (const Isa isa : all_isas) {
    if (to_string(isa) != forced) continue;
    if (isa <= best_isa()) return isa;
    throw Error(ErrorKind::usage, "GALATEA_ISA asks for instructions that this processor does not have")
        .expected("at most " + std::string(to_string(best_isa())))
        .found(printable(forced));
  }
  throw Error(ErrorKind::usage, "GALATEA_ISA is not understood")
      .expected("scalar, avx2, avx512, avx512_bf16 or amx")
      .found(printable(forced));
}

}  // namespace

std::string_view to_string(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    case Isa::amx:
      return "amx";
  }
  return "?";
}

Isa best_isa() {
  static const Isa best = detect();
  return best;
}

Isa active_isa() {
  static const Isa active = choose();
  return active;
}

std::span<const Isa> available_isas() {
  static const std::vector<Isa> available = [] {
    std::vector<Isa> found;
    for (const Isa isa : all_isas) {
      if (isa <= best_isa()) found.push_back(isa);
    }
    return found;
  }();
  return available;
}

}  // namespace galatea
