// Losses and their gradients at logits of +-10,000, where exp() overflows: finite and right.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "support/loaded_model.h"

namespace kiln {
namespace {

constexpr int kClasses = 3, kRows = 16;

struct Case {
  const char* name;
  Tensor (*loss)(Tensor logits, Tensor label);
  double (*right)(const std::vector<double>& logits, size_t label);  // of a row
};

// Probabilities are clipped to [1e-7, 1 - 1e-7] (Keras), which is the most that a mistake can cost; f32's nearest
// number to 1 - 1e-7 is 1 - 2^-23.
const double kZero = -std::log(1e-7), kOne = std::log(0x1p23);

/// The share of a label whose logit is the largest, of several or alone; 0 when it is not.
double share(const std::vector<double>& logits, size_t of) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  return logits[of] < largest ? 0 : 1.0 / static_cast<double>(std::count(logits.begin(), logits.end(), largest));
}
double cost(double probability, bool target) {
  if (probability == (target ? 1 : 0)) return 0;
  if (probability == 0) return kZero;
  if (probability == 1) return kOne;
  return -std::log(target ? probability : 1 - probability);
}
double binary(const std::vector<double>& probabilities, size_t label) {
  double sum = 0;
  for (size_t c = 0; c < kClasses; ++c) sum += cost(probabilities[c], c == label);
  return sum / kClasses;
}

const Case kCases[] = {
    {"softmax_categorical", [](Tensor x, Tensor y) { return categorical_cross_entropy(softmax(x), y); },
     [](const std::vector<double>& x, size_t label) { return cost(share(x, label), true); }},
    {"categorical_from_logits",
     [](Tensor x, Tensor y) { return categorical_cross_entropy(x, y, {.from_logits = true}); },
     [](const std::vector<double>& x, size_t label) {
       const double p = share(x, label);
       return p > 0 ? -std::log(p) : 20'000 + std::log(static_cast<double>(std::count(x.begin(), x.end(), 1e4)));
     }},
    {"softmax_binary", [](Tensor x, Tensor y) { return binary_cross_entropy(softmax(x), y); },
     [](const std::vector<double>& x, size_t label) {
       return binary({share(x, 0), share(x, 1), share(x, 2)}, label);
     }},
    {"sigmoid_binary", [](Tensor x, Tensor y) { return binary_cross_entropy(sigmoid(x), y); },
     [](const std::vector<double>& x, size_t label) {
       return binary({x[0] > 0 ? 1. : 0., x[1] > 0 ? 1. : 0., x[2] > 0 ? 1. : 0.}, label);
     }},
    {"binary_from_logits", [](Tensor x, Tensor y) { return binary_cross_entropy(x, y, {.from_logits = true}); },
     [](const std::vector<double>& x, size_t label) {
       double sum = 0;
       for (size_t c = 0; c < kClasses; ++c) sum += (x[c] > 0) == (c == label) ? 0 : 10'000;
       return sum / kClasses;
     }},
    {"softmax_squared_error", [](Tensor x, Tensor y) { return mean_squared_error(softmax(x), y); },
     [](const std::vector<double>& x, size_t label) {
       double sum = 0;
       for (size_t c = 0; c < kClasses; ++c) sum += std::pow(share(x, c) - (c == label ? 1 : 0), 2);
       return sum / kClasses;
     }},
};

/// A dense layer whose kernel is the unit matrix, so that its input is the logits.
Model model_of(const Case& test) {
  Graph g{"loss"};
  const Tensor logits = dense(g.input("logits", {kClasses}), {.units = kClasses, .use_bias = false});
  const Tensor label = g.label("digit", kClasses);
  g.output("probability", softmax(logits));
  g.train({.loss = test.loss(logits, label), .optimizer = sgd({.learning_rate = 1}), .batch = kRows});
  return build_model(g);
}

const kiln_value& named(const kiln_value* values, int count, const std::string& name) {
  for (int i = 0; i < count; ++i) {
    if (values[i].name == name) return values[i];
  }
  throw std::runtime_error("no value " + name);
}

class StableLosses : public testing::TestWithParam<Case> {};

TEST_P(StableLosses, AreFiniteAndRight) {
  const Model model = model_of(GetParam());
  const LoadedModel loaded(model);
  const kiln_program& program = *loaded->train;
  StepData data = random_step(model, program_named(model, "train"), kRows, 1);
  auto* kernel = data.state.at<float>(loaded->parameters[0].offset);
  for (int i = 0; i < kClasses * kClasses; ++i) kernel[i] = i % (kClasses + 1) == 0 ? 1.F : 0.F;
  auto* logits = data.arena.at<float>(named(program.inputs, program.input_count, "logits").offset);
  auto* labels = data.arena.at<int32_t>(named(program.inputs, program.input_count, "digit").offset);
  double expected = 0;
  for (int n = 0; n < kRows; ++n) {
    labels[n] = n % kClasses;
    std::vector<double> row;
    for (int c = 0; c < kClasses; ++c) {
      // One class is ahead of two, two are ahead of one, in turn.
      row.push_back(((n / kClasses + c) % kClasses == 0) == (n % 2 == 0) ? 1e4 : -1e4);
      logits[c * program.lanes + n] = static_cast<float>(row.back());
    }
    expected += GetParam().right(row, static_cast<size_t>(labels[n])) / kRows;
  }
  run_step(*loaded, "train", data);
  const double loss =
      static_cast<double>(*data.arena.at<float>(named(program.outputs, program.output_count, "loss").offset));
  EXPECT_NEAR(loss, expected, 1e-5 * expected);  // f32
  for (int i = 0; i < kClasses * kClasses; ++i) EXPECT_TRUE(std::isfinite(kernel[i])) << i;
}

INSTANTIATE_TEST_SUITE_P(Codegen, StableLosses, testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace kiln
