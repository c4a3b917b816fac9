#include "verify/digest.h"

#include <omp.h>

#include <algorithm>

#include "format/checked.h"
#include "format/error.h"
#include "verify/digest_lanes.h"
#include "verify/parallel.h"

namespace galatea {

std::optional<HashKind> hash_kind_of_length(std::size_t hex_digits) {
  switch (hex_digits) {
    case 32:
      return HashKind::md5;
    case 40:
      return HashKind::sha1;
    case 64:
      return HashKind::sha256;
    case 128:
      return HashKind::sha512;
    default:
      return std::nullopt;
  }
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::optional<HashKind> find_hash_kind(std::string_view name) {
  std::string plain = lower_case(name);
  std::erase(plain, '-');
  if (plain == "md5") return HashKind::md5;
  if (plain == "sha1") return HashKind::sha1;
  if (plain == "sha256" || plain == "sha2256") return HashKind::sha256;
  if (plain == "sha512" || plain == "sha2512") return HashKind::sha512;
  return std::nullopt;
}

bool is_hex(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

Digests digest_source(const ByteSource& source, std::span<const HashKind> kinds, Progress& progress) {
  HashClock unused;
  return digest_in_lanes(source, kinds, 1, progress, unused);
}

namespace {

/// Large files that are hashed in `lanes` after all others: those that would leave threads idle at the end.
struct Schedule {
  std::vector<std::uint64_t> sizes;  ///< of the requests; 0 for those in `last`
  std::vector<std::size_t> last;
  int lanes = 1;
};

Schedule schedule_of(std::span<const DigestRequest> requests, std::vector<std::uint64_t> sizes, int threads) {
  constexpr std::uint64_t large = std::uint64_t{64} << 20U;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] >= large && !requests[i].kinds.empty()) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return sizes[a] > sizes[b]; });
  Schedule out;
  const auto count = static_cast<std::size_t>(threads);
  const std::size_t left_over = order.size() % count;
  if (left_over > 0 && count / left_over >= 2) {
    out.lanes = static_cast<int>(count / left_over);
    out.last.assign(order.end() - static_cast<std::ptrdiff_t>(left_over), order.end());
  }
  for (const std::size_t i : out.last) sizes[i] = 0;
  out.sizes = std::move(sizes);
  return out;
}

}  // namespace

std::vector<Digests> digest_files(std::span<const DigestRequest> requests, Progress& progress, int threads,
                                  HashWork* work) {
  if (threads <= 0) threads = omp_get_max_threads();
  std::vector<std::uint64_t> sizes;
  std::uint64_t total = 0;
  for (const DigestRequest& request : requests) {
    sizes.push_back(open_file(request.path)->size());
    if (!request.kinds.empty()) total = checked_add(total, sizes.back(), "total size");
  }
  const Schedule schedule = schedule_of(requests, std::move(sizes), threads);
  std::vector<Digests> digests(requests.size());
  std::vector<bool> later(requests.size());
  for (const std::size_t i : schedule.last) later[i] = true;
  progress.begin("reading", total, "B");
  HashClock clock;
  const auto digest = [&](std::size_t i, int lanes) {
    if (!requests[i].kinds.empty())
      digests[i] = digest_in_lanes(*open_file(requests[i].path), requests[i].kinds, lanes, progress, clock);
  };
  for_each_largest_first(schedule.sizes, threads, [&](std::size_t i) {
    if (!later[i]) digest(i, 1);
  });
  for_each_in_order(schedule.last.size(), threads,
                    [&](std::size_t i) { digest(schedule.last[i], schedule.lanes); });
  progress.end();
  if (work != nullptr) *work = clock.finish(total, threads);
  return digests;
}

}  // namespace galatea
