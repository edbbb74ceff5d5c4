#include "control-plane/push/grpc_methods.hpp"

#include <optional>
#include <utility>

#include "core/http/grpc_stream.hpp"
#include "core/net/task.hpp"

namespace tulle::push {

namespace {

constexpr size_t kNoMessage = 0;  // none is read

class Unimplemented final : public Task {
 public:
  Unimplemented(Loop& loop, StreamRef stream) : Task(loop) {
    call_.emplace(std::move(stream), *this, kNoMessage);
  }

 private:
  void run() override {
    if (!call_) return;
    if (!call_->ended()) {
      call_->finish({GrpcCode::unimplemented, "there is no method " + call_->head().path});
    }
    call_->advance();
    if (call_->over()) call_.reset();
  }

  std::optional<GrpcStream> call_;
};

}  // namespace

std::unique_ptr<Task> GrpcMethods::serve(StreamRef stream) {
  const auto method = methods_.find(stream->head()->path);
  if (method != methods_.end()) return method->second->serve(std::move(stream));
  return std::make_unique<Unimplemented>(loop_, std::move(stream));
}

}  // namespace tulle::push
