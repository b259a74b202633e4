// Each rule of the verifiers: a graph or program that breaks it, and the message.
#include <gtest/gtest.h>

#include <algorithm>

#include "driver/pipeline.h"
#include "dsl/graph.h"
#include "ops/parameter.h"
#include "passes/simplify.h"

namespace kiln {
namespace {

Graph network(Optimizer optimizer = rmsprop(), double l2 = 0) {
  Graph g{"small"};
  Tensor x = g.input("image", {8, 8, 3});
  x = max_pool(batch_norm(relu(conv2d(x, {.filters = 4}))));
  x = relu(dense(flatten(x), {.units = 16}));
  const Tensor p = softmax(dense(x, {.units = 5, .kernel_l2 = l2}));
  const Tensor label = g.label("class", 5);
  g.output("probability", p);
  g.metric("accuracy", categorical_accuracy(p, label));
  g.train({.loss = categorical_cross_entropy(p, label), .optimizer = std::move(optimizer), .batch = 16});
  return g;
}

template <class Verify>
void expect_refused(const std::string& message, Verify verify) {
  try {
    verify();
    ADD_FAILURE() << "accepted; expected: " << message;
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
}

class ProgramRules : public ::testing::Test {
 protected:
  explicit ProgramRules(double l2 = 0) : model(build_model(network(rmsprop(), l2))), train(model.programs[0]) {}

  Kernel& kernel(const std::string& name) {
    for (Kernel& kernel : train.kernels) {
      if (kernel.name == name) return kernel;
    }
    throw InternalError("no kernel " + name);
  }
  void refused(const std::string& message) {
    expect_refused(message, [&] { verify(train, model.state); });
  }

  Model model;
  Program train;
};

/// With L2 one of the updates has to wait for the end of the step.
class CopyRules : public ProgramRules {
 protected:
  CopyRules() : ProgramRules(0.01) {}
};

TEST_F(ProgramRules, AcceptsWhatThePlannerMakes) {
  for (const Program& program : model.programs) EXPECT_NO_THROW(verify(program, model.state)) << program.name;
}

TEST_F(ProgramRules, EveryNodeHasAPlacement) {
  train.placements.pop_back();
  refused("program train: not every node has a placement");
}

TEST_F(ProgramRules, RowsFitIntoLanes) {
  train.lanes = 8;
  refused("16 rows in 8 lanes");
}

TEST_F(ProgramRules, KernelsHaveRoots) {
  kernel("conv2d.forward").roots.clear();
  refused("conv2d.forward has no root or no anchor");
}

TEST_F(ProgramRules, KernelsHaveAnchors) {
  kernel("conv2d.forward").anchors.clear();
  refused("conv2d.forward has no root or no anchor");
}

TEST_F(ProgramRules, WhatAKernelReadsIsAmongItsLeaves) {
  kernel("conv2d.forward").leaves.erase(kernel("conv2d.forward").leaves.begin());
  refused("conv2d.forward reads node 0 (input), which is not among its leaves");
}

TEST_F(ProgramRules, AContractionIsAnAnchor) {
  Kernel& forward = kernel("dense.forward");
  forward.anchors = {forward.roots[0]};
  refused("a contraction that is not its anchor");
}

TEST_F(ProgramRules, AKernelComputesItsAnchor) {
  kernel("dense.forward").anchors.push_back(kernel("conv2d.forward").anchors[0]);
  refused("dense.forward does not compute its anchor");
}

TEST_F(ProgramRules, NothingIsReadBeforeItIsWritten) {
  std::swap(train.kernels.front(), train.kernels.back());
  refused("which nobody has written");
}

TEST_F(ProgramRules, NothingIsWrittenTwice) {
  train.kernels.insert(train.kernels.begin(), train.kernels.front());
  refused("is written twice");
}

TEST_F(ProgramRules, BuffersAreInsideTheArena) {
  train.placements[static_cast<size_t>(kernel("conv2d.forward").roots[0])].offset = train.arena_bytes;
  refused("lies outside the arena or is not aligned");
}

TEST_F(ProgramRules, BuffersBeginInTheArena) {
  train.placements[static_cast<size_t>(kernel("conv2d.forward").roots[0])].offset = -64;
  refused("lies outside the arena or is not aligned");
}

TEST_F(ProgramRules, WhatIsReadHasAPlace) {
  train.placements[static_cast<size_t>(kernel("conv2d.forward").roots[0])].kind = Placement::Kind::expression;
  refused("is read but has no place");
}

TEST_F(ProgramRules, BuffersAreAligned) {
  train.placements[static_cast<size_t>(kernel("conv2d.forward").roots[0])].offset += 4;
  refused("lies outside the arena or is not aligned");
}

TEST_F(ProgramRules, TheArenaIsLargeEnough) {
  train.arena_bytes = 64;
  refused("lies outside the arena or is not aligned");
}

TEST_F(ProgramRules, LiveBuffersDoNotOverlap) {
  train.placements[static_cast<size_t>(kernel("max_pool.forward").roots[0])].offset =
      train.placements[static_cast<size_t>(kernel("conv2d.forward").roots[0])].offset;
  refused("live at the same time in the same place");
}

TEST_F(ProgramRules, ResultsLiveToTheEnd) {
  // The last kernel's buffer over the loss, which nobody reads within the step.
  NodeId last = -1;
  for (const Kernel& kernel : train.kernels) {
    for (NodeId root : kernel.roots) {
      if (train.placements[static_cast<size_t>(root)].kind == Placement::Kind::arena && root != *train.graph.loss &&
          root != train.graph.metrics[0].node)
        last = root;
    }
  }
  train.placements[static_cast<size_t>(last)].offset = train.placements[static_cast<size_t>(*train.graph.loss)].offset;
  refused("live at the same time in the same place");
}

TEST_F(ProgramRules, ResultsAreWritten) {
  const NodeId loss = *train.graph.loss;
  std::erase_if(train.kernels, [&](const Kernel& kernel) {
    return kernel.roots == std::vector<NodeId>{resolve_view(train.graph, loss)};
  });
  refused("the loss (node " + std::to_string(loss) + ") is never written");
}

TEST_F(ProgramRules, ResultsAreInTheArena) {
  Program& predict = model.programs[2];
  for (const Node& node : predict.graph.nodes) {
    if (node.op == &parameter_operator) predict.graph.outputs[0].node = node.id;
  }
  expect_refused("is not in the arena", [&] { verify(predict, model.state); });
}

TEST_F(ProgramRules, NoParameterIsReadAfterItsUpdate) {
  const auto at = [&](const char* name) {
    return std::find_if(train.kernels.begin(), train.kernels.end(), [&](const Kernel& k) { return k.name == name; });
  };
  const auto reader = at("dense_1.input_gradient"), writer = at("dense_1.weight_gradient");
  ASSERT_LT(reader, writer);
  // The reader's own reader goes with it, and the writer does not read what it makes.
  std::rotate(reader, reader + 1, writer + 1);
  EXPECT_THROW(verify(train, model.state), InternalError);
}

TEST_F(ProgramRules, EveryUpdateIsWritten) {
  train.placements[static_cast<size_t>(kernel("dense.weight_gradient").roots[0])] = {Placement::Kind::arena, 0};
  refused("is written 0 times");
}

TEST_F(ProgramRules, NoUpdateIsWrittenTwice) {
  const NodeId root = kernel("dense.weight_gradient").roots[0];
  const Placement& placement = train.placements[static_cast<size_t>(root)];
  train.copies.push_back({root, placement.offset, element_count(train.graph.node(root).type.shape) * 4});
  refused("is written 2 times");
}

TEST_F(ProgramRules, AnUpdateGoesToAParameterOfItsSize) {
  train.placements[static_cast<size_t>(kernel("dense.weight_gradient").roots[0])].offset =
      model.state.entries.at("dense/bias").offset;
  refused("is written to the state, but not to a parameter of its size");
}

TEST_F(ProgramRules, AnUpdateGoesToAParameter) {
  train.placements[static_cast<size_t>(kernel("dense.weight_gradient").roots[0])].offset += 64;  // into its middle
  refused("is written to the state, but not to a parameter of its size");
}

TEST_F(ProgramRules, AParameterBecomesItsUpdate) {
  const auto update_of = [&](const std::string& name) -> Update& {
    return *std::find_if(train.graph.updates.begin(), train.graph.updates.end(), [&](const Update& update) {
      return std::get<std::string>(train.graph.node(update.parameter).attributes.at("name")) == name;
    });
  };
  std::swap(update_of("dense/kernel").value, update_of("dense/kernel/velocity").value);  // which are of one size
  refused("becomes another value than its update");
}

TEST_F(ProgramRules, ParametersHaveTheirSize) {
  --model.state.entries.at("dense/bias").count;
  refused("dense/bias has no place of its size in the state block");
}

TEST_F(ProgramRules, AKernelDoesNotOverwriteWhatItMultiplies) {
  // As if the layer's kernel were updated while the input's gradient reads all of it.
  Kernel& reader = kernel("dense_1.input_gradient");
  const StateEntry& entry = model.state.entries.at("dense_1/kernel");
  Type& type = train.graph.nodes[static_cast<size_t>(reader.roots[0])].type;
  type.shape = {entry.count};
  train.placements[static_cast<size_t>(reader.roots[0])] = {Placement::Kind::state, entry.offset};
  refused("dense_1.input_gradient overwrites dense_1/kernel while it reads other elements of it");
}

TEST_F(ProgramRules, ParametersAreInsideTheState) {
  model.state.bytes -= 64;
  refused("lies outside the state block or is not aligned");
}

TEST_F(ProgramRules, ParametersBeginInTheState) {
  model.state.entries.at("dense/bias").offset = -64;
  refused("dense/bias lies outside the state block or is not aligned");
}

TEST_F(ProgramRules, ParametersAreAligned) {
  model.state.entries.at("dense/bias").offset += 4;
  refused("dense/bias lies outside the state block or is not aligned");
}

TEST_F(ProgramRules, PreparedKernelsReadParametersOnly) {
  Program& predict = model.programs[2];
  ++predict.prepared;
  expect_refused("is prepared but reads node", [&] { verify(predict, model.state); });
}

TEST_F(CopyRules, ACopyFitsItsParameter) {
  ASSERT_FALSE(train.copies.empty());
  train.copies[0].bytes -= 4;
  refused("does not fit a parameter");
}

TEST_F(CopyRules, ACopyGoesToAParameter) {
  train.copies[0].state_offset += 4;
  refused("does not fit a parameter");
}

TEST_F(CopyRules, ACopyIsOfAllThatItsParameterHolds) {
  Type& type = train.graph.nodes[static_cast<size_t>(train.copies[0].from)].type;
  type.shape.push_back(2);
  refused("does not fit a parameter");
}

TEST_F(CopyRules, ACopyIsOfNoParameter) {
  for (const Update& update : train.graph.updates) {
    if (resolve_view(train.graph, update.value) == resolve_view(train.graph, train.copies[0].from))
      train.copies[0].from = update.parameter;
  }
  refused("is of a parameter, which may be overwritten by then");
}

TEST_F(CopyRules, ACopyIsNotLost) {
  train.copies.clear();
  refused("is written 0 times");
}

TEST_F(CopyRules, WhatIsCopiedLivesToTheEnd) {
  const NodeId from = train.copies[0].from;
  const NodeId last = train.kernels.back().roots.back();
  if (resolve_view(train.graph, from) == last) GTEST_SKIP() << "it is written last";
  train.placements[static_cast<size_t>(last)] = train.placements[static_cast<size_t>(resolve_view(train.graph, from))];
  EXPECT_THROW(verify(train, model.state), InternalError);
}

class GraphRules : public ::testing::Test {
 protected:
  void refused(const std::string& message) {
    expect_refused(message, [&] { verify(g); });
  }
  Graph g = network();
};

TEST_F(GraphRules, NodesHaveOperators) {
  g.nodes.back().op = nullptr;
  refused("has no operator");
}

TEST_F(GraphRules, NodesAreAtTheirIndex) {
  g.nodes.back().id = 1;
  refused("is not at its own index");
}

TEST_F(GraphRules, InputsComeFirst) {
  g.nodes.back().inputs[0] = g.nodes.back().id;
  refused("which does not come before it");
}

TEST_F(GraphRules, TypesFollowFromTheirRules) {
  g.nodes.back().type.shape = {3};
  refused("has type 3, its rule says");
}

TEST_F(GraphRules, ResultsExist) {
  g.outputs.push_back({"nothing", 9999});
  refused("node 9999 is named but does not exist");
}

TEST_F(GraphRules, OnlyParametersAreUpdated) {
  g.updates.push_back({0, 0});
  refused("is updated but no parameter");
}

TEST_F(GraphRules, UpdatesHaveTheirParametersType) {
  g.updates.push_back({2, 0});
  g.nodes[2].op == &parameter_operator ? refused("updates a parameter of another type")
                                       : refused("is updated but no parameter");
}

TEST_F(GraphRules, AParameterIsUpdatedOnce) {
  Graph step = build_model(g).state_graph;
  step.updates.push_back(step.updates.front());
  expect_refused("is updated twice", [&] { verify(step); });
}

TEST(Outputs, AreNotWeightsThemselves) {
  Graph h{"weights"};
  h.output("w", reshape(parameter(h, "w", {4, 3}, ones(), true), {12}));
  try {
    build_model(h);
    ADD_FAILURE() << "accepted";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("output: 'w' is a weight itself"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace kiln
