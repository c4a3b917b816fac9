// A machine that fails: preloaded into the command, it makes the n-th call of one kind fail. For tests alone.
//
//   LD_PRELOAD=libfault_layer.so GALATEA_FAULT=CALL:N:WHAT [GALATEA_FAULT_LOG=FILE] galatea ...
//
//   CALL   open | read | write | sync | rename | truncate | unlink | mkdir | map | new | malloc
//          read and write with their p- forms; sync: fsync, fdatasync; rename: renameat2 and link too; truncate:
//          fallocate too; new: C++ allocations; malloc: those of C, of libraries that do not survive it not
//   N      from 1; calls are counted from the start of main, over all threads
//   WHAT   the name of an errno (ENOSPC, EIO, EINTR, ENOMEM, EACCES, EDQUOT), short (half of the bytes), or hook: before
//          the call the shell command $GALATEA_FAULT_HOOK is run
//
// A line is appended to GALATEA_FAULT_LOG when the fault happens, so that a driver can see when N is beyond the last.
// Its calls are the very ones that the checked forms of the C library stand for.
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

namespace {

struct Errno {
  const char* name;
  int number;
};
constexpr Errno errnos[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EINTR", EINTR},
                            {"ENOMEM", ENOMEM}, {"EACCES", EACCES}, {"EDQUOT", EDQUOT}};
constexpr int is_short = -1, is_hook = -2;

char call_name[32];
long fatal_call = 0;
int what = 0;
std::atomic<long> calls{0};
std::atomic<bool> armed{false};  // main has been entered
thread_local bool inside = false;

// The program's own environment is read before its first call; this library's constructor may run later than others.
bool read_settings() {
  const char* text = std::getenv("GALATEA_FAULT");
  if (text == nullptr) return false;
  const char* const colon = std::strchr(text, ':');
  if (colon == nullptr || static_cast<std::size_t>(colon - text) >= sizeof call_name) std::_Exit(99);
  std::memcpy(call_name, text, static_cast<std::size_t>(colon - text));
  char* end = nullptr;
  fatal_call = std::strtol(colon + 1, &end, 10);
  if (*end != ':') std::_Exit(99);
  const std::string_view name = end + 1;
  if (name == "short") what = is_short;
  if (name == "hook") what = is_hook;
  for (const Errno& known : errnos)
    if (name == known.name) what = known.number;
  if (what == 0) std::_Exit(99);
  return true;
}

bool enabled() {
  static const bool set = read_settings();
  return set;
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

void tell(const char* text) {
  const char* path = std::getenv("GALATEA_FAULT_LOG");
  if (path == nullptr) return;
  static auto* const open_file = real<int(const char*, int, ...)>("open");
  static auto* const write_file = real<ssize_t(int, const void*, size_t)>("write");
  const int file = open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (file < 0) return;
  if (write_file(file, text, std::strlen(text)) < 0) std::_Exit(99);
  close(file);
}

// protobuf, under SentencePiece, does not survive an exception of operator new.
bool under_a_library_that_dies() {
  void* frames[64];
  const int count = backtrace(frames, 64);
  for (int i = 0; i < count; ++i) {
    Dl_info info{};
    if (dladdr(frames[i], &info) != 0 && info.dli_fname != nullptr &&
        std::string_view(info.dli_fname).find("libsentencepiece") != std::string_view::npos)
      return true;
  }
  return false;
}

// Whether this call is the one. After a hook the call itself goes on.
bool strikes(std::string_view call) {
  if (inside || !armed || !enabled() || call != call_name) return false;
  if (calls.fetch_add(1) + 1 != fatal_call) return false;
  inside = true;
  const bool spared = (call == "new" || call == "malloc") && under_a_library_that_dies();
  tell(spared ? "spared\n" : "struck\n");
  if (spared) {
    inside = false;
    return false;
  }
  if (what == is_hook) {
    const char* hook = std::getenv("GALATEA_FAULT_HOOK");
    unsetenv("LD_PRELOAD");
    if (hook == nullptr || std::system(hook) != 0) std::_Exit(99);
  }
  inside = false;
  errno = what;
  return what != is_hook;
}

bool short_count(size_t& count) {
  if (what != is_short) return false;
  count = count > 1 ? count / 2 : count;
  return true;
}

// The file whose code made a call; nothing when that is not known.
std::string_view library_of(const void* caller) {
  Dl_info info{};
  return dladdr(caller, &info) == 0 || info.dli_fname == nullptr ? "" : info.dli_fname;
}

// OpenMP's library ends the process itself when it has no memory, libcrypto 3.0 takes a lock that it could not make.
bool spares(const void* caller) {
  const std::string_view name = library_of(caller);
  for (const char* spared : {"libgomp", "libomp", "ld-linux", "libc.so", "libcrypto", "libfault_layer"})
    if (name.find(spared) != std::string_view::npos) return true;
  return name.empty();
}

// LLVM's OpenMP shares a page between the programs that use it, and ends the process when it cannot have it.
bool is_openmp(const void* caller) { return library_of(caller).find("libomp") != std::string_view::npos; }

}  // namespace

#define REAL(name) static auto* const next = real<decltype(name)>(#name)

extern "C" {

int open(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
  va_end(list);
  static auto* const next = real<int(const char*, int, ...)>("open");
  return strikes("open") ? -1 : next(path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list list;
  va_start(list, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(list, mode_t) : 0;
  va_end(list);
  static auto* const next = real<int(const char*, int, ...)>("open64");
  return strikes("open") ? -1 : next(path, flags, mode);
}
ssize_t read(int file, void* data, size_t count) {
  REAL(read);
  return strikes("read") && !short_count(count) ? -1 : next(file, data, count);
}
ssize_t pread(int file, void* data, size_t count, off_t offset) {
  REAL(pread);
  return strikes("read") && !short_count(count) ? -1 : next(file, data, count, offset);
}
ssize_t pread64(int file, void* data, size_t count, off64_t offset) {
  REAL(pread64);
  return strikes("read") && !short_count(count) ? -1 : next(file, data, count, offset);
}
ssize_t write(int file, const void* data, size_t count) {
  REAL(write);
  return strikes("write") && !short_count(count) ? -1 : next(file, data, count);
}
ssize_t pwrite(int file, const void* data, size_t count, off_t offset) {
  REAL(pwrite);
  return strikes("write") && !short_count(count) ? -1 : next(file, data, count, offset);
}
ssize_t pwrite64(int file, const void* data, size_t count, off64_t offset) {
  REAL(pwrite64);
  return strikes("write") && !short_count(count) ? -1 : next(file, data, count, offset);
}
int fsync(int file) {
  REAL(fsync);
  return strikes("sync") ? -1 : next(file);
}
int fdatasync(int file) {
  REAL(fdatasync);
  return strikes("sync") ? -1 : next(file);
}
int rename(const char* from, const char* to) {
  REAL(rename);
  return strikes("rename") ? -1 : next(from, to);
}
int renameat2(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  REAL(renameat2);
  return strikes("rename") ? -1 : next(from_folder, from, to_folder, to, flags);
}
int link(const char* from, const char* to) {
  REAL(link);
  return strikes("rename") ? -1 : next(from, to);
}
int ftruncate(int file, off_t size) {
  REAL(ftruncate);
  return !is_openmp(__builtin_return_address(0)) && strikes("truncate") ? -1 : next(file, size);
}
int ftruncate64(int file, off64_t size) {
  REAL(ftruncate64);
  return !is_openmp(__builtin_return_address(0)) && strikes("truncate") ? -1 : next(file, size);
}
int fallocate(int file, int mode, off_t offset, off_t size) {
  REAL(fallocate);
  return strikes("truncate") ? -1 : next(file, mode, offset, size);
}
int fallocate64(int file, int mode, off64_t offset, off64_t size) {
  REAL(fallocate64);
  return strikes("truncate") ? -1 : next(file, mode, offset, size);
}
int unlink(const char* path) {
  REAL(unlink);
  return strikes("unlink") ? -1 : next(path);
}
int remove(const char* path) {
  REAL(remove);
  return strikes("unlink") ? -1 : next(path);
}
int mkdir(const char* path, mode_t mode) {
  REAL(mkdir);
  return strikes("mkdir") ? -1 : next(path, mode);
}
void* mmap(void* at, size_t length, int protection, int flags, int file, off_t offset) {
  REAL(mmap);
  return !is_openmp(__builtin_return_address(0)) && strikes("map")
             ? MAP_FAILED
             : next(at, length, protection, flags, file, offset);
}

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);

// dlsym itself allocates, so the C library's own names are used here.
void* malloc(size_t bytes) {
  if (fatal_call != 0 && std::strcmp(call_name, "malloc") == 0 && !inside &&
      !spares(__builtin_return_address(0)) && strikes("malloc"))
    return nullptr;
  return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes) {
  if (fatal_call != 0 && std::strcmp(call_name, "malloc") == 0 && !inside &&
      !spares(__builtin_return_address(0)) && strikes("malloc"))
    return nullptr;
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, size_t bytes) {
  if (fatal_call != 0 && std::strcmp(call_name, "malloc") == 0 && !inside &&
      !spares(__builtin_return_address(0)) && strikes("malloc"))
    return nullptr;
  return __libc_realloc(memory, bytes);
}

}  // extern "C"

void* operator new(std::size_t bytes) {
  if (strikes("new")) throw std::bad_alloc();
  if (void* memory = __libc_malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new(std::size_t bytes, const std::nothrow_t& /*tag*/) noexcept {
  return strikes("new") ? nullptr : __libc_malloc(bytes == 0 ? 1 : bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }

// Calls are counted once main is entered: what libraries do before it ends no work.
namespace {
using Main = int(int, char**, char**);
Main* program = nullptr;
int counted_main(int argc, char** argv, char** environment) {
  (void)enabled();
  armed = true;
  return program(argc, argv, environment);
}
}  // namespace

extern "C" int __libc_start_main(Main* main, int argc, char** argv, void (*init)(), void (*fini)(),
                                 void (*rtld_fini)(), void* stack_end) {
  REAL(__libc_start_main);
  program = main;
  return next(counted_main, argc, argv, init, fini, rtld_fini, stack_end);
}
