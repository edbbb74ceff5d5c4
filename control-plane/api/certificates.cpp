#include "control-plane/api/certificates.hpp"

#include <nlohmann/json.hpp>

#include "control-plane/ca/authority.hpp"
#include "control-plane/ca/join_tokens.hpp"
#include "core/base/time_text.hpp"

namespace tulle::api {

using Json = nlohmann::ordered_json;

namespace {

Json slot_json(const ca::Slot& slot) {
  return {{"id", slot.id},
          {"notBefore", rfc3339(slot.not_before)},
          {"notAfter", rfc3339(slot.not_after)},
          {"certificate", slot.certificate_pem}};
}

// Asked for at the wrong time: the state stands against it, not the request.
Result<void> as_conflict(Result<void> changed) {
  if (!changed && changed.error().code == Code::invalid_config) {
    changed.error().code = Code::bad_request;
  }
  return changed;
}

}  // namespace

Result<Authority::JoinToken> CertificateControl::create_join_token(
    const std::string& namespace_name, const std::string& service, int64_t lifetime_seconds,
    const std::string& actor, Task& owner) {
  Result<ca::JoinTokens::Created> created =
      tokens_.create(namespace_name, service, lifetime_seconds, actor, &owner);
  if (!created) return created.error();
  return JoinToken{std::move(created->token), std::move(created->write)};
}

std::string CertificateControl::describe() const {
  const ca::Slots& slots = authority_.slots();
  Json previous = Json::array();
  for (const ca::PreviousSlot& slot : slots.previous()) {
    Json json = slot_json(slot.slot);
    json["trustedUntil"] = rfc3339(slot.until);
    previous.push_back(std::move(json));
  }
  Json next = nullptr;
  if (slots.next()) {
    next = slot_json(slots.next()->slot);
    next["since"] = rfc3339(slots.next()->since);
  }
  const Json json = {{"trustDomain", authority_.trust_domain()},
                     {"certificateLifetimeSeconds", slots.times().leaf_lifetime},
                     {"current", slot_json(slots.current())},
                     {"next", std::move(next)},
                     {"previous", std::move(previous)},
                     {"trustBundle", authority_.bundle_pem()}};
  return json.dump();
}

Result<void> CertificateControl::prepare() { return as_conflict(authority_.prepare()); }
Result<void> CertificateControl::activate() { return as_conflict(authority_.activate()); }
Result<void> CertificateControl::retire(bool force) { return as_conflict(authority_.retire(force)); }

}  // namespace tulle::api
