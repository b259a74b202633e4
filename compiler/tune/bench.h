#pragma once

#include <chrono>
#include <vector>

#include "codegen/model.h"
#include "executor.h"
#include "parallel.h"
#include "tune/loaded_object.h"

namespace kiln {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start);

double median(std::vector<double> values);

/// Compiles a model and loads it into this process, with the runtime's own functions.
LoadedObject load_model(const Model& model, const CompileOptions& options);

/// A program with memory of its own, on initial weights and random inputs, for timing its kernels. A learning rate of
/// zero keeps the weights what they are, however often a kernel runs.
struct Bench {
  Bench(const Program& program, const LoadedObject& object, Context& context);

  /// Seconds of one kernel, and of a whole step of this program or of another model's of the same memory.
  double run(const kiln_kernel& kernel);
  double step(const kiln_program& other);

  /// What a kernel writes, and back.
  std::vector<float> results(const Kernel& kernel);
  void restore(const Kernel& kernel, const std::vector<float>& values);

  const Program& program;
  const kiln_program& compiled;
  Context& context;
  AlignedMemory arena, state;

 private:
  kiln_scalars scalars() const { return {0, 0, 1, compiled.batch, 0}; }
  template <class Work>
  void each_root(const Kernel& kernel, Work work);
};

}  // namespace kiln
