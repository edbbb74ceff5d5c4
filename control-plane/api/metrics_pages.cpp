#include "control-plane/api/metrics_pages.hpp"

#include "core/http/reply.hpp"
#include "core/net/task.hpp"

namespace tulle::api {

std::unique_ptr<Task> MetricsPages::serve(StreamRef stream) {
  constexpr std::string_view kText = "text/plain; charset=utf-8";
  const Head& request = *stream->head();
  const std::string path = request.path.substr(0, request.path.find('?'));
  if (request.method != Method::get && request.method != Method::head) {
    return serve_text(loop_, std::move(stream), 405, kText, "only GET and HEAD\n");
  }
  if (path == "/ready") {
    return serve_text(loop_, std::move(stream), source_.ready() ? 200 : 503, kText,
                      std::string(source_.state()) + "\n");
  }
  if (path == "/metrics") {
    return serve_text(loop_, std::move(stream), 200, "text/plain; version=0.0.4; charset=utf-8",
                      stats_.prometheus_text());
  }
  return serve_text(loop_, std::move(stream), 404, kText, "there are /ready and /metrics\n");
}

}  // namespace tulle::api
