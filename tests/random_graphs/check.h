#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/compile_cache.h"
#include "driver/pipeline.h"
#include "random_graphs/sketch.h"

namespace kiln::testing {

/// One way to compile a graph.
struct Variant {
  std::string name;  // "rules", "no-simplify", ..., "schedule-<seed>"
  Passes passes = {};
  uint64_t schedule_seed = 0;    // not 0: every kernel's knobs are drawn from what is legal
  std::string only_kernel = {};  // "train/conv2d.forward": of this one only
};
/// With everything, with each pass left out, and with one random schedule.
std::vector<Variant> all_variants(uint64_t seed);
/// One of them, for who has no time for all; "rules" and schedules more often than the others.
Variant some_variant(uint64_t seed);
/// The one of that name; throws std::invalid_argument.
Variant variant_named(const std::string& name);

/// How a program differs from its reference.
struct Mismatch {
  std::string program;  // empty: the graph was not compiled at all
  std::string message;  // one line
};

struct CheckOptions {
  uint64_t seed = 1;  // of weights, inputs and dropout
  std::vector<std::string> programs = {"train", "evaluate", "predict", "predict_one"};
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

/// The drawn schedules of a variant, as --schedule takes them: "train/conv2d.forward" and "recipe=rows,tile=4".
std::map<std::string, std::string> drawn_schedules(const Sketch& sketch, const Variant& variant);

/// Drops and cuts lines while `fails` holds, at most `attempts` tries.
Sketch shrunk(Sketch sketch, const std::function<bool(const Sketch&)>& fails, int attempts);

}  // namespace kiln::testing
