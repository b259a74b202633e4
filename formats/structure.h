#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint.h"

namespace kiln {

/// The description of its graph in a .kiln file; throws DataError where it has none.
const nlohmann::json& description_in(const KilnFile& file, const std::string& origin);

/// A graph's description (compiler/driver/structure.h), for reading: its nodes by their numbers. Refers to the JSON.
class Structure {
 public:
  explicit Structure(const nlohmann::json& description);

  const nlohmann::json& description() const { return description_; }
  /// Throws DataError where there is no such node.
  const nlohmann::json& node(int id) const;
  /// The node of a node's i-th input.
  const nlohmann::json& input(const nlohmann::json& node, size_t i) const;

 private:
  const nlohmann::json& description_;
  std::map<int, const nlohmann::json*> nodes_;
};

/// Of a node: its operator, where the graph file has it ("graphs/digits.cpp:14"), the number of its i-th input.
std::string op_of(const nlohmann::json& node);
std::string place_of(const nlohmann::json& node);
int input_of(const nlohmann::json& node, size_t i);
template <class T>
T attribute_of(const nlohmann::json& node, const char* name) {
  return node.at("attributes").at(name).get<T>();
}
/// Extents of the node's result, kBatchExtent for the batch.
inline constexpr int64_t kBatchExtent = -1;
std::vector<int64_t> shape_of(const nlohmann::json& node);

/// Throws UsageError "file:line: operator: message".
[[noreturn]] void refuse_node(const nlohmann::json& node, const std::string& message);

/// One image dimension's window of a convolution or pooling (compiler/ops/window.h).
struct ImageWindow {
  int64_t input, size, stride, dilation, before, output;

  int64_t reach() const { return (size - 1) * dilation + 1; }
  /// Padding behind the image that the output needs.
  int64_t after() const { return std::max<int64_t>(0, (output - 1) * stride + reach() - input - before); }
  bool valid() const { return before == 0 && after() == 0 && output == (input - reach()) / stride + 1; }
  bool same() const {
    const int64_t wanted = (input + stride - 1) / stride;
    return output == wanted && before == std::max<int64_t>((wanted - 1) * stride + reach() - input, 0) / 2;
  }
};

/// Those of the node's height and width.
std::vector<ImageWindow> windows_of(const nlohmann::json& node);

}  // namespace kiln
