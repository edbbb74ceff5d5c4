// nft_rules: an Interception as one nftables transaction, in a table of our own.
//
// Pure. The script first makes sure that the table exists, then deletes it, then makes it anew, so
// loading it twice leaves every rule there once, and a rule that does not load changes nothing.
#pragma once

#include <string>
#include <string_view>

#include "cli/intercept/interception.hpp"

namespace tulle::cli {

inline constexpr std::string_view kNftTable = "inet tulle";

std::string nft_script(const Interception& wanted);

}  // namespace tulle::cli
