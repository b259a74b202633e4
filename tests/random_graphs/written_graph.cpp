#include "random_graphs/written_graph.h"

#include <algorithm>
#include <random>
#include <set>

#include "autodiff/gradient.h"
#include "lower/interpreter.h"
#include "ops/input.h"
#include "ops/one_hot.h"
#include "ops/parameter.h"
#include "passes/expand.h"

namespace kiln::testing {
namespace {

const std::string& name_of(const Node& node) { return std::get<std::string>(node.attributes.at("name")); }

/// Is a sum, whose terms another program may add in another order.
bool is_sum(const Node& node) {
  static const std::set<std::string> sums = {"contraction", "reduce_sum", "reduce_mean", "average_pool",
                                             "average_pool_gradient"};
  return sums.count(node.op->name) > 0;
}

}  // namespace

WrittenGraph::WrittenGraph(const Sketch& sketch, bool training) {
  const Graph graph = build(sketch);
  optimizer_ = graph.optimizer.name;
  Graph expanded = expand(graph, training);
  if (training) {
    expanded.outputs.clear();
    expanded = training_step(expanded);
  } else if (expanded.loss) {
    expanded = with_regularizers(expanded);
  }
  graph_ = std::move(expanded);
}

CallData WrittenGraph::data(int64_t count, uint64_t seed) const {
  CallData data = {count, {0.5F, 3, static_cast<int32_t>(seed), static_cast<int32_t>(count), 0.125F}, {}, {}};
  std::mt19937_64 random(seed);
  const auto uniform = [&](double low, double high) {
    return static_cast<float>(low + (high - low) * static_cast<double>(random() >> 40) * 0x1p-24);
  };
  for (const Node& node : graph_.nodes) {
    if (node.op == &parameter_operator) {
      std::vector<float>& values = data.parameters[name_of(node)];
      const double scale = std::get<double>(node.attributes.at("scale"));
      const bool constant = std::get<int64_t>(node.attributes.at("initializer")) == 0;
      // Every parameter away from its trivial value; second moments and variances positive.
      for (int64_t i = 0; i < element_count(node.type.shape); ++i)
        values.push_back(constant ? uniform(scale, scale + 0.2) : uniform(-scale, scale));
    } else if (node.op == &input_operator) {
      std::vector<float>& values = data.inputs[name_of(node)];
      const int64_t known = label_classes(graph_, node.id), classes = known > 0 ? known : 2;
      for (int64_t i = 0; i < element_count(node.type.shape, graph_.batch); ++i)
        values.push_back(node.type.element == ElementType::real
                             ? uniform(-0.5, 1)
                             : static_cast<float>(random() % static_cast<uint64_t>(classes)));
    }
  }
  return data;
}

std::vector<Wanted> WrittenGraph::run(const CallData& data) const {
  std::vector<Wanted> wanted;
  std::vector<NodeId> results;
  const auto add = [&](const std::string& name, NodeId id) {
    wanted.push_back({name, {}, {}, {}});
    results.push_back(id);
  };
  if (graph_.loss) add("loss", *graph_.loss);
  for (const Output& metric : graph_.metrics) add(metric.name, metric.node);
  for (const Output& output : graph_.outputs) add(output.name, output.node);
  for (const Update& update : graph_.updates) {
    add(name_of(graph_.node(update.parameter)), update.value);
    wanted.back().before = data.parameters.at(wanted.back().name);
    // Weights that become their gradients: the value is what counts, not the change.
    if (optimizer_ == "gradient" && std::get<bool>(graph_.node(update.parameter).attributes.at("trainable")))
      std::fill(wanted.back().before.begin(), wanted.back().before.end(), 0.0F);
  }
  const auto exact = evaluate(data, false, 0, results);
  for (size_t i = 0; i < wanted.size(); ++i) wanted[i].values = exact[i];
  for (size_t r = 0; r < kRoundings; ++r) {
    const auto rounded = evaluate(data, true, r, results);
    for (size_t i = 0; i < wanted.size(); ++i) wanted[i].rounded[r] = rounded[i];
  }
  return wanted;
}

/// With `shift` sums are off by some units in the last place, different ones for each number but 0.
std::vector<std::vector<double>> WrittenGraph::evaluate(const CallData& data, bool single, uint64_t shift,
                                                        const std::vector<NodeId>& results) const {
  const int64_t lanes = graph_.batch;
  Interpreter interpreter(graph_, {.lanes = lanes,
                                   .count = data.count,
                                   .seed = data.scalars.seed,
                                   .step = data.scalars.step,
                                   .learning_rate = data.scalars.learning_rate,
                                   .label_smoothing = data.scalars.label_smoothing,
                                   .single = single});
  std::vector<bool> live(graph_.nodes.size(), false);
  for (const NodeId id : results) live[static_cast<size_t>(id)] = true;
  for (NodeId id = static_cast<NodeId>(graph_.nodes.size()) - 1; id >= 0; --id) {
    if (!live[static_cast<size_t>(id)]) continue;
    for (const NodeId input : graph_.node(id).inputs) live[static_cast<size_t>(input)] = true;
  }
  std::mt19937_64 random(shift);
  std::map<NodeId, std::vector<double>> memory;
  std::map<NodeId, std::vector<int32_t>> integers;
  for (const Node& node : graph_.nodes) {
    if (!live[static_cast<size_t>(node.id)]) continue;
    if (node.op == &parameter_operator) {
      interpreter.store(node.id, data.parameters.at(name_of(node)).data());
    } else if (node.op == &input_operator) {
      const std::vector<float>& values = data.inputs.at(name_of(node));
      const int64_t per_row = element_count(node.type.shape, 1);
      std::vector<double> stored(values.size());
      for (int64_t n = 0; n < lanes; ++n) {
        for (int64_t i = 0; i < per_row; ++i)
          stored[static_cast<size_t>(i * lanes + n)] = values[static_cast<size_t>(n * per_row + i)];
      }
      if (node.type.element == ElementType::real) {
        interpreter.store(node.id, (memory[node.id] = stored).data());
      } else {
        integers[node.id].assign(stored.begin(), stored.end());
        interpreter.store(node.id, integers[node.id].data());
      }
    } else if (!is_source(node)) {
      std::vector<double>& values = memory[node.id] = interpreter.values(node.id);
      if (shift != 0 && is_sum(node)) {
        for (double& value : values) value *= 1 + 0x1p-22 * (static_cast<double>(random() >> 40) * 0x1p-23 - 1);
      }
      interpreter.store(node.id, values.data());
    }
  }
  std::vector<std::vector<double>> values;
  for (const NodeId id : results) {
    const std::vector<double> all = interpreter.values(id);
    std::vector<double>& kept = values.emplace_back();
    const bool batched = has_batch(graph_.node(id).type.shape);
    for (size_t i = 0; i < all.size(); ++i) {
      if (!batched || static_cast<int64_t>(i) % lanes < data.count) kept.push_back(all[i]);
    }
  }
  return values;
}

}  // namespace kiln::testing
