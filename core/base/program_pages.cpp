#include "core/base/program_pages.hpp"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace tulle {

namespace {

// The program comes first; libraries, which it shares with others, are left alone. Only segments that
// were never writable: relocated constants lie in writable ones, and would be lost.
int give_back_segments(dl_phdr_info* object, size_t, void* page_size) {
  const uintptr_t page = *static_cast<const uintptr_t*>(page_size);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    const uintptr_t first = begin / page * page;
    const uintptr_t last = (begin + segment.p_filesz) / page * page;
    if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }
  return 1;  // enough seen
}

}  // namespace

void give_back_program_pages() {
  auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  dl_iterate_phdr(&give_back_segments, &page);
}

}  // namespace tulle
