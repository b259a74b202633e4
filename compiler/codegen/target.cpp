#include "codegen/target.h"

#include <Halide.h>
#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "ir/error.h"

namespace kiln {
namespace {

using Halide::Target;

/// Short names, in the order in which an error lists them.
constexpr std::pair<const char*, const char*> kShortNames[] = {
    {"sse41", "x86-64-linux-sse41"},
    {"avx2", "x86-64-linux-avx-avx2-f16c-fma-sse41"},
    {"avx512", "x86-64-linux-avx-avx2-avx512-avx512_skylake-f16c-fma-sse41"},
    {"arm64", "arm-64-linux"},
};

/// What kernels may use of a processor: the features that runtime/processor.cpp can check before it runs them.
constexpr Target::Feature kProcessorFeatures[] = {
    Target::SSE41,
    Target::AVX,
    Target::AVX2,
    Target::FMA,
    Target::F16C,
    Target::AVX512,
    Target::AVX512_Skylake,
    Target::AVX512_Cannonlake,
    Target::AVX512_Zen4,
    Target::AVX512_Zen5,
    Target::AVX512_SapphireRapids,
    Target::ARMDotProd,
    Target::ARMFp16,
};

/// How generated kernels are called.
constexpr Target::Feature kConventions[] = {Target::NoRuntime, Target::NoAsserts, Target::NoBoundsQuery,
                                            Target::UserContext};

/// Instrumentation for a program that is linked with that sanitizer's runtime (`./run sanitize`).
constexpr Target::Feature kSanitizers[] = {Target::ASAN, Target::TSAN};

template <size_t count>
bool is_among(const Target::Feature (&features)[count], Target::Feature feature) {
  return std::find(std::begin(features), std::end(features), feature) != std::end(features);
}

[[noreturn]] void refuse(const std::string& requested, const std::string& problem) {
  std::string names = "host";
  for (const auto& [name, target] : kShortNames) names += fmt::format(", {}", name);
  throw UserError(
      fmt::format("--target '{}': {}; known are {}, and Halide targets of Linux on x86-64 and arm64 such as {}",
                  requested, problem, names, kShortNames[1].second));
}

bool usable(Target::Feature feature) {
  return is_among(kProcessorFeatures, feature) || is_among(kConventions, feature) || is_among(kSanitizers, feature);
}

auto feature_count(const std::string& target) {
  return std::count_if(std::begin(kProcessorFeatures), std::end(kProcessorFeatures),
                       [&](Target::Feature feature) { return Target(target).has_feature(feature); });
}

}  // namespace

std::string kernel_target(const std::string& requested) {
  std::string text = requested;
  for (const auto& [name, target] : kShortNames) {
    if (requested == name) text = target;
  }
  if (!Target::validate_target_string(text)) refuse(requested, "is no target");
  Target target(text);
  const bool host = requested == "host" || requested.starts_with("host-");  // the latter with more: host-asan
  const Target machine = Halide::get_host_target();
  if (target.os != Target::Linux || target.bits != 64 || (target.arch != Target::X86 && target.arch != Target::ARM))
    refuse(requested, "Kiln has no runtime for it");
  for (int f = 0; f < Target::FeatureEnd; ++f) {
    const auto feature = static_cast<Target::Feature>(f);
    if (!target.has_feature(feature) || usable(feature)) continue;
    if (!host || !machine.has_feature(feature))
      refuse(requested, fmt::format("kernels cannot use {}", Target::feature_to_name(feature)));
    target.set_feature(feature, false);  // this machine has it; its kernels do without
  }
  target.vector_bits = 0;
  for (const Target::Feature feature : kConventions) target.set_feature(feature);
  return target.to_string();
}

std::vector<std::string> kernel_targets(const std::string& list) {
  std::vector<std::string> targets;
  std::istringstream items(list + ",");
  for (std::string item; std::getline(items, item, ',');) {
    const std::string target = kernel_target(item);
    if (!targets.empty() && Target(target).arch != Target(targets.front()).arch)
      throw UserError(
          fmt::format("--target '{}': a program runs on x86-64 or on arm64; compile for each of them", list));
    if (std::find(targets.begin(), targets.end(), target) == targets.end()) targets.push_back(target);
  }
  // Whoever has all of another's features and more has more of them.
  std::stable_sort(targets.begin(), targets.end(),
                   [](const std::string& a, const std::string& b) { return feature_count(a) > feature_count(b); });
  return targets;
}

}  // namespace kiln
