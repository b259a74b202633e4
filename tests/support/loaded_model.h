#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "codegen/compile_cache.h"
#include "codegen/model.h"
#include "program.h"
#include "tune/loaded_object.h"

namespace kiln {

/// A compiled model inside the test's own process, with kernels that run on the calling thread and whose memory is
/// fenced as that of AlignedBytes.
class LoadedModel {
 public:
  explicit LoadedModel(const Model& model, const std::string& target = "host", CompileCache cache = {});
  explicit LoadedModel(const std::vector<Model>& variants);
  const kiln_model& operator*() const { return object_.model(); }
  const kiln_model* operator->() const { return &object_.model(); }

 private:
  LoadedObject object_;
};

/// Zeroed memory, aligned to 64 bytes, that ends where a page begins which nobody may touch: a kernel that reads or
/// writes more than 63 bytes beyond its arena or the state ends the test.
class AlignedBytes {
 public:
  explicit AlignedBytes(size_t size);
  uint8_t* data() { return data_.get(); }
  const uint8_t* data() const { return data_.get(); }
  size_t size() const { return size_; }
  template <class T>
  T* at(size_t offset) {
    return reinterpret_cast<T*>(data_.get() + offset);
  }

 private:
  struct Release {
    void operator()(uint8_t* data) const;
  };
  std::unique_ptr<uint8_t, Release> data_;
  size_t size_;
};

/// A model's program by its name.
const Program& program_named(const Model& model, const std::string& name);

/// What one call of a program is given: random state and inputs, `count` rows of data.
struct StepData {
  AlignedBytes arena, state;
  kiln_scalars scalars;
  std::map<NodeId, std::vector<double>> values;  // the same parameters and inputs, for the reference
};
StepData random_step(const Model& model, const Program& program, int64_t count, int32_t seed);
/// One call of a compiled model's program on it, what is done once included.
void run_step(const kiln_model& model, const std::string& program, StepData& data, void* context = nullptr);

/// How a program's results compare with the reference evaluation of the graph it was made from.
struct Difference {
  std::string name;
  double error;  // normalised mean squared: |a - b|^2 / |b|^2
};

/// Runs one call of the program, some way or other, on the arena and the state.
using StepRunner = std::function<void(const Program& program, StepData& data)>;

/// Runs one call of the program and of the f64 reference on the same random_step(), and compares the loss, the metrics,
/// the outputs and the change of every updated parameter. Without `run` the program is compiled for this machine.
std::vector<Difference> compare_with_reference(const Model& model, const std::string& program, int64_t count,
                                               int32_t seed, const StepRunner& run = {});

}  // namespace kiln
