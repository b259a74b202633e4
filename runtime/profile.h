#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "roofline.h"

namespace kiln {

/// One kernel's part of a step: `seconds` measured, operations and bytes at a full batch as the compiler counted them.
struct KernelTime {
  std::string name, place, schedule;  // "conv2d_1.forward", "graphs/digits.cpp:14", "recipe=rows tile=6"
  double seconds = 0, flops = 0, bytes = 0;
};

/// Where the time of a program's steps went. Times are medians over steps, in seconds.
struct Profile {
  std::string program;
  int threads = 1, batch = 0;
  int64_t steps = 0;
  Roofline roofline;
  std::vector<KernelTime> kernels;                     // the longest first
  std::vector<std::pair<std::string, double>> phases;  // what the step's caller does beside it
  double step_seconds = 0;                             // of all kernels together
  double first_step_seconds = 0;  // from the process's beginning to the end of the first step; 0: not known
};

/// For people: a line a kernel and one of totals, then what the columns mean.
std::string profile_table(const Profile& profile);

/// The same for programs; times in seconds, rates a second, percent of the roofline.
nlohmann::ordered_json profile_json(const Profile& profile);

}  // namespace kiln
