#include "processor.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>

#include "error.h"
#include "file_system.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

namespace kiln {
namespace {

#if defined(__x86_64__)
/// For what __builtin_cpu_supports has no name in every compiler: bits of cpuid's ECX.
bool has_bits(unsigned leaf, unsigned bits) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(leaf, &a, &b, &c, &d) != 0 && (c & bits) == bits;
}
#endif

/// The first feature in the model's target that the processor lacks; empty: it has them all.
std::string_view missing_feature(const kiln_model& model, bool (*has)(std::string_view)) {
  std::string_view rest = model.target;
  while (!rest.empty()) {
    const std::string_view feature = rest.substr(0, rest.find('-'));
    rest.remove_prefix(std::min(rest.size(), feature.size() + 1));
    if (!has(feature)) return feature;
  }
  return {};
}

}  // namespace

bool processor_has(std::string_view feature) {
  // Halide's names. Its code for one may use whatever the first processor that had it brought along.
#if defined(__x86_64__)
  if (feature == "arm") return false;
  if (feature == "sse41") return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  if (feature == "avx") return __builtin_cpu_supports("avx");
  if (feature == "f16c") return __builtin_cpu_supports("avx") && has_bits(1, bit_F16C);
  if (feature == "fma") return __builtin_cpu_supports("fma");
  if (feature == "avx2") {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2") && has_bits(1, bit_F16C | bit_MOVBE) && has_bits(0x80000001, bit_LZCNT);
  }
  if (feature == "avx512") return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd");
  if (feature == "avx512_skylake") {
    return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq");
  }
  if (feature == "avx512_cannonlake") {
    return __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi");
  }
  if (feature == "avx512_zen4" || feature == "avx512_zen5" || feature == "avx512_sapphirerapids") {
    return __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vpopcntdq") &&
           __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("gfni");
  }
#elif defined(__aarch64__)
  if (feature == "x86") return false;
  if (feature == "arm_dot_prod") return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
  if (feature == "arm_fp16") return (getauxval(AT_HWCAP) & HWCAP_ASIMDHP) != 0;
#endif
  (void)feature;
  return true;
}

std::string processor_name() {
  constexpr const char* kFile = "/proc/cpuinfo";
  if (std::filesystem::exists(kFile)) {
    const std::string text = read_file(kFile);
    const size_t line = text.find("model name"), name = text.find(": ", line);
    if (line != std::string::npos && name != std::string::npos)
      return text.substr(name + 2, text.find('\n', name) - name - 2);
  }
  utsname machine = {};
  ::uname(&machine);
  return machine.machine;
}

void require_processor(const kiln_model& model, bool (*has)(std::string_view)) {
  if (model.version != KILN_MODEL_VERSION) {
    throw Failure(
        fmt::format("the compiled graph {} has tables of version {}, this program reads version {}; build again",
                    model.name, model.version, KILN_MODEL_VERSION));
  }
  const std::string_view feature = missing_feature(model, has);
  if (!feature.empty()) {
    throw Failure(fmt::format(
        "the kernels of {} were compiled for a processor with {}, which this one lacks ({}); build them on this "
        "machine",
        model.name, feature, model.target));
  }
}

const kiln_model& model_for_processor(const kiln_model& first, bool (*has)(std::string_view)) {
  const kiln_model* model = &first;
  if (model->version != KILN_MODEL_VERSION) return first;
  while (!missing_feature(*model, has).empty() && model->next != nullptr) model = model->next;
  return *model;
}

}  // namespace kiln
