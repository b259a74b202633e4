#pragma once

#include <memory>
#include <string>

#include "denormals.h"
#include "parallel.h"
#include "program.h"

namespace kiln {

/// Zeroed memory for arenas and state blocks, aligned for vectors and on huge pages where the system has some.
class AlignedMemory {
 public:
  explicit AlignedMemory(uint64_t bytes);
  uint8_t* data() const { return data_.get(); }
  uint64_t size() const { return size_; }

 private:
  std::unique_ptr<uint8_t, void (*)(void*)> data_;
  uint64_t size_;
};

/// A program with its arena, ready to be called. While it runs, denormal numbers count as zero, on every thread.
class Executor {
 public:
  Executor(const kiln_program& program, Context& context);

  /// To be called before the first run, and whenever `state` has other weights: what depends on them only.
  void prepare(uint8_t* state) {
    const kiln_scalars none = {};
    const FlushDenormals flush;
    if (program_.prepare != nullptr) program_.prepare(&context_, arena_.data(), state, &none);
  }

  /// One call: inputs must be filled in, outputs are valid until the next call.
  void run(uint8_t* state, const kiln_scalars& scalars) {
    const FlushDenormals flush;
    program_.step(&context_, arena_.data(), state, &scalars);
  }

  /// One kernel of the program, for measuring: its buffers must hold what the kernels before it leave there.
  void run_kernel(int kernel, uint8_t* state, const kiln_scalars& scalars) {
    const FlushDenormals flush;
    program_.kernels[kernel].run(&context_, arena_.data(), state, &scalars);
  }

  const kiln_program& program() const { return program_; }
  /// The value of that name, or null.
  const kiln_value* find_input(const std::string& name) const;
  const kiln_value* find_output(const std::string& name) const;
  /// Where a value's elements are in the arena.
  float* real(const kiln_value& value) const { return reinterpret_cast<float*>(arena_.data() + value.offset); }
  int32_t* integer(const kiln_value& value) const { return reinterpret_cast<int32_t*>(arena_.data() + value.offset); }
  /// All of it: program().arena_bytes.
  uint8_t* arena() const { return arena_.data(); }
  Context& context() const { return context_; }

 private:
  const kiln_program& program_;
  Context& context_;
  AlignedMemory arena_;
};

}  // namespace kiln
