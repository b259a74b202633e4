// Every operator on random calls that its record makes, against oracles. There is no list of operators here: a new one
// is tested because it exists. A call that fails is made as small as it still fails, and kept in tests/reproducers/.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "ops/oracles.h"
#include "support/case_options.h"

namespace kiln::testing {
namespace {

using Oracle = std::string (*)(const RandomCall&);

const std::filesystem::path kReproducers = std::filesystem::path(KILN_SOURCE_DIR) / "tests/reproducers";

/// What the oracle finds wrong with the call that the choices make; an exception is wrong as well.
std::string verdict(Oracle oracle, const RandomCall& call) {
  try {
    return oracle(call);
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// Makes the choices of a failing call smaller, one after the other, while it still fails.
template <class Fails>
std::vector<int64_t> shrink(std::vector<int64_t> choices, Fails fails) {
  const auto smaller = [&](std::vector<int64_t> candidate) {
    if (candidate == choices || !fails(candidate)) return false;
    choices = std::move(candidate);
    return true;
  };
  for (bool progress = true; progress;) {
    progress = false;
    for (size_t i = 0; i < choices.size(); ++i) {
      for (const int64_t value : {int64_t{0}, choices[i] / 2, choices[i] - 1}) {
        if (value < 0 || value >= choices[i]) continue;
        std::vector<int64_t> candidate = choices;
        candidate[i] = value;
        if (smaller(candidate)) {
          progress = true;
          break;
        }
      }
    }
  }
  return choices;
}

/// The smallest failing call of the same kind, and what is wrong with it.
std::pair<RandomCall, std::string> smallest(const Operator& op, Oracle oracle, std::vector<int64_t> made, CallSize size,
                                            uint64_t seed) {
  const auto call_of = [&](const std::vector<int64_t>& given) {
    Choices choices(given, size.elements);
    return random_call(op, choices, size, seed);
  };
  made = shrink(made, [&](const std::vector<int64_t>& given) {
    try {
      return !verdict(oracle, call_of(given)).empty();
    } catch (const UserError&) {  // smaller, but no valid call
      return false;
    }
  });
  RandomCall call = call_of(made);
  std::string found = verdict(oracle, call);
  return {std::move(call), std::move(found)};
}

class OperatorTest : public ::testing::TestWithParam<const Operator*> {
 protected:
  /// Holds one case in `part` of those asked for against the oracle.
  void check(Oracle oracle, CallSize size, int64_t part = 1) {
    const Operator& op = *GetParam();
    if (op.sample == nullptr) {
      ASSERT_TRUE(op.expand == nullptr && op.define == nullptr) << op.name << " needs a sample";
      return;
    }
    const CaseOptions& options = case_options();
    for (int64_t i = 0; i < options.cases; i += part) {
      const int64_t number = options.only.value_or(i);
      uint64_t seed = options.seed * 1000003 + static_cast<uint64_t>(number);
      for (const char* c = op.name; *c != 0; ++c) seed = seed * 31 + static_cast<uint64_t>(*c);
      Choices choices(seed, size.elements);
      const std::string found = verdict(oracle, random_call(op, choices, size, seed));
      if (!found.empty()) {
        report(oracle, choices.made(), size, seed, number);
        return;
      }
      if (options.only) return;
    }
  }

 private:
  void report(Oracle oracle, const std::vector<int64_t>& made, CallSize size, uint64_t seed, int64_t number) {
    const Operator& op = *GetParam();
    const auto [call, found] = smallest(op, oracle, made, size, seed);
    const ::testing::TestInfo& test = *::testing::UnitTest::GetInstance()->current_test_info();
    std::string name = test.name();  // IsTheFiniteDifference/conv2d
    std::replace(name.begin(), name.end(), '/', '.');
    const std::filesystem::path path = kReproducers / (name + ".json");
    std::filesystem::create_directories(kReproducers);
    std::ofstream(path) << to_json(call, found);
    ADD_FAILURE() << op.name << ", case " << number << ", " << call.count << " of " << call.batch << " rows: " << found
                  << "\nIt is kept in tests/reproducers/" << path.filename().string()
                  << " and repeated by\n  build/kiln_compiler_tests --gtest_filter=" << test.test_suite_name() << '.'
                  << test.name() << " --seed " << case_options().seed << " --case " << number;
  }
};

TEST_P(OperatorTest, GradientsAreFiniteDifferences) {
  check(compare_with_finite_differences, {.elements = 36, .rows = 5});
}

TEST_P(OperatorTest, GradientsAreHalidesAdjoints) {
  check(compare_with_halide_adjoints, {.elements = 36, .rows = 5}, 50);
}

TEST_P(OperatorTest, ReferenceIsTheDefinition) { check(compare_reference, {.elements = 36, .rows = 5}, 100); }

TEST_P(OperatorTest, CompiledIsTheDefinition) { check(compare_compiled, {.elements = 200, .rows = 37}, 50); }

INSTANTIATE_TEST_SUITE_P(Operators, OperatorTest, ::testing::ValuesIn(all_operators().begin(), all_operators().end()),
                         [](const auto& info) { return std::string(info.param->name); });

/// Each file of tests/reproducers/ against every oracle, from the day it was found.
TEST(Reproducers, StayFixed) {
  if (!std::filesystem::exists(kReproducers)) return;
  for (const auto& entry : std::filesystem::directory_iterator(kReproducers)) {
    if (entry.path().extension() != ".json") continue;
    std::stringstream text;
    text << std::ifstream(entry.path()).rdbuf();
    const RandomCall call = call_from_json(text.str());
    for (const Oracle oracle :
         {compare_with_finite_differences, compare_with_halide_adjoints, compare_reference, compare_compiled}) {
      EXPECT_EQ(verdict(oracle, call), "") << entry.path().filename().string();
    }
  }
}

}  // namespace
}  // namespace kiln::testing
