// Http1Client: the client role of HTTP/1 on one connection.
//
// Owns the stream of the request being made, at most one. A connection is used again only when the
// last exchange ended exactly as framed, in both directions; anything odd ends it.
//
//   in_:   idle -> head -> body -> done      the response; 1xx heads return to head
//                       -> tunnel            after 101, or 2xx to CONNECT;  closed: over
//   out_:  idle -> held -> tunnel            an upgrade or CONNECT: the body waits for the answer
//               -> body -> done              the request
#pragma once

#include <optional>
#include <string_view>

#include "core/http/codec.hpp"
#include "core/http/http1_parser.hpp"
#include "core/http/http1_writer.hpp"

namespace tulle {

class Http1Client final : public Codec {
 public:
  Http1Client(const HttpLimits& limits, std::string_view scheme);
  ~Http1Client() override = default;

  Result<void> read(ByteView wire, Instant now) override;
  void end_of_input(const std::optional<Error>& why) override;
  void write(Bytes& wire, size_t limit) override;
  void resume_reading() override;
  bool wants_write() const override;
  Stream* accept() override { return nullptr; }
  Stream* open() override;
  size_t open_streams() const override { return stream_ != nullptr ? 1 : 0; }
  size_t stream_limit() const override { return 1; }
  void retire() override;
  bool wants_read() const override { return !over_ && pending_.empty() && !has_enough(); }
  bool finished() const override { return over_; }
  bool output_ended() const override { return in_ == In::tunnel && out_ == Out::done; }
  bool owes_output() const override { return tunnel_ended_; }
  Waiting waiting() const override;
  Version version() const override { return Version::http11; }
  DirtyStreams& dirty() override { return dirty_; }
  void timed_out(Waiting what) override;

 private:
  enum class In : uint8_t { idle, head, body, done, tunnel, closed };
  enum class Out : uint8_t { idle, held, body, tunnel, done };

  size_t consume(ByteView wire);
  size_t read_some(ByteView wire);
  size_t read_head(ByteView wire);
  size_t read_body(ByteView wire);
  size_t read_tunnel(ByteView wire);
  void read_pending();
  void end_reached();
  void begin_head();
  void head_complete();
  bool check_accept();
  void interim_complete();
  void response_complete();

  void advance(Bytes& wire, size_t limit);
  bool write_head(const Head& head, Bytes& wire);
  void write_body(Bytes& wire, size_t limit);
  bool has_output() const;
  bool has_enough() const;
  void heed_limit();

  void let_go();
  void end_exchange();
  void tunnel_over();
  void fail(Code code, std::string_view why);
  void cut();

  const HttpLimits& limits_;
  const std::string_view scheme_;
  DirtyStreams dirty_;
  Http1Parser parser_;
  BodyWriter body_;
  Bytes pending_;                  // input that waits for room in the stream
  Stream* stream_ = nullptr;
  size_t interims_ = 0;            // of this response
  In in_ = In::idle;
  Out out_ = Out::idle;
  bool interim_ = false;           // the head being read is a 1xx
  bool used_ = false;              // an exchange has begun here before
  bool retired_ = false;
  bool input_ended_ = false;
  bool tunnel_ended_ = false;      // in both directions, as it should
  bool over_ = false;
};

}  // namespace tulle
