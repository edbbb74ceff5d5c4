// names: what names, labels and addresses may look like. Pure predicates over text.
//
// The character sets are narrow on purpose: what passes here may appear in host names, SPIFFE IDs,
// file names, SQL and logs without anybody escaping it.
#pragma once

#include <cstdint>
#include <string_view>

namespace tulle::model {

bool is_dns_label(std::string_view text);      // RFC 1123: a-z 0-9 -, at most 63
bool is_dns_subdomain(std::string_view text);  // labels divided by dots, at most 253
bool is_label_key(std::string_view text);      // [prefix/]name as Kubernetes has it
bool is_label_value(std::string_view text);    // at most 63; may be empty
bool is_field_name(std::string_view text);     // of an HTTP header: RFC 9110 token
bool is_field_value(std::string_view text);    // visible ASCII, blanks and tabs inside
bool is_utf8(std::string_view text);           // well-formed, without NUL

}  // namespace tulle::model
