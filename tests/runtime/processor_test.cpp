#include "processor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <vector>

#include "error.h"
#include "fake_model.h"
#include "file_system.h"

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

TEST(Processor, GetsTheFirstVariantThatItCanRun) {
  kiln_model best = small_model(), middle = small_model(), least = small_model();
  best.target = "x86-64-linux-avx2-avx512";
  best.next = &middle;
  middle.target = "x86-64-linux-avx2";
  middle.next = &least;
  least.target = "x86-64-linux-sse41";
  EXPECT_EQ(&model_for_processor(best, has_all), &best);
  EXPECT_EQ(&model_for_processor(best, has_no_avx512), &middle);
  const auto has_no_avx = [](std::string_view feature) { return !feature.starts_with("avx"); };
  EXPECT_EQ(&model_for_processor(best, has_no_avx), &least);
  // None: the error is about the one that asks for least.
  const auto has_nothing = [](std::string_view feature) {
    return feature == "x86" || feature == "64" || feature == "linux";
  };
  EXPECT_EQ(&model_for_processor(best, has_nothing), &least);
  EXPECT_NE(failure(model_for_processor(best, has_nothing), has_nothing).find("a processor with sse41,"),
            std::string::npos);
  // In tables of another version there may be no `next` where this version looks for it.
  best.version = 1;
  best.next = reinterpret_cast<const kiln_model*>(1);
  EXPECT_EQ(&model_for_processor(best, has_no_avx512), &best);
}

TEST(Processor, HasWhatIsNoFeature) {
  for (const char* name : {"64", "linux", "tune_znver5", "no_asserts", ""}) EXPECT_TRUE(processor_has(name));
}

#if defined(__x86_64__)
// Against another source than cpuid: the kernel's list of what the processor has.
TEST(Processor, HasWhatTheSystemSaysOfIt) {
  std::istringstream lines(read_file("/proc/cpuinfo"));
  std::set<std::string> flags;
  for (std::string line; flags.empty() && std::getline(lines, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line.substr(line.find(':') + 1));
    for (std::string word; words >> word;) flags.insert(word);
  }
  const std::pair<const char*, std::vector<std::string>> features[] = {
      {"sse41", {"sse4_2", "popcnt"}},
      {"avx", {"avx"}},
      {"f16c", {"avx", "f16c"}},
      {"fma", {"fma"}},
      {"avx2", {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm"}},
      {"avx512", {"avx512f", "avx512cd"}},
      {"avx512_skylake", {"avx512vl", "avx512bw", "avx512dq"}},
      {"avx512_cannonlake", {"avx512ifma", "avx512vbmi"}},
      {"avx512_zen4", {"avx512_vbmi2", "avx512_vnni", "avx512_bitalg", "avx512_vpopcntdq", "avx512_bf16", "gfni"}},
  };
  for (const auto& [feature, needed] : features) {
    const bool all = std::all_of(needed.begin(), needed.end(), [&](const auto& flag) { return flags.contains(flag); });
    EXPECT_EQ(processor_has(feature), all) << feature;
  }
  for (const char* same : {"avx512_zen5", "avx512_sapphirerapids"})
    EXPECT_EQ(processor_has(same), processor_has("avx512_zen4")) << same;
}
#endif

TEST(Processor, IsOfOneKind) { EXPECT_NE(processor_has("x86"), processor_has("arm")); }

TEST(Processor, TablesOfAnotherVersionAreRefused) {
  kiln_model model = small_model();
  model.version = 9;
  EXPECT_EQ(failure(model, has_all), "the compiled graph small has tables of version 9, this program reads version " +
                                         std::to_string(KILN_MODEL_VERSION) + "; build again");
}

}  // namespace
}  // namespace kiln
