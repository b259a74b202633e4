#pragma once

#include <string>
#include <variant>
#include <vector>

#include "ir/graph.h"
#include "ops/window.h"

namespace kiln::testing {

/// What a line of a graph file may be given: .rate = 0.25, .kernel = {3, 3}, a name.
using Setting = std::variant<bool, int64_t, double, std::vector<int64_t>, std::string, Padding>;

/// One line of a graph file: x<index> = operation(inputs, {settings}).
struct Line {
  std::string operation;                                  // "conv2d", "input", "train", ...
  std::vector<int> inputs;                                // lines whose results it takes; -1: a Tensor nobody assigned
  std::vector<std::pair<std::string, Setting>> settings;  // in the order in which the DSL declares them
};

/// A graph file as data: it can be built, printed, cut down and broken.
struct Sketch {
  std::vector<Line> lines;
};

/// Where the lines say that they are: the file does not exist unless somebody saves code() under this name.
inline constexpr const char* kSketchFile = "graphs/random_graph.cpp";
/// The graph file's line of a sketch's line.
int file_line(size_t line);

/// The graph that the file would build; throws the UserError that its author would see.
Graph build(const Sketch& sketch);
/// The same one line at a time, for who looks at a line's shape before the next: its tensor, empty where it has none.
Tensor build_line(Graph& graph, const Sketch& sketch, size_t line, const std::vector<Tensor>& results);

/// The graph file.
std::string code(const Sketch& sketch);

/// The optimizer `gradient`: weights become their gradients, which shows them as they are.
Optimizer gradient_itself();

}  // namespace kiln::testing
