// ClientHellos, well-formed and odd, as bytes.
#pragma once

#include <string>
#include <vector>

namespace tulle::testing {

struct HelloOptions {
  std::string server_name;               // empty: no extension
  std::string second_server_name;
  bool second_in_own_extension = false;  // else in the same list
  std::vector<std::string> alpn;         // empty: no extension
  size_t padding = 0;                    // an extension of so many zero bytes
  size_t record_size = 16 * 1024;        // the most that one record holds
};

std::string client_hello(const HelloOptions& options);

}  // namespace tulle::testing
