#include "format/crc_stretches.h"

#include <iterator>

#include "format/crc32.h"

namespace galatea {

void CrcStretches::add(std::uint64_t begin, std::uint64_t end, std::uint32_t crc) {
  const auto next = stretches_.lower_bound(begin);
  if (begin == end || (next != stretches_.end() && next->first < end)) return;
  if (next != stretches_.begin() && std::prev(next)->second.end > begin) return;
  auto here = stretches_.emplace(begin, Stretch{end, crc}).first;
  if (here != stretches_.begin() && std::prev(here)->second.end == begin) here = join(std::prev(here), here);
  if (const auto after = std::next(here); after != stretches_.end() && after->first == here->second.end)
    join(here, after);
}

std::pair<std::uint64_t, std::uint64_t> CrcStretches::gap(std::uint64_t size) const {
  std::uint64_t begin = 0;
  auto next = stretches_.begin();
  if (next != stretches_.end() && next->first == 0) begin = (next++)->second.end;
  return {begin, next == stretches_.end() ? size : next->first};
}

CrcStretches::Place CrcStretches::join(Place first, Place second) {
  first->second.crc = crc32_joined(first->second.crc, second->second.crc, second->second.end - second->first);
  first->second.end = second->second.end;
  stretches_.erase(second);
  return first;
}

}  // namespace galatea
