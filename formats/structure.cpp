#include "structure.h"

#include <fmt/format.h>

#include "error.h"

namespace kiln {

using nlohmann::json;

const json& description_in(const KilnFile& file, const std::string& origin) {
  const auto structure = file.header.find("structure");
  if (structure == file.header.end()) {
    throw DataError(fmt::format(
        "{}: says nothing of its graph's structure: it was saved by an older Kiln, or its graph is too large; save it "
        "again",
        origin));
  }
  return *structure;
}

Structure::Structure(const json& description) : description_(description) {
  for (const json& node : description.at("nodes")) {
    const int id = node.at("id").get<int>();
    for (const json& input : node.at("inputs")) {
      if (input.get<int>() >= id) throw DataError("the description of its graph is in no topological order");
    }
    nodes_[id] = &node;
  }
}

const json& Structure::node(int id) const {
  const auto found = nodes_.find(id);
  if (found == nodes_.end()) throw DataError("the description of its graph lacks a node");
  return *found->second;
}

const json& Structure::input(const json& node, size_t i) const { return this->node(input_of(node, i)); }

std::string op_of(const json& node) { return node.at("op").get<std::string>(); }

std::string place_of(const json& node) {
  return fmt::format("{}:{}", node.at("file").get<std::string>(), node.at("line").get<int>());
}

int input_of(const json& node, size_t i) { return node.at("inputs").at(i).get<int>(); }

std::vector<int64_t> shape_of(const json& node) {
  std::vector<int64_t> shape;
  for (const json& extent : node.at("shape")) shape.push_back(extent.is_null() ? kBatchExtent : extent.get<int64_t>());
  return shape;
}

void refuse_node(const json& node, const std::string& message) {
  throw UsageError(fmt::format("{}: {}: {}", place_of(node), op_of(node), message));
}

std::vector<ImageWindow> windows_of(const json& node) {
  const auto v = attribute_of<std::vector<int64_t>>(node, "windows");
  if (v.size() != 12 || v[2] < 1 || v[8] < 1)
    throw DataError("the description of its graph is not what it should be (windows)");
  return {{v[0], v[1], v[2], v[3], v[4], v[5]}, {v[6], v[7], v[8], v[9], v[10], v[11]}};
}

}  // namespace kiln
