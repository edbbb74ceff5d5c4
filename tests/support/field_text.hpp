// text_of(): fields as lines of "name=value", for comparing them at once.
#pragma once

#include <string>

#include "core/http/fields.hpp"

namespace tulle::testing {

inline std::string text_of(const Fields& fields) {
  std::string text;
  for (const Fields::Field field : fields) {
    text.append(field.name).append("=").append(field.value).append("\n");
  }
  return text;
}

}  // namespace tulle::testing
