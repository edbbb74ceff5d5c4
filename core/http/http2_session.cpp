// The nghttp2 session: its options, its memory, and its callbacks in the words of the codec.

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "core/base/assert.hpp"
#include "core/http/http2_codec.hpp"
#include "core/http/http2_memory.hpp"

namespace tulle {
namespace {

constexpr size_t kDefaultFrameSize = 16384;  // RFC 9113, 6.5.2; also the least one may advertise

ByteView view(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

// The sanitizer must see every block of its own, so the free lists are for ordinary builds.
#if defined(__SANITIZE_ADDRESS__)
nghttp2_mem* session_memory(nghttp2_mem&) { return nullptr; }
#else
Http2Memory& lists(void* user) { return *static_cast<Http2Memory*>(user); }

nghttp2_mem* session_memory(nghttp2_mem& memory) {
  memory.mem_user_data = &Http2Memory::of_thread();
  memory.malloc = [](size_t size, void* user) { return lists(user).allocate(size); };
  memory.free = [](void* block, void* user) { lists(user).release(block); };
  memory.calloc = [](size_t count, size_t size, void* user) {
    return lists(user).allocate_zeroed(count, size);
  };
  memory.realloc = [](void* block, size_t size, void* user) {
    return lists(user).reallocate(block, size);
  };
  return &memory;
}
#endif

}  // namespace

// Callbacks record and return; `settle` ends the reading as soon as the connection is lost.
struct Http2Callbacks {
  static Http2Codec& codec(void* user) { return *static_cast<Http2Codec*>(user); }
  static int settle(const Http2Codec& c) { return c.failure_ ? NGHTTP2_ERR_CALLBACK_FAILURE : 0; }
  static bool ends_stream(const nghttp2_frame* frame) {
    return (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  }

  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* hd, void* user) {
    const bool ack = (hd->flags & NGHTTP2_FLAG_ACK) != 0;
    return codec(user).frame_begun(hd->type, ack, hd->stream_id) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    const bool request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    const bool whole = (frame->hd.flags & NGHTTP2_FLAG_END_HEADERS) != 0;
    const bool good = codec(user).head_begun(frame->hd.stream_id, request, whole);
    return good ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name,
                       size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                       void* user) {
    Http2Codec& c = codec(user);
    if (c.field_arrived(view(name, name_size), view(value, value_size))) return 0;
    return c.failure_ ? NGHTTP2_ERR_CALLBACK_FAILURE : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  // Without this callback nghttp2 drops a malformed field and lets the message pass, and with it a
  // rule about that field.
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*,
                               nghttp2_rcbuf*, uint8_t, void*) {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    Http2Codec& c = codec(user);
    if (frame->hd.type == NGHTTP2_HEADERS) {
      c.head_invalid();
    } else {
      c.budget_.charge_waste(MisbehaviourBudget::kReset);
      c.within_budget();
    }
    return settle(c);
  }

  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Codec& c = codec(user);
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: c.head_ended(ends_stream(frame)); break;
      case NGHTTP2_DATA:
        c.data_ended(frame->hd.stream_id, frame->hd.length - frame->data.padlen,
                     ends_stream(frame));
        break;
      case NGHTTP2_RST_STREAM:
        c.reset_arrived(frame->hd.stream_id, static_cast<Http2Error>(frame->rst_stream.error_code));
        break;
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
          c.settings_received_ = true;
          c.limit_rooms();
        } else {
          if (c.settings_acknowledged_) c.windows_agreed();
          c.settings_acknowledged_ = true;
        }
        break;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
          c.ping_answered(view(frame->ping.opaque_data, sizeof(frame->ping.opaque_data)));
        }
        break;
      case NGHTTP2_GOAWAY: c.goaway_arrived(); break;
      default: break;
    }
    return settle(c);
  }

  static int on_data_chunk(nghttp2_session*, uint8_t, int32_t id, const uint8_t* bytes, size_t size,
                           void* user) {
    codec(user).body_arrived(id, view(bytes, size));
    return 0;
  }

  static int on_stream_close(nghttp2_session*, int32_t id, uint32_t code, void* user) {
    codec(user).stream_closed(id, static_cast<Http2Error>(code));
    return 0;
  }

  // Frames of unknown types are read here only so that on_begin_frame counts them.
  static int unpack_unknown(nghttp2_session*, void**, const nghttp2_frame_hd*, void*) {
    return NGHTTP2_ERR_CANCEL;
  }

  static int send_data(nghttp2_session*, nghttp2_frame*, const uint8_t* frame_head, size_t length,
                       nghttp2_data_source* source, void* user) {
    Http2Codec& c = codec(user);
    constexpr size_t kFrameHead = 9;  // codecs never pad
    c.append_body(*static_cast<Http2Stream*>(source->ptr), view(frame_head, kFrameHead), length);
    return c.enough_written() ? NGHTTP2_ERR_PAUSE : 0;
  }

  static int on_frame_send(nghttp2_session*, const nghttp2_frame* frame, void* user) {
    Http2Codec& c = codec(user);
    switch (frame->hd.type) {
      case NGHTTP2_DATA:
        if (frame->hd.length > 0) c.budget_.payload();
        [[fallthrough]];
      case NGHTTP2_HEADERS:
        if (ends_stream(frame)) c.frame_with_end_sent(frame->hd.stream_id);
        break;
      case NGHTTP2_RST_STREAM:
        c.reset_sent(frame->hd.stream_id, static_cast<Http2Error>(frame->rst_stream.error_code));
        break;
      case NGHTTP2_GOAWAY:
        c.goaway_sent(static_cast<Http2Error>(frame->goaway.error_code));
        break;
      default: break;
    }
    return 0;
  }

  // A request that cannot go out is closed by nghttp2 itself. Anything else would hang: an answer
  // or trailers too large to send.
  static int on_frame_not_send(nghttp2_session* session, const nghttp2_frame* frame, int why,
                               void* user) {
    if (frame->hd.type == NGHTTP2_HEADERS) codec(user).fresh_fields_.forget();
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat == NGHTTP2_HCAT_REQUEST) return 0;
    if (why == NGHTTP2_ERR_STREAM_CLOSED || why == NGHTTP2_ERR_STREAM_CLOSING) return 0;
    if (why == NGHTTP2_ERR_SESSION_CLOSING) return 0;
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                              NGHTTP2_INTERNAL_ERROR);
    return 0;
  }

  static nghttp2_session_callbacks* make() {
    nghttp2_session_callbacks* table = nullptr;
    if (nghttp2_session_callbacks_new(&table) != 0) std::abort();
    nghttp2_session_callbacks_set_on_begin_frame_callback(table, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(table, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(table, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(table, on_invalid_header);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(table, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(table, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(table, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(table, on_stream_close);
    nghttp2_session_callbacks_set_unpack_extension_callback(table, unpack_unknown);
    nghttp2_session_callbacks_set_send_data_callback(table, send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(table, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(table, on_frame_not_send);
    return table;
  }
};

namespace {

struct Option {
  nghttp2_option* value = nullptr;
  Option() {
    if (nghttp2_option_new(&value) != 0) std::abort();
  }
  ~Option() { nghttp2_option_del(value); }
  Option(const Option&) = delete;
  Option& operator=(const Option&) = delete;
};

void set_options(nghttp2_option* option, const HttpLimits& limits) {
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_reserved_remote_streams(option, 0);
  nghttp2_option_set_peer_max_concurrent_streams(option, 100);
  nghttp2_option_set_max_settings(option, 32);
  nghttp2_option_set_max_outbound_ack(option, limits.outbound_control_frames);
  // A head that a handler may write must fit, however badly it compresses.
  nghttp2_option_set_max_send_header_block_length(option, 4 * limits.head_weight);
  // Ours counts frames; nghttp2's counts calls, so that a frame cut into bytes looks like nine.
  nghttp2_option_set_max_continuations(option, 100);
  // Likewise resets: the budget prices them together with everything else, and by our clock.
  nghttp2_option_set_stream_reset_rate_limit(option, 1u << 30, 1u << 30);
  for (int type = NGHTTP2_CONTINUATION + 1; type <= 0xff; ++type) {
    nghttp2_option_set_user_recv_extension_type(option, static_cast<uint8_t>(type));
  }
}

}  // namespace

void Http2Codec::make_session() {
  static nghttp2_session_callbacks* const callbacks = Http2Callbacks::make();
  const Option option;
  set_options(option.value, limits_);
  nghttp2_mem memory{};
  const auto make = server() ? &nghttp2_session_server_new3 : &nghttp2_session_client_new3;
  const int outcome = make(&session_, callbacks, this, option.value, session_memory(memory));
  ASSERT(outcome == 0);
  submit_preface();
}

void Http2Codec::submit_preface() {
  std::array<nghttp2_settings_entry, 6> settings{};
  size_t count = 0;
  const auto set = [&](int32_t id, size_t value) {
    settings[count++] = {id, static_cast<uint32_t>(value)};
  };
  if (server()) {
    set(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, INT32_MAX);  // see append_settings()
    const bool switches = limits_.upgrades == nullptr || !limits_.upgrades->empty();
    if (switches) set(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1);
  } else {
    set(NGHTTP2_SETTINGS_ENABLE_PUSH, 0);
  }
  set(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits_.stream_window);
  set(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits_.head_weight);
  if (limits_.max_frame_size > kDefaultFrameSize) {
    set(NGHTTP2_SETTINGS_MAX_FRAME_SIZE, limits_.max_frame_size);
  }
  int outcome = nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings.data(), count);
  ASSERT(outcome == 0);
  const auto window = static_cast<int32_t>(limits_.connection_window);
  outcome = nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, window);
  ASSERT(outcome == 0);
}

void Http2Codec::set_user_pointer(int32_t id, Http2Stream* stream) {
  nghttp2_session_set_stream_user_data(session_, id, stream);
}

Http2Stream* Http2Codec::find(int32_t id) const {
  return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
}

}  // namespace tulle
