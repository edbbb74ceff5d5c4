#include "sidecar/config/compile_changes.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "core/base/ascii.hpp"
#include "envoy/config/core/v3/base.pb.h"

namespace tulle::config {

namespace {

using envoy::config::core::v3::HeaderValueOption;
using routing::FieldChange;

// What the codecs make from the message itself; a copy of it would be a second truth.
constexpr std::array<std::string_view, 9> kFraming{
    "connection",        "content-length", "http2-settings", "keep-alive", "proxy-connection",
    "te", "trailer", "transfer-encoding", "upgrade"};

bool is_token(std::string_view name) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::ranges::all_of(name, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

// The name in lower case, or nothing (reported).
std::optional<std::string> changeable_name(const std::string& written, const Place& place) {
  std::string name = lower_case(written);
  if (name.starts_with(':') || name == "host") {
    place.invalid("\"" + written + "\" is changed by rewrites, not as a field");
  } else if (!is_token(name)) {
    place.invalid("\"" + written + "\" is not a field name");
  } else if (std::ranges::find(kFraming, name) != kFraming.end()) {
    place.invalid("\"" + written + "\" belongs to the connection");
  } else if (name.starts_with("tulle-") || name == "x-forwarded-client-cert") {
    place.invalid("\"" + written + "\" belongs to the mesh");
  } else {
    return name;
  }
  return std::nullopt;
}

// "%%" is a percent sign; commands are not implemented.
std::optional<std::string> literal_value(const std::string& written, const Place& place) {
  std::string value;
  for (size_t i = 0; i < written.size(); ++i) {
    if (written[i] == '%') {
      if (i + 1 >= written.size() || written[i + 1] != '%') {
        place.unsupported("%COMMAND% is not supported yet; write %% for a percent sign");
        return std::nullopt;
      }
      ++i;
    }
    value.push_back(written[i]);
  }
  if (!is_field_value(value)) {
    place.invalid("must not hold control characters");
    return std::nullopt;
  }
  return value;
}

std::optional<FieldChange::Action> action_of(const HeaderValueOption& option, const Place& place) {
  using Action = FieldChange::Action;
  if (option.has_append()) return option.append().value() ? Action::append : Action::overwrite;
  switch (option.append_action()) {
    case HeaderValueOption::APPEND_IF_EXISTS_OR_ADD: return Action::append;
    case HeaderValueOption::ADD_IF_ABSENT: return Action::add_if_absent;
    case HeaderValueOption::OVERWRITE_IF_EXISTS_OR_ADD: return Action::overwrite;
    case HeaderValueOption::OVERWRITE_IF_EXISTS: return Action::overwrite_if_present;
    default: break;
  }
  place.field("append_action").invalid("unknown value");
  return std::nullopt;
}

void compile_option(const HeaderValueOption& option, std::vector<FieldChange>& changes,
                    const Place& place) {
  const Place header = place.field("header");
  const auto name = changeable_name(option.header().key(), header.field("key"));
  const auto value = literal_value(option.header().value(), header.field("value"));
  const auto action = action_of(option, place);
  if (!name || !value || !action) return;
  if (!value->empty() || option.keep_empty_value()) {
    changes.push_back({*action, *name, *value});
  } else if (*action == FieldChange::Action::overwrite ||
             *action == FieldChange::Action::overwrite_if_present) {
    changes.push_back({FieldChange::Action::remove, *name, {}});
  }  // adding nothing changes nothing
}

}  // namespace

std::vector<FieldChange> compile_changes(const HeaderOptions& add, const HeaderNames& remove,
                                         const Place& add_place, const Place& remove_place) {
  std::vector<FieldChange> changes;
  for (int i = 0; i < remove.size(); ++i) {
    const auto name = changeable_name(remove[i], remove_place.at(static_cast<size_t>(i)));
    if (name) changes.push_back({FieldChange::Action::remove, *name, {}});
  }
  for (int i = 0; i < add.size(); ++i) {
    compile_option(add[i], changes, add_place.at(static_cast<size_t>(i)));
  }
  return changes;
}

void append_changes(routing::FieldChanges& changes, const routing::FieldChanges& outer) {
  changes.request.insert(changes.request.end(), outer.request.begin(), outer.request.end());
  changes.response.insert(changes.response.end(), outer.response.begin(), outer.response.end());
}

bool is_field_value(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 ? byte != 0x7f : c == '\t';
  });
}

}  // namespace tulle::config
