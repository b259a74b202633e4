#pragma once

#include <map>
#include <string>
#include <vector>

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
/// With everything, and with each pass left out.
std::vector<Variant> pass_variants();
/// The same and one random schedule.
std::vector<Variant> all_variants(uint64_t seed);
/// One of them, for who has no time for all; "rules" and schedules more often than the others.
Variant some_variant(uint64_t seed);
/// The one of that name; throws std::invalid_argument.
Variant variant_named(const std::string& name);

/// What a graph is compiled to.
inline const std::vector<std::string> kPrograms = {"train", "evaluate", "predict", "predict_one"};
/// Some of the graph's programs as the variant has them, before Halide.
Model model_of(const Sketch& sketch, const Variant& variant, const std::vector<std::string>& programs = kPrograms);

/// The drawn schedules of a variant, as --schedule takes them: "train/conv2d.forward" and "recipe=rows,tile=4".
std::map<std::string, std::string> drawn_schedules(const Sketch& sketch, const Variant& variant);

}  // namespace kiln::testing
