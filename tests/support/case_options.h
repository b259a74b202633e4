#pragma once

#include <cstdint>
#include <optional>

namespace kiln::testing {

/// How many random cases a test runs, and which: --cases N, --seed S and --case K of the test program.
struct CaseOptions {
  int64_t cases = 200;  // for each operator; tests whose cases are slow run a fixed part of them
  uint64_t seed = 1;
  std::optional<int64_t> only;  // this one alone
};

/// Of this process.
const CaseOptions& case_options();

/// Reads them; prints what is wrong and ends the process with code 2 where they are no numbers.
void read_case_options(int argc, char** argv);

}  // namespace kiln::testing
