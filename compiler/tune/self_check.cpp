#include "tune/self_check.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "codegen/kernel_bitcode.h"
#include "executor.h"
#include "finite.h"
#include "initialize.h"
#include "lower/interpreter.h"
#include "ops/scalar.h"
#include "parallel.h"
#include "processor.h"
#include "tune/loaded_object.h"

namespace kiln {
namespace {

/// Terms of sums that may be interpreted for one result of a kernel, and the elements that are at most and at least
/// looked at: a digit network's check takes about a second.
constexpr int64_t kTerms = 4'000;
constexpr int64_t kMostElements = 48, kFewestElements = 2;

// The tolerances of the tests (docs/design.md, Numbers): of the size, and of what f32 itself costs.
constexpr double kTolerance = 1e-7, kNoiseFactor = 1e4;
/// An element's error of 1e-8, squared: a * b - c * d is exactly zero or not, as a multiply-add is fused or not.
constexpr double kFusedRounding = 1e-16;

/// One program with memory of its own.
class ProgramCheck {
 public:
  ProgramCheck(const Program& program, const kiln_model& model, const std::string& target, Context& context)
      : program_(program),
        compiled_(*program_of(model, program.name)),
        target_(target),
        context_(context),
        arena_(compiled_.arena_bytes),
        state_(model.state_bytes),
        count_(std::max<int64_t>(1, program.batch - program.batch / 4)) {
    initialize(model, 1, state_.data());
    for (int p = 0; p < model.parameter_count; ++p) {
      const kiln_parameter& parameter = model.parameters[p];
      if (parameter.initializer != KILN_CONSTANT) continue;
      auto* values = reinterpret_cast<float*>(state_.data() + parameter.offset);
      for (uint64_t i = 0; i < parameter.count; ++i) values[i] += 0.2F * uniform();  // no zeros, no ones
    }
    for (int i = 0; i < compiled_.input_count; ++i) {
      const kiln_value& input = compiled_.inputs[i];
      const uint64_t elements = input.count * (input.batched ? static_cast<uint64_t>(compiled_.lanes) : 1);
      for (uint64_t e = 0; e < elements; ++e) {
        if (input.element == KILN_I32)
          reinterpret_cast<int32_t*>(arena_.data() + input.offset)[e] =
              static_cast<int32_t>(random_() % static_cast<uint32_t>(std::max(1, input.classes)));
        else
          reinterpret_cast<float*>(arena_.data() + input.offset)[e] = uniform();
      }
    }
  }

  void run() {
    for (size_t k = 0; k < program_.kernels.size(); ++k) check(program_.kernels[k], compiled_.kernels[k]);
  }

 private:
  float uniform() { return static_cast<float>(random_() >> 8) * 0x1p-24F; }

  template <class Element>
  Element* address(NodeId id) {
    const Placement& placement = program_.placements[static_cast<size_t>(id)];
    uint8_t* base = placement.kind == Placement::Kind::state ? state_.data() : arena_.data();
    return reinterpret_cast<Element*>(base + placement.offset);
  }

  static float from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

  /// Elements of a result in rows that hold data.
  Positions some_positions(const Shape& shape, int64_t wanted) {
    const Shape extents = with_batch(shape, count_);
    if (element_count(extents) <= wanted) wanted = element_count(extents);
    Positions positions;
    positions.count = static_cast<size_t>(wanted);
    for (const int64_t extent : extents) {
      std::vector<int>& dimension = positions.at.emplace_back();
      for (int64_t i = 0; i < wanted; ++i)
        dimension.push_back(static_cast<int>(random_() % static_cast<uint32_t>(extent)));
    }
    return positions;
  }

  double found_at(NodeId root, const Positions& positions, size_t i) {
    const Shape& shape = program_.graph.node(root).type.shape;
    const bool batched = has_batch(shape);
    int64_t offset = 0;
    for (size_t d = batched ? 1 : 0; d < shape.size(); ++d) offset = offset * shape[d] + positions.at[d][i];
    if (batched) offset = offset * program_.lanes + positions.at[0][i];
    if (program_.graph.node(root).type.element == ElementType::bf16) return from_bf16(address<uint16_t>(root)[offset]);
    return address<float>(root)[offset];
  }

  void check(const Kernel& kernel, const kiln_kernel& compiled) {
    const Graph& graph = program_.graph;
    const kiln_scalars scalars = {0.5F, 3, 1, static_cast<int32_t>(count_), 0.125F};
    InterpreterOptions options = {.lanes = program_.lanes,
                                  .count = count_,
                                  .seed = scalars.seed,
                                  .step = scalars.step,
                                  .learning_rate = scalars.learning_rate,
                                  .label_smoothing = scalars.label_smoothing};
    if (program_.precision == Precision::mixed) {
      for (const Knob& knob : kernel_knobs(program_, kernel, target_)) {
        if (knob.name == "products" && knob.value == "bf16") options.rounded.insert(kernel.anchors[0]);
      }
    }
    Interpreter exact(graph, options);
    options.single = true;
    Interpreter single(graph, options);
    std::vector<std::vector<float>> copies;  // of what the kernel overwrites, and of bf16 as f32
    for (const NodeId leaf : kernel.leaves) {
      const Node& node = graph.node(leaf);
      if (node.op == &scalar_operator) continue;
      const auto* values = address<float>(leaf);
      if (program_.placements[static_cast<size_t>(leaf)].kind == Placement::Kind::state) {
        const bool overwritten = std::any_of(kernel.roots.begin(), kernel.roots.end(),
                                             [&](NodeId root) { return address<float>(root) == values; });
        if (overwritten) values = copies.emplace_back(values, values + element_count(node.type.shape)).data();
      }
      if (node.type.element == ElementType::bf16) {
        std::vector<float>& copy = copies.emplace_back(element_count(node.type.shape, program_.lanes));
        std::transform(address<uint16_t>(leaf), address<uint16_t>(leaf) + copy.size(), copy.begin(), from_bf16);
        values = copy.data();
      }
      for (Interpreter* interpreter : {&exact, &single}) {
        if (node.type.element != ElementType::int32)
          interpreter->store(leaf, values);
        else
          interpreter->store(leaf, reinterpret_cast<const int32_t*>(values));
      }
    }
    compiled.run(&context_, arena_.data(), state_.data(), &scalars);
    for (const NodeId root : kernel.roots) {
      const Node& node = graph.node(root);
      const int64_t wanted = std::clamp(kTerms / exact.terms(root), kFewestElements, kMostElements);
      const Positions positions = some_positions(node.type.shape, wanted);
      const std::vector<double> values = exact.values(root, positions);
      double error = 0, size = 0, noise = 0, worst = -1;
      size_t worst_at = 0;
      // The random inputs are none of this graph's: what is not finite says nothing, log(x - 1), nor where f32 has no
      // room for what lies between, exp(x) / (1 + exp(x)).
      const auto compare = [&](const std::vector<double>* rough) {
        error = size = noise = 0, worst = -1;
        for (size_t i = 0; i < values.size(); ++i) {
          if (!is_finite(values[i]) || (rough && !is_finite((*rough)[i]))) continue;
          const double found = found_at(root, positions, i);
          const double apart = is_finite(found) ? std::abs(found - values[i]) : 1e150;
          error += apart * apart;
          size += values[i] * values[i];
          if (rough) noise += std::pow((*rough)[i] - values[i], 2);
          if (apart > worst) worst = apart, worst_at = i;
        }
        return error <= kTolerance * size + kFusedRounding * static_cast<double>(values.size()) + kNoiseFactor * noise;
      };
      if (compare(nullptr)) continue;
      // Differences of nearly equal numbers have no relative accuracy, in whatever order they are summed.
      const std::vector<double> rough = single.values(root, positions);
      if (compare(&rough)) continue;
      throw InternalError(
          fmt::format("{}:{}: kernel {} of {}, compiled for {}, does not compute its {}: {:.9g} instead of {:.9g}; the "
                      "object is not "
                      "used",
                      compiled.file, compiled.line, kernel.name, program_.name, target_, node.op->name,
                      found_at(root, positions, worst_at), values[worst_at]));
    }
  }

  const Program& program_;
  const kiln_program& compiled_;
  const std::string target_;
  Context& context_;
  AlignedMemory arena_, state_;
  const int64_t count_;
  std::mt19937 random_{1};
};

std::string architecture(const std::string& target) { return target.substr(0, target.find("-linux")); }

bool runs_here(const std::string& target) {
  if (architecture(target) != architecture(kernel_target("host"))) return false;
  size_t begin = 0;
  while (begin < target.size()) {
    const size_t end = std::min(target.find('-', begin), target.size());
    const std::string_view feature = std::string_view(target).substr(begin, end - begin);
    if (!processor_has(feature)) return false;
    if (feature == "asan" || feature == "tsan") return false;  // calls what this program is not linked with
    begin = end + 1;
  }
  return true;
}

}  // namespace

ObjectCheck check_object(const std::vector<Model>& variants, const std::string& object) {
  ObjectCheck result;
  for (const Model& variant : variants) {
    if (!runs_here(variant.target)) result.unchecked.push_back(variant.target);
  }
  if (result.unchecked.size() == variants.size()) return result;
  const LoadedObject loaded(object, variants[0].name, {&kiln_parallel_for, &kiln_allocate, &kiln_release});
  Context context(1);
  const kiln_model* compiled = &loaded.model();
  for (const Model& variant : variants) {
    if (runs_here(variant.target)) {
      for (const Program& program : variant.programs) {
        ProgramCheck(program, *compiled, variant.target, context).run();
        result.kernels += program.kernels.size();
      }
    }
    compiled = compiled->next;
  }
  return result;
}

}  // namespace kiln
