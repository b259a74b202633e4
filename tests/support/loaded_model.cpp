#include "support/loaded_model.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>

#include "codegen/kernel_bitcode.h"
#include "lower/reference.h"
#include "ops/input.h"
#include "ops/one_hot.h"
#include "ops/parameter.h"

namespace kiln {
namespace {

// The runtime's own pool is tested with the runtime; here tasks run in reverse, which must make no difference.
int run_serially(void* context, int (*task)(void*, int, uint8_t*), int begin, int count, uint8_t* closure) {
  for (int i = begin + count; i-- > begin;) task(context, i, closure);
  return 0;
}

// A block ends where a page begins that nobody may touch, and its mapping is noted in the 64 bytes before it.
struct Mapping {
  void* begin;
  size_t bytes;
};
constexpr size_t kLine = 64;

void* allocate(void*, uint64_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t used = (bytes + kLine - 1) / kLine * kLine, held = (kLine + used + page - 1) / page * page;
  const Mapping mapping = {mmap(nullptr, held + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), held + page};
  if (mapping.begin == MAP_FAILED || mprotect(mapping.begin, held, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  uint8_t* const block = static_cast<uint8_t*>(mapping.begin) + held - used;
  std::memcpy(block - kLine, &mapping, sizeof mapping);
  return block;
}

void release(void*, void* block) {
  if (block == nullptr) return;
  Mapping mapping;
  std::memcpy(&mapping, static_cast<uint8_t*>(block) - kLine, sizeof mapping);
  if (munmap(mapping.begin, mapping.bytes) != 0) std::abort();  // written over by a kernel
}

/// The contractions that the program multiplies in bf16.
std::set<NodeId> rounded_contractions(const Program& program) {
  std::set<NodeId> rounded;
  for (const Kernel& kernel : program.kernels) {
    for (const Knob& knob : kernel_knobs(program, kernel, kernel_target("host"))) {
      if (knob.name == "products" && knob.value == "bf16") rounded.insert(kernel.anchors[0]);
    }
  }
  return rounded;
}

}  // namespace

LoadedModel::LoadedModel(const Model& model, const std::string& target, CompileCache cache)
    : object_(compile_object(model, {.target = target, .threads = 1, .cache = std::move(cache)}).bytes, model.name,
              {&run_serially, &allocate, &release}) {}

LoadedModel::LoadedModel(const std::vector<Model>& variants)
    : object_(compile_object(variants, {.threads = 1}).bytes, variants[0].name, {&run_serially, &allocate, &release}) {}

AlignedBytes::AlignedBytes(size_t size) : data_(static_cast<uint8_t*>(allocate(nullptr, size))), size_(size) {}

void AlignedBytes::Release::operator()(uint8_t* data) const { release(nullptr, data); }

void run_step(const kiln_model& model, const std::string& name, StepData& data, void* context) {
  const kiln_program& program = *program_of(model, name);
  const kiln_scalars none = {};  // as the runtime has it
  if (program.prepare != nullptr) program.prepare(context, data.arena.data(), data.state.data(), &none);
  program.step(context, data.arena.data(), data.state.data(), &data.scalars);
}

const Program& program_named(const Model& model, const std::string& name) {
  for (const Program& program : model.programs) {
    if (program.name == name) return program;
  }
  throw InternalError("no program " + name);
}

StepData random_step(const Model& model, const Program& program, int64_t count, int32_t seed) {
  const Graph& graph = program.graph;
  StepData step{
      AlignedBytes(static_cast<size_t>(program.arena_bytes)),
      AlignedBytes(static_cast<size_t>(model.state.bytes)),
      {.learning_rate = 1e-3f, .step = 3, .seed = seed, .count = static_cast<int32_t>(count), .label_smoothing = 0},
      {}};
  std::mt19937 generator(static_cast<uint32_t>(seed));
  std::uniform_real_distribution<float> uniform(0, 1);

  // The same values for both: parameters near their initialisation, inputs in [0, 1), labels in range.
  for (const Node& node : graph.nodes) {
    std::vector<double>& list = step.values[node.id];
    if (node.op == &parameter_operator) {
      const StateEntry& entry = model.state.entries.at(std::get<std::string>(node.attributes.at("name")));
      const double scale = std::get<double>(node.attributes.at("scale"));
      const bool constant = std::get<int64_t>(node.attributes.at("initializer")) == 0;
      for (int64_t i = 0; i < entry.count; ++i) {
        // Every parameter away from its trivial value; second moments and variances positive.
        const float value = constant ? static_cast<float>(scale) + 0.2f * uniform(generator)
                                     : (2 * uniform(generator) - 1) * static_cast<float>(scale);
        step.state.at<float>(static_cast<size_t>(entry.offset))[i] = value;
        list.push_back(value);
      }
    } else if (node.op == &input_operator) {
      const int64_t known = label_classes(graph, node.id), classes = known > 0 ? known : 2;
      const int64_t per_row = element_count(node.type.shape, 1);
      uint8_t* data = step.arena.data() + program.placements[node.id].offset;
      // Lanes without data repeat the last row that has some, as the runtime has it.
      for (int64_t n = 0; n < program.lanes; ++n) {
        for (int64_t i = 0; i < per_row; ++i) {
          const int64_t at = i * program.lanes + n, last = i * program.lanes + count - 1;
          if (node.type.element == ElementType::real) {
            float* const reals = reinterpret_cast<float*>(data);
            reals[at] = n < count ? uniform(generator) : reals[last];
            if (n < program.batch) list.push_back(reals[at]);
          } else {
            int32_t* const labels = reinterpret_cast<int32_t*>(data);
            labels[at] = n < count ? static_cast<int32_t>(generator() % static_cast<uint32_t>(classes)) : labels[last];
            if (n < program.batch) list.push_back(labels[at]);
          }
        }
      }
    } else {
      step.values.erase(node.id);
    }
  }
  return step;
}

std::vector<Difference> compare_with_reference(const Model& model, const std::string& name, int64_t count, int32_t seed,
                                               const StepRunner& run) {
  const Program* program = &program_named(model, name);
  const Graph& graph = program->graph;
  StepData step = random_step(model, *program, count, seed);
  AlignedBytes &state = step.state, &arena = step.arena;
  const auto& values = step.values;
  std::vector<NodeId> results;
  std::vector<std::string> names;
  if (graph.loss) results.push_back(*graph.loss), names.emplace_back("loss");
  for (const Output& metric : graph.metrics) results.push_back(metric.node), names.push_back(metric.name);
  for (const Output& output : graph.outputs) results.push_back(output.node), names.push_back(output.name);
  const size_t output_count = results.size();
  for (const Update& update : graph.updates) {
    results.push_back(update.value);
    names.push_back(std::get<std::string>(graph.node(update.parameter).attributes.at("name")));
  }
  const ReferenceOptions options = {.count = count, .seed = seed, .step = step.scalars.step, .learning_rate = 1e-3};
  const auto expected = Reference(graph, results, program->batch, rounded_contractions(*program)).run(values, options);

  if (run) {
    run(*program, step);
  } else {
    Model alone = model;  // the other programs need not be compiled
    alone.programs = {*program};
    run_step(*LoadedModel(alone), name, step);
  }

  std::vector<Difference> differences;
  for (size_t i = 0; i < results.size(); ++i) {
    double difference = 0, size = 0;
    const auto compare = [&](double found, double wanted, double allowed = 0) {
      difference += std::pow(std::max(0.0, std::abs(found - wanted) - allowed), 2);
      size += wanted * wanted;
    };
    const Shape& shape = graph.node(results[i]).type.shape;
    if (i < output_count) {
      const float* data = arena.at<float>(static_cast<size_t>(program->placements[results[i]].offset));
      const int64_t per_row = element_count(shape, 1);
      for (int64_t n = 0; n < (has_batch(shape) ? count : 1); ++n) {
        for (int64_t k = 0; k < per_row; ++k) {
          compare(data[has_batch(shape) ? k * program->lanes + n : k],
                  expected[i][static_cast<size_t>(n * per_row + k)]);
        }
      }
    } else {
      // The change, not the value: a step that does nothing must not look right.
      const std::vector<double>& before = values.at(graph.updates[i - output_count].parameter);
      const float* data = state.at<float>(static_cast<size_t>(model.state.entries.at(names[i]).offset));
      for (size_t k = 0; k < before.size(); ++k) {
        // Nor must the rounding of the value itself, a product and a sum, count as one of its small change.
        compare(data[k] - before[k], expected[i][k] - before[k], std::abs(expected[i][k]) * 0x1p-23);
      }
    }
    differences.push_back({names[i], difference / (size + 1e-30)});
  }
  return differences;
}

}  // namespace kiln
