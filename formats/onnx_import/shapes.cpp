#include <fmt/format.h>
#include <fmt/ranges.h>

#include "onnx_import/rules.h"
#include "parameters.h"

namespace kiln::from_onnx {
namespace {

/// The shape that Reshape's numbers mean for x.
Ints resolved(Importer& importer, Call& call, const Ints& from, Ints target, bool zero_is_zero) {
  const int64_t all = element_count(from) * (!from.empty() && from[0] == kBatchExtent ? -1 : 1);
  const bool batched = !from.empty() && from[0] == kBatchExtent;
  const auto impossible = [&]() {
    call.refuse(fmt::format("{} cannot become {}", text(from), fmt::join(target, "x")));
  };
  std::optional<size_t> open;
  int64_t others = 1;
  Ints shape;
  for (size_t d = 0; d < target.size(); ++d) {
    int64_t extent = target[d];
    if (extent == 0 && !zero_is_zero) {
      if (d >= from.size()) impossible();
      extent = from[d] == kBatchExtent ? kBatchSymbol : from[d];
    }
    const bool is_batch =
        batched && d == 0 && (extent == kBatchSymbol || (importer.batch && extent == *importer.batch));
    if (is_batch) {
      shape.push_back(kBatchExtent);
    } else if (extent == -1) {
      if (open) impossible();
      open = d;
      shape.push_back(-1);
    } else {
      if (extent < 1 || extent > all / others) impossible();
      others *= extent;
      shape.push_back(extent);
    }
  }
  if (batched && open == size_t{0} && others == all) {  // -1 is the batch
    open.reset();
    shape[0] = kBatchExtent;
  }
  if (open) {
    if (all % others != 0) impossible();
    shape[*open] = all / others;
    others = all;
  }
  if (others != all || batched != (!shape.empty() && shape[0] == kBatchExtent)) impossible();
  return shape;
}

}  // namespace

Value reshape(Importer& importer, Call& call) {
  const Value& x = call[0];
  const Ints target = call.known_integers(1, "shape");
  const bool zero_is_zero = call.integer("allowzero", 0) != 0;
  return importer.with_shape(x, resolved(importer, call, x.shape, target, zero_is_zero));
}

Value flatten(Importer& importer, Call& call) {
  const Value& x = call[0];
  const int64_t given = call.integer("axis", 1);
  const size_t axis = given == static_cast<int64_t>(x.rank()) ? x.rank() : call.axis(given, x.rank());
  const auto middle = x.shape.begin() + static_cast<int64_t>(axis);
  Ints left(x.shape.begin(), middle);
  const bool batched = x.batched();
  if (batched && (axis == 0 || element_count(left) != kBatchExtent))
    call.refuse("it would move elements between rows of the batch");
  return importer.with_shape(
      x, {batched ? kBatchExtent : element_count(left), element_count(Ints(middle, x.shape.end()))});
}

Value squeeze(Importer& importer, Call& call) {
  const Value& x = call[0];
  const std::optional<Ints> given = call.axes(1);
  std::set<size_t> removed;
  for (size_t d = 0; d < x.rank() && (!given || given->empty()); ++d) {
    if (x.shape[d] == 1) removed.insert(d);
  }
  for (const int64_t axis : given.value_or(Ints{})) removed.insert(call.axis(axis, x.rank()));
  Ints shape;
  for (size_t d = 0; d < x.rank(); ++d) {
    if (!removed.contains(d)) {
      shape.push_back(x.shape[d]);
    } else if (x.shape[d] != 1) {
      call.refuse(fmt::format("dimension {} of {} is not 1", d, text(x.shape)));
    }
  }
  return importer.with_shape(x, shape);
}

Value unsqueeze(Importer& importer, Call& call) {
  const Value& x = call[0];
  const std::optional<Ints> given = call.axes(1);
  if (!given) call.refuse("has no axes");
  if (given->size() > 16) call.refuse(fmt::format("has {} axes", given->size()));
  std::set<size_t> added;
  for (const int64_t axis : *given) added.insert(call.axis(axis, x.rank() + given->size()));
  if (added.size() != given->size()) call.refuse("names an axis twice");
  if (x.batched() && added.contains(0)) call.refuse("the batch must stay the first dimension");
  Ints shape;
  size_t from = 0;
  for (size_t d = 0; d < x.rank() + added.size(); ++d) shape.push_back(added.contains(d) ? 1 : x.shape[from++]);
  return importer.with_shape(x, shape);
}

Value expand(Importer& importer, Call& call) {
  const Value x = importer.as_tensor(call, 0);
  Ints target = call.known_integers(1, "shape");
  if (x.batched() && target.size() == x.rank() &&
      (target[0] == kBatchSymbol || (importer.batch && target[0] == *importer.batch)))
    target[0] = 1;
  for (const int64_t extent : target) {
    if (extent < 1) call.refuse(fmt::format("{} cannot become {}", text(x.shape), fmt::join(target, "x")));
  }
  const Ints shape = broadcast(call, x.shape, target);
  if (shape == x.shape) return x;
  if (x.batched() && shape.size() != x.rank()) call.refuse("the batch must stay the first dimension");
  Ints full = x.shape;
  full.insert(full.begin(), shape.size() - full.size(), 1);
  return tensor(
      importer.build.add("broadcast_to", {importer.reshaped(importer.plain(x), full)}, {{"shape", shape}}, shape),
      shape);
}

Value transpose(Importer&, Call& call) {
  const Value& x = call[0];
  Ints reversed(x.rank());
  for (size_t d = 0; d < x.rank(); ++d) reversed[d] = static_cast<int64_t>(x.rank() - 1 - d);
  const Ints permutation = call.integers("perm").value_or(reversed);
  std::set<int64_t> all(permutation.begin(), permutation.end());
  if (permutation.size() != x.rank() || all.size() != x.rank() ||
      (x.rank() > 0 && (*all.begin() != 0 || *all.rbegin() + 1 != static_cast<int64_t>(x.rank()))))
    call.refuse("attribute perm is no order of its dimensions");
  Order order;
  for (const int64_t axis : permutation) order.push_back(static_cast<size_t>(axis));
  if (x.numbers) return constant_of(transposed(*x.numbers, order), x);
  if (x.integers) {
    Ints begin(x.rank(), 0), steps(x.rank(), 1), shape;
    for (const size_t d : order) shape.push_back(x.shape[d]);
    return picked(x, begin, steps, shape, order);
  }
  if (!x.is_tensor() || x.positive) call.refuse("takes real numbers");
  if (x.batched() && order[0] != 0) call.refuse("the batch must stay the first dimension");
  Value result = x;
  for (size_t d = 0; d < x.rank(); ++d) {
    result.shape[d] = x.shape[order[d]];
    result.order[d] = x.order[order[d]];
  }
  return result;
}

}  // namespace kiln::from_onnx
