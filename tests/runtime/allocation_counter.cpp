#include "allocation_counter.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<int64_t> allocations{0};
std::atomic<int64_t> failing{0};  // the allocation that fails, by the count

/// Counts one; whether it is to fail.
bool fails() { return ++allocations == failing; }
}  // namespace

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define KILN_REPLACES_MALLOC 1
#else
#define KILN_REPLACES_MALLOC 0
#endif

namespace kiln {
int64_t allocation_count() { return allocations; }
void fail_allocation(int64_t n) { failing = n > 0 ? allocations + n : 0; }
bool allocation_failures_work() { return KILN_REPLACES_MALLOC != 0; }
}  // namespace kiln

#if KILN_REPLACES_MALLOC

// In an executable these take the place of the C library's; operator new ends here as well.
extern "C" {

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* pointer, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) { return fails() ? nullptr : __libc_malloc(size); }

void* calloc(size_t count, size_t size) { return fails() ? nullptr : __libc_calloc(count, size); }

void* realloc(void* pointer, size_t size) { return fails() ? nullptr : __libc_realloc(pointer, size); }

void* aligned_alloc(size_t alignment, size_t size) { return fails() ? nullptr : __libc_memalign(alignment, size); }

}  // extern "C"

#else

// The standard's replaceable functions; those for arrays end here as well.
void* operator new(size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (!memory) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

#endif
