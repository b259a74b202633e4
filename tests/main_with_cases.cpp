// The main of test programs with random tests: GoogleTest's, and --cases, --seed and --case.
#include <gtest/gtest.h>

#include "support/case_options.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  kiln::testing::read_case_options(argc, argv);
  return RUN_ALL_TESTS();
}
