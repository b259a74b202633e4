#include "ir/attribute.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace kiln {
namespace {

std::string to_string(const AffineIndex& index, const std::vector<std::string>& loops) {
  std::string text;
  for (size_t i = 0; i < index.coefficients.size(); ++i) {
    const int64_t c = index.coefficients[i];
    if (c == 0) continue;
    if (!text.empty() && c > 0) text += '+';
    if (c == -1)
      text += '-';
    else if (c != 1)
      text += fmt::format("{}*", c);
    text += loops[i];
  }
  if (index.offset != 0 || text.empty())
    text += fmt::format("{}{}", index.offset > 0 && !text.empty() ? "+" : "", index.offset);
  return index.divisor == 1 ? text : fmt::format("({})/{}", text, index.divisor);
}

}  // namespace

std::string to_string(const Contraction& contraction) {
  std::string text;
  const auto list = [&](const std::vector<AffineIndex>& indices) {
    std::vector<std::string> parts;
    for (const AffineIndex& index : indices) parts.push_back(to_string(index, contraction.loops));
    return fmt::format("[{}]", fmt::join(parts, ", "));
  };
  std::vector<std::string> loops;
  for (size_t i = 0; i < contraction.loops.size(); ++i) {
    loops.push_back(contraction.extents[i] < 0 ? fmt::format("{}<N", contraction.loops[i])
                                               : fmt::format("{}<{}", contraction.loops[i], contraction.extents[i]));
  }
  const auto middle = loops.begin() + contraction.output_rank;
  return fmt::format("[{}] = sum {} left{} * right{}", fmt::join(loops.begin(), middle, ", "),
                     fmt::join(middle, loops.end(), ", "), list(contraction.left), list(contraction.right));
}

std::string to_string(const Attribute& attribute) {
  struct Printer {
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(int64_t value) const { return fmt::format("{}", value); }
    std::string operator()(double value) const { return fmt::format("{}", value); }
    std::string operator()(const std::string& value) const { return '"' + value + '"'; }
    std::string operator()(const std::vector<int64_t>& value) const {
      return fmt::format("[{}]", fmt::join(value, ", "));
    }
    std::string operator()(const Contraction& value) const { return kiln::to_string(value); }
  };
  return std::visit(Printer{}, attribute);
}

}  // namespace kiln
