// What the HTTP/2 codec costs in memory: a client codec and a server codec, nothing between them.
//
//   bench_http2_codec [seconds] [one | eight | down | up]
//
// Nine request fields of ordinary kind, an answer of 1 KiB with five fields; one request at a time
// and eight in flight. Both sides together, so a proxy's share is one server and one client half.
// Then bodies of 1 MiB each way. Prints nanoseconds and allocations per request.
#include <ctime>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/http/codec.hpp"

namespace {
size_t allocations = 0;
}

extern "C" void* __libc_malloc(size_t size);
extern "C" void* __libc_calloc(size_t count, size_t size);
extern "C" void* __libc_realloc(void* block, size_t size);
extern "C" void* malloc(size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
extern "C" void* calloc(size_t count, size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
extern "C" void* realloc(void* block, size_t size) {
  ++allocations;
  return __libc_realloc(block, size);
}

namespace tulle {
namespace {

// CPU time of this process: other work on the machine must not count.
double cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

struct Link {
  HttpLimits limits;
  std::unique_ptr<Codec> client = make_http2_codec(Codec::Role::client, limits, "http");
  std::unique_ptr<Codec> server = make_http2_codec(Codec::Role::server, limits, "http");
  Instant now{1};

  void carry(Codec& from, Codec& to) {
    Bytes wire;
    from.write(wire, 256 * 1024);
    now = now + 1us;
    for (size_t i = 0; i < wire.slice_count(); ++i) {
      if (!to.read(wire.slice(i), now)) std::abort();
    }
  }
};

void fill_request(Head& head, uint64_t n) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  char trace[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  for (size_t i = 3; i < 35; ++i) trace[i] = kHex[(n * 2654435761u >> (i % 28)) & 15];
  head.method = Method::get;
  head.method_text = "GET";
  head.path = "/api/v1/items";
  head.authority = "shop.default:8080";
  head.fields.add("user-agent", "bench/1.0 (some client)");
  head.fields.add("accept", "*/*");
  head.fields.add("accept-encoding", "gzip, deflate");
  head.fields.add("traceparent", trace);
  head.fields.add("x-request-id", std::string_view(trace + 3, 32));
  head.ended = true;  // with the four pseudo-header fields: nine
}

void fill_answer(Head& head) {
  head.status = 200;
  head.fields.add("server", "origin");
  head.fields.add("content-type", "application/json");
  head.fields.add("date", "Tue, 03 Mar 2026 10:00:00 GMT");
  head.content_length = 1024;
}

struct Figures {
  double ns;
  double allocations;
};

Figures small_requests(size_t in_flight, double seconds) {
  Link link;
  const std::string body(1024, 'b');
  uint64_t requests = 0;
  std::vector<StreamRef> ups;
  std::vector<StreamRef> downs;
  const auto round = [&] {
    for (size_t i = 0; i < in_flight; ++i) {
      StreamRef& up = ups.emplace_back(link.client->open());
      fill_request(up->draft(), ++requests);
      up->send_head();
    }
    link.carry(*link.client, *link.server);
    while (Stream* accepted = link.server->accept()) {
      StreamRef& down = downs.emplace_back(accepted);
      fill_answer(down->draft());
      down->send_head();
      down->send(Bytes(body));
      down->finish();
    }
    link.carry(*link.server, *link.client);
    for (StreamRef& up : ups) {
      if (up->receive(SIZE_MAX).size() != 1024 || !up->ended()) std::abort();
    }
    ups.clear();
    downs.clear();
  };
  for (int i = 0; i < 2000; ++i) round();
  requests = 0;
  const size_t before = allocations;
  const double start = cpu_ns();
  double ns = 0;
  do {
    for (int i = 0; i < 100; ++i) round();
    ns = cpu_ns() - start;
  } while (ns < seconds * 1e9);
  return {ns / static_cast<double>(requests),
          static_cast<double>(allocations - before) / static_cast<double>(requests)};
}

void send_up_to(Stream& stream, size_t& left) {
  static const std::string block(16384, 'x');
  while (left > 0 && stream.room() >= block.size()) {
    stream.send(Bytes(block));
    left -= block.size();
  }
  if (left == 0 && !stream.finished()) stream.finish();
}

Figures large_bodies(bool upload, double seconds) {
  constexpr size_t kSize = 1 << 20;
  Link link;
  uint64_t bodies = 0;
  const auto round = [&] {
    StreamRef up(link.client->open());
    fill_request(up->draft(), ++bodies);
    up->draft().ended = !upload;
    up->send_head();
    size_t to_send = upload ? kSize : 0;
    size_t to_answer = upload ? 0 : kSize;
    StreamRef down;
    while (!up->ended()) {
      if (upload) send_up_to(*up, to_send);
      link.carry(*link.client, *link.server);
      if (down == nullptr) {
        down.reset(link.server->accept());
        fill_answer(down->draft());
        down->draft().content_length.reset();
        down->send_head();
      }
      down->receive(SIZE_MAX);
      if (!upload || down->ended()) send_up_to(*down, to_answer);
      link.carry(*link.server, *link.client);
      up->receive(SIZE_MAX);
    }
  };
  for (int i = 0; i < 20; ++i) round();
  bodies = 0;
  const size_t before = allocations;
  const double start = cpu_ns();
  double ns = 0;
  do {
    round();
    ns = cpu_ns() - start;
  } while (ns < seconds * 1e9);
  return {ns / static_cast<double>(bodies),
          static_cast<double>(allocations - before) / static_cast<double>(bodies)};
}

void print(const char* what, Figures figures) {
  std::printf("%-28s %10.0f ns %8.2f allocations\n", what, figures.ns, figures.allocations);
}

}  // namespace
}  // namespace tulle

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1.0;
  const std::string_view only = argc > 2 ? argv[2] : "";
  const auto wanted = [&](std::string_view name) { return only.empty() || only == name; };
  if (wanted("one")) tulle::print("request, one at a time", tulle::small_requests(1, seconds));
  if (wanted("eight")) tulle::print("request, eight in flight", tulle::small_requests(8, seconds));
  if (wanted("down")) tulle::print("1 MiB down", tulle::large_bodies(false, seconds));
  if (wanted("up")) tulle::print("1 MiB up", tulle::large_bodies(true, seconds));
  return 0;
}
