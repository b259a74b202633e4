#include "random_graphs/variant.h"

#include <algorithm>
#include <random>
#include <stdexcept>

#include "codegen/kernel_bitcode.h"

namespace kiln::testing {
namespace {

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

}  // namespace

std::vector<Variant> pass_variants() {
  std::vector<Variant> variants;
  for (const char* name : {"rules", "no-simplify", "no-split_sums", "no-hoist_parameters", "no-feature_weights",
                           "no-fuse", "no-in_place_updates", "no-passes"})
    variants.push_back(variant_named(name));
  return variants;
}

std::vector<Variant> all_variants(uint64_t seed) {
  std::vector<Variant> variants = pass_variants();
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

Model model_of(const Sketch& sketch, const Variant& variant, const std::vector<std::string>& programs) {
  Model model = build_model(build(sketch), variant.passes);
  std::erase_if(model.programs, [&](const Program& program) {
    return std::find(programs.begin(), programs.end(), program.name) == programs.end();
  });
  if (variant.schedule_seed != 0) draw_schedules(model, variant.schedule_seed, variant.only_kernel);
  return model;
}

std::map<std::string, std::string> drawn_schedules(const Sketch& sketch, const Variant& variant) {
  std::map<std::string, std::string> lines;
  if (variant.schedule_seed == 0) return lines;
  const Model model = model_of(sketch, variant);
  for (const Program& program : model.programs) {
    for (const Kernel& kernel : program.kernels) {
      std::string& line = lines[program.name + "/" + kernel.name];
      for (const auto& [knob, value] : kernel.schedule) line += (line.empty() ? "" : ",") + knob + "=" + value;
    }
  }
  return lines;
}

}  // namespace kiln::testing
