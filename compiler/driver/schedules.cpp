#include "driver/schedules.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>

#include "codegen/kernel_bitcode.h"
#include "codegen/schedule_requests.h"

namespace kiln {
namespace {

std::string tuned_line(const TunedKernel& kernel) {
  return fmt::format("@{}: {}  # {}/{}, {:.0f} us; by the rules {:.0f} us", kernel.key, to_string(kernel.knobs),
                     kernel.program, kernel.name, kernel.best * 1e6, kernel.standard * 1e6);
}

}  // namespace

std::string legal_values(const Knob& knob) {
  const size_t count = knob.legal.size();
  if (count > 4 &&
      std::to_string(std::atoi(knob.legal.front().c_str()) + static_cast<int>(count) - 1) == knob.legal.back())
    return knob.legal.front() + ".." + knob.legal.back();
  return fmt::format("{}", fmt::join(knob.legal, ", "));
}

std::string schedule_table(const Model& model, const std::string& target) {
  std::string text;
  for (const Program& program : model.programs) {
    for (const Kernel& kernel : program.kernels) {
      text += fmt::format("{}/{}  @{}\n", program.name, kernel.name, schedule_key(program, kernel, target));
      for (const Knob& knob : kernel_knobs(program, kernel, target)) {
        const std::string standard = knob.value == knob.standard ? "" : fmt::format(", by the rules {}", knob.standard);
        text += fmt::format("  {:<20} {:<12} {}{}\n", knob.name, knob.value,
                            knob.legal.size() > 1 ? "of " + legal_values(knob) : "", standard);
      }
    }
  }
  return text;
}

std::string with_tuned(const std::string& text, const std::vector<TunedKernel>& kernels) {
  const auto tuned = [&](const std::string& line) {
    return std::any_of(kernels.begin(), kernels.end(),
                       [&](const TunedKernel& kernel) { return line.starts_with("@" + kernel.key + ":"); });
  };
  std::string result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!tuned(line)) result += line + "\n";
  }
  if (text.empty())
    result =
        "# Schedules of kernels; `--list-schedules` shows names, knobs and legal values. Lines that begin with @ are\n"
        "# what --autotune found for a kernel's shape and processor.\n";
  for (const TunedKernel& kernel : kernels) result += tuned_line(kernel) + "\n";
  return result;
}

void TuneTable::show(const std::vector<TunedKernel>& kernels, double elapsed) {
  double standard = 0, best = 0;
  int tried = 0;
  size_t done = 0;
  for (const TunedKernel& kernel : kernels) {
    standard += kernel.standard;
    best += kernel.best;
    tried += kernel.tried;
    done += kernel.done;
  }
  const std::string total = fmt::format("{:.0f} s: {} schedules tried, {} of {} kernels done, {:.2f} -> {:.2f} ms",
                                        elapsed, tried, done, kernels.size(), standard * 1e3, best * 1e3);
  if (!style_.terminal) {
    out_ << total << std::endl;
    return;
  }
  std::vector<const TunedKernel*> order;
  for (const TunedKernel& kernel : kernels) order.push_back(&kernel);
  std::stable_sort(order.begin(), order.end(),
                   [](const TunedKernel* a, const TunedKernel* b) { return a->standard > b->standard; });
  if (lines_ > 0) out_ << fmt::format("\x1b[{}A\x1b[J", lines_);
  lines_ = 1;
  for (const TunedKernel* kernel : order) {
    if (lines_ > 20) break;
    const std::string line =
        fmt::format("{:<36} {:>7.0f} -> {:>7.0f} us {:>4} tried  {}", kernel->program + "/" + kernel->name,
                    kernel->standard * 1e6, kernel->best * 1e6, kernel->tried, to_string(kernel->knobs));
    out_ << line.substr(0, static_cast<size_t>(std::max(20, style_.columns - 1))) << '\n';
    ++lines_;
  }
  out_ << total << std::endl;
}

std::string tune_summary(const TuneResult& result, const std::string& path) {
  if (result.kernels.empty()) {
    return result.standard_median == 0
               ? "No schedule was faster than the rules'; nothing was written.\n"
               : fmt::format(
                     "Single kernels were faster, whole steps were not ({:.2f} ms by the rules, {:.2f} ms "
                     "tuned); nothing was written.\n",
                     result.standard_median * 1e3, result.tuned_median * 1e3);
  }
  return fmt::format(
      "Steps of all programs, run in turns: median {:.2f} -> {:.2f} ms, minimum {:.2f} -> {:.2f} ms.\n"
      "{} schedules written to {}; the next build uses them.\n",
      result.standard_median * 1e3, result.tuned_median * 1e3, result.standard_minimum * 1e3,
      result.tuned_minimum * 1e3, result.kernels.size(), path);
}

std::string to_json(const TuneResult& result) {
  nlohmann::json kernels = nlohmann::json::array();
  for (const TunedKernel& kernel : result.kernels) {
    kernels.push_back({{"kernel", kernel.program + "/" + kernel.name},
                       {"key", kernel.key},
                       {"schedule", to_string(kernel.knobs)},
                       {"standard_seconds", kernel.standard},
                       {"best_seconds", kernel.best},
                       {"tried", kernel.tried}});
  }
  return nlohmann::json{{"kernels", kernels},
                        {"standard_median_seconds", result.standard_median},
                        {"tuned_median_seconds", result.tuned_median},
                        {"standard_minimum_seconds", result.standard_minimum},
                        {"tuned_minimum_seconds", result.tuned_minimum}}
      .dump();
}

}  // namespace kiln
