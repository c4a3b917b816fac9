// Reads one JSON document from standard input and prints the values at the given pointers, one a line.
// Exit code 1 when the input is not exactly one document or a pointer leads nowhere.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

int main(int argc, char** argv) {
  try {
    const auto document = nlohmann::json::parse(std::cin);
    for (int i = 1; i < argc; ++i) {
      std::cout << document.at(nlohmann::json::json_pointer(argv[i])).dump() << '\n';
    }
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "json_value: " << error.what() << '\n';
    return 1;
  }
}
