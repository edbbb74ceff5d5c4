// outcome: how an attempt ended, said in the words of policies. Pure.
#pragma once

#include "core/base/result.hpp"
#include "sidecar/exchange/attempt.hpp"
#include "sidecar/policies/policy.hpp"

namespace tulle::exchange {

// What a codec or pool calls an upstream's end, in the words of an exchange.
Error as_upstream_error(const Error& error);

// The attempt failed before the head of an answer: `error` is what the pool or the stream said.
// It must outlive the outcome.
policies::Outcome failure_outcome(Attempt& attempt, const Error& error);

// The head of an answer is here. `last` is where a grpc-status would stand: the head's fields, or the
// trailers when the answer is here whole and has no body. `from_mesh`: over TLS from a peer that is known by its SPIFFE ID;
// nobody else is believed when it says `tulle-error` or `tulle-retried`.
policies::Outcome answer_outcome(const Head& answer, const Fields& last, bool from_mesh);

}  // namespace tulle::exchange
