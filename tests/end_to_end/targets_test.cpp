// The digit network on other processors, and programs that hold kernels for several.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "driver/pipeline.h"
#include "parallel.h"
#include "processor.h"
#include "support/command_folder.h"
#include "support/emulated_model.h"

extern "C" const kiln_model digits_model;
kiln::Graph kiln_graph();  // graphs/digits.cpp

namespace kiln {
namespace {

StepData copy(const StepData& data) {
  StepData result{AlignedBytes(data.arena.size()), AlignedBytes(data.state.size()), data.scalars, {}};
  std::memcpy(result.arena.data(), data.arena.data(), data.arena.size());
  std::memcpy(result.state.data(), data.state.data(), data.state.size());
  return result;
}

/// |a - b|^2 / |b - before|^2: how far apart two ends are, by the way to them; what rounding the ends (a product and a
/// sum each) explains is left out.
double difference(const float* a, const float* b, const float* before, uint64_t count) {
  double apart = 0, way = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const double rounding = before == nullptr ? 0 : 2 * std::abs(b[i]) * 0x1p-23;
    apart += std::pow(std::max(0.0, std::abs(static_cast<double>(a[i]) - b[i]) - rounding), 2);
    way += std::pow(static_cast<double>(b[i]) - (before == nullptr ? 0 : before[i]), 2);
  }
  return apart / (way + 1e-30);
}

class DigitsElsewhere : public testing::TestWithParam<EmulatedProcessor> {
 protected:
  void SetUp() override {
    if (const std::string missing = missing_for(GetParam()); !missing.empty()) GTEST_SKIP() << missing;
  }
};

TEST_P(DigitsElsewhere, StepsAsTheyDoHere) {
  // Each is within 1e-7 of the exact result (tests/codegen/program_test.cpp), so within 2 * (1e-7 + 1e-7) of each
  // other.
  constexpr double kTolerance = 4e-7;
  const Model model = build_model(kiln_graph());
  const EmulatedModel emulated(compile_object(model, {.target = GetParam().target}).bytes, model.name, GetParam());
  Context context(2);
  for (const char* name : {"train", "predict"}) {
    const Program& program = program_named(model, name);
    const kiln_program& compiled = *program_of(digits_model, name);
    const StepData before = random_step(model, program, program.batch - 5, 11);
    StepData here = copy(before), there = copy(before), alone = copy(before);
    run_step(digits_model, name, here, &context);
    ASSERT_EQ(emulated.run(name, there, 3), 0);
    // A training step is minutes of emulation; of smaller networks tests/codegen/emulated_test.cpp compares both.
    if (program.name == "predict") {
      ASSERT_EQ(emulated.run(name, alone, 0), 0);
      EXPECT_EQ(std::memcmp(there.arena.data(), alone.arena.data(), there.arena.size()), 0) << name;
    }
    for (int i = 0; i < compiled.output_count; ++i) {
      const kiln_value& output = compiled.outputs[i];
      const uint64_t count = output.count * static_cast<uint64_t>(output.batched != 0 ? compiled.lanes : 1);
      EXPECT_LE(difference(there.arena.at<float>(output.offset), here.arena.at<float>(output.offset), nullptr, count),
                kTolerance)
          << output.name;
    }
    for (int i = 0; i < digits_model.parameter_count; ++i) {
      const kiln_parameter& p = digits_model.parameters[i];
      const auto* start = reinterpret_cast<const float*>(before.state.data() + p.offset);
      EXPECT_LE(difference(there.state.at<float>(p.offset), here.state.at<float>(p.offset), start, p.count), kTolerance)
          << name << ' ' << p.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Processors, DigitsElsewhere, testing::Values(kHaswell, kCortexA72),
                         [](const auto& info) { return std::string(info.param.target); });

#if defined(__x86_64__)

/// build/variants_train and variants_predict (tests/graphs/variants.cpp) have kernels for sse41, avx2 and avx512.
class Variants : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = missing_for(kHaswell); !missing.empty()) GTEST_SKIP() << missing;
  }

  /// Exit code of build/variants_<arguments>, on that processor where one is named; what it prints is in output().
  int run(const std::string& processor, const std::string& arguments) const {
    const std::string emulator = processor.empty() ? "" : "qemu-x86_64 -cpu " + processor + " ";
    return folder_.run(emulator + kTools + "/variants_" + arguments).exit_code;
  }
  std::string output() const { return folder_.output(); }

  CommandFolder folder_;
};

TEST_F(Variants, TheProcessorGetsTheBestThatItCanRun) {
  ASSERT_EQ(run("Nehalem", "train --version"), 0) << output();
  EXPECT_NE(output().find("-linux-no_asserts-no_bounds_query-no_runtime-sse41-"), std::string::npos) << output();
  ASSERT_EQ(run(kHaswell.model, "train --version"), 0) << output();
  EXPECT_NE(output().find("-linux-avx-avx2-f16c-fma-"), std::string::npos) << output();
  ASSERT_EQ(run(kHaswell.model, "predict --version"), 0) << output();
  EXPECT_NE(output().find("-linux-avx-avx2-f16c-fma-"), std::string::npos) << output();
  ASSERT_EQ(run("", "train --version"), 0) << output();
  const bool wide = processor_has("avx512") && processor_has("avx512_skylake");
  EXPECT_EQ(output().find("-avx512-avx512_skylake-") != std::string::npos, wide) << output();
  // And one that can run none of them is told so.
  EXPECT_EQ(run("Conroe", "train --fast-dev-run"), 1);
  EXPECT_NE(output().find("variants_train: error: the kernels of variants were compiled for a processor with sse41, "
                          "which this one lacks"),
            std::string::npos)
      << output();
}

TEST_F(Variants, GoOnFromEachOthersCheckpoints) {
  const std::string train = "train --digits 400 --epochs 1 --quiet --run-folder run";
  ASSERT_EQ(run("", train), 0) << output();
  ASSERT_EQ(run(kHaswell.model, "train --resume run/last.kiln --epochs 2 --quiet"), 0) << output();
  ASSERT_EQ(run("", "train --resume run/last.kiln --epochs 3 --quiet"), 0) << output();
  ASSERT_EQ(run("", "train --export-digits data --digits 100 --quiet"), 0) << output();
  for (const char* processor : {"", kHaswell.model, "Nehalem"}) {
    ASSERT_EQ(run(processor, "predict --model run/model.kiln --test data/test.csv --out digits.csv --quiet"), 0)
        << output();
    EXPECT_EQ(contents(folder_.path("digits.csv")), contents(folder_.path("run/submission.csv"))) << processor;
  }
}

#endif

}  // namespace
}  // namespace kiln
