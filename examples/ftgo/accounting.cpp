// accounting: POST /authorizations authorizes the payment of an order. A plain HTTP service in C++ (cpp-httplib)
// that knows no mesh. It does not trust anybody with more than 200.00.
#include <httplib.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;

constexpr long kMostCents = 20000;

httplib::Server* running = nullptr;

// The same order is authorized once, however often it is asked for.
class Book {
 public:
  json authorize(const std::string& order, long cents) {
    const std::lock_guard lock(mutex_);
    const auto [entry, fresh] = authorized_.try_emplace(order, cents);
    if (authorized_.size() > 100000) authorized_.clear();
    return {{"order", order}, {"cents", cents}, {"repeated", !fresh}, {"state", "authorized"}};
  }

 private:
  std::mutex mutex_;
  std::map<std::string, long> authorized_;
};

void answer(httplib::Response& response, int status, const json& document) {
  response.status = status;
  response.set_content(document.dump(), "application/json");
}

}  // namespace

int main() {
  const char* port_text = std::getenv("PORT");
  const int port = port_text != nullptr ? std::atoi(port_text) : 8080;
  Book book;
  httplib::Server server;
  server.set_keep_alive_max_count(1'000'000);
  server.set_keep_alive_timeout(60);
  server.set_tcp_nodelay(true);
  server.Get("/health", [](const httplib::Request&, httplib::Response& response) {
    answer(response, 200, {{"state", "healthy"}});
  });
  server.Post("/authorizations", [&](const httplib::Request& request, httplib::Response& response) {
    const json wish = json::parse(request.body, nullptr, false);
    const bool complete = wish.is_object() && wish.contains("order") && wish["order"].is_string() &&
                          wish.contains("cents") && wish["cents"].is_number_integer();
    if (!complete) return answer(response, 400, {{"error", "an authorization is {order, cents}"}});
    const long cents = wish["cents"].get<long>();
    if (cents < 0 || cents > kMostCents) {
      return answer(response, 409, {{"error", "not authorized: more than 200.00"}});
    }
    answer(response, 201, book.authorize(wish["order"].get<std::string>(), cents));
  });
  running = &server;
  std::signal(SIGTERM, [](int) { running->stop(); });
  std::cout << "accounting listens on port " << port << std::endl;
  return server.listen("127.0.0.1", port) ? 0 : 1;
}
