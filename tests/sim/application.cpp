#include "tests/sim/application.hpp"

#include <algorithm>
#include <charconv>

#include "core/http/reply.hpp"
#include "core/net/timer.hpp"
#include "tests/sim/body.hpp"

namespace tulle::sim {
namespace {

// A handler whose peer has gone silent for good gives up in the end. Longer than any other limit.
constexpr Duration kPatience = 8min;

// Three attempts at the caller's sidecar, two at each time at the callee's.
constexpr uint32_t kMostExecutions = 6;

}  // namespace

// One request at the application.
class Application::Handler final : public Task, private Sleeper {
 public:
  Handler(Application& application, const RequestPlan& plan, StreamRef stream)
      : Task(application.loop_),
        Sleeper(application.clock_),
        application_(application),
        plan_(plan),
        stream_(std::move(stream)),
        request_(request_number(plan.id)),
        thinking_(*this),
        patience_(*this) {
    stream_->set_owner(this);
    patience_.arm(kPatience);
    ++application_.handlers_;
  }
  ~Handler() override {
    if (stream_ != nullptr) --application_.handlers_;
  }

 private:
  void run() override;
  std::string could_progress() const override;

  void welcome();
  void read_request();
  void judge_request();
  bool may_answer();
  void send_head();
  void answer();
  void send_answer_body();
  void break_off();
  void leave();
  bool is_broken() const { return plan_.behaviour == Behaviour::broken; }
  bool reads() const { return plan_.behaviour != Behaviour::early; }
  size_t answer_end() const { return is_broken() ? plan_.breaks_after : plan_.answer_size; }
  void wrong(const std::string& what) {
    application_.findings_.add("request " + std::to_string(plan_.id) +
                               " at the application: " + what);
  }

  Application& application_;
  const RequestPlan& plan_;
  StreamRef stream_;  // null: over
  BodyCheck request_;
  size_t sent_ = 0;
  Timer thinking_;
  Timer patience_;
  bool request_judged_ = false;
  bool thought_ = false;
  bool welcomed_ = false;
};

void Application::Handler::run() {
  if (stream_ == nullptr) return;
  if (stream_->failure() != nullptr || patience_.fired()) return leave();
  if (thinking_.fired()) {
    thinking_.disarm();
    thought_ = true;
  }
  welcome();
  if (reads()) read_request();
  if (may_answer()) answer();
}

void Application::Handler::welcome() {
  if (!stream_->head()->expects_continue || !reads() || stream_->head_sent()) return;
  if (welcomed_ || stream_->arrived()) return;
  welcomed_ = true;
  stream_->draft().status = 100;
  stream_->send_interim();
}

// An echo holds no more than the way back takes, so the caller's window stays closed until then.
void Application::Handler::read_request() {
  while (stream_->readable() > 0) {
    const bool echo = plan_.behaviour == Behaviour::echo;
    if (echo && !stream_->head_sent()) send_head();
    const size_t most = echo ? stream_->room() : SIZE_MAX;
    if (most == 0) return;
    Bytes part = stream_->receive(most);
    request_.take(part);
    if (!echo) continue;
    sent_ += part.size();
    stream_->send(std::move(part));
  }
  if (stream_->ended() && !request_judged_) judge_request();
}

void Application::Handler::judge_request() {
  request_judged_ = true;
  if (!request_.intact()) wrong("a wrong byte near " + std::to_string(request_.wrong_at()));
  if (request_.size() != plan_.request_size) {
    wrong("complete with " + std::to_string(request_.size()) + " bytes of " +
          std::to_string(plan_.request_size));
  }
  if (!plan_.request_trailers) return;
  const std::string_view digest = stream_->trailers().get("sim-digest").value_or("(none)");
  if (digest != body_digest(request_number(plan_.id), plan_.request_size)) {
    wrong("trailer sim-digest is " + std::string(digest));
  }
}

bool Application::Handler::may_answer() {
  switch (plan_.behaviour) {
    case Behaviour::echo:
    case Behaviour::early:
      return true;
    case Behaviour::reply:
    case Behaviour::broken:
      return request_judged_;
    case Behaviour::slow:
      break;
  }
  if (request_judged_ && !thought_ && !thinking_.armed()) thinking_.arm(plan_.app_delay);
  return thought_;
}

void Application::Handler::send_head() {
  Head& head = stream_->draft();
  head.status = 200;
  head.fields.add("sim-id", std::to_string(plan_.id));
  if (!plan_.answer_chunked) head.content_length = plan_.answer_size;
  head.ended = plan_.answer_size == 0 && !plan_.answer_trailers;
  stream_->send_head();
}

void Application::Handler::answer() {
  if (is_broken() && plan_.breaks_after == 0) return break_off();
  if (!stream_->head_sent()) send_head();
  if (plan_.behaviour != Behaviour::echo) send_answer_body();
  if (sent_ < answer_end() || (plan_.behaviour == Behaviour::echo && !request_judged_)) return;
  if (is_broken()) return break_off();
  if (plan_.answer_trailers) {
    stream_->draft_trailers().set("sim-digest",
                                  body_digest(answer_number(plan_.id), plan_.answer_size));
  }
  stream_->finish();
  // Both are allowed: to go when the answer is finished, and to see it depart.
  if (plan_.id % 2 == 0 || stream_->departed()) leave();
}

void Application::Handler::send_answer_body() {
  while (sent_ < answer_end()) {
    size_t most = std::min(stream_->room(), answer_end() - sent_);
    if (most == 0) return;
    const bool slow = plan_.behaviour == Behaviour::slow;
    if (slow) {
      if (!thought_) return;
      most = std::min(most, plan_.answer_size / 4 + 1);
    }
    stream_->send(body_part(answer_number(plan_.id), sent_, most));
    sent_ += most;
    if (!slow) continue;
    thought_ = false;
    thinking_.arm(plan_.app_delay);
  }
}

// What was sent gets a moment to be on its way, else nobody would ever see half an answer.
void Application::Handler::break_off() {
  if (!thought_) {
    if (!thinking_.armed()) thinking_.arm(1ms);
    return;
  }
  stream_->cancel(Code::internal);
  leave();
}

void Application::Handler::leave() {
  stream_.reset();
  thinking_.disarm();
  patience_.disarm();
  --application_.handlers_;
}

// What would be seen if it ran now; the loop says that it is not going to.
std::string Application::Handler::could_progress() const {
  if (stream_ == nullptr || awake()) return {};
  const bool blocked = plan_.behaviour == Behaviour::echo && stream_->room() == 0;
  std::string missed;
  if (stream_->failure() != nullptr) {
    missed = "its stream has failed";
  } else if (reads() && stream_->readable() > 0 && !blocked) {
    missed = "there is something to read";
  } else if (reads() && stream_->ended() && !request_judged_) {
    missed = "the request has ended";
  } else if (stream_->head_sent() && !stream_->finished() && reads() && sent_ < answer_end() &&
             plan_.behaviour != Behaviour::echo && !thinking_.armed() && stream_->room() > 0) {
    missed = "there is room";
  }
  if (missed.empty()) return {};
  return "request " + std::to_string(plan_.id) + " sleeps at the application, but " + missed;
}

Application::Application(SimulatedClock& clock, Loop& loop, SimulatedNetwork& network,
                         const Plan& plan, Findings& findings)
    : clock_(clock),
      loop_(loop),
      plan_(plan),
      findings_(findings),
      servers_(plan.apps),
      executions_(plan.requests.size()) {
  for (uint32_t i = 0; i < plan.apps; ++i) {
    hosts_.push_back(network.host(loop, address_of(i).ip()));
    start(i);
  }
}

Application::~Application() = default;

Address Application::address_of(uint32_t instance) {
  return *Address::parse("10.0.1." + std::to_string(instance + 1), 8080);
}

void Application::start(uint32_t instance) {
  if (running(instance)) return;
  Server::Options options;
  if (plan_.app_is_h2) options.protocol = Protocol::http2;
  auto server = std::make_unique<Server>(loop_, service(), options);
  Result<void> listening = server->listen(*hosts_[instance], address_of(instance), {});
  if (!listening) return findings_.add("application: " + listening.error().detail);
  servers_[instance] = std::move(server);
}

void Application::stop(uint32_t instance) {
  servers_[instance].reset();
}

void Application::stop_all() {
  for (uint32_t i = 0; i < servers_.size(); ++i)
    stop(i);
}

std::unique_ptr<Task> Application::serve(StreamRef stream) {
  const Head& head = *stream->head();
  const std::string_view text = head.fields.get("sim-id").value_or("");
  uint32_t id = UINT32_MAX;
  std::from_chars(text.data(), text.data() + text.size(), id);
  if (id >= plan_.requests.size()) {
    findings_.add("a request that nobody made reached the application: " + head.path);
    send_text_reply(*stream, 400, "text/plain", "unknown request\n");
    return nullptr;
  }
  clock_.note("executed", id);
  const uint32_t most = plan_.resilient && is_idempotent(head.method) ? kMostExecutions : 1;
  if (++executions_[id] > most) {
    findings_.add("request " + std::to_string(id) + " was executed " +
                  std::to_string(executions_[id]) + " times");
  }
  return std::make_unique<Handler>(*this, plan_.requests[id], std::move(stream));
}

}  // namespace tulle::sim
