#include "processor.h"

#include <fmt/format.h>

#include <algorithm>

#include "error.h"

namespace kiln {

bool processor_has(std::string_view feature) {
#if defined(__x86_64__)
  // Halide's names, and what its code for them may use.
  if (feature == "sse41") return __builtin_cpu_supports("sse4.1");
  if (feature == "avx") return __builtin_cpu_supports("avx");
  if (feature == "avx2") return __builtin_cpu_supports("avx2");
  if (feature == "fma") return __builtin_cpu_supports("fma");
  if (feature == "avx512") return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd");
  if (feature == "avx512_skylake") {
    return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq");
  }
  if (feature == "avx512_cannonlake") {
    return __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi");
  }
  if (feature == "avx512_zen4" || feature == "avx512_zen5") {
    return __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vnni") &&
           __builtin_cpu_supports("avx512bitalg") && __builtin_cpu_supports("avx512vpopcntdq") &&
           __builtin_cpu_supports("avx512bf16");
  }
#endif
  (void)feature;
  return true;
}

void require_processor(const kiln_model& model, bool (*has)(std::string_view)) {
  if (model.version != KILN_MODEL_VERSION) {
    throw Failure(
        fmt::format("the compiled graph {} has tables of version {}, this program reads version {}; build again",
                    model.name, model.version, KILN_MODEL_VERSION));
  }
  std::string_view rest = model.target;
  while (!rest.empty()) {
    const std::string_view feature = rest.substr(0, rest.find('-'));
    rest.remove_prefix(std::min(rest.size(), feature.size() + 1));
    if (!has(feature)) {
      throw Failure(fmt::format(
          "the kernels of {} were compiled for a processor with {}, which this one lacks ({}); build them on this "
          "machine",
          model.name, feature, model.target));
    }
  }
}

}  // namespace kiln
