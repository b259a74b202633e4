#pragma once

#include <cstdint>

namespace kiln {

/// How often this program has allocated through operator new so far, on any thread.
int64_t allocation_count();

}  // namespace kiln
