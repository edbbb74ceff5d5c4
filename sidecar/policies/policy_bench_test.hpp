// PolicyBench: real workers between scripted callers and scripted instances of an application, on
// virtual time. What the tests of policies share.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/http/server.hpp"
#include "core/net/simulated_engine.hpp"
#include "core/net/simulated_network.hpp"
#include "core/net/timer.hpp"
#include "sidecar/config/compile.hpp"
#include "sidecar/config/resource_json.hpp"
#include "sidecar/worker.hpp"
#include "tests/support/talk.hpp"

namespace tulle::policies::testing {

using tulle::testing::Heard;
using tulle::testing::Script;
using Json = nlohmann::json;

// What an instance does with a request that has arrived whole.
struct Answer {
  enum class Kind : uint8_t {
    answer,
    silent,
    reset,
    begun,   // head and body, and then nothing more
    broken,  // head and body, and then a reset
  } kind = Kind::answer;
  int status = 200;
  Duration after{0};
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body = "ok";
  std::vector<std::pair<std::string, std::string>> trailers;

  static Answer silent() { return {.kind = Kind::silent}; }
  static Answer reset() { return {.kind = Kind::reset}; }
  static Answer of(int status) { return {.status = status}; }
};

class Instance final : public Service {
 public:
  Instance(Loop& loop, SimulatedNetwork& network, const Address& at)
      : loop_(loop), host_(network.host(loop, at.ip())), address_(at) {
    start();
  }
  void start() {
    server_ = std::make_unique<Server>(loop_, *this, Server::Options{});
    EXPECT_TRUE(server_->listen(*host_, address_, {}).has_value());
  }
  void stop() { server_.reset(); }
  const Address& address() const { return address_; }

  std::function<Answer(const Head&)> behaviour = [](const Head&) { return Answer{}; };
  std::vector<Instant> hits;        // when a whole request had come
  std::vector<std::string> bodies;
  std::vector<Head> heads;
  std::vector<std::pair<Instant, Error>> failures;  // streams that were reset, and when

 private:
  class Handler final : public Task {
   public:
    Handler(Instance& instance, StreamRef stream)
        : Task(instance.loop_), instance_(instance), stream_(std::move(stream)), timer_(*this) {
      stream_->set_owner(this);
    }

   private:
    void run() override {
      if (stream_ == nullptr) return;
      if (const Error* failure = stream_->failure()) {
        instance_.failures.push_back({loop_.now(), *failure});
        return stream_.reset();
      }
      body_ += stream_->receive(SIZE_MAX).to_string();
      if (!stream_->ended() || (decided_ && !timer_.fired())) return;
      if (stream_->head_sent()) return stream_.reset();
      if (!decided_) {
        decided_ = true;
        instance_.hits.push_back(loop_.now());
        instance_.bodies.push_back(body_);
        instance_.heads.push_back(*stream_->head());
        answer_ = instance_.behaviour(*stream_->head());
        if (answer_.kind == Answer::Kind::silent) return;
        if (answer_.after > Duration{0}) return timer_.arm(answer_.after);
      }
      if (answer_.kind == Answer::Kind::reset) return stream_.reset();
      Head& head = stream_->draft();
      head.status = answer_.status;
      for (const auto& [name, value] : answer_.fields) head.fields.add(name, value);
      const bool whole = answer_.kind == Answer::Kind::answer;
      head.ended = whole && answer_.body.empty() && answer_.trailers.empty();
      if (whole && answer_.trailers.empty()) head.content_length = answer_.body.size();
      stream_->send_head();
      if (!answer_.body.empty()) stream_->send(Bytes(answer_.body));
      if (answer_.kind == Answer::Kind::begun) return;
      if (answer_.kind == Answer::Kind::broken) return timer_.arm(1ms);
      for (const auto& [name, value] : answer_.trailers) stream_->draft_trailers().add(name, value);
      stream_->finish();
      stream_.reset();
    }
    Instance& instance_;
    StreamRef stream_;
    Timer timer_;
    std::string body_;
    Answer answer_;
    bool decided_ = false;
  };
  std::unique_ptr<Task> serve(StreamRef stream) override {
    return std::make_unique<Handler>(*this, std::move(stream));
  }

  Loop& loop_;
  std::unique_ptr<Network> host_;
  const Address address_;
  std::unique_ptr<Server> server_;
};

// What the cases say about the route and the cluster; the rest is as small as it can be.
struct BenchSetup {
  Json route = Json::object();    // members of the RouteAction
  Json cluster = Json::object();  // members of the Cluster
  Json manager = Json::object();  // members of the HttpConnectionManager
  tracing::SpanSink* spans = nullptr;
  size_t instances = 2;
  size_t workers = 1;
  bool http2 = false;             // everywhere
  bool reachable = true;          // false: nobody listens where the endpoints are
};

class PolicyBench {
 public:
  explicit PolicyBench(const BenchSetup& setup) : network(clock), loop(clock), setup_(setup) {
    for (size_t i = 0; i < setup.instances; ++i) {
      const std::string ip = "10.0.1." + std::to_string(i + 1);
      instances.push_back(
          std::make_unique<Instance>(loop, network, *Address::parse(ip, 8080)));
      if (!setup.reachable) instances.back()->stop();
    }
    environment_.reset(new WorkerEnvironment{.node_id = "bench",
                                             .stats = stats,
                                             .admissions = admissions,
                                             .reuse_port = false,
                                             .broadcast = &broadcast_,
                                             .exhausted = &exhausted_,
                                             .spans = setup.spans,
                                             .service = "bench"});
    const auto snapshot = compiled();
    if (snapshot == nullptr) return;
    for (size_t i = 0; i < setup.workers; ++i) start_worker(i);
    admission = admissions.of(*snapshot->clusters[0]);
  }
  ~PolicyBench() {
    talks_.clear();
    pools_.clear();
    workers.clear();
    instances.clear();
    clock.run_for(1s);
    EXPECT_EQ(admission->requests() + admission->retries() + admission->pending(), 0u);
  }

  Heard& ask(Script script, size_t worker = 0) {
    scripts_.push_back(std::move(script));
    heard_.emplace_back();
    talks_.push_back(std::make_unique<tulle::testing::Talk>(loop, *pools_[worker],
                                                            scripts_.back(), heard_.back()));
    return heard_.back();
  }
  // One whole request.
  Heard& get(size_t worker = 0) { return finish(ask(request(Method::get), worker)); }
  Heard& finish(Heard& heard) {
    EXPECT_TRUE(clock.run_while_not([&] { return heard.over; }, 1min));
    return heard;
  }
  // The caller of the latest request leaves.
  void give_up_last() { talks_.back()->stop(); }
  // True when it has ended within the time.
  bool run_for(Heard& heard, Duration limit) {
    return clock.run_while_not([&] { return heard.over; }, limit);
  }
  void adopt(Json route, Json cluster) {
    setup_.route = std::move(route);
    setup_.cluster = std::move(cluster);
    for (auto& worker : workers) EXPECT_TRUE(worker->adopt(compiled(worker->snapshot())).has_value());
  }
  int64_t stat(std::string_view family, Labels labels = {{"cluster", "app"}}) {
    return stats.read(stats.counter(family, "", std::move(labels)));
  }
  int64_t gauge(std::string_view family) {
    return stats.read(stats.gauge(family, "", {{"cluster", "app"}}));
  }
  size_t hits() const {
    size_t sum = 0;
    for (const auto& instance : instances) sum += instance->hits.size();
    return sum;
  }
  void all(const Answer& answer) {
    for (const auto& instance : instances) instance->behaviour = [=](const Head&) { return answer; };
  }

  static Script request(Method method, std::string body = {}) {
    Script script;
    script.head.method = method;
    script.head.method_text = method == Method::get ? "GET" : "POST";
    script.head.scheme = "http";
    script.head.authority = "app";
    script.head.path = "/";
    script.body = std::move(body);
    return script;
  }

  SimulatedClock clock;
  SimulatedNetwork network;
  SimulatedLoop loop;
  StatRegistry stats;
  routing::Admissions admissions;
  std::shared_ptr<routing::Admission> admission;
  std::vector<std::unique_ptr<Instance>> instances;
  std::vector<std::unique_ptr<Worker>> workers;

 private:
  Protocol protocol() const { return setup_.http2 ? Protocol::http2 : Protocol::http1; }
  static std::string worker_ip(size_t i) { return "10.0.0." + std::to_string(i + 1); }

  void start_worker(size_t i) {
    hosts_.push_back(network.host(loop, worker_ip(i)));
    workers.push_back(std::make_unique<Worker>(loop, *hosts_.back(), *environment_, i + 1));
    const Address at = *Address::parse(worker_ip(i), 15001);
    EXPECT_TRUE(workers.back()->adopt(compiled(), {{"outbound", at}}).has_value());
    callers_.push_back(network.host(loop, "10.0.2." + std::to_string(i + 1)));
    pools_.push_back(std::make_unique<Pool>(
        loop, *callers_.back(), Pool::Options{.address = at, .protocol = protocol()}, nullptr));
  }

  std::shared_ptr<const config::Snapshot> compiled(const config::Snapshot* previous = nullptr) {
    config::Problems problems;
    xds::ResourceSet resources;
    for (const Json& json : {listener(), cluster()}) {
      auto resource = config::resource_from_json(json.dump(), "bench", problems);
      if (resource) resources.put(std::move(*resource));
    }
    config::Compiled result = config::compile(resources, {}, previous);
    problems.insert(problems.end(), result.problems.begin(), result.problems.end());
    EXPECT_EQ(config::to_text(problems), "");
    return result.snapshot;
  }

  static Json address(const std::string& ip, int port) {
    return {{"socket_address", {{"address", ip}, {"port_value", port}}}};
  }
  static std::string type(const std::string& name) { return "type.googleapis.com/envoy." + name; }

  Json listener() const {
    Json action = setup_.route;
    action["cluster"] = "app";
    const Json host = {{"name", "app"},
                       {"domains", {"*"}},
                       {"routes", {{{"match", {{"prefix", "/"}}}, {"route", action}}}}};
    const std::string manager =
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    Json filter = {
        {"name", "envoy.filters.network.http_connection_manager"},
        {"typed_config",
         {{"@type", type(manager)},
          {"stat_prefix", "bench"},
          {"http_filters",
           {{{"name", "envoy.filters.http.router"},
             {"typed_config", {{"@type", type("extensions.filters.http.router.v3.Router")}}}}}},
          {"route_config", {{"name", "routes"}, {"virtual_hosts", {host}}}}}}};
    filter["typed_config"].update(setup_.manager);
    return {{"@type", type("config.listener.v3.Listener")},
            {"name", "outbound"},
            {"traffic_direction", "OUTBOUND"},
            {"address", address(worker_ip(0), 15001)},
            {"filter_chains", {{{"filters", {filter}}}}}};
  }

  Json cluster() const {
    Json endpoints = Json::array();
    for (const auto& instance : instances) {
      endpoints.push_back({{"endpoint", {{"address", address(instance->address().ip(), 8080)}}}});
    }
    Json out = {{"@type", type("config.cluster.v3.Cluster")},
                {"name", "app"},
                {"type", "STATIC"},
                {"lb_policy", "ROUND_ROBIN"},
                {"load_assignment",
                 {{"cluster_name", "app"}, {"endpoints", {{{"lb_endpoints", endpoints}}}}}}};
    if (setup_.http2) {
      const std::string options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
      out["typed_extension_protocol_options"] = {
          {options,
           {{"@type", "type.googleapis.com/" + options},
            {"explicit_http_config", {{"http2_protocol_options", Json::object()}}}}}};
    }
    out.update(setup_.cluster);
    return out;
  }

  BenchSetup setup_;
  policies::Broadcast broadcast_;
  exchange::ExhaustedRequests exhausted_;
  std::unique_ptr<WorkerEnvironment> environment_;
  std::vector<std::unique_ptr<Network>> hosts_;
  std::vector<std::unique_ptr<Network>> callers_;
  std::vector<std::unique_ptr<Pool>> pools_;
  std::deque<Script> scripts_;
  std::deque<Heard> heard_;
  std::deque<std::unique_ptr<tulle::testing::Talk>> talks_;
};

inline std::string error_of(const Heard& heard) {
  if (!heard.head) return "(no answer)";
  return std::string(heard.head->fields.get(FieldId::tulle_error).value_or(""));
}
inline int status_of(const Heard& heard) { return heard.head ? heard.head->status : 0; }

}  // namespace tulle::policies::testing
