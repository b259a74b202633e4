#pragma once

#include <cstdint>

namespace kiln {

/// How often this program has allocated so far, on any thread: through operator new, and through the C library's
/// functions where these can be replaced (glibc without sanitizers).
int64_t allocation_count();

/// Makes the n-th allocation from now on fail (1: the next), once; 0: none. Only where allocation_failures_work().
void fail_allocation(int64_t n);
/// Whether the C library's functions are replaced.
bool allocation_failures_work();

}  // namespace kiln
