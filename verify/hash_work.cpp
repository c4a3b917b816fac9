#include "verify/hash_work.h"

#include <sys/resource.h>

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "format/amount.h"

namespace galatea {
namespace {

/// Bytes that this process has had read from a disk so far.
std::uint64_t read_from_disk() {
  struct rusage usage {};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
  return static_cast<std::uint64_t>(std::max<long>(usage.ru_inblock, 0)) * 512;
}

}  // namespace

HashWork::Limit HashWork::limit() const {
  return 2 * from_disk > bytes && reading > hashing ? Limit::disk : Limit::processors;
}

std::string hash_work_text(const HashWork& work) {
  const auto bytes = static_cast<double>(work.bytes);
  std::string out = "hashed " + amount(bytes, "B") + " in " + duration(work.seconds);
  if (work.seconds > 0) out += ", " + amount(bytes / work.seconds, "B") + "/s";
  out += " on " + std::to_string(work.threads) + (work.threads == 1 ? " thread" : " threads");
  out +=
      work.limit() == HashWork::Limit::disk ? ": the disk was the limit" : ": the processors were the limit";
  const double busy = work.reading + work.hashing;
  const long share = busy > 0 ? std::lround(100 * work.reading / busy) : 0;
  return out + " (" + std::to_string(share) + " % of their time went into reading, " +
         amount(static_cast<double>(work.from_disk), "B") + " came from the disk)";
}

nlohmann::json hash_work_json(const HashWork& work) {
  return {{"bytes", work.bytes},
          {"from_disk", work.from_disk},
          {"seconds", work.seconds},
          {"threads", work.threads},
          {"reading", work.reading},
          {"hashing", work.hashing},
          {"limit", work.limit() == HashWork::Limit::disk ? "disk" : "processors"}};
}

HashClock::HashClock() : begin_(Clock::now()), disk_before_(read_from_disk()) {}

HashWork HashClock::finish(std::uint64_t bytes, int threads) const {
  HashWork out;
  out.bytes = bytes;
  out.from_disk = read_from_disk() - disk_before_;
  out.seconds = std::chrono::duration<double>(Clock::now() - begin_).count();
  out.threads = threads;
  out.reading = static_cast<double>(reading_.load()) * 1e-9;
  out.hashing = static_cast<double>(hashing_.load()) * 1e-9;
  return out;
}

}  // namespace galatea
