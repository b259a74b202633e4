// Fusion and planning: what becomes one kernel, and what the verifier refuses.
#include "passes/program.h"

#include <gtest/gtest.h>

#include "driver/pipeline.h"
#include "driver/print.h"
#include "dsl/graph.h"
#include "ops/contraction.h"
#include "passes/cost.h"
#include "passes/simplify.h"

namespace kiln {
namespace {

Graph small_network(Optimizer optimizer, double l2 = 0) {
  Graph g{"small"};
  Tensor x = g.input("image", {8, 8, 3});
  x = relu(conv2d(x, {.filters = 4}));
  x = max_pool(batch_norm(x));
  const Tensor p = softmax(dense(flatten(x), {.units = 5, .kernel_l2 = l2}));
  const Tensor label = g.label("class", 5);
  g.output("probability", p);
  g.train({.loss = categorical_cross_entropy(p, label), .optimizer = std::move(optimizer), .batch = 16});
  return g;
}

const Program& program_of(const Model& model, const std::string& name) {
  for (const Program& program : model.programs) {
    if (program.name == name) return program;
  }
  throw InternalError("no program " + name);
}

const Kernel& kernel_of(const Program& program, const std::string& name) {
  for (const Kernel& kernel : program.kernels) {
    if (kernel.name == name) return kernel;
  }
  throw InternalError("no kernel " + name + " in\n" + print(program));
}

TEST(Fusion, ActivationAndStatisticsRunInTheConvolution) {
  const Model model = build_model(small_network(rmsprop()));
  const Program& program = program_of(model, "train");
  const Kernel& kernel = kernel_of(program, "conv2d.forward");
  ASSERT_EQ(kernel.roots.size(), 3U) << print(program);
  EXPECT_STREQ(program.graph.node(kernel.roots[0]).op->name, "relu");
  EXPECT_EQ(kernel.row_sums.size(), 2U);  // of x and of its square
}

TEST(Fusion, NormalisationAndPoolingAreOnePass) {
  const Model model = build_model(small_network(rmsprop()));
  const Program& program = program_of(model, "train");
  const Kernel& kernel = kernel_of(program, "max_pool.forward");
  const Kernel& convolution = kernel_of(program, "conv2d.forward");
  EXPECT_EQ(std::count(kernel.leaves.begin(), kernel.leaves.end(), convolution.roots[0]), 1)
      << "reads the activation itself";
}

TEST(Fusion, PredictionPoolsInTheConvolution) {
  const Model model = build_model(small_network(rmsprop()));
  for (const char* name : {"evaluate", "predict", "predict_one"}) {
    const Program& program = program_of(model, name);
    const Kernel& kernel = kernel_of(program, "conv2d.forward");
    ASSERT_EQ(kernel.roots.size(), 1U) << print(program);
    EXPECT_STREQ(program.graph.node(kernel.roots[0]).op->name, "max_pool") << name;
    EXPECT_EQ(kernel.anchors.size(), 2U) << name;
  }
}

TEST(Fusion, OverlappingWindowsAreNotPooledInTheConvolution) {
  Graph g{"overlap"};
  const Tensor x = relu(conv2d(g.input("image", {8, 8, 3}), {.filters = 4}));
  g.output("pooled", max_pool(x, {.size = {3, 3}, .strides = {2, 2}}));
  const Model model = build_model(g);
  for (const char* name : {"predict", "predict_one"}) {
    const Program& program = program_of(model, name);
    EXPECT_STREQ(program.graph.node(kernel_of(program, "conv2d.forward").roots[0]).op->name, "relu") << name;
  }
}

TEST(Fusion, WeightGradientAndOptimizerAreOneKernelInPlace) {
  const Model model = build_model(small_network(rmsprop()));
  const Program& program = program_of(model, "train");
  const Kernel& kernel = kernel_of(program, "dense.weight_gradient");
  ASSERT_EQ(kernel.roots.size(), 2U);
  for (NodeId root : kernel.roots) EXPECT_EQ(program.placements[root].kind, Placement::Kind::state);
  EXPECT_TRUE(program.copies.empty());
}

TEST(Fusion, AnEpilogueBelongsToOneContraction) {
  // The input gradients of four layers are added up: the sums are the epilogue of one of them, and read the others.
  Graph g{"added"};
  const Tensor x = softmax(dense(g.input("features", {25}), {.units = 64}));
  const Tensor a = dense(x, {.units = 35}), b = dense(x, {.units = 54});
  const Tensor y = dense(concatenate({x, a, x, b}), {.units = 4});
  g.output("y", y);
  g.train({.loss = mean_squared_error(y, g.label("class", 4)), .optimizer = sgd(), .batch = 16});
  const Model model = build_model(g);
  for (const Program& program : model.programs) {
    for (const Kernel& kernel : program.kernels) {
      int contractions = 0;
      for (NodeId id : nodes_inside(program, kernel))
        contractions += program.graph.node(id).op == &contraction_operator;
      EXPECT_LE(contractions, 1) << program.name << ' ' << kernel.name;
    }
  }
}

TEST(Fusion, ContractionsReadBuffersOnly) {
  const Model model = build_model(small_network(adam()));
  for (const Program& program : model.programs) {
    for (const Kernel& kernel : program.kernels) {
      const Node& anchor = program.graph.node(kernel.anchors[0]);
      if (anchor.op != &contraction_operator) continue;
      for (NodeId input : anchor.inputs) {
        EXPECT_EQ(std::count(kernel.leaves.begin(), kernel.leaves.end(), input), 1) << kernel.name;
      }
    }
  }
}

TEST(Planning, AnOldValueThatIsStillNeededIsNotOverwritten) {
  // With L2 the optimizer's state depends on the weight's old value: one of the two must wait for the end of the step.
  const Model model = build_model(small_network(rmsprop(), 0.01));
  const Program& program = program_of(model, "train");
  EXPECT_FALSE(program.copies.empty());
}

TEST(Planning, AWeightThatIsReadElsewhereInItsUpdateIsNotWrittenInPlace) {
  Optimizer symmetric;
  symmetric.name = "symmetric";
  symmetric.update = [](const OptimizerCall& call) {
    const bool square = call.weight.shape().size() == 2 && call.weight.shape()[0] == call.weight.shape()[1];
    const Tensor other = square ? transpose(call.weight, {.axes = {1, 0}}) : call.weight;
    call.graph.update(call.weight, call.weight - call.learning_rate * (call.gradient + other));
  };
  Graph g{"square"};
  const Tensor x = g.input("features", {6});
  const Tensor p = softmax(dense(x, {.units = 6, .use_bias = false}));
  g.output("probability", p);
  g.train({.loss = categorical_cross_entropy(p, g.label("class", 6)), .optimizer = symmetric, .batch = 16});
  const Model model = build_model(g);
  EXPECT_EQ(program_of(model, "train").copies.size(), 1U) << print(program_of(model, "train"));
}

TEST(Fusion, SumsOfDifferentLayersDoNotDependOnEachOtherInACircle) {
  Graph g{"crossed"};
  const Tensor x = g.input("features", {8});
  const Tensor a = batch_norm(dense(batch_norm(dense(x, {.units = 32})), {.units = 64}));
  const Tensor b = batch_norm(dense(batch_norm(dense(x, {.units = 64})), {.units = 32}));
  const Tensor p = softmax(dense(concatenate({a, b}, {.axis = 1}), {.units = 3}));
  g.output("probability", p);
  g.train({.loss = categorical_cross_entropy(p, g.label("class", 3)), .optimizer = sgd(), .batch = 16});
  EXPECT_NO_THROW(build_model(g));
}

TEST(Planning, WhatTheLossDoesNotDependOnHasAPlaceInTheState) {
  Graph g{"untrained"};
  const Tensor x = g.input("features", {5});
  const Tensor y = dense(x, {.units = 3});
  g.output("trained", y);
  g.output("untrained", tanh(dense(x, {.units = 2})));
  g.train({.loss = mean_squared_error(y, g.label("class", 3)), .optimizer = sgd(), .batch = 16});
  const Model model = build_model(g);
  for (const char* name : {"dense/kernel", "dense_1/kernel", "dense_1/bias"})
    EXPECT_EQ(model.state.entries.count(name), 1U) << name;
  for (const Kernel& kernel : program_of(model, "train").kernels)
    EXPECT_FALSE(kernel.name.starts_with("dense_1")) << kernel.name;
}

void expect_error(const Graph& graph, const std::string& message) {
  try {
    build_model(graph);
    ADD_FAILURE() << "accepted; expected: " << message;
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
}

TEST(Planning, TensorsAreAsLargeAsKernelsCanCount) {
  Graph g{"large"};
  const Tensor x = g.input("features", {1 << 20});
  g.output("y", relu(x));
  g.batch = 1024;
  expect_error(g, "Nx1048576 at a batch of 1024 is too large; a tensor may have 2 GiB");
  EXPECT_THROW(dense(x, {.units = 1 << 12}), UserError) << "2^32 weights";
}

TEST(Planning, AGraphWithoutAnythingToComputeIsRefused) {
  Graph g{"nothing"};
  g.output("x", flatten(g.input("x", {2, 3})));
  expect_error(g, "nothing: the outputs are inputs as they are; there is nothing to compute");
}

TEST(Planning, AMetricThatNothingReportsIsRefused) {
  Graph g{"predictor"};
  const Tensor y = relu(g.input("x", {3}));
  g.output("y", y);
  g.metric("error", mean_squared_error(y, y));
  expect_error(g, "metric: 'error' is reported by training, and the graph has no train()");
}

TEST(Planning, BuffersShareTheArena) {
  const Model model = build_model(small_network(rmsprop()));
  const Program& program = program_of(model, "train");
  int64_t all = 0;
  for (const Node& node : program.graph.nodes) {
    if (program.placements[node.id].kind == Placement::Kind::arena && resolve_view(program.graph, node.id) == node.id) {
      all += element_count(node.type.shape, program.lanes) * 4;
    }
  }
  EXPECT_LT(program.arena_bytes, all);
}

TEST(Planning, IsTheSameEveryTime) {
  const Model a = build_model(small_network(rmsprop())), b = build_model(small_network(rmsprop()));
  EXPECT_EQ(print(program_of(a, "train")), print(program_of(b, "train")));
  EXPECT_EQ(a.fingerprint, b.fingerprint);
  EXPECT_NE(a.fingerprint, build_model(small_network(rmsprop({.rho = 0.8}))).fingerprint);
}

void expect_refused(const Program& program, const StateLayout& state, const std::string& message) {
  try {
    verify(program, state);
    ADD_FAILURE() << "accepted; expected: " << message;
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
}

TEST(ProgramVerifier, RefusesWhatIsBroken) {
  const Model model = build_model(small_network(rmsprop()));
  const Program good = program_of(model, "train");
  verify(good, model.state);

  Program swapped = good;
  std::swap(swapped.kernels.front(), swapped.kernels.back());
  expect_refused(swapped, model.state, "which nobody has written");

  Program twice = good;
  twice.kernels.insert(twice.kernels.begin(), twice.kernels.front());
  expect_refused(twice, model.state, "is written twice");

  Program outside = good, unaligned = good, overlapping = good;
  NodeId largest = -1, other = -1;  // two buffers of kernels next to each other
  for (const Kernel& kernel : good.kernels) {
    if (kernel.name == "conv2d.forward") largest = kernel.roots[0];
    if (kernel.name == "max_pool.forward") other = kernel.roots[0];
  }
  outside.placements[largest].offset = good.arena_bytes;
  expect_refused(outside, model.state, "lies outside the arena or is not aligned");
  unaligned.placements[largest].offset += 4;
  expect_refused(unaligned, model.state, "lies outside the arena or is not aligned");
  overlapping.placements[other].offset = overlapping.placements[largest].offset;
  expect_refused(overlapping, model.state, "live at the same time in the same place");

  Program late = good;  // the forward pass of the dense layer after its weights' update
  const auto named = [&](const char* name) {
    return std::find_if(late.kernels.begin(), late.kernels.end(), [&](const Kernel& k) { return k.name == name; });
  };
  const auto reader = named("dense.input_gradient"), writer = named("dense.weight_gradient");
  ASSERT_TRUE(reader != late.kernels.end() && writer != late.kernels.end() && reader < writer);
  std::rotate(reader, reader + 1, writer + 1);
  EXPECT_THROW(verify(late, model.state), InternalError);
}

TEST(GraphVerifier, RefusesWhatIsBroken) {
  const Graph good = small_network(rmsprop());
  verify(good);
  Graph forward = good;
  forward.nodes.back().inputs[0] = forward.nodes.back().id;
  EXPECT_THROW(verify(forward), InternalError);
  Graph wrong_type = good;
  wrong_type.nodes.back().type.shape = {3};
  EXPECT_THROW(verify(wrong_type), InternalError);
  Graph dangling = good;
  dangling.outputs.push_back({"nothing", 9999});
  EXPECT_THROW(verify(dangling), InternalError);
  Graph no_parameter = good;
  no_parameter.updates.push_back({0, 0});
  EXPECT_THROW(verify(no_parameter), InternalError);
}

TEST(Preparation, TakesWhatDependsOnParametersOnlyAndKeepsIt) {
  const Model model = build_model(small_network(rmsprop()));
  EXPECT_EQ(program_of(model, "train").prepared, 0) << "training changes the parameters in every step";
  const Program& program = program_of(model, "predict");
  ASSERT_EQ(program.prepared, 2) << print(program);  // scale and shift of the normalisation
  for (int p = 0; p < program.prepared; ++p) {
    const Kernel& prepared = program.kernels[static_cast<size_t>(p)];
    EXPECT_TRUE(prepared.name.starts_with("batch_norm.prepare")) << prepared.name;
    const int64_t begin = program.placements[prepared.roots[0]].offset, end = begin + 4 * 4;
    for (size_t k = static_cast<size_t>(program.prepared); k < program.kernels.size(); ++k) {
      for (NodeId root : program.kernels[k].roots) {
        const int64_t other = program.placements[root].offset;
        const int64_t bytes = element_count(program.graph.node(root).type.shape, program.lanes) * 4;
        EXPECT_TRUE(other >= end || other + bytes <= begin) << program.kernels[k].name << " overwrites it";
      }
    }
  }
}

TEST(Preparation, TheVerifierRefusesWhatReadsAnInput) {
  const Model model = build_model(small_network(rmsprop()));
  Program program = program_of(model, "predict");
  ++program.prepared;
  EXPECT_THROW(verify(program, model.state), InternalError);
}

TEST(OneRow, IsStoredWithoutPaddingAndItsWeightsByFeature) {
  const Model model = build_model(small_network(rmsprop()));
  const Program& program = program_of(model, "predict_one");
  EXPECT_EQ(program.batch, 1);
  EXPECT_EQ(program.lanes, 1);
  const Kernel& convolution = kernel_of(program, "conv2d.forward");
  const Node& weights = program.graph.node(program.graph.node(convolution.anchors[0]).inputs[1]);
  EXPECT_STREQ(weights.op->name, "transpose");
  EXPECT_EQ(weights.type.shape, (Shape{3, 3, 3, 4}));  // rows x columns x channels x filters
  EXPECT_EQ(kernel_of(program, "conv2d.prepare").roots[0], weights.id);
}

TEST(OneRow, LongDotProductsReadTheWeightsAsTheyAre) {
  Graph g{"dense"};
  g.output("y", dense(g.input("x", {128}), {.units = 3}));
  g.output("z", dense(g.input("w", {20}), {.units = 3}));
  const Program program = program_of(build_model(g), "predict_one");
  const auto weights = [&](const char* kernel) {
    return program.graph.node(program.graph.node(kernel_of(program, kernel).anchors[0]).inputs[1]).op->name;
  };
  EXPECT_STREQ(weights("dense.forward"), "parameter");
  EXPECT_STREQ(weights("dense_1.forward"), "transpose");
}

TEST(Preparation, NormalisationAfterAConvolutionIsInItsWeights) {
  Graph g{"normalised"};
  Tensor x = g.input("image", {6, 6, 2});
  x = batch_norm(conv2d(x, {.filters = 3}));
  const Tensor rows = batch_norm(relu(x), {.axis = 1});
  g.output("y", rows);
  const Program program = program_of(build_model(g), "predict");
  const Kernel& kernel = kernel_of(program, "conv2d.forward");
  std::map<std::string, int> operators;
  for (NodeId id : nodes_inside(program, kernel)) ++operators[program.graph.node(id).op->name];
  // The convolution and its shift; the activation; the scale and shift of the rows.
  const std::map<std::string, int> expected = {{"contraction", 1}, {"add", 2}, {"relu", 1}, {"multiply", 1}};
  EXPECT_EQ(operators, expected) << print(program);
}

TEST(Preparation, AConvolutionThatOthersReadKeepsItsWeights) {
  Graph g{"shared"};
  const Tensor x = conv2d(g.input("image", {6, 6, 2}), {.filters = 3});
  g.output("y", batch_norm(x) + x);
  const Program program = program_of(build_model(g), "predict");
  int contractions = 0;
  for (const Node& node : program.graph.nodes) contractions += node.op == &contraction_operator;
  EXPECT_EQ(contractions, 1) << print(program);
}

}  // namespace
}  // namespace kiln
