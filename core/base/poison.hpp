// ASAN_POISON_MEMORY_REGION(): what a pool keeps is not free memory to the address sanitizer; poisoning
// finds uses after the last release. Nothing without the sanitizer.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(start, size) ((void)(start), (void)(size))
#endif
