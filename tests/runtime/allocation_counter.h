#pragma once

#include <cstdint>

namespace kiln {

/// How often this program has allocated so far, on any thread: through operator new, and through the C library's
/// functions where these can be replaced (glibc without sanitizers).
int64_t allocation_count();

}  // namespace kiln
