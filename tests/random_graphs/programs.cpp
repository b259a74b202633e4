#include "random_graphs/programs.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "lower/interpreter.h"
#include "ops/input.h"
#include "ops/one_hot.h"
#include "ops/scalar.h"

namespace kiln::testing {
namespace {

/// One call of a program, its kernels interpreted one after the other on the memory that the plan gives them.
void interpret(const Program& program, uint8_t* arena, uint8_t* state, const kiln_scalars& scalars) {
  const auto address = [&](NodeId id) {
    const Placement& placement = program.placements[static_cast<size_t>(id)];
    return (placement.kind == Placement::Kind::state ? state : arena) + placement.offset;
  };
  Interpreter interpreter(program.graph, {.lanes = program.lanes,
                                          .count = scalars.count,
                                          .seed = scalars.seed,
                                          .step = scalars.step,
                                          .learning_rate = scalars.learning_rate,
                                          .label_smoothing = scalars.label_smoothing});
  for (const Kernel& kernel : program.kernels) {
    interpreter.forget();
    for (const NodeId leaf : kernel.leaves) {
      const Node& node = program.graph.node(leaf);
      if (node.op == &scalar_operator) continue;
      if (node.type.element == ElementType::int32)
        interpreter.store(leaf, reinterpret_cast<const int32_t*>(address(leaf)));
      else
        interpreter.store(leaf, reinterpret_cast<const float*>(address(leaf)));
    }
    std::vector<std::vector<double>> results;  // a kernel may write where it reads
    for (const NodeId root : kernel.roots) results.push_back(interpreter.values(root));
    for (size_t r = 0; r < results.size(); ++r)
      std::copy(results[r].begin(), results[r].end(), reinterpret_cast<float*>(address(kernel.roots[r])));
  }
  for (const Copy& copy : program.copies)
    std::memcpy(state + copy.state_offset, address(copy.from), static_cast<size_t>(copy.bytes));
}

}  // namespace

/// What a program's table says of its inputs and outputs, for one that is not compiled.
class Programs::Table {
 public:
  explicit Table(const Program& program) {
    const Graph& graph = program.graph;
    const auto value = [&](const std::string& name, NodeId id) {
      const Type& type = graph.node(id).type;
      kiln_value result = {};
      result.name = name.c_str();
      result.element = type.element == ElementType::int32 ? KILN_I32 : KILN_F32;
      result.batched = has_batch(type.shape) ? 1 : 0;
      result.offset = static_cast<uint64_t>(program.placements[static_cast<size_t>(id)].offset);
      result.count = static_cast<uint64_t>(element_count(type.shape, 1));
      result.classes = static_cast<int32_t>(label_classes(graph, id));
      return result;
    };
    for (const Node& node : graph.nodes) {
      if (node.op == &input_operator)
        inputs_.push_back(value(std::get<std::string>(node.attributes.at("name")), node.id));
    }
    static const std::string loss = "loss";
    if (graph.loss) outputs_.push_back(value(loss, *graph.loss));
    for (const Output& metric : graph.metrics) outputs_.push_back(value(metric.name, metric.node));
    for (const Output& output : graph.outputs) outputs_.push_back(value(output.name, output.node));
    table_.name = program.name.c_str();
    table_.batch = static_cast<int32_t>(program.batch);
    table_.lanes = static_cast<int32_t>(program.lanes);
    table_.arena_bytes = static_cast<uint64_t>(program.arena_bytes);
    table_.inputs = inputs_.data();
    table_.input_count = static_cast<int32_t>(inputs_.size());
    table_.outputs = outputs_.data();
    table_.output_count = static_cast<int32_t>(outputs_.size());
  }
  const kiln_program& operator*() const { return table_; }

 private:
  std::vector<kiln_value> inputs_, outputs_;
  kiln_program table_ = {};
};

Programs::Programs(const Model& model, bool interpret, const CompileCache& cache)
    : model_(model), state_(static_cast<size_t>(model.state.bytes)) {
  if (!interpret) loaded_.emplace(model, "host", cache);
  for (const Program& program : model.programs) {
    if (interpret) tables_.try_emplace(program.name, program);
  }
}
Programs::~Programs() = default;

const kiln_program& Programs::table(const std::string& name) const {
  return loaded_ ? *program_of(**loaded_, name) : *tables_.at(name);
}

std::vector<std::vector<float>> Programs::run(const std::string& name, const CallData& data,
                                              const std::vector<Wanted>& wanted, uint64_t garbage_seed) {
  const kiln_program& program = table(name);
  std::mt19937_64 garbage(garbage_seed);
  std::unique_ptr<AlignedBytes>& arena = arenas_[name];
  if (arena == nullptr) {
    // Whatever lies in memory that nobody has written: finite, and far from any value.
    arena = std::make_unique<AlignedBytes>(program.arena_bytes);
    for (size_t i = 0; i < program.arena_bytes / 4; ++i)
      arena->at<float>(0)[i] = 1e3F + static_cast<float>(garbage() % 1000);
  }
  for (const auto& [parameter, values] : data.parameters) {
    const auto entry = model_.state.entries.find(parameter);
    if (entry != model_.state.entries.end())
      std::copy(values.begin(), values.end(), state_.at<float>(static_cast<size_t>(entry->second.offset)));
  }
  for (int i = 0; i < program.input_count; ++i) {
    const kiln_value& input = program.inputs[i];
    const std::vector<float>& values = data.inputs.at(input.name);
    const auto lanes = static_cast<size_t>(program.lanes);
    for (size_t n = 0; n < lanes; ++n) {
      for (size_t e = 0; e < input.count; ++e) {
        const size_t to = e * lanes + n, from = n * input.count + e;
        // Rows without data are ignored, so anything finite may be there.
        const bool held = static_cast<int64_t>(n) < data.count;
        if (input.element == KILN_F32)
          arena->at<float>(input.offset)[to] = held ? values[from] : static_cast<float>(garbage() % 100) / 7 - 5;
        else
          arena->at<int32_t>(input.offset)[to] =
              held ? static_cast<int32_t>(values[from])
                   : static_cast<int32_t>(garbage() % static_cast<uint64_t>(std::max(1, input.classes)));
      }
    }
  }
  if (loaded_) {
    const kiln_scalars none = {};  // as the runtime has it
    if (program.prepare != nullptr) program.prepare(nullptr, arena->data(), state_.data(), &none);
    program.step(nullptr, arena->data(), state_.data(), &data.scalars);
  } else {
    interpret(program_named(model_, name), arena->data(), state_.data(), data.scalars);
  }

  std::vector<std::vector<float>> results;
  for (const Wanted& result : wanted) {
    std::vector<float>& found = results.emplace_back();
    if (!result.before.empty()) {
      const StateEntry& entry = model_.state.entries.at(result.name);
      const float* from = state_.at<float>(static_cast<size_t>(entry.offset));
      found.assign(from, from + entry.count);
      continue;
    }
    const auto* end = program.outputs + program.output_count;
    const auto* output =
        std::find_if(program.outputs, end, [&](const kiln_value& value) { return value.name == result.name; });
    if (output == end) throw InternalError("program " + name + " lacks the result " + result.name);
    const size_t stride = output->batched ? static_cast<size_t>(program.lanes) : 1;
    const size_t rows = output->batched ? static_cast<size_t>(data.count) : 1;
    for (size_t e = 0; e < output->count; ++e) {
      for (size_t n = 0; n < rows; ++n) found.push_back(arena->at<float>(output->offset)[e * stride + n]);
    }
  }
  return results;
}

}  // namespace kiln::testing
