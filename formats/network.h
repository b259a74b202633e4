#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "array.h"
#include "checkpoint.h"

namespace kiln {

/// A network read from another tool's file: a graph's description (compiler/driver/structure.h), without a loss, and
/// the values of its parameters by name.
struct Network {
  nlohmann::json structure;
  std::map<std::string, Array> parameters;
};

/// Builds a Network node by node, as the DSL would build the graph: same operators, attributes and names.
class NetworkBuilder {
 public:
  /// `file` is the name in the nodes' locations.
  NetworkBuilder(std::string name, std::string file) : name_(std::move(name)), file_(std::move(file)) {}

  /// The line of the nodes that are added from now on.
  void set_line(int line) { line_ = line; }

  /// Adds a node; kBatchExtent in `shape` stands for the batch. Throws DataError for a shape that no graph can have.
  int add(const std::string& op, const std::vector<int>& inputs, nlohmann::json attributes,
          const std::vector<int64_t>& shape);
  int add_constant(double value);
  int add_input(const std::string& name, const std::vector<int64_t>& shape);
  /// A parameter of its own; the name is made one that C++ and Kiln can say, and that no other has.
  int add_parameter(const std::string& name, Array values, bool trainable);

  /// A layer's own parameter, with the initializer that the layer gives it; the next add() is the layer's.
  struct Weight {
    const char* name;
    Array values;
    int initializer = 0;  // Initializer::Kind (compiler/ir/graph.h)
    double scale = 0;
    bool trainable = true;
  };
  int add_layer(const std::string& op, int input, std::vector<Weight> weights, nlohmann::json attributes,
                const std::vector<int64_t>& shape);

  void output(const std::string& name, int node);

  const std::vector<int64_t>& shape(int node) const { return nodes_.at(static_cast<size_t>(node)).shape; }
  const std::string& op(int node) const { return nodes_.at(static_cast<size_t>(node)).op; }
  const std::vector<int>& inputs(int node) const { return nodes_.at(static_cast<size_t>(node)).inputs; }
  const nlohmann::json& attributes(int node) const { return nodes_.at(static_cast<size_t>(node)).attributes; }

  /// Without the nodes that no output needs.
  Network finish();

 private:
  struct Node {
    std::string op;
    std::vector<int> inputs;
    nlohmann::json attributes;
    std::vector<int64_t> shape;
    int line = 0;
    int layer = 0;         // nodes of one layer have one number
    std::string layer_op;  // what the layer is called after
    Array values = {};     // of a parameter
  };

  std::string unique_name(const std::string& wanted);
  int append(Node node);

  std::string name_, file_;
  int line_ = 0, layers_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::pair<std::string, int>> outputs_;
  std::map<std::string, int> names_;  // taken, and the last number behind each
};

/// A name as an identifier of C++: letters, digits and _, with another first character than a digit.
std::string identifier(const std::string& name);

/// A name of a file's in an error or a comment: of one line, whatever it is.
std::string printable(const std::string& name);

/// The weights of the network in a file of the network `like`, whose structure must be the same, node by node from the
/// outputs: names, and what only training does (dropout, momentum), may differ. The optimizer begins anew. Throws
/// DataError naming graph line and difference.
KilnFile with_weights_of(const Network& network, const KilnFile& like, const std::string& origin);

}  // namespace kiln
