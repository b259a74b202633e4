#include "tune/bench.h"

#include <algorithm>
#include <cstring>
#include <random>

#include "initialize.h"

namespace kiln {

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

LoadedObject load_model(const Model& model, const CompileOptions& options) {
  return {compile_object(model, options).bytes, model.name, {&kiln_parallel_for, &kiln_allocate, &kiln_release}};
}

Bench::Bench(const Program& program, const LoadedObject& object, Context& context)
    : program(program),
      compiled(*program_of(object.model(), program.name)),
      context(context),
      arena(compiled.arena_bytes),
      state(object.model().state_bytes) {
  initialize(object.model(), 1, state.data());
  std::mt19937 random(1);
  for (int i = 0; i < compiled.input_count; ++i) {
    const kiln_value& input = compiled.inputs[i];
    const uint64_t count = input.count * (input.batched ? static_cast<uint64_t>(compiled.lanes) : 1);
    for (uint64_t e = 0; e < count; ++e) {
      if (input.element == KILN_I32)
        reinterpret_cast<int32_t*>(arena.data() + input.offset)[e] =
            static_cast<int32_t>(random() % static_cast<uint32_t>(std::max(1, input.classes)));
      else
        reinterpret_cast<float*>(arena.data() + input.offset)[e] = static_cast<float>(random() % 256) / 255;
    }
  }
  step(compiled);
}

double Bench::run(const kiln_kernel& kernel) {
  const kiln_scalars values = scalars();
  const auto start = Clock::now();
  kernel.run(&context, arena.data(), state.data(), &values);
  return seconds_since(start);
}

double Bench::step(const kiln_program& other) {
  const kiln_scalars values = scalars();
  if (other.prepare != nullptr) other.prepare(&context, arena.data(), state.data(), &values);
  const auto start = Clock::now();
  other.step(&context, arena.data(), state.data(), &values);
  return seconds_since(start);
}

std::vector<float> Bench::results(const Kernel& kernel) {
  std::vector<float> values;
  each_root(kernel, [&](uint8_t* data, size_t bytes) {
    const size_t before = values.size();
    values.resize(before + bytes / sizeof(float));
    std::memcpy(values.data() + before, data, bytes);
  });
  return values;
}

void Bench::restore(const Kernel& kernel, const std::vector<float>& values) {
  const float* from = values.data();
  each_root(kernel, [&](uint8_t* data, size_t bytes) {
    std::memcpy(data, from, bytes);
    from += bytes / sizeof(float);
  });
}

template <class Work>
void Bench::each_root(const Kernel& kernel, Work work) {
  for (NodeId root : kernel.roots) {
    const Node& node = program.graph.node(root);
    const Placement& placement = program.placements[root];
    uint8_t* base = placement.kind == Placement::Kind::state ? state.data() : arena.data();
    if (node.type.element == ElementType::real)
      work(base + placement.offset, static_cast<size_t>(element_count(node.type.shape, program.lanes)) * sizeof(float));
  }
}

}  // namespace kiln
