#include "ops/oracles.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "driver/pipeline.h"
#include "ops/definition.h"
#include "ops/erf.h"
#include "ops/input.h"
#include "ops/interpretation.h"
#include "ops/parameter.h"
#include "ops/reshape.h"
#include "support/loaded_model.h"

namespace kiln::testing {
namespace {

constexpr double kStep = 1e-6;
// A central difference in f64 has an error of about kStep^2 * f''' plus 1e-16 / kStep * f; both are far below.
constexpr double kAbsolute = 1e-5, kRelative = 1e-3;
constexpr double kZero = 1e-6;  // a gradient's largest element, if nothing depends on the input
constexpr int kAttempts = 40;

// Both sides compute in f64 and differ in the order of sums and the last bits of exp, log and the like.
constexpr double kReferenceError = 1e-14;
// f32 against f64: rounding of 2^-24 a step, in sums of at most some thousand terms, squared.
constexpr double kCompiledError = 1e-7;
// Beside that a result may be off by the last bit of 1: what cancels, as log(1 - 1e-7), has no other bits.

/// The call's results by name: the output, each gradient, each update.
std::vector<std::pair<std::string, NodeId>> results_of(const GradientGraph& gradient) {
  std::vector<std::pair<std::string, NodeId>> results = {{"output", gradient.output}};
  for (size_t i = 0; i < gradient.gradients.size(); ++i) {
    results.emplace_back("gradient of " + gradient.differentiable[i], gradient.gradients[i]);
  }
  for (const Update& update : gradient.graph.updates) {
    const Node& parameter = gradient.graph.node(update.parameter);
    results.emplace_back("update of " + std::get<std::string>(parameter.attributes.at("name")), update.value);
  }
  return results;
}

std::vector<NodeId> nodes_of(const std::vector<std::pair<std::string, NodeId>>& results) {
  std::vector<NodeId> nodes;
  for (const auto& [name, id] : results) nodes.push_back(id);
  return nodes;
}

/// |found - expected|^2 / |expected|^2 over the rows that hold data, differences of at most `rounding` not counted; NaN
/// counts as infinitely wrong.
double normalised_error(const Values& found, const Values& expected, const Shape& shape, const RandomCall& call,
                        double rounding) {
  const size_t size = static_cast<size_t>(element_count(shape, call.count));
  double difference = 0, norm = 0;
  for (size_t i = 0; i < size; ++i) {
    if (!std::isfinite(found.at(i)) || !std::isfinite(expected.at(i))) return INFINITY;
    const double distance = std::max(0.0, std::abs(found[i] - expected[i]) - rounding);
    difference += distance * distance;
    norm += expected[i] * expected[i];
  }
  return difference / (norm + 1e-30);
}

std::string compare(const GradientGraph& gradient, const RandomCall& call,
                    const std::vector<std::pair<std::string, NodeId>>& results, const std::vector<Values>& found,
                    const std::vector<Values>& expected, double allowed, double rounding) {
  for (size_t i = 0; i < results.size(); ++i) {
    const Shape& shape = gradient.graph.node(results[i].second).type.shape;
    const double error = normalised_error(found[i], expected[i], shape, call, rounding);
    if (error > allowed) {
      return fmt::format("{} has a normalised mean squared error of {:.2g}, allowed is {:.2g}", results[i].first, error,
                         allowed);
    }
  }
  return {};
}

/// What Halide 21 cannot differentiate: erf, folds that are no sums; and it takes the quotient and the remainder by
/// which a reshape reads for indices of their own.
bool is_beyond_halide(const Graph& graph, const Node& node) {
  if (node.op == &erf_operator) return true;
  if (node.op == &reshape_operator && element_count(graph.node(node.inputs[0]).type.shape, 1) > 1) return true;
  if (is_source(node) || node.op->define == nullptr) return false;
  const Fold fold = node.op->define(graph.call(node)).fold;
  return fold == Fold::max || fold == Fold::min;
}

}  // namespace

std::string compare_with_finite_differences(const RandomCall& call) {
  const GradientGraph gradient = with_gradients(call.graph, true);
  Interpretation interpreter(gradient.graph, call.batch);
  std::set<std::string> zero(gradient.differentiable.begin(), gradient.differentiable.end());  // so far
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::map<NodeId, Values> values = random_values(call, gradient, attempt);
    const ReferenceOptions options = step_options(call, attempt);
    const std::vector<Values> gradients = interpreter.run(values, options, gradient.gradients);
    const auto difference = [&](NodeId id, size_t element) {
      double& value = values[id][element];
      const double kept = value;
      value = kept + kStep;
      const double above = interpreter.run(values, options, {gradient.objective})[0][0];
      value = kept - kStep;
      const double below = interpreter.run(values, options, {gradient.objective})[0][0];
      value = kept;
      return (above - below) / (2 * kStep);
    };
    for (size_t i = 0; i < gradients.size(); ++i) {
      const std::string& name = gradient.differentiable[i];
      const NodeId id = gradient.sources.at(name);
      double largest = 0;
      for (size_t element = 0; element < gradients[i].size(); ++element) {
        const double expected = difference(id, element), found = gradients[i][element];
        if (!(std::abs(found - expected) <= kAbsolute + kRelative * std::abs(expected))) {
          return fmt::format("gradient of {}[{}] is {}, by finite differences {}", name, element, found, expected);
        }
        largest = std::max(largest, std::abs(expected));
      }
      if (largest >= kZero) zero.erase(name);
    }
    // Where no gradient flows, the value must not depend on the input by small steps: metrics, conditions.
    for (const std::string& name : gradient.constant) {
      const NodeId id = gradient.sources.at(name);
      for (size_t element = 0; call.sample.differentiable && element < values[id].size(); ++element) {
        if (difference(id, element) != 0) return fmt::format("{}[{}] has no gradient but an influence", name, element);
      }
    }
    if (zero.empty() || call.sample.flat) return {};
  }
  return fmt::format("the gradient of {} is zero everywhere", fmt::join(zero, " and "));
}

std::string compare_reference(const RandomCall& call) {
  const GradientGraph gradient = with_gradients(call.graph, true);
  const auto results = results_of(gradient);
  const auto values = random_values(call, gradient);
  const auto expected = Interpretation(gradient.graph, call.batch).run(values, step_options(call), nodes_of(results));
  const auto found = Reference(gradient.graph, nodes_of(results), call.batch).run(values, step_options(call));
  return compare(gradient, call, results, found, expected, kReferenceError, 0x1p-52);
}

std::string compare_with_halide_adjoints(const RandomCall& call) {
  const GradientGraph gradient = with_gradients(call.graph, true);
  std::vector<std::pair<std::string, NodeId>> results;
  std::vector<NodeId> sources;
  for (const std::string& name : gradient.differentiable) {
    results.emplace_back("gradient of " + name, gradient.sources.at(name));
    sources.push_back(gradient.sources.at(name));
  }
  const auto& nodes = gradient.graph.nodes;
  if (sources.empty() || std::any_of(nodes.begin(), nodes.end(),
                                     [&](const Node& node) { return is_beyond_halide(gradient.graph, node); })) {
    return {};
  }
  const auto values = random_values(call, gradient);
  const auto expected = Interpretation(gradient.graph, call.batch).run(values, step_options(call), gradient.gradients);
  auto found = Reference(gradient.graph, {gradient.objective}, call.batch, {}, sources).run(values, step_options(call));
  found.erase(found.begin());  // the objective
  return compare(gradient, call, results, found, expected, kReferenceError, 0x1p-52);
}

std::string compare_compiled(const RandomCall& call) {
  const GradientGraph gradient = with_gradients(call.graph, true);
  const auto results = results_of(gradient);
  auto values = random_values(call, gradient);
  for (auto& [id, list] : values) {
    for (double& value : list) value = static_cast<float>(value);  // both sides start from the same numbers
  }
  const auto expected = Interpretation(gradient.graph, call.batch).run(values, step_options(call), nodes_of(results));

  Graph graph = gradient.graph;
  graph.outputs.clear();
  graph.updates.clear();
  graph.batch = call.batch;
  for (const auto& [name, id] : results) graph.output(name, Tensor(&graph, id));
  Model model;
  try {
    model = build_model(graph);
  } catch (const UserError&) {  // nothing is left to compute: a reshaped parameter
    return {};
  }
  // Single rows have a program and recipes of their own.
  const std::string name = call.batch == 1 ? "predict_one" : "predict";
  std::erase_if(model.programs, [&](const Program& program) { return program.name != name; });
  const Program& program = model.programs.at(0);
  const LoadedModel loaded(model);

  StepData step{AlignedBytes(static_cast<size_t>(program.arena_bytes)),
                AlignedBytes(static_cast<size_t>(model.state.bytes)),
                {},
                {}};
  const ReferenceOptions options = step_options(call);
  step.scalars = {.learning_rate = static_cast<float>(options.learning_rate),
                  .step = options.step,
                  .seed = options.seed,
                  .count = static_cast<int32_t>(options.count),
                  .label_smoothing = static_cast<float>(options.label_smoothing)};
  const auto given = [&](const Node& node) -> const Values& {
    const auto& source = std::get<std::string>(node.attributes.at("name"));
    return values.at(source == "cotangent" ? gradient.cotangent : gradient.sources.at(source));
  };
  for (const Node& node : program.graph.nodes) {
    if (node.op != &parameter_operator) continue;
    const auto& entry = model.state.entries.at(std::get<std::string>(node.attributes.at("name")));
    std::copy(given(node).begin(), given(node).end(), step.state.at<float>(static_cast<size_t>(entry.offset)));
  }
  // Parameters are prepared before inputs arrive, whose place what is prepared may use meanwhile.
  const kiln_program& loaded_program = *program_of(*loaded, name);
  if (loaded_program.prepare != nullptr) {
    loaded_program.prepare(nullptr, step.arena.data(), step.state.data(), &step.scalars);
  }
  for (const Node& node : program.graph.nodes) {
    if (node.op != &input_operator) continue;
    uint8_t* const data = step.arena.data() + program.placements[node.id].offset;
    const Values& list = given(node);
    const auto per_row = static_cast<size_t>(element_count(node.type.shape, 1));
    const auto lanes = static_cast<size_t>(program.lanes);
    // Lanes without data repeat the last row that has some, as the runtime has it.
    for (size_t i = 0; i < per_row * lanes; ++i) {
      const double value = list[std::min(i % lanes, static_cast<size_t>(call.count) - 1) * per_row + i / lanes];
      if (node.type.element == ElementType::real) {
        reinterpret_cast<float*>(data)[i] = static_cast<float>(value);
      } else {
        reinterpret_cast<int32_t*>(data)[i] = static_cast<int32_t>(value);
      }
    }
  }
  loaded_program.step(nullptr, step.arena.data(), step.state.data(), &step.scalars);

  std::vector<Values> found;
  for (const Output& output : program.graph.outputs) {
    const Shape& shape = program.graph.node(output.node).type.shape;
    const Placement& placement = program.placements[output.node];
    AlignedBytes& block = placement.kind == Placement::Kind::state ? step.state : step.arena;
    const auto* data = block.at<float>(static_cast<size_t>(placement.offset));
    const auto per_row = static_cast<size_t>(element_count(shape, 1));
    Values& list = found.emplace_back(static_cast<size_t>(element_count(shape, call.batch)));
    for (size_t i = 0; i < list.size(); ++i) {
      list[i] = has_batch(shape) ? data[i % per_row * static_cast<size_t>(program.lanes) + i / per_row] : data[i];
    }
  }
  return compare(gradient, call, results, found, expected, kCompiledError, 0x1p-23);
}

}  // namespace kiln::testing
