#include "support/case_options.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

namespace kiln::testing {
namespace {

CaseOptions& options() {
  static CaseOptions options;
  return options;
}

}  // namespace

const CaseOptions& case_options() { return options(); }

void read_case_options(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name != "--cases" && name != "--seed" && name != "--case") continue;
    const std::string_view text = i + 1 < argc ? argv[++i] : "";
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
      fmt::print(stderr, "{} needs a number, got '{}'\n", name, text);
      std::exit(2);
    }
    if (name == "--cases") options().cases = static_cast<int64_t>(number);
    if (name == "--seed") options().seed = number;
    if (name == "--case") options().only = static_cast<int64_t>(number);
  }
}

}  // namespace kiln::testing
