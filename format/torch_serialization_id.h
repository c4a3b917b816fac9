// The record NAME/.data/serialization_id that torch writes since 2.1: 40 decimal digits.
//
//   digits 0..19    a hash of the names of the records before it, without "NAME/", each hashed as libstdc++
//                   hashes a string, combined in the order in which libstdc++'s unordered_set lists them
//   digits 20..39   the CRC-32s of the records before it that are not empty, combined in file order
//
// combine(seed, value) = seed ^ (value + 9E3779B9 + (seed << 6) + (seed >> 2)), in 64 bits, from seed 0. Both
// the hash and the order are spelled out here, so that the digits do not depend on the library galatea is
// built with. Source: PyTorchStreamWriter of torch's caffe2/serialize/inline_container.cc; checked against
// files of torch 2.1, 2.6 and 2.7.
//
// Not imitated: torch takes any block of data that begins with the signature of a data descriptor (PK\7\8)
// for one, which a tensor's first four bytes are once in 2^32 times.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace galatea {

/// std::hash<std::string> of libstdc++ on 64 bits (MurmurHash2, seed C70F6907).
std::uint64_t libstdcxx_hash(std::string_view text);

/// The order in which libstdc++'s std::unordered_set<std::string> lists distinct texts that were inserted one
/// by one: indices into `texts`.
std::vector<std::size_t> libstdcxx_set_order(std::span<const std::string> texts);

/// The 40 digits. `names` of all records before it in file order, `crcs` of those that are not empty.
std::string torch_serialization_id(std::span<const std::string> names, std::span<const std::uint32_t> crcs);

}  // namespace galatea
