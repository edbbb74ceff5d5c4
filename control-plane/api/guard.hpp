// Guard: who may talk to the API at all. Everything here comes before a request is understood.
//
// Owns the admin token's digest and the budget for wrong ones. A right token always passes; wrong
// ones are told so only as often as the budget allows. Browsers are kept out: a foreign Origin, a
// Host that a name server could point here, and bodies that a form could send are refused.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "control-plane/api/answer.hpp"
#include "core/base/clock.hpp"
#include "core/http/head.hpp"

namespace tulle::api {

class Guard {
 public:
  explicit Guard(std::string_view token);

  // Nothing: the request may go on.
  std::optional<Answer> check(const Head& request, Instant now);
  uint64_t refusals() const { return refusals_; }

 private:
  bool authenticated(const Head& request) const;
  std::optional<Answer> refuse_token(Instant now);

  std::string token_;
  double budget_;
  Instant refilled_{};
  uint64_t refusals_ = 0;
};

// Equal texts, in a time that depends on the length of `given` only.
bool equal_in_constant_time(std::string_view secret, std::string_view given);

enum class BodyFormat : uint8_t { json, yaml };
// By content-type; nothing: neither.
std::optional<BodyFormat> body_format(const Head& request);

}  // namespace tulle::api
