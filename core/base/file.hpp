// Small files that must be there whole or not at all: keys, certificates, stored state.
//
// Blocking, for the main thread and for start-up. A reader never sees half of a replaced file, and
// what replace_file() has returned for is still there after a power cut.
#pragma once

#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace tulle {

inline constexpr size_t kLargestSmallFile = 4 * 1024 * 1024;

// Regular files only. `not_found` when there is none, `io_error` otherwise; the detail begins with
// the path.
Result<std::string> read_small_file(const std::string& path, size_t max = kLargestSmallFile);

// Writes beside `path`, syncs, renames over it and syncs the folder. The mode is exact.
Result<void> replace_file(const std::string& path, std::string_view content, unsigned mode);

// Absent is fine.
Result<void> remove_file(const std::string& path);

// With its parents, which get the usual mode. Existing folders are left as they are.
Result<void> make_folder(const std::string& path, unsigned mode);

// Permission bits, 0 when there is no such file.
unsigned file_mode(const std::string& path);

}  // namespace tulle
