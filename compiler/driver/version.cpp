#include "driver/version.h"

#include <HalideRuntime.h>
#include <fmt/format.h>
#include <llvm/Config/llvm-config.h>

namespace kiln {

#ifndef KILN_VERSION
#define KILN_VERSION "0.1.0"
#endif

std::string compiler_version() {
  return fmt::format("Kiln {}, Halide {}.{}.{}, LLVM {}", KILN_VERSION, HALIDE_VERSION_MAJOR, HALIDE_VERSION_MINOR,
                     HALIDE_VERSION_PATCH, LLVM_VERSION_STRING);
}

}  // namespace kiln
