// A hundred random graphs, each compiled in one of several ways, trained two steps and compared with an unscheduled f64
// evaluation of what was written, and a hundred interpreted in all ways. build/kiln_random_graphs takes any number.
#include <gtest/gtest.h>

#include "codegen/kernel_bitcode.h"
#include "random_graphs/check.h"
#include "random_graphs/generate.h"
#include "random_graphs/shrink.h"

namespace kiln::testing {
namespace {

constexpr int kGraphs = 100, kGroups = 20;

class RandomGraphs : public ::testing::TestWithParam<int> {};

TEST_P(RandomGraphs, EqualTheirReference) {
  for (int i = 0; i < kGraphs / kGroups; ++i) {
    const auto seed = static_cast<uint64_t>(1 + GetParam() * (kGraphs / kGroups) + i);
    const Sketch sketch = random_sketch(seed, static_cast<int>(3 + seed % 5));
    const Variant variant = some_variant(seed);
    // Compiling is most of the time: the training step always, another program for every second graph.
    const char* others[] = {"evaluate", "predict", "predict_one"};
    CheckOptions options = {.seed = seed, .programs = {"train"}};
    if (seed % 2 == 0) options.programs.emplace_back(others[seed / 2 % 3]);
    const auto mismatch = check(sketch, variant, options);
    if (!mismatch) continue;
    const auto fails = [&](const Sketch& candidate) {
      const auto found = check(candidate, variant, options);
      return found && found->program == mismatch->program &&
             found->message.substr(0, 20) == mismatch->message.substr(0, 20);
    };
    ADD_FAILURE() << "graph " << seed << ", " << variant.name << ": " << mismatch->program << ": " << mismatch->message
                  << "\nrepeat: build/kiln_random_graphs --graphs 1 --seed " << seed << " --variant " << variant.name
                  << " --layers " << 3 + seed % 5 << "\nsmallest graph that still does it:\n"
                  << code(shrunk(sketch, fails, 30));
  }
}

// Passes and plan alone: every variant, and the graphs are as long as they come.
TEST_P(RandomGraphs, EqualTheirReferenceInterpreted) {
  for (int i = 0; i < kGraphs / kGroups; ++i) {
    const auto seed = static_cast<uint64_t>(1000 + GetParam() * (kGraphs / kGroups) + i);
    GraphCheck graph(random_sketch(seed), {.seed = seed, .interpret = true});
    for (const Variant& variant : pass_variants()) {
      const auto mismatch = graph.run(variant);
      if (!mismatch) continue;
      ADD_FAILURE() << "graph " << seed << ", " << variant.name << ": " << mismatch->program << ": "
                    << mismatch->message << "\nrepeat: build/kiln_random_graphs --interpret --graphs 1 --seed " << seed
                    << " --variant " << variant.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomGraphs, ::testing::Range(0, kGroups));

TEST(RandomSketches, AreAFunctionOfTheSeed) {
  EXPECT_EQ(code(random_sketch(7)), code(random_sketch(7)));
  EXPECT_NE(code(random_sketch(7)), code(random_sketch(8)));
}

TEST(RandomSketches, UseWhatTheLanguageHas) {
  std::map<std::string, int> operations;
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    const Sketch sketch = random_sketch(seed);
    EXPECT_NO_THROW(build(sketch)) << code(sketch);
    for (const Line& line : sketch.lines) ++operations[line.operation];
  }
  for (const Operator* op : all_operators()) {
    // Parts of others, and what a graph file has no call for.
    const std::set<std::string> inner = {"average_pool_gradient",
                                         "max_pool_gradient",
                                         "index_of",
                                         "one_hot",
                                         "random_uniform",
                                         "scalar",
                                         "to_bf16",
                                         "to_real"};
    EXPECT_TRUE(inner.count(op->name) > 0 || operations[op->name] > 0) << op->name;
  }
}

// A graph file with a mistake is refused with the place, or is no mistake after all; nothing else may happen.
TEST(RandomMistakes, EndInAnErrorWithFileAndLine) {
  int refused = 0;
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    const Sketch sketch = with_mistake(random_sketch(seed, static_cast<int>(2 + seed % 6)), seed);
    const std::string repeat = fmt::format("seed {}\n{}", seed, code(sketch));
    try {
      const Model model = build_model(build(sketch));
      // Nor may it come to light in Halide: the schedules of some that were no mistakes.
      if (seed % 40 != 0) continue;
      for (const Program& program : model.programs) {
        for (const Kernel& kernel : program.kernels) kernel_knobs(program, kernel, kernel_target("host"));
      }
    } catch (const UserError& error) {
      ++refused;
      const std::string message = error.what(), place = std::string(kSketchFile) + ":";
      const int line = message.starts_with(place) ? std::atoi(message.c_str() + place.size()) : 0;
      if (line < file_line(0) || line >= file_line(sketch.lines.size()))
        ADD_FAILURE() << "no place: " << message << '\n' << repeat;
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what() << '\n' << repeat;
    }
  }
  EXPECT_GT(refused, 500) << "too few of the mistakes are any";
}

}  // namespace
}  // namespace kiln::testing
