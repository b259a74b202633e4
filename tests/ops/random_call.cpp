#include "ops/random_call.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "ops/input.h"
#include "ops/parameter.h"
#include "ops/to_real.h"

namespace kiln::testing {
namespace {

using nlohmann::json;

// Far more than the step of a finite difference, and than what f32 rounds away.
constexpr double kKinkDistance = 1e-2;

/// Numbers in [0, 1) from a seed.
class Uniform {
 public:
  explicit Uniform(uint64_t seed) : bits_(seed, 0) {}
  double operator()() { return static_cast<double>(bits_.integer(0, (int64_t{1} << 40) - 1)) * 0x1p-40; }

 private:
  Choices bits_;
};

json to_json(const Attribute& attribute) {
  const auto indices = [](const std::vector<AffineIndex>& list) {
    json result = json::array();
    for (const AffineIndex& index : list) {
      result.push_back({{"coefficients", index.coefficients}, {"offset", index.offset}, {"divisor", index.divisor}});
    }
    return result;
  };
  return std::visit(
      [&](const auto& value) -> json {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Contraction>) {
          return {{"loops", value.loops},
                  {"extents", value.extents},
                  {"output_rank", value.output_rank},
                  {"left", indices(value.left)},
                  {"right", indices(value.right)}};
        } else {
          return value;
        }
      },
      attribute);
}

Attribute attribute_from(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) return value.get<std::vector<int64_t>>();
  const auto indices = [](const json& list) {
    std::vector<AffineIndex> result;
    for (const json& index : list)
      result.push_back({index.at("coefficients"), index.at("offset"), index.at("divisor")});
    return result;
  };
  return Contraction{value.at("loops"), value.at("extents"), value.at("output_rank"), indices(value.at("left")),
                     indices(value.at("right"))};
}

}  // namespace

RandomCall random_call(const Operator& op, Choices& choices, CallSize size, uint64_t seed) {
  RandomCall call{op.name, Graph(op.name), op.sample(choices), 1, 1, seed};
  call.batch = choices.integer(call.sample.least_rows, size.rows);
  call.count = choices.integer(call.sample.least_rows, call.batch);
  call.graph.batch = call.batch;
  std::vector<Tensor> inputs;
  for (const Type& type : call.sample.inputs) {
    const std::string name = fmt::format("x{}", inputs.size());
    inputs.push_back(has_batch(type.shape) ? input(call.graph, name, type, Location::here())
                                           : parameter(call.graph, name, type.shape, zeros(), true, Location::here()));
  }
  const Tensor y = call.sample.build(inputs);
  call.graph.output("y", y.node().type.element == ElementType::bf16 ? to_real(y) : y);  // programs give reals
  return call;
}

ReferenceOptions step_options(const RandomCall& call, uint64_t attempt) {
  return {.count = call.count,
          .seed = static_cast<int32_t>((call.seed + attempt) & 0x7fffffff),
          .step = static_cast<int32_t>(call.seed % 1000)};
}

std::map<NodeId, Values> random_values(const RandomCall& call, const GradientGraph& gradient, uint64_t attempt) {
  const Sample& sample = call.sample;
  Uniform uniform(call.seed + (attempt << 32));
  const auto elements = [&](NodeId id) {
    return static_cast<size_t>(element_count(gradient.graph.node(id).type.shape, call.batch));
  };
  const auto draw = [&](double low, double high) {
    double value = 0;
    do {
      value = low + (high - low) * uniform();
    } while (std::any_of(sample.kinks.begin(), sample.kinks.end(),
                         [&](double kink) { return std::abs(value - kink) < kKinkDistance; }));
    return value;
  };
  std::map<NodeId, Values> values;
  std::vector<double*> own;  // elements of the operator's real inputs
  for (const auto& [name, id] : gradient.sources) {
    Values& list = values[id];
    list.resize(elements(id));
    const bool weight = name.find('/') != std::string::npos;  // the layer's own, which has no range in the sample
    for (double& value : list) {
      if (gradient.graph.node(id).type.element == ElementType::int32) {
        value = std::floor(uniform() * static_cast<double>(sample.classes));
      } else {
        value = weight ? draw(0.3, 1.1) : draw(sample.low, sample.high);
        if (!weight) own.push_back(&value);
      }
    }
  }
  if (sample.distinct) {  // evenly spaced, in random order
    for (size_t i = own.size(); i > 1; --i) {
      std::swap(own[i - 1], own[static_cast<size_t>(uniform() * static_cast<double>(i))]);
    }
    for (size_t i = 0; i < own.size(); ++i) {
      const double part = (static_cast<double>(i) + 0.5) / static_cast<double>(own.size());
      *own[i] = sample.low + (sample.high - sample.low) * part;
    }
  }
  Values& cotangent = values[gradient.cotangent];
  for (size_t i = elements(gradient.cotangent); i > 0; --i) cotangent.push_back(0.5 + uniform());
  return values;
}

std::string to_json(const RandomCall& call, const std::string& found) {
  const Sample& s = call.sample;
  std::string text = fmt::format("{{\"operator\": {}, \"found\": {},\n", json(call.op).dump(), json(found).dump());
  text += fmt::format(" \"batch\": {}, \"count\": {}, \"seed\": {},\n", call.batch, call.count, call.seed);
  const json about = {{"low", s.low},
                      {"high", s.high},
                      {"classes", s.classes},
                      {"kinks", s.kinks},
                      {"flat", s.flat},
                      {"distinct", s.distinct},
                      {"differentiable", s.differentiable}};
  text += fmt::format(" \"values\": {},\n \"output\": {},\n \"nodes\": [", about.dump(), call.graph.outputs[0].node);
  for (const Node& node : call.graph.nodes) {
    json attributes = json::object();
    for (const auto& [name, value] : node.attributes) attributes[name] = to_json(value);
    text += fmt::format("{}\n  {{\"operator\": \"{}\", \"inputs\": {}, \"attributes\": {}}}", node.id == 0 ? "" : ",",
                        node.op->name, json(node.inputs).dump(), attributes.dump());
  }
  return text + "]}\n";
}

RandomCall call_from_json(const std::string& text) {
  const json data = json::parse(text);
  const json& about = data.at("values");
  RandomCall call{
      data.at("operator"), Graph(data.at("operator").get<std::string>()), {}, data.at("batch"), data.at("count"),
      data.at("seed")};
  call.graph.batch = call.batch;
  call.sample.low = about.at("low");
  call.sample.high = about.at("high");
  call.sample.classes = about.at("classes");
  call.sample.kinks = about.at("kinks").get<std::vector<double>>();
  call.sample.flat = about.at("flat");
  call.sample.distinct = about.at("distinct");
  call.sample.differentiable = about.at("differentiable");
  for (const json& node : data.at("nodes")) {
    const auto operators = all_operators();
    const auto op = std::find_if(operators.begin(), operators.end(),
                                 [&](const Operator* other) { return node.at("operator") == other->name; });
    if (op == operators.end()) throw InternalError("there is no operator " + node.at("operator").get<std::string>());
    std::vector<Tensor> inputs;
    for (const NodeId id : node.at("inputs")) inputs.emplace_back(&call.graph, id);
    Attributes attributes;
    for (const auto& [name, value] : node.at("attributes").items()) attributes[name] = attribute_from(value);
    call.graph.append(**op, inputs, attributes, Location::here());
  }
  call.graph.output("y", Tensor(&call.graph, data.at("output").get<NodeId>()));
  return call;
}

}  // namespace kiln::testing
