// The authorities' files: slots.json with what is in force, and per authority a chain and a key.
//
// <id>.pem and <id>.key never change once written; slots.json names them and is replaced in one
// step, so a crash leaves either the former or the new state.
#pragma once

#include <optional>
#include <string>

#include "control-plane/ca/slots.hpp"
#include "core/base/result.hpp"

namespace tulle::ca {

// Nothing there: an empty optional. Anything that is there and not whole: an error that says which
// file and what to do.
Result<std::optional<Slots>> load_slots(const std::string& directory, SlotTimes times);

// Writes what is not there yet, then slots.json, then root.pem; removes the keys of previous authorities.
Result<void> save_slots(const std::string& directory, const Slots& slots);

// The id, root and times of an authority, from its chain.
Result<Slot> make_slot(std::string certificate_pem, std::string key_pem, const std::string& origin);

}  // namespace tulle::ca
