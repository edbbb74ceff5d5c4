// Answer: what a request gets, and the one form that errors have (RFC 9457 problem JSON).
#pragma once

#include <string>
#include <string_view>

#include "control-plane/model/read.hpp"
#include "core/base/result.hpp"

namespace tulle::api {

struct Answer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::string etag;         // with quotes; empty: none
  std::string error;        // the stable code, for the header tulle-error; empty: no error
  int retry_after = 0;      // seconds; 0: not said
  std::string allow;        // of a 405
};

// Codes: not_found, bad_request, unauthenticated, denied, conflict, invalid, too_large,
// unsupported_media_type, method_not_allowed, rate_limited, unavailable, internal.
Answer refuse(int status, std::string_view code, std::string_view title, std::string_view detail);
// 422, or 409 for a removal that something stands against, with every problem.
Answer refuse(int status, std::string_view code, std::string_view title,
              const model::Problems& problems);
// What the store or another part could not do.
Answer refuse(const Error& error);

}  // namespace tulle::api
