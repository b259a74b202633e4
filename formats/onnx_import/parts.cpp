#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "onnx_import/rules.h"

namespace kiln::from_onnx {
namespace {

Value padded(Importer& importer, Call& call, const Value& x, const Ints& amounts) {
  Ints where(x.rank());
  std::iota(where.begin(), where.end(), int64_t{0});
  if (call.optional(3)) where = call.known_integers(3, "axes");
  if (amounts.size() != 2 * where.size())
    call.refuse(fmt::format("has {} amounts for {} dimensions", amounts.size(), where.size()));
  Ints before(x.rank(), 0), after(x.rank(), 0), shape = x.shape;
  std::set<size_t> seen;
  for (size_t i = 0; i < where.size(); ++i) {
    const size_t d = call.axis(where[i], x.rank());
    if (!seen.insert(d).second) call.refuse("names an axis twice");
    const int64_t first = amounts[i], last = amounts[i + where.size()];
    if (first < 0 || last < 0 || first > kMost || last > kMost)
      call.refuse(fmt::format("pads with {} and {}", first, last));
    if (x.shape[d] == kBatchExtent && first + last > 0) call.refuse("the batch cannot be padded");
    before[x.order[d]] = first;
    after[x.order[d]] = last;
    if (first + last > 0) shape[d] += first + last;
  }
  const Ints result = in_graph(shape, x.order);
  if (shape == x.shape) return x;
  if (x.rank() == 4 && x.batched() && before[3] + after[3] == 0) {
    const Ints sides = {before[1], after[1], before[2], after[2]};
    return like(x, importer.build.add("zero_padding2d", {x.node}, {{"padding", sides}}, result), shape);
  }
  return like(x, importer.build.add("pad", {x.node}, {{"before", before}, {"after", after}}, result), shape);
}

Value part(Importer& importer, const Value& x, const Ints& begin, const Ints& shape) {
  if (shape == x.shape) return x;
  Ints node_begin = in_graph(begin, x.order), size = in_graph(shape, x.order);
  if (x.batched()) size[0] = -1;
  return like(x,
              importer.build.add("slice", {x.node}, {{"begin", node_begin}, {"size", size}}, in_graph(shape, x.order)),
              shape);
}

}  // namespace

Value pad(Importer& importer, Call& call) {
  if (call.text("mode", "constant") != "constant") call.refuse("attribute mode is not constant, which Kiln has alone");
  const Ints amounts = call.operator_set < 11 ? call.integers("pads").value_or(Ints{}) : call.known_integers(1, "pads");
  double value = call.real("value", 0);
  if (call.operator_set >= 11 && call.optional(2)) {
    if (call.numbers(2, "value").values.size() != 1) call.refuse("its value is no single number");
    value = as_written(call.numbers(2, "value").values[0]);
  }
  const Value x = importer.as_tensor(call, 0);
  Value zeros_around = padded(importer, call, x, amounts);
  if (value == 0) return zeros_around;
  // The value times a mask of the padding. (Shifting x by the value instead would round x away where it is large, as
  // the lowest number before a maximum is.)
  const Value ones = importer.combine(call, "add", {importer.combine(call, "multiply", {x, number(0)}), number(1)});
  const Value around = importer.combine(call, "subtract", {number(1), padded(importer, call, ones, amounts)});
  return importer.combine(call, "add", {zeros_around, importer.combine(call, "multiply", {around, number(value)})});
}

Value slice(Importer& importer, Call& call) {
  const Value& x = call[0];
  const bool by_attributes = call.operator_set < 10;
  const auto list = [&](size_t i, const char* name) -> std::optional<Ints> {
    if (by_attributes) return call.integers(name);
    if (!call.optional(i)) return std::nullopt;
    return call.known_integers(i, name);
  };
  const Ints starts = list(1, "starts").value_or(Ints{}), ends = list(2, "ends").value_or(Ints{});
  Ints where(starts.size());
  std::iota(where.begin(), where.end(), int64_t{0});
  where = list(3, "axes").value_or(where);
  const Ints steps = by_attributes ? Ints(starts.size(), 1) : list(4, "steps").value_or(Ints(starts.size(), 1));
  if (ends.size() != starts.size() || where.size() != starts.size() || steps.size() != starts.size())
    call.refuse("its starts, ends, axes and steps differ in number");
  const Value source = x.integers ? x : importer.as_tensor(call, 0);
  Ints begin(source.rank(), 0), shape = source.shape;
  Ints strides(source.rank(), 1);
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t d = call.axis(where[i], source.rank());
    const int64_t extent = source.shape[d];
    if (x.integers && steps[i] == -1 && starts[i] == -1 && ends[i] < -extent) {  // PyTorch turns its pads around
      begin[d] = extent - 1;
      strides[d] = -1;
      continue;
    }
    if (steps[i] != 1) call.refuse(fmt::format("has a step of {}, Kiln has 1", steps[i]));
    if (extent == kBatchExtent) {
      if (starts[i] != 0 || ends[i] < INT32_MAX) call.refuse("the batch cannot be cut");
      continue;
    }
    const auto inside = [&](int64_t at) {
      return std::clamp<int64_t>(at < 0 ? std::max<int64_t>(at, -extent) + extent : at, 0, extent);
    };
    begin[d] = inside(starts[i]);
    shape[d] = inside(ends[i]) - begin[d];
    if (shape[d] < 1) call.refuse("nothing would be left");
  }
  if (x.integers) return picked(x, begin, strides, shape, identity_order(x.rank()));
  return part(importer, source, begin, shape);
}

Outputs split(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  const size_t axis = call.axis(call.integer("axis", 0), x.rank());
  if (axis == 0 && x.batched()) call.refuse("its axis is the batch");
  const int64_t extent = x.shape[axis], count = call.node.output_size();
  std::optional<Ints> sizes = call.operator_set < 13 ? call.integers("split")
                              : call.optional(1)     ? std::optional(call.known_integers(1, "split"))
                                                     : std::nullopt;
  const int64_t parts = call.integer("num_outputs", count);
  if (!sizes) {
    if (parts != count || count < 1 || count > extent)
      call.refuse(fmt::format("{} parts of {} elements", count, extent));
    const int64_t each = (extent + count - 1) / count;
    sizes = Ints(static_cast<size_t>(count), each);
    sizes->back() = extent - each * (count - 1);
  }
  if (static_cast<int64_t>(sizes->size()) != count)
    call.refuse(fmt::format("has {} sizes for {} outputs", sizes->size(), count));
  Ints begin(x.rank(), 0), shape = x.shape;
  std::vector<Value> outputs;
  for (int i = 0; i < count; ++i) {
    shape[axis] = (*sizes)[static_cast<size_t>(i)];
    if (shape[axis] < 1 || shape[axis] > extent - begin[axis]) call.refuse("its parts do not make up the whole");
    outputs.push_back(part(importer, x, begin, shape));
    begin[axis] += shape[axis];
  }
  if (begin[axis] != extent) call.refuse("its parts do not make up the whole");
  return outputs;
}

Value concatenate(Importer& importer, Call& call) {
  if (call.inputs.empty()) call.refuse("has no inputs");
  const Value& first = call[0];
  const size_t axis = call.axis(call.integer("axis", INT64_MAX), first.rank());
  if (first.integers) {
    if (first.rank() != 1) call.refuse("Kiln has it for shapes only");
    Ints all;
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      const Ints& part = call.known_integers(i, "input");
      all.insert(all.end(), part.begin(), part.end());
    }
    return integers_of(all);
  }
  const Value x = importer.as_tensor(call, 0);
  if (axis == 0 && x.batched()) call.refuse("its axis is the batch");
  Ints shape = x.shape;
  std::vector<int> inputs = {x.node};
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    const Value other = importer.as_tensor(call, i);
    Ints expected = x.shape;
    if (other.rank() == x.rank()) expected[axis] = other.shape[axis];
    if (other.shape != expected)
      call.refuse(fmt::format("the shapes {} and {} do not fit together", text(x.shape), text(other.shape)));
    shape[axis] += other.shape[axis];
    inputs.push_back(importer.in_order(other, x.order));
  }
  return like(x, importer.build.add("concatenate", inputs, {{"axis", x.order[axis]}}, in_graph(shape, x.order)), shape);
}

}  // namespace kiln::from_onnx
