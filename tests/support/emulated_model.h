#pragma once

#include <filesystem>
#include <string>

#include "support/loaded_model.h"

namespace kiln {

/// A processor that qemu imitates, instruction by instruction: what it does not have is an illegal instruction.
struct EmulatedProcessor {
  const char* target;    // what its kernels are compiled for
  const char* compiler;  // of C, for everything else
  const char* emulator;
  const char* model;
};

/// The x86-64 of 2013: AVX2 and FMA, no AVX-512.
inline constexpr EmulatedProcessor kHaswell = {"avx2", "gcc", "qemu-x86_64",
                                               "Haswell-noTSX,-invpcid,-tsc-deadline,-pcid,-x2apic"};
/// The 64-bit Arm of a Raspberry Pi 4.
inline constexpr EmulatedProcessor kCortexA72 = {"arm64", "aarch64-linux-gnu-gcc", "qemu-aarch64", "cortex-a72"};

/// Empty when the processor can be imitated here; else what is missing and how to get it.
std::string missing_for(const EmulatedProcessor& processor);

/// A compiled object linked into a program of its own (support/emulated_step.c), which the emulated processor runs.
class EmulatedModel {
 public:
  /// `name` is the model's.
  EmulatedModel(const std::string& object, const std::string& name, const EmulatedProcessor& processor);
  ~EmulatedModel();
  EmulatedModel(const EmulatedModel&) = delete;
  EmulatedModel& operator=(const EmulatedModel&) = delete;

  /// One call of a program; arena and state are as it leaves them. `threads` take the indices of parallel loops, 0
  /// stands for one that takes them backwards. Returns the exit code: 0, or 128 and the signal that ended it.
  int run(const std::string& program, StepData& data, int threads) const;

 private:
  std::filesystem::path folder_;
  std::string command_;
};

}  // namespace kiln
