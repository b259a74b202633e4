#include "processor.h"

#include <gtest/gtest.h>

#include "error.h"
#include "fake_model.h"

namespace kiln {
namespace {

bool has_all(std::string_view) { return true; }
bool has_no_avx512(std::string_view feature) { return !feature.starts_with("avx512"); }

std::string failure(const kiln_model& model, bool (*has)(std::string_view)) {
  try {
    require_processor(model, has);
  } catch (const Failure& failure) {
    return failure.what();
  }
  return "none";
}

TEST(Processor, MustHaveWhatTheKernelsUse) {
  kiln_model model = small_model();
  model.target = "x86-64-linux-avx-avx2-avx512_skylake-fma";
  EXPECT_EQ(failure(model, has_all), "none");
  EXPECT_EQ(failure(model, has_no_avx512),
            "the kernels of small were compiled for a processor with avx512_skylake, which this one lacks "
            "(x86-64-linux-avx-avx2-avx512_skylake-fma); build them on this machine");
  model.target = "x86-64-linux-avx2";
  EXPECT_EQ(failure(model, has_no_avx512), "none");
}

TEST(Processor, HasWhatIsNoFeature) {
  for (const char* name : {"x86", "64", "linux", "tune_znver5", "no_asserts", ""}) EXPECT_TRUE(processor_has(name));
}

TEST(Processor, TablesOfAnotherVersionAreRefused) {
  kiln_model model = small_model();
  model.version = 9;
  EXPECT_EQ(failure(model, has_all),
            "the compiled graph small has tables of version 9, this program reads version 2; build again");
}

}  // namespace
}  // namespace kiln
