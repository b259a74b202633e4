#include "driver/pipeline.h"

#include <algorithm>
#include <limits>
#include <set>

#include "autodiff/gradient.h"
#include "driver/picture.h"
#include "driver/print.h"
#include "driver/structure.h"
#include "driver/summary.h"
#include "ops/definition.h"
#include "ops/parameter.h"
#include "passes/computed_results.h"
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

/// The step with the parameters that only prediction reads, because the loss does not depend on them: they keep their
/// first values, but have a place in the state.
Graph with_parameters_of(Graph step, const Graph& inference) {
  std::set<std::string> names;
  const auto name_of = [](const Node& node) { return std::get<std::string>(node.attributes.at("name")); };
  for (const Node& node : step.nodes) {
    if (node.op == &parameter_operator) names.insert(name_of(node));
  }
  for (const Node& node : inference.nodes) {
    if (node.op != &parameter_operator || names.count(name_of(node))) continue;
    step.nodes.push_back(node);
    step.nodes.back().id = static_cast<NodeId>(step.nodes.size()) - 1;
  }
  return step;
}

/// Offsets and indices in kernels have 32 bits.
void check_sizes(const Graph& graph, int64_t lanes) {
  for (const Node& node : graph.nodes) {
    if (element_count(node.type.shape, 1) <=
        std::numeric_limits<int32_t>::max() / 4 / (has_batch(node.type.shape) ? lanes : 1))
      continue;
    throw UserError(node.location, node.op->name,
                    fmt::format("{} at a batch of {} is too large; a tensor may have 2 GiB", to_string(node.type.shape),
                                graph.batch));
  }
}

/// Every pass ends here: what it made is verified, simplified, and verified again.
Graph simplified(const Graph& graph, const Passes& passes) {
  verify(graph);
  if (!passes.simplify) return graph;
  Graph simple = simplify(graph);
  verify(simple);
  return simple;
}

void check_outputs(const Graph& graph) {
  for (const Output& output : graph.outputs) {
    const Node& node = graph.node(resolve_view(graph, output.node));
    if (node.op == &parameter_operator)
      throw UserError(node.location, "output",
                      fmt::format("'{}' is a weight itself; the output of a prediction must be computed", output.name));
  }
}

/// A row's results depend on the rows beside it.
bool mixes_rows(const Graph& graph) {
  return std::any_of(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    if (node.op->define == nullptr) return false;
    const Definition definition = node.op->define(graph.call(node));
    Shape summed = definition.extents;
    if (definition.contraction)
      summed.assign(definition.contraction->extents.begin() + definition.contraction->output_rank,
                    definition.contraction->extents.end());
    return std::count(summed.begin(), summed.end(), kBatch) > 0;
  });
}

std::vector<Kernel> kernels_of(const Graph& graph, int64_t batch, const Passes& passes) {
  return passes.fuse ? fuse(graph, batch) : single_kernels(graph);
}

Program compile(const std::string& name, const Graph& simple, const StateLayout& state, const Passes& passes) {
  const Graph graph = with_computed_results(simplified(passes.split_sums ? split_sums(simple) : simple, passes));
  check_sizes(graph, padded_rows(graph.batch));
  return plan(name, graph, kernels_of(graph, graph.batch, passes), state, graph.batch, padded_rows(graph.batch),
              passes.in_place_updates);
}

/// A program of one row, stored row-major: nothing is padded, vectors go along features.
Program compile_single_row(const std::string& name, const Graph& inference, const StateLayout& state,
                           const Passes& passes) {
  const Graph graph =
      with_computed_results(simplified(passes.feature_weights ? with_feature_weights(inference) : inference, passes));
  return plan(name, graph, kernels_of(graph, 1, passes), state, 1, 1, passes.in_place_updates);
}

}  // namespace

Model build_model(const Graph& graph, const Passes& passes) {
  if (graph.outputs.empty())
    throw UserError(graph.loss || graph.nodes.empty() ? graph.train_location : graph.nodes.back().location, graph.name,
                    "the graph has no output(); name what it predicts");
  if (!graph.loss && !graph.metrics.empty())
    throw UserError(
        graph.node(graph.metrics.front().node).location, "metric",
        fmt::format("'{}' is reported by training, and the graph has no train()", graph.metrics.front().name));
  verify(graph);
  check_outputs(graph);
  Model model;
  model.name = graph.name;
  model.graph = graph;
  const Graph inference = simplified(expand(graph, false), passes);
  const Graph hoisted = passes.hoist_parameters ? simplified(hoist_parameters(inference), passes) : inference;
  if (graph.loss) {
    const Graph forward = simplified(expand(graph, true), passes);
    const Graph step =
        with_parameters_of(simplified(only_training(training_step(forward)), passes), only_prediction(inference));
    model.state_graph = step;
    model.state = layout_state(step);
    model.programs.push_back(compile("train", step, model.state, passes));
    model.programs.push_back(compile("evaluate", only_training(with_regularizers(hoisted)), model.state, passes));
  } else {
    model.state_graph = inference;
    model.state = layout_state(inference);
  }
  const Graph prediction = only_prediction(hoisted);
  const bool computes = std::any_of(prediction.outputs.begin(), prediction.outputs.end(), [&](const Output& output) {
    return !is_source(prediction.node(resolve_view(prediction, output.node)));
  });
  if (!graph.loss && !computes)
    throw UserError(graph.train_location, graph.name,
                    "the outputs are inputs as they are; there is nothing to compute");
  model.programs.push_back(compile("predict", prediction, model.state, passes));
  if (!mixes_rows(prediction))
    model.programs.push_back(compile_single_row("predict_one", prediction, model.state, passes));
  model.fingerprint = fingerprint(model.state_graph);
  model.summary = summary_table(graph);
  model.summary_json = summary_json(graph);
  model.structure = structure_json(graph);
  model.dot = layer_dot(graph);
  model.gradient_dot = node_dot(model.state_graph);
  return model;
}

}  // namespace kiln
