#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codegen/model.h"
#include "program.h"

namespace kiln {

/// A compiled model inside the test's own process: its object file through LLVM's JIT linker, with kernels that run on
/// the calling thread.
class LoadedModel {
 public:
  explicit LoadedModel(const Model& model, const std::string& target = "host");
  ~LoadedModel();
  const kiln_model& operator*() const { return *model_; }
  const kiln_model* operator->() const { return model_; }

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  const kiln_model* model_ = nullptr;
};

/// Aligned zeroed memory.
class AlignedBytes {
 public:
  explicit AlignedBytes(size_t size);
  uint8_t* data() { return data_.get(); }
  template <class T>
  T* at(size_t offset) {
    return reinterpret_cast<T*>(data_.get() + offset);
  }

 private:
  std::unique_ptr<uint8_t, void (*)(void*)> data_;
};

/// How a program's results compare with the reference evaluation of the graph it was made from.
struct Difference {
  std::string name;
  double error;  // normalised mean squared: |a - b|^2 / |b|^2
};

/// Runs one call of the program and of the f64 reference on the same random state and inputs, `count` rows of data, and
/// compares the loss, the metrics, the outputs and the change of every updated parameter.
std::vector<Difference> compare_with_reference(const Model& model, const std::string& program, int64_t count, int32_t seed);

}  // namespace kiln
