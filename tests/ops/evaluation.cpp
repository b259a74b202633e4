#include "ops/evaluation.h"

#include <algorithm>

#include "autodiff/gradient.h"
#include "ops/input.h"
#include "ops/multiply.h"
#include "ops/parameter.h"
#include "ops/reduce_sum.h"
#include "ops/reshape.h"
#include "passes/expand.h"

namespace kiln::testing {
namespace {

Tensor sum_of_all(Tensor x) {
  ReduceOptions all;
  for (size_t i = 0; i < x.shape().size(); ++i) all.axes.push_back(static_cast<int64_t>(i));
  return all.axes.empty() ? x : reshape(reduce_sum(x, all), {});
}

bool trained(const Node& node) {
  if (node.op == &input_operator) return node.type.element == ElementType::real;
  return node.op == &parameter_operator && std::get<bool>(node.attributes.at("trainable"));
}

}  // namespace

GradientGraph with_gradients(const Graph& graph, bool training, const std::optional<std::vector<std::string>>& wanted) {
  GradientGraph result;
  Graph& expanded = result.graph = expand(graph, training);
  result.output = expanded.outputs.at(0).node;
  std::vector<Tensor> tensors;
  std::vector<std::string> names;
  for (const Node& node : expanded.nodes) {
    if (node.op != &input_operator && node.op != &parameter_operator) continue;
    const auto& name = std::get<std::string>(node.attributes.at("name"));
    result.sources[name] = node.id;
    if (wanted ? std::count(wanted->begin(), wanted->end(), name) > 0 : trained(node)) {
      tensors.emplace_back(&expanded, node.id);
      names.push_back(name);
    }
  }
  const Tensor y(&expanded, result.output);
  // An input has the batch; what has not is a parameter.
  const Tensor cotangent = has_batch(y.shape())
                               ? input(expanded, "cotangent", {y.shape(), ElementType::real}, Location::here())
                               : parameter(expanded, "cotangent", y.shape(), zeros(), false, Location::here());
  result.cotangent = cotangent.id();
  const Tensor objective = sum_of_all(multiply(y, cotangent));
  result.objective = objective.id();
  const std::vector<Tensor> found = gradients(expanded, objective, tensors);
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i]) result.gradients.push_back(found[i].id());
    (found[i] ? result.differentiable : result.constant).push_back(names[i]);
  }
  return result;
}

Evaluation::Evaluation(const Graph& graph, int64_t batch, bool training,
                       const std::optional<std::vector<std::string>>& wanted)
    : parts_(with_gradients(graph, training, wanted)) {
  std::vector<NodeId> results = {parts_.output, parts_.objective};
  results.insert(results.end(), parts_.gradients.begin(), parts_.gradients.end());
  for (const Update& update : parts_.graph.updates) results.push_back(update.value);
  reference_ = std::make_unique<Reference>(parts_.graph, results, batch);
}

Evaluation::Result Evaluation::run(const std::map<NodeId, Values>& values, const ReferenceOptions& options) const {
  std::vector<Values> all = reference_->run(values, options);
  Result result;
  result.output = std::move(all[0]);
  result.objective = all[1].at(0);
  const size_t gradients = parts_.gradients.size();
  for (size_t i = 0; i < gradients; ++i) result.gradients.push_back(std::move(all[2 + i]));
  for (size_t i = 2 + gradients; i < all.size(); ++i) result.updates.push_back(std::move(all[i]));
  return result;
}

Values random_values(size_t count, double low, double high, uint32_t seed) {
  Values values;
  uint64_t state = seed * 2654435761u + 1;
  for (size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;  // Knuth's MMIX generator
    values.push_back(low + (high - low) * static_cast<double>(state >> 11) / 9007199254740992.0);
  }
  return values;
}

}  // namespace kiln::testing
