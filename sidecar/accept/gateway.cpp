#include "sidecar/accept/gateway.hpp"

#include "sidecar/accept/chain_gateway.hpp"

namespace tulle::accept {
namespace {

class HttpGateway final : public Gateway {
 public:
  HttpGateway(const GatewayPlace& place, std::shared_ptr<const config::ListenerConfig> config)
      : chain_(place.host, std::move(config), place.node_id, place.stat_slot,
               place.max_connections) {}

  Result<void> listen(Network& network, const Address& at, bool reuse_port) override {
    return chain_.server().listen(
        network, at, {.reuse_port = reuse_port});
  }
  void adopt(std::shared_ptr<const config::ListenerConfig> config) override {
    chain_.adopt(std::move(config));
  }
  void remove() override { chain_.remove(); }
  void drain() override { chain_.server().drain(); }
  bool drained() const override { return chain_.server().drained(); }
  size_t connections() const override { return chain_.server().connections(); }
  void hold_accepting(bool held) override { chain_.server().hold_accepting(held); }
  size_t shed(Sheds what, size_t bytes, Instant now) override {
    return chain_.server().shed(what, bytes, now);
  }
  const config::ListenerConfig& config() const override { return *chain_.config(); }
  const Address& local_address() const override { return chain_.server().local_address(); }
  void set_owner(Task* owner) override { chain_.server().set_owner(owner); }

 private:
  HttpChain chain_;
};

}  // namespace

std::unique_ptr<Gateway> make_gateway(const GatewayPlace& place,
                                      std::shared_ptr<const config::ListenerConfig> config) {
  if (config->chains != nullptr) return std::make_unique<ChainGateway>(place, std::move(config));
  return std::make_unique<HttpGateway>(place, std::move(config));
}

bool needs_new_socket(const config::ListenerConfig& a, const config::ListenerConfig& b) {
  if (a.address != b.address || a.transparent != b.transparent) return true;
  if ((a.chains == nullptr) != (b.chains == nullptr)) return true;
  return a.chains == nullptr && speaks_otherwise(a, b);
}

}  // namespace tulle::accept
