// Small zip files of stored records, as torch.save lays them out (without its padding), for tests.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace galatea::test {

inline void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += i < 8 ? static_cast<char>((value >> (8 * i)) & 0xFFU) : '\0';
}

inline std::string make_zip(const std::vector<std::pair<std::string, std::string>>& records) {
  std::string out, directory;
  for (const auto& [name, data] : records) {
    const auto crc = crc32_z(0, reinterpret_cast<const unsigned char*>(data.data()), data.size());
    const std::size_t offset = out.size();
    std::string fields;  // from "flags" to "extra length": common to both headers
    put(fields, 0x0800, 2);
    put(fields, 0, 2);
    put(fields, 0, 4);
    put(fields, crc, 4);
    put(fields, data.size(), 4);
    put(fields, data.size(), 4);
    put(fields, name.size(), 2);
    put(fields, 0, 2);
    put(out, 0x04034b50, 4);
    put(out, 0, 2);
    out.append(fields).append(name).append(data);
    put(directory, 0x02014b50, 4);
    put(directory, 0, 4);
    directory += fields;
    put(directory, 0, 10);
    put(directory, offset, 4);
    directory += name;
  }
  const std::size_t start = out.size();
  out += directory;
  put(out, 0x06054b50, 4);
  put(out, 0, 4);
  put(out, records.size(), 2);
  put(out, records.size(), 2);
  put(out, directory.size(), 4);
  put(out, start, 4);
  put(out, 0, 2);
  return out;
}

/// A shard in the layout of torch 1.13: `seed` decides the values of its tensors.
inline std::string make_shard(const std::string& folder, unsigned seed, std::size_t tensor_bytes = 5000,
                              bool newer_torch = false) {
  const auto values = [&](unsigned salt) {
    std::string out;
    std::uint32_t state = seed * 2654435761U + salt;
    for (std::size_t i = 0; i < tensor_bytes; ++i) {
      state = state * 1664525U + 1013904223U;
      out += static_cast<char>(state >> 24U);
    }
    return out;
  };
  std::vector<std::pair<std::string, std::string>> records = {
      {folder + "/data.pkl", "pickle of the tensors' names"}};
  if (newer_torch) records.emplace_back(folder + "/byteorder", "little");
  records.emplace_back(folder + "/data/0", values(1));
  records.emplace_back(folder + "/data/1", values(2));
  records.emplace_back(folder + "/version", "3\n");
  return make_zip(records);
}

}  // namespace galatea::test
