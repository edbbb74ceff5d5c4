#include "cli/up/api_sequence.hpp"

namespace tulle::cli {

ApiSequence::ApiSequence(Loop& loop, ApiClient& client, std::vector<ApiStep> steps, Task& owner)
    : Task(loop), client_(client), steps_(std::move(steps)), owner_(owner) {
  wake();
}

void ApiSequence::run() {
  if (failure_) return;
  if (call_ != nullptr) {
    if (!call_->done()) return;
    const std::string& what = steps_[next_ - 1].what;
    Result<ApiAnswer> answer = call_->take();
    call_.reset();
    if (!answer) {
      failure_ = what + ": " + answer.error().detail;
    } else if (!answer->accepted()) {
      failure_ = what + ": " + describe_refusal(*answer);
    }
  }
  if (failure_ || next_ == steps_.size()) return owner_.wake();
  call_ = std::make_unique<ApiCall>(client_, steps_[next_++].request, task());
}

}  // namespace tulle::cli
