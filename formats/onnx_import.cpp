#include "onnx_import.h"

#include <fmt/format.h>

#include "error.h"
#include "onnx_file.h"
#include "onnx_import/importer.h"
#include "onnx_import/rules.h"

namespace kiln {

Network read_onnx(const std::string& bytes, const std::string& origin, const std::string& name) {
  try {
    return from_onnx::Importer(parse_onnx(bytes, origin), origin, name).read();
  } catch (const DataError& error) {
    if (std::string(error.what()).starts_with(origin)) throw;
    throw DataError(fmt::format("{}: {}", origin, error.what()));
  }
}

std::vector<std::string> onnx_operators() {
  std::vector<std::string> names;
  for (const auto& [name, rule] : from_onnx::rules()) names.push_back(name);
  return names;
}

}  // namespace kiln
