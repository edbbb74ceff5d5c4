#include "sidecar/admin/admin.hpp"

#include "core/http/reply.hpp"
#include "core/net/task.hpp"

namespace tulle::admin {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kMetrics = "text/plain; version=0.0.4; charset=utf-8";
constexpr std::string_view kIndex =
    "/ready    200 when traffic is welcome, 503 while starting or draining\n"
    "/metrics  statistics, Prometheus text\n"
    "/config   the configuration in force\n";

struct Answer {
  int status;
  std::string_view content_type;
  std::string body;
};

Answer answer(const Head& request, const AdminSource& source) {
  const std::string_view path = std::string_view(request.path).substr(0, request.path.find('?'));
  if (request.method != Method::get && request.method != Method::head) {
    return {405, kText, "only GET and HEAD\n"};
  }
  if (path == "/ready") {
    return {source.ready() ? 200 : 503, kText, std::string(source.state()) + "\n"};
  }
  if (path == "/metrics") return {200, kMetrics, source.metrics()};
  if (path == "/config") return {200, kJson, source.config_json()};
  if (path == "/") return {200, kText, std::string(kIndex)};
  return {404, kText, "no such page; there are:\n" + std::string(kIndex)};
}

// Sends one page, as the client takes it.
class Page final : public Task {
 public:
  Page(Loop& loop, const AdminSource& source, StreamRef stream)
      : Task(loop), source_(source), stream_(std::move(stream)) {
    stream_->set_owner(this);
  }

 private:
  void run() override {
    if (stream_ == nullptr) return;
    if (stream_->failure() != nullptr) return stream_.reset();
    if (!stream_->head_sent()) begin();
    while (!rest_.empty() && stream_->room() > 0) stream_->send(rest_.take(stream_->room()));
    if (rest_.empty() && !stream_->finished()) stream_->finish();
    if (stream_->departed()) stream_.reset();
  }

  void begin() {
    const Answer page = answer(*stream_->head(), source_);
    Head& head = stream_->draft();
    head.status = page.status;
    head.content_length = page.body.size();
    head.fields.add(FieldId::content_type, page.content_type);
    head.fields.add("cache-control", "no-store");
    head.ended = stream_->head()->method == Method::head || page.body.empty();
    if (!head.ended) rest_.append(page.body);
    stream_->send_head();
  }

  const AdminSource& source_;
  StreamRef stream_;
  Bytes rest_;
};

}  // namespace

std::unique_ptr<Task> AdminPages::serve(StreamRef stream) {
  return std::make_unique<Page>(loop_, source_, std::move(stream));
}

}  // namespace tulle::admin
