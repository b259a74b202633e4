#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codegen/model.h"
#include "program.h"
#include "tune/loaded_object.h"

namespace kiln {

/// A compiled model inside the test's own process, with kernels that run on the calling thread.
class LoadedModel {
 public:
  explicit LoadedModel(const Model& model, const std::string& target = "host");
  const kiln_model& operator*() const { return object_.model(); }
  const kiln_model* operator->() const { return &object_.model(); }

 private:
  LoadedObject object_;
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
