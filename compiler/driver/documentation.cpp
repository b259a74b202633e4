#include "driver/documentation.h"

#include "ir/operator.h"

namespace kiln {

std::string operator_table() {
  std::string text =
      "# Operators\n\n"
      "Written by `build/digits_compile --dump operators > docs/operators.md` from the records in `compiler/ops/`; "
      "each operator's\n"
      "header there has its options. A primitive operator has a definition of its own, a composite one is written in "
      "others. N is\n"
      "the batch.\n\n"
      "| operator | kind | gradient | what it computes |\n| --- | --- | --- | --- |\n";
  for (const Operator* op : all_operators()) {
    const bool composite = op->expand != nullptr;
    std::string documentation = op->documentation;
    for (size_t at = 0; (at = documentation.find('|', at)) != std::string::npos; at += 2)
      documentation.replace(at, 1, "\\|");
    text += fmt::format("| `{}` | {} | {} | {} |\n", op->name,
                        composite               ? "composite"
                        : op->define != nullptr ? "primitive"
                                                : "source",
                        composite                 ? "follows"
                        : op->gradient != nullptr ? "yes"
                                                  : "none",
                        documentation);
  }
  return text;
}

}  // namespace kiln
