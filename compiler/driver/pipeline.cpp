#include "driver/pipeline.h"

#include <algorithm>

#include "autodiff/gradient.h"
#include "driver/picture.h"
#include "driver/print.h"
#include "driver/summary.h"
#include "passes/expand.h"
#include "passes/feature_weights.h"
#include "passes/hoist_parameters.h"
#include "passes/rewrite.h"
#include "passes/simplify.h"
#include "passes/split_sums.h"

namespace kiln {
namespace {

/// The training step reports the loss and the metrics; prediction only the graph's outputs.
Graph only_training(Graph graph) {
  graph.outputs.clear();
  return without_dead_nodes(graph);
}

Graph only_prediction(Graph graph) {
  graph.loss.reset();
  graph.metrics.clear();
  graph.regularizers.clear();
  return without_dead_nodes(graph);
}

Program compile(const std::string& name, const Graph& simple, const StateLayout& state) {
  const Graph graph = simplify(split_sums(simple));
  return plan(name, graph, fuse(graph, graph.batch), state, graph.batch);
}

/// A program of one row, stored row-major: nothing is padded, vectors go along features.
Program compile_single_row(const std::string& name, const Graph& inference, const StateLayout& state) {
  const Graph graph = simplify(with_feature_weights(inference));
  return plan(name, graph, fuse(graph, 1), state, 1, 1);
}

}  // namespace

Model build_model(const Graph& graph) {
  if (graph.outputs.empty())
    throw UserError(graph.train_location, graph.name, "the graph has no output(); name what it predicts");
  verify(graph);
  Model model;
  model.name = graph.name;
  model.graph = graph;
  const Graph inference = simplify(expand(graph, false));
  const Graph hoisted = simplify(hoist_parameters(inference));
  if (graph.loss) {
    const Graph forward = simplify(expand(graph, true));
    const Graph step = simplify(only_training(training_step(forward)));
    model.state_graph = step;
    model.state = layout_state(step);
    model.programs.push_back(compile("train", step, model.state));
    model.programs.push_back(compile("evaluate", only_training(hoisted), model.state));
  } else {
    model.state_graph = inference;
    model.state = layout_state(inference);
  }
  model.programs.push_back(compile("predict", only_prediction(hoisted), model.state));
  model.programs.push_back(compile_single_row("predict_one", only_prediction(hoisted), model.state));
  if (std::all_of(model.programs.begin(), model.programs.end(), [](const Program& p) { return p.kernels.empty(); }))
    throw UserError(graph.train_location, graph.name,
                    "the outputs are inputs as they are; there is nothing to compute");
  model.fingerprint = fingerprint(model.state_graph);
  model.summary = summary_table(graph);
  model.summary_json = summary_json(graph);
  model.dot = layer_dot(graph);
  model.gradient_dot = node_dot(model.state_graph);
  return model;
}

}  // namespace kiln
