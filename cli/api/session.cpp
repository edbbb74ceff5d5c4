#include "cli/api/session.hpp"

namespace tulle::cli {
namespace {

class Waiting final : public Task {
 public:
  Waiting(Loop& loop, ApiClient& client, const ApiRequest& request)
      : Task(loop), call(client, request, *this) {}
  ApiCall call;

 private:
  void run() override {
    if (call.done()) loop_.stop();
  }
};

}  // namespace

Result<ApiAnswer> Session::ask(const ApiRequest& request) {
  Waiting waiting(loop_, client_, request);
  loop_.run();
  return waiting.call.take();
}

}  // namespace tulle::cli
