#include "profile.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {
namespace {

double kernel_seconds(const Profile& profile) {
  double sum = 0;
  for (const KernelTime& kernel : profile.kernels) sum += kernel.seconds;
  return sum;
}

double ratio(double a, double b) { return b > 0 ? a / b : 0; }

double roofline_percent(const Profile& profile, const KernelTime& kernel) {
  return 100 * ratio(profile.roofline.seconds(kernel.flops, kernel.bytes), kernel.seconds);
}

const char* bound(const Profile& profile, const KernelTime& kernel) {
  return profile.roofline.bound_by_memory(kernel.flops, kernel.bytes) ? "memory" : "compute";
}

}  // namespace

std::string profile_table(const Profile& profile) {
  if (profile.steps == 0) return "Profile: no step was run\n";
  size_t width = 6;
  for (const KernelTime& kernel : profile.kernels) width = std::max(width, kernel.name.size());
  std::string text = fmt::format(
      "\nKernels of the program {}, batch {}, {} thread{}: medians of {} step{}\n"
      "{:<{}} {:>10} {:>6} {:>8} {:>7} {:>9}  {:<8} {}\n",
      profile.program, profile.batch, profile.threads, profile.threads == 1 ? "" : "s", profile.steps,
      profile.steps == 1 ? "" : "s", "kernel", width, "us/step", "share", "GFLOP/s", "GB/s", "roofline", "bound by",
      "line");
  const double total = kernel_seconds(profile);
  KernelTime sum = {.name = "total", .place = "", .schedule = "", .seconds = total, .flops = 0, .bytes = 0};
  double least = 0;
  for (const KernelTime& kernel : profile.kernels) {
    text += fmt::format("{:<{}} {:>10.1f} {:>5.1f}% {:>8.1f} {:>7.1f} {:>8.0f}%  {:<8} {}\n", kernel.name, width,
                        kernel.seconds * 1e6, 100 * ratio(kernel.seconds, total),
                        ratio(kernel.flops, kernel.seconds) / 1e9, ratio(kernel.bytes, kernel.seconds) / 1e9,
                        roofline_percent(profile, kernel), bound(profile, kernel), kernel.place);
    sum.flops += kernel.flops;
    sum.bytes += kernel.bytes;
    least += profile.roofline.seconds(kernel.flops, kernel.bytes);
  }
  text += fmt::format("{:<{}} {:>10.1f} {:>5.1f}% {:>8.1f} {:>7.1f} {:>8.0f}%  {} kernels\n", "total", width,
                      total * 1e6, 100.0, ratio(sum.flops, total) / 1e9, ratio(sum.bytes, total) / 1e9,
                      100 * ratio(least, total), profile.kernels.size());
  text += fmt::format("whole step {:.1f} us", profile.step_seconds * 1e6);
  for (const auto& [name, seconds] : profile.phases)
    text += fmt::format("; beside it: {} {:.1f} us", name, seconds * 1e6);
  if (profile.first_step_seconds > 0)
    text += fmt::format("; the first step ended {:.2f} s after the process began", profile.first_step_seconds);
  text += fmt::format(
      "\nRoofline: the least time for a kernel's operations at {:.1f} GFLOP/s and its bytes at {:.1f} GB/s, both "
      "measured"
      "\nnow with {} thread{} (f32 multiply-adds; streaming through as much memory as the program has), over its time."
      "\nOperations are those of the direct definition, bytes each buffer once: Winograd's convolutions and kernels "
      "whose"
      "\ndata are still in a nearer cache may exceed 100%.\n",
      profile.roofline.flops / 1e9, profile.roofline.bytes / 1e9, profile.threads, profile.threads == 1 ? "" : "s");
  return text;
}

nlohmann::ordered_json profile_json(const Profile& profile) {
  const double total = kernel_seconds(profile);
  nlohmann::ordered_json kernels = nlohmann::ordered_json::array(), phases = nlohmann::ordered_json::object();
  for (const KernelTime& kernel : profile.kernels) {
    kernels.push_back({{"name", kernel.name},
                       {"line", kernel.place},
                       {"schedule", kernel.schedule},
                       {"seconds", kernel.seconds},
                       {"share", ratio(kernel.seconds, total)},
                       {"flops", kernel.flops},
                       {"bytes", kernel.bytes},
                       {"flops_per_second", ratio(kernel.flops, kernel.seconds)},
                       {"bytes_per_second", ratio(kernel.bytes, kernel.seconds)},
                       {"roofline_percent", roofline_percent(profile, kernel)},
                       {"bound", bound(profile, kernel)}});
  }
  for (const auto& [name, seconds] : profile.phases) phases[name] = seconds;
  return {{"program", profile.program},
          {"batch", profile.batch},
          {"threads", profile.threads},
          {"steps", profile.steps},
          {"step_seconds", profile.step_seconds},
          {"kernel_seconds", total},
          {"first_step_seconds", profile.first_step_seconds},
          {"phases", phases},
          {"roofline", {{"flops_per_second", profile.roofline.flops}, {"bytes_per_second", profile.roofline.bytes}}},
          {"kernels", kernels}};
}

}  // namespace kiln
