// Http2HeadReader: one HTTP/2 field block on its way into a Head or into trailers.
//
// Owns what a block needs only while it arrives: counts, joined cookie crumbs, Host. There is one
// block at a time on a connection, so there is one reader in a codec. nghttp2 has checked
// characters, order and number of pseudo-header fields; see http2_rules.hpp for what is added.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/http/framing_guard.hpp"
#include "core/http/head.hpp"
#include "core/http/limits.hpp"

namespace tulle {

class Stream;

class Http2HeadReader {
 public:
  enum class Kind : uint8_t { none, request, response, trailers };

  // `scheme` is that of the connection, in static storage.
  Http2HeadReader(const HttpLimits& limits, std::string_view scheme)
      : limits_(limits), scheme_(scheme) {}

  void begin(Kind kind, Stream& stream);
  // False: malformed. What does not fit the limits is counted and dropped.
  bool add(std::string_view name, std::string_view value);
  // So far beyond the limits that reading on for the sake of a polite answer is not worth it.
  bool hopeless() const { return weight_ > kPatience * max_weight_; }
  bool too_large() const { return too_large_; }
  size_t weight() const { return weight_; }
  Kind kind() const { return kind_; }

  // The block is complete. Why the request is refused, or the response cannot be used.
  Checked finish();
  bool interim() const { return interim_; }       // a response block with a 1xx status
  bool interim_kept() const { return head_ != nullptr; }

 private:
  static constexpr size_t kPatience = 4;

  bool add_pseudo(std::string_view name, std::string_view value);
  bool add_request_pseudo(std::string_view name, std::string_view value);
  bool add_status(std::string_view value);
  void add_cookie(std::string_view crumb);
  Checked finish_request();
  Checked check_target() const;

  const HttpLimits& limits_;
  const std::string_view scheme_;
  Stream* stream_ = nullptr;
  Kind kind_ = Kind::none;
  Head* head_ = nullptr;         // null in trailers, and while a status is awaited or unwanted
  Fields* fields_ = nullptr;     // where regular fields go; null: nowhere
  std::string cookies_;
  std::string host_;
  size_t weight_ = 0;
  size_t max_weight_ = 0;
  size_t count_ = 0;
  size_t max_count_ = 0;
  bool too_large_ = false;
  bool path_too_long_ = false;
  bool interim_ = false;
  bool bad_expect_ = false;
};

}  // namespace tulle
