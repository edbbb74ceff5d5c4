// HttpLimits: every bound of the protocol code in one place, each with its reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/base/clock.hpp"

namespace tulle {

struct HttpLimits {
  // Heads. 60 KiB and 100 fields are what Envoy refuses above; 32 bytes are counted per field so
  // that many small fields cannot multiply memory ("HTTP/2 bomb").
  size_t request_line = 8 * 1024;
  size_t head_weight = 60 * 1024;
  size_t head_fields = 100;
  size_t trailer_weight = 8 * 1024;
  size_t trailer_fields = 20;
  size_t chunk_line = 256;            // a chunk size and its extension
  size_t chunk_extensions = 4 * 1024; // per message: extensions are dropped, only cost
  size_t interim_responses = 8;       // 1xx waiting to be passed on

  // Bodies. One stream holds at most this much in each direction before it stops reading.
  size_t stream_inbound = 64 * 1024;
  size_t stream_outbound = 64 * 1024;
  size_t pipelined = 64 * 1024;       // HTTP/1 bytes kept behind the request being answered

  // HTTP/2 (RFC 9113). Windows: what we advertise.
  uint32_t max_concurrent_streams = 100;       // 1024 between sidecars
  uint32_t stream_window = 64 * 1024;          // grows to stream_window_max while the reader keeps up
  uint32_t stream_window_max = 1024 * 1024;
  uint32_t connection_window = 1024 * 1024;
  uint32_t max_frame_size = 16 * 1024;
  size_t outbound_control_frames = 1000;       // SETTINGS/PING acks, RST waiting for a slow peer
  uint32_t misbehaviour_burst = 200;           // tokens: resets, empty frames, pings, bad headers
  uint32_t misbehaviour_per_second = 50;

  // Timers. Totals where a peer could otherwise drip bytes for ever.
  Duration head_timeout = std::chrono::seconds(10);    // first byte to complete head, total
  Duration idle_timeout = std::chrono::minutes(5);     // no stream open
  Duration body_timeout = std::chrono::seconds(30);    // HTTP/1 request body without a byte
  // HTTP/1: a caller that closed its side while it waits is either gone or reads on; the two look
  // alike until something is written. One that announced `connection: close` is believed to read on.
  static constexpr Duration half_closed = std::chrono::seconds(2);
  Duration write_stall = std::chrono::seconds(60);     // peer takes nothing of what we owe it
  // HTTP/2: a stream whose window lets next to nothing of its body out, looked at this often. Longer
  // than write_stall: a consumer may pause one stream while the connection serves others.
  Duration stream_stall = std::chrono::minutes(5);
  Duration linger = std::chrono::seconds(2);           // after the last byte, for the peer to read it

  // The protocols that requests to a server may switch to, in lower case ("websocket"). Others in an
  // Upgrade field are ignored, as RFC 9110 (7.8) allows, so that such a request stays HTTP; with an
  // empty list extended CONNECT is not announced either. Null: any; the handler decides.
  std::shared_ptr<const std::vector<std::string>> upgrades;
};

}  // namespace tulle
