#include "core/http/forms.hpp"

#include <string>

#include "core/base/ascii.hpp"

namespace tulle {
namespace {

// Servers that build CGI-like names read `_` and `-` alike, so both spellings are the same name.
bool same_name(std::string_view name, std::string_view canonical) {
  if (name.size() != canonical.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i] == '_' ? '-' : name[i];
    if (c != canonical[i]) return false;
  }
  return true;
}

bool is_client_cert(std::string_view name) { return same_name(name, "x-forwarded-client-cert"); }
bool is_mesh_internal(std::string_view name) {
  return name.size() >= 6 && same_name(name.substr(0, 6), "tulle-");
}

// What nobody but the hop itself may assert. The first letter decides for nearly every field.
bool stripped(std::string_view name, bool peer_is_mesh) {
  if (name.empty()) return false;
  if (name[0] == 'x') return is_client_cert(name);
  if (name[0] == 't') return !peer_is_mesh && is_mesh_internal(name);
  return false;
}

void copy(const Fields::Field& field, Fields& to) {
  if (field.id != FieldId::unknown) {
    to.add(field.id, field.value);
  } else {
    to.add_other(field.name, field.value);
  }
}

// Those that `goes_on` names. Nearly always that is all of them, and then they are copied as one.
template <class GoesOn>
void copy_fields(const Fields& from, Fields& to, GoesOn goes_on) {
  bool all = to.empty();
  for (const Fields::Field field : from) {
    if (!all) break;
    all = goes_on(field);
  }
  if (all) {
    to = from;
    return;
  }
  for (const Fields::Field field : from) {
    if (goes_on(field)) copy(field, to);
  }
}

// TE may hold codings, which are this hop's business, and "trailers", which goes on.
bool accepts_trailers(std::string_view te) {
  while (!te.empty()) {
    const size_t comma = te.find(',');
    std::string_view item = te.substr(0, comma);
    te.remove_prefix(comma == std::string_view::npos ? te.size() : comma + 1);
    item = item.substr(0, item.find(';'));
    while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
    while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
    if (equals_ignoring_case(item, "trailers")) return true;
  }
  return false;
}

// Keeps its capacity, so that joining values allocates nothing in the steady state.
std::string& scratch() {
  static thread_local std::string text;
  text.clear();
  return text;
}

void append_via(Version received, std::string_view pseudonym, Fields& to) {
  if (pseudonym.empty()) return;
  switch (received) {
    case Version::http10: return to.add(FieldId::via, "1.0 ", pseudonym);
    case Version::http11: return to.add(FieldId::via, "1.1 ", pseudonym);
    case Version::http2: return to.add(FieldId::via, "2 ", pseudonym);
  }
}

// One field line whatever came in: applications tend to read only the first.
void append_forwarded_for(const Fields& from, std::string_view client_ip, Fields& to) {
  std::string& text = scratch();
  if (from.has(FieldId::x_forwarded_for)) {
    for (const Fields::Field field : from) {
      if (field.id == FieldId::x_forwarded_for) text.append(field.value).append(", ");
    }
  }
  text.append(client_ip);
  to.add(FieldId::x_forwarded_for, text);
}

// Trailers arrive after routing, authorization and limits have looked at the head. A name that any
// of these reads, or that describes the body, must not come in by the back door (RFC 9110, 6.5.1).
bool forbidden_in_trailers(FieldId id) {
  switch (id) {
    case FieldId::authorization:
    case FieldId::connection:
    case FieldId::content_encoding:
    case FieldId::content_length:
    case FieldId::content_type:
    case FieldId::cookie:
    case FieldId::expect:
    case FieldId::forwarded:
    case FieldId::host:
    case FieldId::keep_alive:
    case FieldId::proxy_authenticate:
    case FieldId::proxy_authorization:
    case FieldId::proxy_connection:
    case FieldId::te:
    case FieldId::trailer:
    case FieldId::transfer_encoding:
    case FieldId::upgrade:
    case FieldId::via:
    case FieldId::x_forwarded_client_cert:
    case FieldId::x_forwarded_for:
    case FieldId::x_forwarded_host:
    case FieldId::x_forwarded_proto: return true;
    default: return false;
  }
}

void copy_framing(const Head& from, Head& to) {
  to.version = from.version;
  to.content_length = from.content_length;
  to.ended = from.ended;
  to.protocol = from.protocol;
}

}  // namespace

void forward_request(const Head& from, Head& to, const ForwardingContext& context) {
  to.method = from.method;
  to.method_text = from.method_text;
  to.scheme = from.scheme;
  to.authority = from.authority;
  to.path = from.path;
  to.expects_continue = from.expects_continue;
  copy_framing(from, to);

  const bool append_client = !context.client_ip.empty();
  bool trailers = false;
  copy_fields(from.fields, to.fields, [&](const Fields::Field& field) {
    switch (field.id) {
      case FieldId::te: trailers = trailers || accepts_trailers(field.value); return false;
      case FieldId::x_forwarded_for: return !append_client;
      case FieldId::proxy_authorization: return false;  // meant for us, the proxy it named
      default: return !stripped(field.name, context.peer_is_mesh);
    }
  });
  if (trailers) to.fields.add(FieldId::te, "trailers");
  append_via(from.version, context.via, to.fields);
  if (!append_client) return;
  append_forwarded_for(from.fields, context.client_ip, to.fields);
  if (!from.fields.has(FieldId::x_forwarded_proto)) {
    to.fields.add(FieldId::x_forwarded_proto, from.scheme);
  }
}

void forward_response(const Head& from, Head& to, const ForwardingContext& context) {
  to.status = from.status;
  copy_framing(from, to);
  // From a hop in the mesh `tulle-*` stays: it is how it says why it answered. An application that
  // passes on what it was answered itself must not seem to speak for its sidecar.
  copy_fields(from.fields, to.fields, [&](const Fields::Field& field) {
    return !stripped(field.name, context.peer_is_mesh);
  });
  append_via(from.version, context.via, to.fields);
}

size_t passages(const Fields& fields, std::string_view pseudonym) {
  if (!fields.has(FieldId::via)) return 0;
  size_t count = 0;
  for (const Fields::Field field : fields) {
    if (field.id != FieldId::via) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      const size_t comma = rest.find(',');
      const std::string_view hop = rest.substr(0, comma);
      rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
      // "1.1 name (comment)": what was spoken, and who says so.
      const size_t name = hop.find_first_not_of(' ', hop.find(' ', hop.find_first_not_of(' ')));
      if (name == std::string_view::npos) continue;
      count += hop.substr(name, hop.find_first_of(" \t", name) - name) == pseudonym ? 1 : 0;
    }
  }
  return count;
}

void forward_trailers(const Fields& from, Fields& to, bool peer_is_mesh) {
  copy_fields(from, to, [peer_is_mesh](const Fields::Field& field) {
    return !forbidden_in_trailers(field.id) && !stripped(field.name, peer_is_mesh);
  });
}

}  // namespace tulle
