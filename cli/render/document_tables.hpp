// Documents of the API as tables: one row each, with what a person looks for.
//
// Pure: JSON text in, table text out. What is missing is shown as "-", never a failure: a newer
// control plane may say more than this program knows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tulle::cli {

// `list_json`: {"items": [...]}, or one document. `plural`: "services", "workloads", "httproutes".
std::string documents_table(std::string_view plural, const std::string& list_json, int64_t now,
                            bool with_namespace);

}  // namespace tulle::cli
