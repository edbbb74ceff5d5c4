// Http1Server: the server role of HTTP/1 on one connection.
//
// Owns the stream of the request being answered, at most one, and the bytes behind it that wait
// their turn. Requests are refused here, with an answer, before any handler hears of them.
//
//   in_:   head -> body -> done        the request;  closed: nothing more is listened to
//                  held -> tunnel      after an upgrade or CONNECT: bytes wait for the answer
//   out_:  head -> body -> done        the answer
//
// An exchange is over when in_ and out_ are both done; then the next request is read, or the
// connection ends. An answer that is complete before its request lets the request go on for a
// bounded while, because the peer reads our answer only then (RFC 9112, 9.6).
#pragma once

#include <optional>
#include <string_view>

#include "core/http/codec.hpp"
#include "core/http/http1_parser.hpp"
#include "core/http/http1_writer.hpp"

namespace tulle {

class Http1Server final : public Codec {
 public:
  Http1Server(const HttpLimits& limits, std::string_view scheme);
  ~Http1Server() override;

  Result<void> read(ByteView wire, Instant now) override;
  void end_of_input(const std::optional<Error>& why) override;
  void write(Bytes& wire, size_t limit) override;
  void hold_back(size_t most) override;
  void resume_reading() override;
  bool wants_write() const override;
  Stream* accept() override;
  Stream* open() override { return nullptr; }
  size_t open_streams() const override { return stream_ != nullptr ? 1 : 0; }
  size_t stream_limit() const override { return 1; }
  void retire() override;
  bool wants_read() const override;
  bool finished() const override { return over_ && !answer_; }
  bool output_ended() const override { return in_ == In::tunnel && out_ == Out::done; }
  bool broke_off() const override { return broke_off_; }
  Waiting waiting() const override;
  Version version() const override { return Version::http11; }
  DirtyStreams& dirty() override { return dirty_; }
  void timed_out(Waiting what) override;

 private:
  enum class In : uint8_t { head, body, done, held, tunnel, closed };
  enum class Out : uint8_t { head, body, done };
  struct Answer {  // to a refused request; not yet on the wire
    int status;
    Refusal why;
  };

  size_t consume(ByteView wire);
  size_t read_some(ByteView wire);
  size_t read_head(ByteView wire);
  size_t read_body(ByteView wire);
  size_t read_tunnel(ByteView wire);
  void read_pending();
  void head_complete();
  void body_complete();
  void end_reached();

  void advance(Bytes& wire, size_t limit);
  void write_interims(Bytes& wire);
  bool write_head(const Head& head, Bytes& wire);
  void write_tunnel_head(const Head& head, Bytes& wire);
  bool must_close(const Head& head) const;
  BodyForm form_of(const Head& head) const;
  void write_body(Bytes& wire, size_t limit);
  bool has_output() const;
  bool abandoned() const;

  void settle();
  void end_exchange();
  void refuse(const Refusal& why, int status);
  void cut();
  void fail_and_cut(Error why);
  void stop();

  const HttpLimits& limits_;
  const std::string_view scheme_;
  DirtyStreams dirty_;
  Http1Parser parser_;
  BodyWriter body_;
  Bytes pending_;                  // input that must wait
  Stream* stream_ = nullptr;
  std::optional<Answer> answer_;
  size_t most_held_ = SIZE_MAX;    // of an answer, while the client takes no more
  uint64_t drained_ = 0;           // request bytes that came after our answer was complete
  In in_ = In::head;
  Out out_ = Out::head;
  bool accepted_ = false;          // stream_ has been handed out
  bool ready_ = false;             // stream_ waits for accept()
  bool continued_ = false;         // a 100 was sent, or body bytes came without
  bool close_ = false;             // after this exchange
  bool close_announced_ = false;   // by the client
  bool close_said_ = false;
  bool retired_ = false;
  bool input_ended_ = false;
  bool over_ = false;
  bool broke_off_ = false;         // in a body that ends with the connection
};

}  // namespace tulle
