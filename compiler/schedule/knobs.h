#pragma once

#include <map>
#include <string>
#include <vector>

namespace kiln {

/// What somebody asked of one kernel's schedule: values by knob. Knobs that it does not name are left to the recipe.
using KernelSchedule = std::map<std::string, std::string>;

/// One choice of a recipe that a user or the tuner may make instead of it.
struct Knob {
  std::string name;                // "tile"
  std::vector<std::string> legal;  // given the knobs before it
  std::string standard, value;     // the recipe's own choice, and the one in force
};

/// Hands a recipe its choices, one after the other, and remembers what they were. What is legal for a later knob may
/// depend on the earlier ones.
class Knobs {
 public:
  Knobs(std::string kernel, KernelSchedule requested) : kernel_(std::move(kernel)), requested_(std::move(requested)) {}

  /// The requested value, or `standard`. Throws a UserError that names kernel, knob and legal values.
  std::string choose(const std::string& name, const std::vector<std::string>& legal, const std::string& standard);
  int choose(const std::string& name, const std::vector<int>& legal, int standard);
  bool choose(const std::string& name, bool standard);  // yes or no

  /// Throws a UserError if something was requested that the recipe never asked for.
  void expect_all_used() const;

  const std::vector<Knob>& chosen() const { return chosen_; }

 private:
  std::string kernel_;
  KernelSchedule requested_;
  std::vector<Knob> chosen_;
};

/// "recipe=rows vectors=4 tile=6": what schedule files and flags are made of.
std::string to_string(const std::vector<Knob>& knobs);

/// The divisors of `extent` up to `limit`, in order.
std::vector<int> divisors(int extent, int limit);
/// The largest of them.
int divisor(int extent, int limit);
/// How many tiles cover an extent.
int tile_count(int64_t extent, int tile);
/// from, from + 1, ..., to.
std::vector<int> range(int from, int to);

}  // namespace kiln
