#include "sidecar/worker_thread.hpp"

#include <future>

namespace tulle {

// Lives on the worker's thread: its loop, network and worker, and the watch for "drained".
class WorkerThread::Body final : private Task {
 public:
  Body(WorkerThread& thread, const WorkerEnvironment& environment, uint64_t seed,
       std::unique_ptr<Loop> loop)
      : Task(*loop),
        thread_(thread),
        owned_loop_(std::move(loop)),
        network_(make_uv_network(*owned_loop_)),
        worker_(std::make_unique<Worker>(*owned_loop_, *network_, environment, seed)) {
    worker_->set_owner(this);
  }

  void serve() { owned_loop_->run(); }
  Loop& loop() { return *owned_loop_; }
  Worker& worker() { return *worker_; }
  void report(uint64_t adoptions, std::optional<std::string> problem, bool drained);

  // The worker's sockets close before the loop that carries them.
  std::unique_ptr<Loop> take_apart() {
    worker_.reset();
    network_.reset();
    return std::move(owned_loop_);
  }

 private:
  void run() override {
    if (worker_->drained()) report(0, std::nullopt, true);
  }

  WorkerThread& thread_;
  std::unique_ptr<Loop> owned_loop_;
  std::unique_ptr<Network> network_;
  std::unique_ptr<Worker> worker_;
};

class WorkerThread::Answer final : public Message {
 public:
  Answer(WorkerThread& thread, uint64_t adoptions, std::optional<std::string> problem, bool drained)
      : thread_(thread), adoptions_(adoptions), problem_(std::move(problem)), drained_(drained) {}
  void deliver() override {
    thread_.adoptions_ += adoptions_;
    if (problem_) thread_.problem_ = std::move(problem_);
    thread_.drained_ |= drained_;
    thread_.owner_.wake();
  }

 private:
  WorkerThread& thread_;
  uint64_t adoptions_;
  std::optional<std::string> problem_;
  bool drained_;
};

void WorkerThread::Body::report(uint64_t adoptions, std::optional<std::string> problem,
                                bool drained) {
  thread_.exchanges_.store(worker_->exchanges(), std::memory_order_relaxed);
  thread_.main_.post(std::make_unique<Answer>(thread_, adoptions, std::move(problem), drained));
}

class WorkerThread::Command final : public Message {
 public:
  enum class Kind { adopt, drain, stop };
  Command(Body& body, Kind kind) : body_(body), kind_(kind) {}
  std::shared_ptr<const config::Snapshot> snapshot;
  BoundAddresses bound;

  void deliver() override {
    switch (kind_) {
      case Kind::adopt: {
        Result<void> adopted = body_.worker().adopt(std::move(snapshot), bound);
        std::optional<std::string> problem;
        if (!adopted) problem = adopted.error().detail;
        return body_.report(1, std::move(problem), false);
      }
      case Kind::drain: return body_.worker().drain();
      case Kind::stop: return body_.loop().stop();
    }
  }

 private:
  Body& body_;
  Kind kind_;
};

WorkerThread::WorkerThread(const WorkerEnvironment& environment, uint64_t seed, Loop& main,
                           Task& owner)
    : main_(main), owner_(owner) {
  std::promise<void> ready;
  thread_ = std::thread([&, seed] {
    body_ = std::make_unique<Body>(*this, environment, seed,
                                   std::make_unique<Loop>(make_uv_engine()));
    Body& body = *body_;
    ready.set_value();
    body.serve();
    std::unique_ptr<Loop> loop = body.take_apart();
    body_.reset();  // a task: it leaves the loop before the loop ends
  });
  ready.get_future().wait();
}

WorkerThread::~WorkerThread() {
  stop();
  thread_.join();
}

void WorkerThread::post(std::unique_ptr<Message> message) {
  body_->loop().post(std::move(message));
}

void WorkerThread::adopt(std::shared_ptr<const config::Snapshot> snapshot, BoundAddresses bound) {
  auto command = std::make_unique<Command>(*body_, Command::Kind::adopt);
  command->snapshot = std::move(snapshot);
  command->bound = std::move(bound);
  post(std::move(command));
}

void WorkerThread::drain() { post(std::make_unique<Command>(*body_, Command::Kind::drain)); }

void WorkerThread::stop() { post(std::make_unique<Command>(*body_, Command::Kind::stop)); }

}  // namespace tulle
