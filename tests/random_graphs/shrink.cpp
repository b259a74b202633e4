#include "random_graphs/shrink.h"

#include <algorithm>
#include <optional>

namespace kiln::testing {

Sketch shrunk(Sketch sketch, const std::function<bool(const Sketch&)>& fails, int attempts) {
  const auto accept = [&](const Sketch& candidate) {
    if (attempts-- <= 0 || !fails(candidate)) return false;
    sketch = candidate;
    return true;
  };
  /// Without the lines that nothing needs, and without line `gone`, which nothing reads any more.
  const auto tidied = [](const Sketch& from, int gone) {
    std::vector<bool> needed(from.lines.size(), false);
    for (size_t i = from.lines.size(); i-- > 0;) {
      const std::string& op = from.lines[i].operation;
      needed[i] = static_cast<int>(i) != gone && (needed[i] || op == "output" || op == "metric" || op == "train");
      if (!needed[i]) continue;
      for (const int input : from.lines[i].inputs) {
        if (input >= 0) needed[static_cast<size_t>(input)] = true;
      }
    }
    Sketch result;
    std::vector<int> numbers(from.lines.size(), -1);
    for (size_t i = 0; i < from.lines.size(); ++i) {
      if (!needed[i]) continue;
      numbers[i] = static_cast<int>(result.lines.size());
      result.lines.push_back(from.lines[i]);
      for (int& input : result.lines.back().inputs) input = input < 0 ? -1 : numbers[static_cast<size_t>(input)];
    }
    return result;
  };
  const auto shapes_of = [](const Sketch& from) {
    Graph graph{"random_graph"};
    std::vector<Tensor> tensors;
    for (size_t i = 0; i < from.lines.size(); ++i) tensors.push_back(build_line(graph, from, i, tensors));
    std::vector<std::optional<Shape>> shapes;
    for (const Tensor& tensor : tensors) shapes.push_back(tensor ? std::optional<Shape>(tensor.shape()) : std::nullopt);
    return shapes;
  };
  for (bool smaller = true; smaller && attempts > 0;) {
    smaller = false;
    for (auto i = static_cast<int>(sketch.lines.size()) - 1; i >= 0 && attempts > 0; --i) {
      if (i >= static_cast<int>(sketch.lines.size())) continue;
      const Line line = sketch.lines[static_cast<size_t>(i)];
      if (line.operation == "output" || line.operation == "metric" || line.operation == "train") {
        if (line.operation != "train") smaller |= accept(tidied(sketch, i));
        continue;
      }
      const auto shapes = shapes_of(sketch);
      const Shape& shape = *shapes[static_cast<size_t>(i)];
      bool done = false;
      // Who reads it reads one of its own operands instead ...
      for (const int other : line.inputs) {
        if (other < 0 || !shapes[static_cast<size_t>(other)] || *shapes[static_cast<size_t>(other)] != shape) continue;
        Sketch candidate = sketch;
        for (Line& reader : candidate.lines) std::replace(reader.inputs.begin(), reader.inputs.end(), i, other);
        if ((done = accept(tidied(candidate, i)))) break;
      }
      // ... or an input or weight of that shape, which cuts off everything before.
      if (!done && !line.inputs.empty()) {
        Sketch candidate = sketch;
        const bool batched = has_batch(shape);
        candidate.lines[static_cast<size_t>(i)] = {
            batched ? "input" : "parameter", {}, {{"shape", Shape(shape.begin() + (batched ? 1 : 0), shape.end())}}};
        done = accept(tidied(candidate, -1));
      }
      // Settings that it can do without.
      for (size_t s = 0; !done && s < line.settings.size() && !line.inputs.empty(); ++s) {
        Sketch candidate = sketch;
        auto& settings = candidate.lines[static_cast<size_t>(i)].settings;
        settings.erase(settings.begin() + static_cast<std::ptrdiff_t>(s));
        try {
          if (shapes_of(candidate)[static_cast<size_t>(i)] == shape) done = accept(candidate);
        } catch (const UserError&) {
        }
      }
      smaller |= done;
    }
  }
  return sketch;
}

}  // namespace kiln::testing
