#pragma once

#include <functional>
#include <string>

#include "file_system.h"
#include "program.h"

namespace kiln {

/// What one check found.
struct SelfTestResult {
  std::string name;  // "gradient"
  bool passed = false;
  std::string detail;  // one line: what was compared, and how far it is apart
  double seconds = 0;
};

/// Checks a compiled model on the processor that it runs on, with random rows, and reports each check as it ends:
///
/// - gradient: the loss changes along each weight's gradient as that gradient says (central differences of the training
///   program's loss; the gradient is read from what the optimizer made of it in a first step);
/// - determinism: training steps leave the same bits for any number of threads;
/// - checkpoint: a run that is saved to a file within an epoch, loaded and gone on with ends in the same bits.
///
/// `folder` is where the checkpoint is written and removed. Returns whether all passed. Throws UsageError when the
/// model has no training program.
bool self_test(const kiln_model& model, FileSystem& files, const std::string& folder, int threads,
               const std::function<void(const SelfTestResult&)>& report);

}  // namespace kiln
