// Programs in mixed precision against the f64 evaluation of the same graph with the same operands rounded to bf16.
#include <gtest/gtest.h>

#include <random>

#include "codegen/kernel_bitcode.h"
#include "codegen/schedule_requests.h"
#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "lower/bf16.h"
#include "support/loaded_model.h"

namespace kiln {
namespace {

// As in f32, and now and then a value so close to the middle of two bf16 that f32 and f64 fall on different sides of
// it: 2^-15 of the values (f32's error over a bf16 step), an error of 2^-8 each, squared.
constexpr double kTolerance = 1e-6;

void finish(Graph& g, Tensor x, int64_t classes, int64_t batch) {
  const Tensor p = softmax(dense(x, {.units = classes}));
  g.output("probability", p);
  g.train({.loss = categorical_cross_entropy(p, g.label("digit", classes)),
           .optimizer = sgd({.learning_rate = 1e-2, .momentum = 0.9}),
           .batch = batch,
           .precision = Precision::mixed});
}

Graph convolutional(int64_t batch) {
  Graph g{"convolutional"};
  Tensor x = g.input("image", {14, 14, 1});
  x = max_pool(batch_norm(relu(conv2d(x, {.filters = 8})), {.axis = 1}));
  x = relu(conv2d(zero_padding2d(x, {.padding = {1}}), {.filters = 24}));
  x = relu(conv2d(x, {.filters = 32, .kernel = {2, 2}, .strides = {2, 2}}));
  finish(g, relu(dense(flatten(x), {.units = 200})), 10, batch);
  return g;
}

Graph perceptron(int64_t batch) {
  Graph g{"perceptron"};
  Tensor x = g.input("features", {74});
  x = selu(dense(x, {.units = 53}));  // odd: the layer that reads it has no pairs
  x = sigmoid(dense(x, {.units = 1100}));
  x = tanh(dense(x, {.units = 64}));
  finish(g, x, 3, batch);
  return g;
}

std::map<std::string, std::string> products(const Model& model, const std::string& program) {
  std::map<std::string, std::string> result;
  for (const Program& p : model.programs) {
    for (const Kernel& kernel : p.kernels) {
      for (const Knob& knob : kernel_knobs(p, kernel, kernel_target("host"))) {
        if (p.name == program && knob.name == "products") result[kernel.name] = knob.value;
      }
    }
  }
  return result;
}

TEST(MixedPrecision, IsUsedWhereItPays) {
  const auto found = products(build_model(convolutional(64)), "train");
  for (const char* name :
       {"conv2d_1.forward", "conv2d_1.input_gradient", "conv2d_1.weight_gradient", "conv2d_2.forward",
        "conv2d_2.input_gradient", "dense.forward", "dense.input_gradient", "dense.weight_gradient"}) {
    EXPECT_EQ(found.count(name), 1U) << name;
  }
  for (const char* name : {"conv2d.forward", "conv2d.weight_gradient", "dense_1.forward"})
    EXPECT_EQ(found.count(name), 0U) << name;
  EXPECT_EQ(products(build_model(perceptron(48)), "train").count("dense_1.forward"), 0U);
  Graph f32 = convolutional(64);
  f32.precision = Precision::f32;
  EXPECT_TRUE(products(build_model(f32), "train").empty());
}

TEST(MixedPrecision, LeavesTheFingerprintAndTheStateAlone) {
  Graph f32 = convolutional(64);
  f32.precision = Precision::f32;
  const Model a = build_model(convolutional(64)), b = build_model(f32);
  EXPECT_EQ(a.fingerprint, b.fingerprint);
  EXPECT_EQ(a.state.bytes, b.state.bytes);
  EXPECT_STREQ(LoadedModel(a)->precision, "mixed");
  EXPECT_STREQ(LoadedModel(b)->precision, "f32");
}

struct Case {
  const char* name;
  Graph (*build)(int64_t batch);
  int64_t batch;
};

class MixedProgramTest : public testing::TestWithParam<std::tuple<Case, std::string>> {};

TEST_P(MixedProgramTest, EqualsTheRoundedReference) {
  const auto& [test, program] = GetParam();
  const Model model = build_model(test.build(test.batch));
  const LoadedModel loaded(model);
  const auto run = [&](const Program& p, StepData& step) { run_step(*loaded, p.name, step); };
  for (const int64_t count : {test.batch, test.batch - 3}) {
    for (const Difference& difference : compare_with_reference(model, program, count, 7, run)) {
      EXPECT_LE(difference.error, kTolerance) << test.name << ' ' << program << ": " << difference.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Graphs, MixedProgramTest,
                         testing::Values(std::tuple(Case{"convolutional", convolutional, 64}, "train"),
                                         std::tuple(Case{"convolutional_odd", convolutional, 33}, "predict"),
                                         std::tuple(Case{"perceptron", perceptron, 48}, "train")),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) + "_" + std::get<1>(info.param);
                         });

TEST(MixedPrecision, EveryScheduleComputesTheSame) {
  // Blocks that are no whole vectors, tiles that overlap, weights rounded in pieces, a kernel told to stay f32.
  const std::string target = kernel_target("host");
  const auto check = [&](const Graph& graph, const char* program, const char* request) {
    const Model model = with_schedules(build_model(graph), {parse_schedule_request(request, "test")}, target);
    for (const Difference& difference : compare_with_reference(model, program, graph.batch, 7))
      EXPECT_LE(difference.error, kTolerance) << request << ": " << difference.name;
  };
  for (const char* request :
       {"dense_2.forward:block=100", "dense_2.forward:block=0,tile=5", "dense_2.input_gradient:tile=10",
        "dense_2.input_gradient:vectors=1", "dense_1.weight_gradient:vectors=1,tile=1,tiles_per_task=4",
        "dense_1.weight_gradient:products=f32"})
    check(perceptron(48), "train", request);
  for (const char* request : {"dense.forward:rounded_pairs=144", "dense.forward:vectors=2,tile=12"})
    check(convolutional(64), "predict", request);
}

TEST(MixedPrecision, OneRowReadsWeightsOfHalfTheSize) {
  const Model model = build_model(convolutional(64));
  const Program& program = *std::find_if(model.programs.begin(), model.programs.end(),
                                         [](const Program& p) { return p.name == "predict_one"; });
  std::map<std::string, Type> weights;
  for (const Kernel& kernel : program.kernels) {
    const Node& anchor = program.graph.node(kernel.anchors[0]);
    if (anchor.inputs.size() > 1) weights[kernel.name] = program.graph.node(anchor.inputs[1]).type;
  }
  EXPECT_EQ(weights["dense.forward"], (Type{{200, 288}, ElementType::bf16}));
  EXPECT_EQ(byte_count(weights["dense.forward"]), 200 * 288 * 2);
  EXPECT_EQ(weights["dense_1.forward"].element, ElementType::real);  // 200 inputs are no whole vectors of pairs
  for (const char* request :
       {"predict_one/dense.forward:products=bf16", "dense.forward:products=f32",
        "predict_one/dense.forward:tile=3,lanes=16", "dense.forward:parallel=tiles,tiles_per_task=5"}) {
    const Model scheduled = with_schedules(model, {parse_schedule_request(request, "test")}, kernel_target("host"));
    for (const Difference& difference : compare_with_reference(scheduled, "predict_one", 1, 7))
      EXPECT_LE(difference.error, kTolerance) << request << ": " << difference.name;
  }
}

TEST(MixedPrecision, IsRefusedWhereTheProcessorHasNoDotProducts) {
  const std::string target = kernel_target("x86-64-linux-avx2-fma");
  try {
    compile_object(build_model(perceptron(48)), {.target = "x86-64-linux-avx2-fma", .threads = 1});
    FAIL() << "compiled";
  } catch (const UserError& error) {
    EXPECT_EQ(std::string(error.what()),
              "mixed precision needs a processor with dot products of bf16 (avx512_zen4, avx512_zen5 or "
              "avx512_sapphirerapids), which the target " +
                  target + " lacks; compile with --precision f32");
  }
}

/// The losses of `steps` steps on one batch of random features, from weights of the model's own distributions.
std::vector<float> losses(const Model& model, int steps) {
  const LoadedModel loaded(model);
  const kiln_program& train = *loaded->train;
  AlignedBytes state(loaded->state_bytes), arena(train.arena_bytes);
  std::mt19937 generator(5);
  std::uniform_real_distribution<float> uniform(0, 1);
  for (int i = 0; i < loaded->parameter_count; ++i) {
    const kiln_parameter& parameter = loaded->parameters[i];
    for (uint64_t k = 0; k < parameter.count; ++k) {
      state.at<float>(parameter.offset)[k] =
          parameter.initializer == KILN_CONSTANT ? parameter.scale : parameter.scale * (2 * uniform(generator) - 1);
    }
  }
  std::vector<float> result;
  for (int32_t step = 0; step < steps; ++step) {
    std::mt19937 batch(9);
    for (int i = 0; i < train.input_count; ++i) {
      const kiln_value& input = train.inputs[i];
      for (uint64_t k = 0; k < input.count * static_cast<uint64_t>(train.lanes); ++k) {
        if (input.element == KILN_F32)
          arena.at<float>(input.offset)[k] = uniform(batch);
        else
          arena.at<int32_t>(input.offset)[k] = static_cast<int32_t>(batch() % static_cast<uint32_t>(input.classes));
      }
    }
    const kiln_scalars scalars = {1e-2F, step, 1, train.batch, 0};
    train.step(nullptr, arena.data(), state.data(), &scalars);
    result.push_back(*arena.at<float>(train.outputs[0].offset));
  }
  return result;
}

TEST(MixedPrecision, LearnsAsF32Does) {
  Graph f32 = convolutional(64);
  f32.precision = Precision::f32;
  const std::vector<float> mixed = losses(build_model(convolutional(64)), 40), exact = losses(build_model(f32), 40);
  EXPECT_LT(exact.back(), 0.7F * exact.front());
  EXPECT_NE(mixed, exact);
  // Operands are off by 2^-9 of themselves, losses by less than a few times that.
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_NEAR(mixed[i], exact[i], 0.02F * exact.front()) << "step " << i;
}

TEST(Bf16, RoundsToTheNearest) {
  const std::vector<std::pair<float, float>> cases = {
      {1.0F, 1.0F},
      {-3.140625F, -3.140625F},  // 8 bits are kept as they are
      {0x1.02p0F, 0x1.02p0F},
      {0x1.00ffp0F, 0x1.00p0F},
      {0x1.0101p0F, 0x1.02p0F},
      {-0x1.0101p0F, -0x1.02p0F},
      {0x1.01p0F, 0x1.00p0F},  // the middle: towards zero
      {-0x1.03p0F, -0x1.02p0F},
      {0x1.ffffp3F, 16.0F},  // carries into the exponent
      {0.0F, 0.0F},
      {1e-30F, 0x1.44p-100F},
  };
  for (const auto& [value, expected] : cases) {
    Halide::Param<float> x;
    x.set(value);
    Halide::Func f;
    f() = from_bf16(to_bf16(x));
    const Halide::Buffer<float> result = f.realize();
    EXPECT_EQ(result(), expected) << value;
  }
}

}  // namespace
}  // namespace kiln
