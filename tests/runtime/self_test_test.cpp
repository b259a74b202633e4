// That the self-test passes what is right, and finds what is not, is tested with models made wrong on purpose.
#include "self_test.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "error.h"
#include "fake_model.h"
#include "parallel.h"
#include "text_predicates.h"

namespace kiln {
namespace {

class SelfTest : public testing::Test {
 protected:
  /// Runs it on the small model with another training step.
  bool passes(kiln_function step, kiln_model model = small_model()) {
    kiln_program program = *small_model().train;
    program.step = step;
    model.train = &program;
    DiskFileSystem files;
    results_.clear();
    return self_test(model, files, folder_.path(), 2, [&](const SelfTestResult& r) { results_.push_back(r); });
  }
  const SelfTestResult& result(const std::string& name) const {
    for (const SelfTestResult& r : results_) {
      if (r.name == name) return r;
    }
    ADD_FAILURE() << "no check " << name;
    return results_.front();
  }

  TemporaryFolder folder_;
  std::vector<SelfTestResult> results_;
};

float* weights(uint8_t* state, int parameter) {
  return reinterpret_cast<float*>(state + small_model().parameters[parameter].offset);
}

TEST_F(SelfTest, PassesAModelThatIsRight) {
  EXPECT_TRUE(passes(small_model().train->step));
  ASSERT_EQ(results_.size(), 3U);
  EXPECT_PRED2(matches, result("gradient").detail,
               "along 2 weights' gradients the loss changes as they say; farthest apart is (kernel|bias), by [0-9.]+%");
  EXPECT_EQ(result("determinism").detail, "4 steps have the same bits on 1, 2, 4 threads");
  EXPECT_EQ(result("checkpoint").detail, "saved after 6 of 8 steps, loaded and gone on with: the same bits as without");
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(SelfTest, FindsAGradientOfTheWrongLength) {
  EXPECT_FALSE(passes([](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    const std::vector<float> before(weights(state, 1), weights(state, 1) + 3);
    small_model().train->step(context, arena, state, scalars);
    for (size_t i = 0; i < before.size(); ++i)
      weights(state, 1)[i] = before[i] + 1.5F * (weights(state, 1)[i] - before[i]);
  }));
  EXPECT_FALSE(result("gradient").passed);
  EXPECT_TRUE(result("determinism").passed);
  EXPECT_TRUE(result("checkpoint").passed);
}

TEST_F(SelfTest, FindsAGradientOfTheWrongDirection) {
  EXPECT_FALSE(passes([](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    const std::vector<float> before(weights(state, 0), weights(state, 0) + 48);
    small_model().train->step(context, arena, state, scalars);
    for (size_t i = 0; i < before.size(); ++i)  // each the gradient of its neighbour
      weights(state, 0)[i] = before[i] + weights(state, 3)[(i + 1) % 48];
  }));
  EXPECT_FALSE(result("gradient").passed);
}

TEST_F(SelfTest, FindsBitsThatDependOnMoreThanTheState) {
  EXPECT_FALSE(passes([](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    static int calls = 0;
    small_model().train->step(context, arena, state, scalars);
    weights(state, 2)[0] += 1e-3F * static_cast<float>(++calls);  // the statistic that training does not read
  }));
  EXPECT_FALSE(result("determinism").passed);
  EXPECT_FALSE(result("checkpoint").passed);
}

TEST_F(SelfTest, FindsBitsThatDependOnTheThreads) {
  EXPECT_FALSE(passes([](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    weights(state, 2)[0] += 1e-3F * static_cast<float>(static_cast<Context*>(context)->pool.threads());
  }));
  EXPECT_EQ(result("determinism").detail, "4 steps have other bits on 2 threads than on 1");
  EXPECT_TRUE(result("checkpoint").passed);
}

TEST_F(SelfTest, FindsALossThatIsNotFinite) {
  const auto step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    *reinterpret_cast<float*>(arena + small_model().train->outputs[0].offset) = std::nanf("");
  };
  EXPECT_THROW(passes(step), NonFiniteError);  // the trainer's own, when the checkpoint is checked
  EXPECT_FALSE(result("gradient").passed);
  EXPECT_PRED2(matches, result("gradient").detail, "the loss is nan and the gradient's length [0-9.]+");
}

TEST_F(SelfTest, FindsThatNothingIsLearnt) {
  EXPECT_FALSE(passes([](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    const std::vector<uint8_t> before(state, state + small_model().state_bytes);
    small_model().train->step(context, arena, state, scalars);
    std::copy(before.begin(), before.end(), state);
  }));
  EXPECT_PRED2(matches, result("gradient").detail, "the loss is [0-9.]+ and the gradient's length 0");
}

TEST_F(SelfTest, FindsALossThatDoesNotFollowTheWeights) {
  EXPECT_FALSE(passes([](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    *reinterpret_cast<float*>(arena + small_model().train->outputs[0].offset) = 1;
  }));
  EXPECT_EQ(result("gradient").detail, "no weight changes the loss");
}

TEST_F(SelfTest, WeightsThatChangeNothingAreCountedAndNotJudged) {
  EXPECT_TRUE(passes([](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    const std::vector<float> before(weights(state, 1), weights(state, 1) + 3);
    small_model().train->step(context, arena, state, scalars);
    std::copy(before.begin(), before.end(), weights(state, 1));
    std::fill_n(weights(state, 4), 3, 0.0F);
  }));
  EXPECT_PRED2(matches, result("gradient").detail, "along 1 weights' .* \\(1 too flat to measure\\)");
}

TEST_F(SelfTest, AClippedGradientIsNotChecked) {
  kiln_model model = small_model();
  model.clips_gradients = 1;
  EXPECT_TRUE(passes(small_model().train->step, model));
  EXPECT_EQ(result("gradient").detail, "not checked: this graph's optimizer clips gradients");
}

TEST_F(SelfTest, AnOptimizerWhoseStateIsNotThereIsAFailure) {
  kiln_model model = small_model();
  model.optimizer = "rmsprop";                             // its velocity is there, Adam's momentum is not
  EXPECT_FALSE(passes(small_model().train->step, model));  // it is no square of a gradient here
  model.optimizer = "adam";
  try {
    passes(small_model().train->step, model);
    FAIL() << "no error";
  } catch (const Failure& error) {
    EXPECT_STREQ(error.what(), "adam has no momentum of kernel");
  }
  model.train = nullptr;
  DiskFileSystem files;
  EXPECT_THROW(self_test(model, files, folder_.path(), 1, [](const SelfTestResult&) {}), UsageError);
}

}  // namespace
}  // namespace kiln
