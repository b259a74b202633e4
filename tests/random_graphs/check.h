#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/compile_cache.h"
#include "random_graphs/variant.h"

namespace kiln::testing {

/// How a program differs from its reference.
struct Mismatch {
  std::string program;  // empty: the graph was not compiled at all
  std::string message;  // one line
};

struct CheckOptions {
  uint64_t seed = 1;  // of weights, inputs and dropout
  std::vector<std::string> programs = kPrograms;
  bool interpret = false;   // interpret the kernels on the planned memory: passes and plan alone, much faster
  CompileCache cache = {};  // variants of one graph have most kernels in common
};

/// Compiles or interprets the graph as the variant says, trains two steps (one with a tail batch) and calls its other
/// programs, and compares every result and every updated tensor with an unscheduled f64 evaluation of the graph as it
/// was written: expanded and differentiated, but not simplified, fused or planned, once for all variants. run() is
/// empty when all agree.
class GraphCheck {
 public:
  explicit GraphCheck(Sketch sketch, CheckOptions options = {});
  ~GraphCheck();
  std::optional<Mismatch> run(const Variant& variant);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};
/// The same of one variant.
inline std::optional<Mismatch> check(const Sketch& sketch, const Variant& variant, const CheckOptions& options = {}) {
  return GraphCheck(sketch, options).run(variant);
}

}  // namespace kiln::testing
