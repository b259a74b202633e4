// One target, chosen by KILN_FUZZ_TARGET, under libFuzzer: `./run fuzz` builds and runs it.
#include <sanitizer/allocator_interface.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "fuzz/targets.h"

namespace {

const kiln::testing::FuzzTarget* target = nullptr;
std::atomic<size_t> held{0}, most_held{0};

void allocated(const volatile void* memory, size_t) {
  const size_t now = held += __sanitizer_get_allocated_size(const_cast<const void*>(memory));
  size_t most = most_held;
  while (now > most && !most_held.compare_exchange_weak(most, now)) {
  }
}
void freed(const volatile void* memory) { held -= __sanitizer_get_allocated_size(const_cast<const void*>(memory)); }

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* name = std::getenv("KILN_FUZZ_TARGET");
  for (const auto& each : kiln::testing::fuzz_targets()) {
    if (name != nullptr && std::strcmp(each.name, name) == 0) target = &each;
  }
  if (target == nullptr) {
    std::fprintf(stderr, "KILN_FUZZ_TARGET must be one of:");
    for (const auto& each : kiln::testing::fuzz_targets()) std::fprintf(stderr, " %s", each.name);
    std::fprintf(stderr, "\n");
    std::exit(2);
  }
  if (const char* folder = std::getenv("KILN_FUZZ_SEEDS")) {  // writes them and ends
    int count = 0;
    for (const std::string& seed : target->seeds())
      std::ofstream(std::string(folder) + "/seed-" + std::to_string(count++), std::ios::binary) << seed;
    std::exit(0);
  }
  __sanitizer_install_malloc_and_free_hooks(allocated, freed);
  return 0;
}

// Memory may grow by twice the input and 64 MiB.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const size_t before = held;
  most_held = before;
  target->run({reinterpret_cast<const char*>(data), size});
  if (most_held - before > 2 * size + (64U << 20)) {
    std::fprintf(stderr, "%zu bytes were allocated for an input of %zu\n", most_held - before, size);
    std::abort();
  }
  return 0;
}
