#include "executor.h"

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace kiln {
namespace {

constexpr uint64_t kHugePage = 2 << 20;

uint8_t* allocate(uint64_t bytes) {
  auto* memory = static_cast<uint8_t*>(std::aligned_alloc(kHugePage, bytes));
  if (memory == nullptr) throw std::bad_alloc();
  ::madvise(memory, bytes, MADV_HUGEPAGE);  // a hint; fewer misses of the address cache when weights are streamed
  std::memset(memory, 0, bytes);
  return memory;
}

const kiln_value* find(const kiln_value* values, int count, const std::string& name) {
  for (int i = 0; i < count; ++i) {
    if (name == values[i].name) return &values[i];
  }
  return nullptr;
}

}  // namespace

AlignedMemory::AlignedMemory(uint64_t bytes)
    : data_(allocate((bytes + kHugePage) / kHugePage * kHugePage), std::free), size_(bytes) {}

Executor::Executor(const kiln_program& program, Context& context)
    : program_(program), context_(context), arena_(program.arena_bytes) {}

const kiln_value* Executor::find_input(const std::string& name) const {
  return find(program_.inputs, program_.input_count, name);
}

const kiln_value* Executor::find_output(const std::string& name) const {
  return find(program_.outputs, program_.output_count, name);
}

}  // namespace kiln
