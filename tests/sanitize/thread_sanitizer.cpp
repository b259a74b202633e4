// What LLVM's ThreadSanitizer calls in kernels and GCC 12's runtime does not have yet; memcpy and its like are
// intercepted there.
#include <cstring>

extern "C" {
void* __tsan_memcpy(void* to, const void* from, size_t bytes) { return std::memcpy(to, from, bytes); }
void* __tsan_memmove(void* to, const void* from, size_t bytes) { return std::memmove(to, from, bytes); }
void* __tsan_memset(void* to, int value, size_t bytes) { return std::memset(to, value, bytes); }
}
