// Shedding: gives memory behind a listener back when it is short.
//
// Connections that carry nothing go first, the longest idle first of all: their peers lose nothing.
// Then, when that is asked for, those who hold most. Streams with a handler are evicted: it answers
// `overloaded`, or breaks off an answer that has begun. What nobody can give back (a backlog that
// the peer does not take, a head that never ends) goes with its connection.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/clock.hpp"

namespace tulle {

class Roster;

enum class Sheds : uint8_t { idle, idle_then_largest };

// Looks at every connection: for times of need. Returns about how many bytes will come back.
size_t shed(Roster& roster, Sheds what, size_t bytes, Instant now);

}  // namespace tulle
