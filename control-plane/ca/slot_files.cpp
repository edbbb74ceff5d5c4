#include "control-plane/ca/slot_files.hpp"

#include <nlohmann/json.hpp>

#include "core/base/file.hpp"
#include "core/net/secrets.hpp"
#include "core/net/tls.hpp"
#include "core/net/x509_issue.hpp"

namespace tulle::ca {

namespace {

using nlohmann::json;

constexpr int kFormat = 1;

Error damaged(const std::string& path, const std::string& why) {
  return {Code::invalid_config, Origin::local,
          path + ": " + why +
              ". Restore the folder from a backup. Without it nobody whom this authority has "
              "certified can be verified; to begin anew, move the folder away and give every "
              "workload a new join token"};
}

std::string slots_path(const std::string& directory) { return directory + "/slots.json"; }
std::string chain_path(const std::string& directory, const std::string& id) {
  return directory + "/" + id + ".pem";
}
std::string key_path(const std::string& directory, const std::string& id) {
  return directory + "/" + id + ".key";
}

bool is_id(const std::string& id) {
  return id.size() == 16 && id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Result<Slot> load_slot(const std::string& directory, const std::string& id, bool with_key) {
  if (!is_id(id)) return damaged(slots_path(directory), "\"" + id + "\" is no authority's id");
  auto chain = read_small_file(chain_path(directory, id));
  if (!chain) return damaged(chain.error().detail, "an authority's certificate is missing");
  std::string key;
  if (with_key) {
    const std::string path = key_path(directory, id);
    auto read = read_small_file(path);
    if (!read) return damaged(read.error().detail, "an authority's key is missing");
    if ((file_mode(path) & 077) != 0) {
      return Error{Code::invalid_config, Origin::local,
                   path + ": others may read this key; make it yours alone (chmod 600), and "
                          "rotate the authority if somebody has"};
    }
    if (auto matching = check_key_matches(*chain, *read, path); !matching) {
      return damaged(path, matching.error().detail);
    }
    key = std::move(*read);
  }
  auto slot = make_slot(std::move(*chain), std::move(key), chain_path(directory, id));
  if (!slot) return damaged(chain_path(directory, id), slot.error().detail);
  if (slot->id != id) return damaged(chain_path(directory, id), "holds another certificate");
  return slot;
}

Result<Slots> read_slots(const std::string& directory, const json& state, SlotTimes times) {
  auto current = load_slot(directory, state.at("current").get<std::string>(), true);
  if (!current) return current.error();
  std::optional<PreparedSlot> next;
  if (state.contains("next")) {
    const json& entry = state.at("next");
    auto slot = load_slot(directory, entry.at("id").get<std::string>(), true);
    if (!slot) return slot.error();
    next = PreparedSlot{std::move(*slot), entry.at("since").get<int64_t>()};
  }
  std::vector<PreviousSlot> previous;
  for (const json& entry : state.at("previous")) {
    auto slot = load_slot(directory, entry.at("id").get<std::string>(), false);
    if (!slot) return slot.error();
    previous.push_back({std::move(*slot), entry.at("until").get<int64_t>()});
  }
  return Slots(times, std::move(*current), std::move(next), std::move(previous));
}

Result<void> write_slot(const std::string& directory, const Slot& slot) {
  if (file_mode(key_path(directory, slot.id)) == 0 && !slot.key_pem.empty()) {
    auto done = replace_file(key_path(directory, slot.id), slot.key_pem, 0600);
    if (!done) return done;
  }
  if (file_mode(chain_path(directory, slot.id)) == 0) {
    return replace_file(chain_path(directory, slot.id), slot.certificate_pem, 0644);
  }
  return {};
}

}  // namespace

Result<Slot> make_slot(std::string certificate_pem, std::string key_pem,
                       const std::string& origin) {
  auto facts = read_certificate(certificate_pem, origin);
  if (!facts) return facts.error();
  auto root = root_of(certificate_pem, origin);
  if (!root) return root.error();
  Slot slot;
  slot.id = sha256_hex(certificate_pem).substr(0, 16);
  slot.certificate_pem = std::move(certificate_pem);
  slot.key_pem = std::move(key_pem);
  slot.root_pem = std::move(*root);
  slot.not_before = facts->not_before;
  slot.not_after = facts->not_after;
  return slot;
}

Result<std::optional<Slots>> load_slots(const std::string& directory, SlotTimes times) {
  const std::string path = slots_path(directory);
  auto text = read_small_file(path);
  if (!text) {
    if (text.error().code == Code::not_found) return std::optional<Slots>();
    return text.error();
  }
  const json state = json::parse(*text, nullptr, false);
  if (!state.is_object() || state.value("format", 0) != kFormat) {
    return damaged(path, "cannot be read");
  }
  try {
    auto slots = read_slots(directory, state, times);
    if (!slots) return slots.error();
    return std::optional(std::move(*slots));
  } catch (const json::exception&) {
    return damaged(path, "lacks what it should hold");
  }
}

Result<void> save_slots(const std::string& directory, const Slots& slots) {
  json state = {{"format", kFormat}, {"current", slots.current().id}};
  auto done = write_slot(directory, slots.current());
  if (!done) return done;
  if (slots.next()) {
    done = write_slot(directory, slots.next()->slot);
    if (!done) return done;
    state["next"] = {{"id", slots.next()->slot.id}, {"since", slots.next()->since}};
  }
  state["previous"] = json::array();
  for (const PreviousSlot& each : slots.previous()) {
    state["previous"].push_back({{"id", each.slot.id}, {"until", each.until}});
  }
  done = replace_file(slots_path(directory), state.dump(2) + "\n", 0600);
  if (!done) return done;
  // A key that signs nothing any more is only good for being stolen.
  for (const PreviousSlot& each : slots.previous()) {
    if (auto removed = remove_file(key_path(directory, each.slot.id)); !removed) return removed;
  }
  return replace_file(directory + "/root.pem", slots.bundle_pem(), 0644);
}

}  // namespace tulle::ca
