#include "ops/interpretation.h"

namespace kiln::testing {
namespace {

/// Between storage order, in which the batch is innermost, and the user's, in which it comes first.
Values reordered(const Values& values, const Shape& shape, int64_t batch, bool to_storage) {
  if (!has_batch(shape)) return values;
  const auto rows = static_cast<size_t>(batch), features = values.size() / rows;
  Values result(values.size());
  for (size_t row = 0; row < rows; ++row) {
    for (size_t feature = 0; feature < features; ++feature) {
      const size_t user = row * features + feature, storage = feature * rows + row;
      result[to_storage ? storage : user] = values[to_storage ? user : storage];
    }
  }
  return result;
}

}  // namespace

void Interpretation::store(NodeId id, Values values) {
  Stored& stored = stored_[id];
  if (graph_.node(id).type.element != ElementType::int32) {
    stored.reals = std::move(values);
    interpreter_->store(id, stored.reals.data());
  } else {
    stored.integers.assign(values.begin(), values.end());
    interpreter_->store(id, stored.integers.data());
  }
}

std::vector<Values> Interpretation::run(const std::map<NodeId, Values>& sources, const ReferenceOptions& options,
                                        const std::vector<NodeId>& wanted) {
  const auto same = [](const ReferenceOptions& a, const ReferenceOptions& b) {
    return a.count == b.count && a.seed == b.seed && a.step == b.step && a.learning_rate == b.learning_rate;
  };
  if (!interpreter_ || !same(options, options_)) {
    options_ = options;
    interpreter_.emplace(graph_, InterpreterOptions{.lanes = batch_,
                                                    .count = options.count,
                                                    .seed = options.seed,
                                                    .step = options.step,
                                                    .learning_rate = options.learning_rate});
  }
  interpreter_->forget();
  std::vector<bool> needed(graph_.nodes.size(), false);
  for (const NodeId id : wanted) needed[id] = true;
  for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
    if (!needed[node->id]) continue;
    for (const NodeId input : node->inputs) needed[input] = true;
  }
  for (const Node& node : graph_.nodes) {
    if (!needed[node.id]) continue;
    const auto given = sources.find(node.id);
    if (given != sources.end()) {
      if (given->second.size() != static_cast<size_t>(element_count(node.type.shape, batch_)))
        throw InternalError("interpretation: a value of another size");
      store(node.id, reordered(given->second, node.type.shape, batch_, true));
    } else {
      store(node.id, interpreter_->values(node.id));
    }
  }
  std::vector<Values> results;
  for (const NodeId id : wanted) {
    const Stored& stored = stored_[id];
    const Values values = stored.reals.empty() ? Values(stored.integers.begin(), stored.integers.end()) : stored.reals;
    results.push_back(reordered(values, graph_.node(id).type.shape, batch_, false));
  }
  return results;
}

}  // namespace kiln::testing
