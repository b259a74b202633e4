#include "random_graphs/check.h"

#include <algorithm>
#include <cmath>

#include "finite.h"
#include "random_graphs/programs.h"
#include "random_graphs/written_graph.h"

namespace kiln::testing {
namespace {

// A result's squared error may be this part of its squared size: rounding of 2^-24 in sums of at most some thousand
// terms, squared, with room for Winograd's transforms ...
constexpr double kTolerance = 1e-7;
// ... or this many times the squared error of the same graph evaluated in f32 one operator after the other: results
// that are differences of nearly equal numbers (the gradient of a bias before a normalisation is exactly zero) have no
// relative accuracy in any order of summation. Of three evaluations the worst counts, since one can come out exact by
// chance; two of them have every sum off by up to four units in the last place, as another order of its terms may (less
// than one is often rounded away by the next operator).
constexpr double kNoiseFactor = 1e4;
// ... or this for each element, the square of 2^-24: a * b - c * d is exactly zero or not, as a multiply-add is fused
// or not, and so is 1 - tanh(x)^2 where tanh(x) is 1 or the number before.
constexpr double kFusedRounding = 0x1p-48;

/// Empty, or how the two differ.
std::string difference(const Wanted& wanted, const std::vector<float>& found) {
  if (found.size() != wanted.values.size())
    return fmt::format("{} has {} elements, not {}", wanted.name, found.size(), wanted.values.size());
  double error = 0, size = 0, worst = -1;
  std::array<double, kRoundings> noise = {};
  size_t worst_at = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double want = wanted.values[i], before = wanted.before.empty() ? 0 : static_cast<double>(wanted.before[i]);
    // f32 cannot do it either: the graph is no test of anything.
    const bool possible = std::all_of(wanted.rounded.begin(), wanted.rounded.end(),
                                      [&](const std::vector<double>& rounded) { return is_finite(rounded[i]); });
    if (!is_finite(want) || !possible || std::abs(want) > 1e30) return "";
    if (!is_finite(found[i]))
      return fmt::format("{}[{}] is not finite; the reference has {:.9g}", wanted.name, i, want);
    // Of a small change of a large value, the rounding of the value itself does not count.
    const double allowed = before == 0 ? 0 : std::abs(want) * 0x1p-23;
    const double apart = std::max(0.0, std::abs(found[i] - want) - allowed);
    error += apart * apart;
    size += (want - before) * (want - before);
    for (size_t r = 0; r < kRoundings; ++r) noise[r] += std::pow(wanted.rounded[r][i] - want, 2);
    if (apart > worst) worst = apart, worst_at = i;
  }
  const double allowed = kTolerance * size + kNoiseFactor * *std::max_element(noise.begin(), noise.end()) +
                         kFusedRounding * static_cast<double>(found.size());
  if (error <= allowed) return "";
  return fmt::format(
      "{} differs by {:.2g} of its size (normalised mean squared), {:.2g} is allowed; [{}] of {} is {:.9g}, "
      "the reference has {:.9g}",
      wanted.name, error / (size + 1e-300), allowed / (size + 1e-300), worst_at, found.size(), found[worst_at],
      wanted.values[worst_at]);
}

}  // namespace

struct GraphCheck::Parts {
  Sketch sketch;
  CheckOptions options;
  std::optional<WrittenGraph> training = {}, prediction = {};
  struct Known {
    CallData data;
    std::vector<Wanted> wanted;
  };
  std::map<std::pair<std::string, uint64_t>, Known> known = {};  // by program and seed
};

GraphCheck::GraphCheck(Sketch sketch, CheckOptions options)
    : parts_(new Parts{std::move(sketch), std::move(options)}) {}
GraphCheck::~GraphCheck() = default;

std::optional<Mismatch> GraphCheck::run(const Variant& variant) {
  const Sketch& sketch = parts_->sketch;
  const CheckOptions& options = parts_->options;
  std::string at;
  try {
    const Model model = model_of(sketch, variant, options.programs);
    // Of a graph whose rows depend on each other there is no predict_one.
    const auto wants = [&](const std::string& name) {
      return std::any_of(model.programs.begin(), model.programs.end(),
                         [&](const Program& program) { return program.name == name; });
    };
    Programs programs(model, options.interpret, options.cache);
    if (!parts_->training) parts_->training.emplace(sketch, true);
    if (!parts_->prediction) parts_->prediction.emplace(sketch, false);
    const WrittenGraph &training = *parts_->training, &prediction = *parts_->prediction;

    // Both batches of a step on three inputs, of which two must differ: at the kink of an activation or at a tie of a
    // maximum, rounding decides on which side f32 is, but not twice.
    int differing = 0;
    std::optional<Mismatch> mismatch;
    for (uint64_t round = 0; round < 3; ++round) {
      const uint64_t seed = options.seed + 1000 * round;
      const auto tail = static_cast<int64_t>(1 + seed * 7 % static_cast<uint64_t>(training.graph().batch));
      std::string message;
      const auto call = [&](const std::string& name, const WrittenGraph& written, int64_t count, uint64_t data_seed) {
        if (!wants(name) || !message.empty()) return;
        at = name;
        const auto [known, fresh] = parts_->known.try_emplace({name, data_seed});
        if (fresh) {
          known->second.data = written.data(count, data_seed);
          known->second.wanted = written.run(known->second.data);
        }
        const CallData& data = known->second.data;
        std::vector<Wanted> wanted = known->second.wanted;
        // Evaluation reports loss and metrics, prediction the outputs.
        const kiln_program& program = programs.table(name);
        std::erase_if(wanted, [&](const Wanted& result) {
          return result.before.empty() && std::none_of(program.outputs, program.outputs + program.output_count,
                                                       [&](const kiln_value& v) { return v.name == result.name; });
        });
        const auto found = programs.run(name, data, wanted, data_seed);
        for (size_t i = 0; i < wanted.size() && message.empty(); ++i) {
          message = difference(wanted[i], found[i]);
          if (!message.empty()) message = fmt::format("{} of {} rows: {}", count, training.graph().batch, message);
        }
      };
      call("train", training, training.graph().batch, seed);
      call("train", training, tail, seed + 1);
      call("evaluate", prediction, tail, seed + 2);
      call("predict", prediction, tail, seed + 3);
      call("predict_one", prediction, 1, seed + 4);
      if (message.empty() && round == 0) return {};
      if (message.empty()) continue;
      if (!mismatch) mismatch = Mismatch{at, message};
      if (++differing == 2 || message.find("not finite") != std::string::npos) return mismatch;
    }
    return {};
  } catch (const std::exception& error) {
    return Mismatch{at, error.what()};
  }
}

}  // namespace kiln::testing
