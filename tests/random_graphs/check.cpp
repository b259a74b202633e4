#include "random_graphs/check.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <stdexcept>

#include "autodiff/gradient.h"
#include "codegen/kernel_bitcode.h"
#include "lower/interpreter.h"
#include "ops/input.h"
#include "ops/parameter.h"
#include "ops/scalar.h"
#include "passes/expand.h"
#include "support/loaded_model.h"

namespace kiln::testing {
namespace {

// A result's squared error may be this part of its squared size: rounding of 2^-24 in sums of at most some thousand
// terms, squared, with room for Winograd's transforms ...
constexpr double kTolerance = 1e-7;
// ... or this many times the squared error of the same graph evaluated in f32 one operator after the other: results
// that are differences of nearly equal numbers (the gradient of a bias before a normalisation is exactly zero) have no
// relative accuracy in any order of summation. Of three evaluations the worst counts, since one can come out exact by
// chance; two of them have every sum off by up to four units in the last place, as another order of its terms may (less
// than one is often rounded away by the next operator).
constexpr double kNoiseFactor = 1e4;
constexpr size_t kRoundings = 3;
// ... or this for each element: a * b - c * d is exactly zero or not, as a multiply-add is fused or not.
constexpr double kFusedRounding = 1e-16;

const std::string& name_of(const Node& node) { return std::get<std::string>(node.attributes.at("name")); }

/// What one call of a program is given, by name, in the user's order.
struct CallData {
  int64_t count;
  kiln_scalars scalars;
  std::map<std::string, std::vector<float>> parameters, inputs;
};

/// A wanted result, in storage order without the rows that hold no data.
struct Wanted {
  std::string name;
  std::vector<double> values;                                // f64
  std::array<std::vector<double>, kRoundings> rounded = {};  // one operator after the other in f32
  std::vector<float> before;                                 // of an update: what the tensor held
};

/// The graph as it was written, evaluated one node after the other.
class WrittenGraph {
 public:
  WrittenGraph(const Sketch& sketch, bool training) {
    const Graph graph = build(sketch);
    optimizer_ = graph.optimizer.name;
    Graph expanded = expand(graph, training);
    if (training) {
      expanded.outputs.clear();
      expanded = training_step(expanded);
    }
    graph_ = std::move(expanded);
  }

  const Graph& graph() const { return graph_; }

  CallData data(int64_t count, uint64_t seed) const {
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

  std::vector<Wanted> run(const CallData& data) const {
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

 private:
  /// Is a sum, whose terms another program may add in another order.
  static bool is_sum(const Node& node) {
    static const std::set<std::string> sums = {"contraction", "reduce_sum", "reduce_mean", "average_pool",
                                               "average_pool_gradient"};
    return sums.count(node.op->name) > 0;
  }

  /// With `shift` sums are off by some units in the last place, different ones for each number but 0.
  std::vector<std::vector<double>> evaluate(const CallData& data, bool single, uint64_t shift,
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

  std::string optimizer_;
  Graph graph_;
};

/// Draws every knob of every kernel from its legal values.
void draw_schedules(Model& model, uint64_t seed, const std::string& only_kernel) {
  const std::string target = kernel_target("host");
  for (Program& program : model.programs) {
    std::mt19937_64 random(seed);  // whatever other programs there are
    for (Kernel& kernel : program.kernels) {
      kernel.schedule.clear();
      for (size_t k = 0;; ++k) {
        const std::vector<Knob> knobs = kernel_knobs(program, kernel, target);
        if (k == knobs.size()) break;
        kernel.schedule[knobs[k].name] = knobs[k].legal[random() % knobs[k].legal.size()];
      }
      if (!only_kernel.empty() && only_kernel != program.name + "/" + kernel.name) kernel.schedule.clear();
    }
  }
}

/// What a program's table says of its inputs and outputs, for one that is not compiled.
class Table {
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
      if (node.op == &input_operator) inputs_.push_back(value(name_of(node), node.id));
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

/// A graph's programs, compiled or interpreted, with their memory, which keeps what earlier calls left there.
class Programs {
 public:
  Programs(const Model& model, const CheckOptions& options)
      : model_(model), state_(static_cast<size_t>(model.state.bytes)) {
    if (!options.interpret) loaded_.emplace(model, "host", options.cache);
    for (const Program& program : model.programs) {
      if (options.interpret) tables_.try_emplace(program.name, program);
    }
  }

  const kiln_program& table(const std::string& name) const {
    return loaded_ ? *program_of(**loaded_, name) : *tables_.at(name);
  }

  /// Calls the program and returns what its results are instead of `wanted`.
  std::vector<std::vector<float>> run(const std::string& name, const CallData& data, const std::vector<Wanted>& wanted,
                                      uint64_t garbage_seed) {
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
      if (program.prepare != nullptr) program.prepare(nullptr, arena->data(), state_.data(), &data.scalars);
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

 private:
  const Model& model_;
  std::optional<LoadedModel> loaded_;
  std::map<std::string, Table> tables_;
  AlignedBytes state_;
  std::map<std::string, std::unique_ptr<AlignedBytes>> arenas_;
};

bool finite(double value) {  // whatever the compiler assumes of floating point
  return (std::bit_cast<uint64_t>(value) >> 52 & 0x7ff) != 0x7ff;
}

/// Empty, or how the two differ.
std::string difference(const Wanted& wanted, const std::vector<float>& found) {
  if (found.size() != wanted.values.size())
    return fmt::format("{} has {} elements, not {}", wanted.name, found.size(), wanted.values.size());
  double error = 0, size = 0, worst = -1;
  std::array<double, kRoundings> noise = {};
  size_t worst_at = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double want = wanted.values[i], before = wanted.before.empty() ? 0 : static_cast<double>(wanted.before[i]);
    // f32 cannot do it either: the graph is no test of anything.
    const bool possible = std::all_of(wanted.rounded.begin(), wanted.rounded.end(),
                                      [&](const std::vector<double>& rounded) { return finite(rounded[i]); });
    if (!finite(want) || !possible || std::abs(want) > 1e30) return "";
    if (!finite(found[i])) return fmt::format("{}[{}] is not finite; the reference has {:.9g}", wanted.name, i, want);
    // Of a small change of a large value, the rounding of the value itself does not count.
    const double allowed = before == 0 ? 0 : std::abs(want) * 0x1p-23;
    const double apart = std::max(0.0, std::abs(found[i] - want) - allowed);
    error += apart * apart;
    size += (want - before) * (want - before);
    for (size_t r = 0; r < kRoundings; ++r) noise[r] += std::pow(wanted.rounded[r][i] - want, 2);
    if (apart > worst) worst = apart, worst_at = i;
  }
  const double allowed = kTolerance * size + kNoiseFactor * *std::max_element(noise.begin(), noise.end()) +
                         kFusedRounding * static_cast<double>(found.size());
  if (error <= allowed) return "";
  return fmt::format(
      "{} differs by {:.2g} of its size (normalised mean squared), {:.2g} is allowed; [{}] of {} is {:.9g}, "
      "the reference has {:.9g}",
      wanted.name, error / (size + 1e-300), allowed / (size + 1e-300), worst_at, found.size(), found[worst_at],
      wanted.values[worst_at]);
}

}  // namespace

std::vector<Variant> all_variants(uint64_t seed) {
  std::vector<Variant> variants;
  for (const char* name : {"rules", "no-simplify", "no-split_sums", "no-hoist_parameters", "no-feature_weights",
                           "no-fuse", "no-in_place_updates", "no-passes"})
    variants.push_back(variant_named(name));
  variants.push_back(variant_named(fmt::format("schedule-{}", seed)));
  return variants;
}

Variant some_variant(uint64_t seed) {
  const std::vector<Variant> all = all_variants(seed);
  const size_t drawn = std::mt19937_64(seed)() % 16;
  return drawn < 5 ? all.front() : drawn < 9 ? all.back() : all[1 + (drawn - 9) % (all.size() - 2)];
}

Variant variant_named(const std::string& name) {
  Variant variant;
  variant.name = name;
  const std::map<std::string, bool Passes::*> passes = {{"simplify", &Passes::simplify},
                                                        {"split_sums", &Passes::split_sums},
                                                        {"hoist_parameters", &Passes::hoist_parameters},
                                                        {"feature_weights", &Passes::feature_weights},
                                                        {"fuse", &Passes::fuse},
                                                        {"in_place_updates", &Passes::in_place_updates}};
  if (name == "rules") return variant;
  if (name == "no-passes") {
    for (const auto& [pass, member] : passes) variant.passes.*member = false;
    return variant;
  }
  if (name.starts_with("schedule-")) {
    variant.schedule_seed = std::stoull(name.substr(9));
    return variant;
  }
  const auto found = passes.find(name.starts_with("no-") ? name.substr(3) : name);
  if (found == passes.end()) throw std::invalid_argument("there is no variant " + name);
  variant.passes.*(found->second) = false;
  return variant;
}

struct GraphCheck::Parts {
  Sketch sketch;
  CheckOptions options;
  std::optional<WrittenGraph> training = {}, prediction = {};
  struct Known {
    CallData data;
    std::vector<Wanted> wanted;
  };
  std::map<std::pair<std::string, uint64_t>, Known> known = {};  // by program and seed
};

GraphCheck::GraphCheck(Sketch sketch, CheckOptions options)
    : parts_(new Parts{std::move(sketch), std::move(options)}) {}
GraphCheck::~GraphCheck() = default;

std::optional<Mismatch> GraphCheck::run(const Variant& variant) {
  const Sketch& sketch = parts_->sketch;
  const CheckOptions& options = parts_->options;
  const auto wants = [&](const std::string& program) {
    return std::count(options.programs.begin(), options.programs.end(), program) > 0;
  };
  std::string at;
  try {
    const Graph graph = build(sketch);
    Model model = build_model(graph, variant.passes);
    std::erase_if(model.programs, [&](const Program& program) { return !wants(program.name); });
    if (variant.schedule_seed != 0) draw_schedules(model, variant.schedule_seed, variant.only_kernel);
    Programs programs(model, options);
    if (!parts_->training) parts_->training.emplace(sketch, true);
    if (!parts_->prediction) parts_->prediction.emplace(sketch, false);
    const WrittenGraph &training = *parts_->training, &prediction = *parts_->prediction;

    // Both batches of a step on three inputs, of which two must differ: at the kink of an activation or at a tie of a
    // maximum, rounding decides on which side f32 is, but not twice.
    int differing = 0;
    std::optional<Mismatch> mismatch;
    for (uint64_t round = 0; round < 3; ++round) {
      const uint64_t seed = options.seed + 1000 * round;
      const auto tail = static_cast<int64_t>(1 + seed * 7 % static_cast<uint64_t>(graph.batch));
      std::string message;
      const auto call = [&](const std::string& name, const WrittenGraph& written, int64_t count, uint64_t data_seed) {
        if (!wants(name) || !message.empty()) return;
        at = name;
        const auto [known, fresh] = parts_->known.try_emplace({name, data_seed});
        if (fresh) {
          known->second.data = written.data(count, data_seed);
          known->second.wanted = written.run(known->second.data);
        }
        const CallData& data = known->second.data;
        std::vector<Wanted> wanted = known->second.wanted;
        // Evaluation reports loss and metrics, prediction the outputs.
        const kiln_program& program = programs.table(name);
        std::erase_if(wanted, [&](const Wanted& result) {
          return result.before.empty() && std::none_of(program.outputs, program.outputs + program.output_count,
                                                       [&](const kiln_value& v) { return v.name == result.name; });
        });
        const auto found = programs.run(name, data, wanted, data_seed);
        for (size_t i = 0; i < wanted.size() && message.empty(); ++i) {
          message = difference(wanted[i], found[i]);
          if (!message.empty()) message = fmt::format("{} of {} rows: {}", count, graph.batch, message);
        }
      };
      call("train", training, graph.batch, seed);
      call("train", training, tail, seed + 1);
      call("evaluate", prediction, tail, seed + 2);
      call("predict", prediction, tail, seed + 3);
      call("predict_one", prediction, 1, seed + 4);
      if (message.empty() && round == 0) return {};
      if (message.empty()) continue;
      if (!mismatch) mismatch = Mismatch{at, message};
      if (++differing == 2 || message.find("not finite") != std::string::npos) return mismatch;
    }
    return {};
  } catch (const std::exception& error) {
    return Mismatch{at, error.what()};
  }
}

std::map<std::string, std::string> drawn_schedules(const Sketch& sketch, const Variant& variant) {
  std::map<std::string, std::string> lines;
  if (variant.schedule_seed == 0) return lines;
  Model model = build_model(build(sketch), variant.passes);
  draw_schedules(model, variant.schedule_seed, variant.only_kernel);
  for (const Program& program : model.programs) {
    for (const Kernel& kernel : program.kernels) {
      std::string& line = lines[program.name + "/" + kernel.name];
      for (const auto& [knob, value] : kernel.schedule) line += (line.empty() ? "" : ",") + knob + "=" + value;
    }
  }
  return lines;
}

Sketch shrunk(Sketch sketch, const std::function<bool(const Sketch&)>& fails, int attempts) {
  const auto accept = [&](const Sketch& candidate) {
    if (attempts-- <= 0 || !fails(candidate)) return false;
    sketch = candidate;
    return true;
  };
  /// Without the lines that nothing needs, and without line `gone`, which nothing reads any more.
  const auto tidied = [](const Sketch& from, int gone) {
    std::vector<bool> needed(from.lines.size(), false);
    for (size_t i = from.lines.size(); i-- > 0;) {
      const std::string& op = from.lines[i].operation;
      needed[i] = static_cast<int>(i) != gone && (needed[i] || op == "output" || op == "metric" || op == "train");
      if (!needed[i]) continue;
      for (const int input : from.lines[i].inputs) {
        if (input >= 0) needed[static_cast<size_t>(input)] = true;
      }
    }
    Sketch result;
    std::vector<int> numbers(from.lines.size(), -1);
    for (size_t i = 0; i < from.lines.size(); ++i) {
      if (!needed[i]) continue;
      numbers[i] = static_cast<int>(result.lines.size());
      result.lines.push_back(from.lines[i]);
      for (int& input : result.lines.back().inputs) input = input < 0 ? -1 : numbers[static_cast<size_t>(input)];
    }
    return result;
  };
  const auto shapes_of = [](const Sketch& from) {
    Graph graph{"random_graph"};
    std::vector<Tensor> tensors;
    for (size_t i = 0; i < from.lines.size(); ++i) tensors.push_back(build_line(graph, from, i, tensors));
    std::vector<std::optional<Shape>> shapes;
    for (const Tensor& tensor : tensors) shapes.push_back(tensor ? std::optional<Shape>(tensor.shape()) : std::nullopt);
    return shapes;
  };
  for (bool smaller = true; smaller && attempts > 0;) {
    smaller = false;
    for (auto i = static_cast<int>(sketch.lines.size()) - 1; i >= 0 && attempts > 0; --i) {
      if (i >= static_cast<int>(sketch.lines.size())) continue;
      const Line line = sketch.lines[static_cast<size_t>(i)];
      if (line.operation == "output" || line.operation == "metric" || line.operation == "train") {
        if (line.operation != "train") smaller |= accept(tidied(sketch, i));
        continue;
      }
      const auto shapes = shapes_of(sketch);
      const Shape& shape = *shapes[static_cast<size_t>(i)];
      bool done = false;
      // Who reads it reads one of its own operands instead ...
      for (const int other : line.inputs) {
        if (other < 0 || !shapes[static_cast<size_t>(other)] || *shapes[static_cast<size_t>(other)] != shape) continue;
        Sketch candidate = sketch;
        for (Line& reader : candidate.lines) std::replace(reader.inputs.begin(), reader.inputs.end(), i, other);
        if ((done = accept(tidied(candidate, i)))) break;
      }
      // ... or an input or weight of that shape, which cuts off everything before.
      if (!done && !line.inputs.empty()) {
        Sketch candidate = sketch;
        const bool batched = has_batch(shape);
        candidate.lines[static_cast<size_t>(i)] = {
            batched ? "input" : "parameter", {}, {{"shape", Shape(shape.begin() + (batched ? 1 : 0), shape.end())}}};
        done = accept(tidied(candidate, -1));
      }
      // Settings that it can do without.
      for (size_t s = 0; !done && s < line.settings.size() && !line.inputs.empty(); ++s) {
        Sketch candidate = sketch;
        auto& settings = candidate.lines[static_cast<size_t>(i)].settings;
        settings.erase(settings.begin() + static_cast<std::ptrdiff_t>(s));
        try {
          if (shapes_of(candidate)[static_cast<size_t>(i)] == shape) done = accept(candidate);
        } catch (const UserError&) {
        }
      }
      smaller |= done;
    }
  }
  return sketch;
}

}  // namespace kiln::testing
