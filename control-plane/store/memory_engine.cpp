// The engine without a disk: records and audit lines in memory, documents nowhere but in the view.
#include <algorithm>
#include <map>

#include "control-plane/store/audit_line.hpp"
#include "control-plane/store/engine.hpp"

namespace tulle::store {

namespace {

class MemoryEngine final : public Engine {
 public:
  Result<Contents> load() override { return Contents{}; }

  Result<std::vector<std::optional<Record>>> commit(const std::vector<Operation>& batch) override {
    std::vector<std::optional<Record>> found(batch.size());
    for (size_t i = 0; i < batch.size(); ++i) {
      const Operation& operation = batch[i];
      const auto key = std::make_pair(operation.record.kind, operation.record.key);
      if (operation.type == Operation::Type::put_record) records_[key] = operation.record;
      if (operation.type == Operation::Type::take_record) found[i] = take(key, operation.time_us);
      if (!operation.audit.actor.empty()) lines_.push_back(audit_line(operation));
    }
    return found;
  }

  Result<std::vector<std::string>> audit_lines(size_t most) override {
    const size_t count = std::min(most, lines_.size());
    return std::vector<std::string>(lines_.rbegin(),
                                    lines_.rbegin() + static_cast<ptrdiff_t>(count));
  }

  bool waits() const override { return false; }

 private:
  std::optional<Record> take(const std::pair<std::string, std::string>& key, int64_t now_us) {
    auto node = records_.extract(key);
    if (node.empty()) return std::nullopt;
    const int64_t expires = node.mapped().expires_unix_seconds;
    if (expires != 0 && expires <= now_us / 1'000'000) return std::nullopt;
    return std::move(node.mapped());
  }

  std::map<std::pair<std::string, std::string>, Record> records_;
  std::vector<std::string> lines_;
};

}  // namespace

std::unique_ptr<Engine> make_memory_engine() { return std::make_unique<MemoryEngine>(); }

}  // namespace tulle::store
