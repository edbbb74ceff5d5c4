#include "tests/support/client_hello.hpp"

namespace tulle::testing {
namespace {

std::string number(size_t value, size_t width) {
  std::string bytes(width, '\0');
  for (size_t i = width; i-- > 0; value >>= 8) bytes[i] = static_cast<char>(value & 0xff);
  return bytes;
}

std::string vector(const std::string& content, size_t width) {
  return number(content.size(), width) + content;
}

std::string extension(size_t type, const std::string& content) {
  return number(type, 2) + vector(content, 2);
}

std::string host_name(const std::string& name) { return number(0, 1) + vector(name, 2); }

std::string extensions_of(const HelloOptions& options) {
  std::string all;
  // Extensions hold at most 64 KiB each.
  for (size_t left = options.padding; left > 0;) {
    const size_t size = left < 60'000 ? left : 60'000;
    all += extension(21, std::string(size, '\0'));
    left -= size;
  }
  if (!options.server_name.empty()) {
    std::string names = host_name(options.server_name);
    if (!options.second_server_name.empty() && !options.second_in_own_extension) {
      names += host_name(options.second_server_name);
    }
    all += extension(0, vector(names, 2));
  }
  if (options.second_in_own_extension) {
    all += extension(0, vector(host_name(options.second_server_name), 2));
  }
  if (!options.alpn.empty()) {
    std::string list;
    for (const std::string& name : options.alpn) list += vector(name, 1);
    all += extension(16, vector(list, 2));
  }
  all += extension(43, vector("\x03\x04", 1));  // supported_versions: TLS 1.3
  return all;
}

}  // namespace

std::string client_hello(const HelloOptions& options) {
  const std::string body = "\x03\x03" + std::string(32, 'r') + vector(std::string(32, 's'), 1) +
                           vector("\x13\x01\x13\x02", 2) + vector(std::string(1, '\0'), 1) +
                           vector(extensions_of(options), 2);
  const std::string message = number(1, 1) + vector(body, 3);
  std::string wire;
  for (size_t at = 0; at < message.size(); at += options.record_size) {
    wire += "\x16\x03\x01" + vector(message.substr(at, options.record_size), 2);
  }
  return wire;
}

}  // namespace tulle::testing
