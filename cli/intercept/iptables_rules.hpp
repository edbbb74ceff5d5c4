// iptables_rules: an Interception for iptables-restore and ip6tables-restore, for kernels or images
// without nftables.
//
// Pure. Rules live in chains of our own; the built-in chains get one jump each. What iptables-save
// says of the present decides which jumps have to be taken away first, so that loading a script
// twice leaves every rule there once. Each table changes in one step.
#pragma once

#include <string>
#include <string_view>

#include "cli/intercept/interception.hpp"

namespace tulle::cli {

// For `iptables-restore --noflush` (ipv6: ip6tables-restore). `saved` is the output of
// iptables-save of the same family.
std::string iptables_script(const Interception& wanted, bool ipv6, std::string_view saved);
// Takes all of it away; empty when nothing of ours is there.
std::string iptables_removal(std::string_view saved);
// The lines of `saved` that are ours.
std::string iptables_rules_of(std::string_view saved);

}  // namespace tulle::cli
