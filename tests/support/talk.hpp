// Talk: a handler that follows a script on one stream, on either side, and writes down what it hears.
//
// For tests of everything above codecs. A Script says what to send and when; a Heard is what came.
// Both outlive the talk, which in the server role dies with its stream.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/http/connection.hpp"
#include "core/http/pool.hpp"
#include "core/http/stream.hpp"
#include "core/net/task.hpp"

namespace tulle::testing {

struct Script {
  Head head;                      // of the request, or of the response
  std::string body;
  Fields trailers;
  bool announce_length = true;    // content-length, when there are no trailers
  std::vector<int> interims;      // service: 1xx to send at once, whenever the head comes
  enum class Start {
    at_once,
    after_end,                    // service: when the whole request has arrived
    after_continue,               // client: the body waits for 100
    body_after_end,               // client of a tunnel: the body waits for the other side's end
  } start = Start::at_once;
  std::optional<size_t> reset_after;  // drops the stream when so much of the body has been sent
  bool finish_early = false;      // lets go as soon as the own message is finished
  bool read = true;               // false: never takes a byte of the body
};

struct Heard {
  std::optional<Head> head;
  std::string body;
  Fields trailers;
  std::vector<int> interims;
  bool ended = false;
  bool over = false;              // the talk has let go of its stream
  std::optional<Error> failure;   // of the stream, or (client) of its ticket
  bool reused_connection = false;
  int runs = 0;
};

class Talk final : public Task {
 public:
  // Service side.
  Talk(Loop& loop, StreamRef stream, const Script& script, Heard& heard);
  // Client side: asks the pool for a stream.
  Talk(Loop& loop, Pool& pool, const Script& script, Heard& heard);
  ~Talk() override;
  void stop();                    // lets go of the stream now

 private:
  void run() override;
  bool take_ticket();
  void adopt(StreamRef stream);
  void hear();
  void say();
  void say_interims();
  void say_head();
  bool may_say_body() const;
  void let_go();

  const Script& script_;
  Heard& heard_;
  std::optional<Ticket> ticket_;
  StreamRef stream_;
  bool server_;
  size_t sent_ = 0;
  size_t interims_said_ = 0;
};

// Answers every request by one script, and keeps what each of them said.
class ScriptedService final : public Service {
 public:
  explicit ScriptedService(Loop& loop) : loop_(loop) {}
  std::unique_ptr<Task> serve(StreamRef stream) override;
  void refused(const Refused& what, const Connection&) override { refusals.push_back(what); }

  Script script;
  std::deque<Heard> heard;
  std::vector<Refused> refusals;

 private:
  Loop& loop_;
};

Head response_head(int status);

}  // namespace tulle::testing
