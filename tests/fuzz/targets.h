#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kiln::testing {

/// A reader of something that comes from outside. `run` gives it any bytes: it accepts them or refuses them with one
/// line, and does nothing else. What it throws or finds wrong with the result is a bug.
struct FuzzTarget {
  const char* name;
  void (*run)(std::string_view bytes);
  std::vector<std::string> (*seeds)();  // well-formed inputs to begin with
};

/// CSV, gzip, IDX images and labels, label files, checkpoints, schedule files, the trainer's command line.
const std::vector<FuzzTarget>& fuzz_targets();

}  // namespace kiln::testing
