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

Evaluation::Evaluation(const Graph& graph, int64_t batch, bool training,
                       const std::optional<std::vector<std::string>>& wanted)
    : graph_(expand(graph, training)) {
  output_ = graph_.outputs.at(0).node;
  std::vector<Tensor> tensors;
  std::vector<std::string> names;
  for (const Node& node : graph_.nodes) {
    if (node.op != &input_operator && node.op != &parameter_operator) continue;
    const auto& name = std::get<std::string>(node.attributes.at("name"));
    sources_[name] = node.id;
    if (wanted ? std::count(wanted->begin(), wanted->end(), name) > 0 : trained(node)) {
      tensors.emplace_back(&graph_, node.id);
      names.push_back(name);
    }
  }
  results_ = {output_};
  const Tensor y(&graph_, output_);
  const Tensor cotangent = input(graph_, "cotangent", {y.shape(), ElementType::real}, Location::here());
  cotangent_ = cotangent.id();
  const Tensor objective = sum_of_all(multiply(y, cotangent));
  results_.push_back(objective.id());
  const std::vector<Tensor> found = gradients(graph_, objective, tensors);
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i]) results_.push_back(found[i].id());
    (found[i] ? differentiable_ : constant_).push_back(names[i]);
  }
  for (const Update& update : graph_.updates) results_.push_back(update.value);
  reference_ = std::make_unique<Reference>(graph_, results_, batch);
}

Evaluation::Result Evaluation::run(const std::map<NodeId, Values>& values, const ReferenceOptions& options) const {
  std::vector<Values> all = reference_->run(values, options);
  Result result;
  result.output = std::move(all[0]);
  result.objective = all[1].at(0);
  for (size_t i = 0; i < differentiable_.size(); ++i) result.gradients.push_back(std::move(all[2 + i]));
  for (size_t i = 0; i < graph_.updates.size(); ++i) {
    result.updates.push_back(std::move(all[2 + differentiable_.size() + i]));
  }
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
