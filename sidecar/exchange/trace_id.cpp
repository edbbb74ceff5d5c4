#include "sidecar/exchange/trace_id.hpp"

#include <algorithm>

namespace tulle::exchange {

std::string_view trace_id_of(const Head& request) {
  const std::string_view parent = request.fields.get(FieldId::traceparent).value_or("");
  if (parent.size() < 55 || parent[2] != '-' || parent[35] != '-') return {};
  const std::string_view id = parent.substr(3, 32);
  const bool hex = std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  const bool zero = id.find_first_not_of('0') == std::string_view::npos;
  return hex && !zero ? id : std::string_view{};
}

}  // namespace tulle::exchange
