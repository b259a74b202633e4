#include "ops/contraction.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "ops/definition.h"
#include "ops/window.h"

namespace kiln {
namespace {

bool is_plain(const AffineIndex& index, size_t loop) {
  for (size_t i = 0; i < index.coefficients.size(); ++i) {
    if (index.coefficients[i] != (i == loop ? 1 : 0)) return false;
  }
  return index.offset == 0 && index.divisor == 1;
}

/// The loop whose coefficient the gradient solves the index for: a plain loop, or the output's own dimension.
std::optional<size_t> solved_loop(const AffineIndex& index) {
  for (size_t loop = 0; loop < index.coefficients.size(); ++loop) {
    if (index.coefficients[loop] != 0) return loop;  // output loops come first
  }
  return {};
}

/// The greatest position, and the least negated, are numbers of 32 bits, as kernels count.
bool fits(const AffineIndex& index, const std::vector<int64_t>& extents) {
  double reach = std::abs(static_cast<double>(index.offset));
  for (size_t loop = 0; loop < extents.size(); ++loop)
    reach += std::abs(static_cast<double>(index.coefficients[loop])) * static_cast<double>(std::abs(extents[loop]));
  return std::max(reach, static_cast<double>(index.divisor)) <= std::numeric_limits<int32_t>::max();
}

/// Rows are neither shifted nor mixed with other dimensions: the batch's loop is a batch dimension's whole index.
bool keeps_rows(const AffineIndex& index, const std::vector<int64_t>& extents, int64_t operand_extent) {
  bool of_batch = false;
  for (size_t loop = 0; loop < extents.size(); ++loop) {
    if (extents[loop] != kBatch || index.coefficients[loop] == 0) continue;
    if (!is_plain(index, loop)) return false;
    of_batch = true;
  }
  return of_batch == (operand_extent == kBatch);
}

Type type(const Call& call) {
  const auto& specification = call.attribute<Contraction>("specification");
  const size_t loops = specification.loops.size();
  const auto check = [&](const std::vector<AffineIndex>& indices, const Type& operand, const char* side) {
    if (operand.element == ElementType::int32) call.fail(fmt::format("the {} operand must be real", side));
    if (indices.size() != operand.shape.size()) {
      call.fail(
          fmt::format("the {} operand must have rank {}, got {}", side, indices.size(), to_string(operand.shape)));
    }
    for (size_t d = 0; d < indices.size(); ++d) {
      if (indices[d].coefficients.size() != loops || indices[d].divisor < 1) {
        call.fail(
            fmt::format("dimension {} of the {} operand needs a coefficient for each of {} loops and a divisor "
                        "above 0, got {} and {}",
                        d, side, loops, indices[d].coefficients.size(), indices[d].divisor));
      }
      if (!keeps_rows(indices[d], specification.extents, operand.shape[d]))
        call.fail(fmt::format(
            "dimension {} of the {} operand: the batch is read by its own loop alone, and by no other", d, side));
      if (!fits(indices[d], specification.extents))
        call.fail(fmt::format("dimension {} of the {} operand: positions beyond 32 bits", d, side));
    }
  };
  if (loops != specification.extents.size()) call.fail("loops and extents differ in number");
  for (size_t loop = 0; loop < loops; ++loop) {
    if (specification.extents[loop] < 1 && specification.extents[loop] != kBatch)
      call.fail(fmt::format("the extent of loop '{}' must be positive, got {}", specification.loops[loop],
                            specification.extents[loop]));
  }
  if (specification.output_rank < 0 || specification.output_rank > static_cast<int64_t>(loops))
    call.fail(fmt::format("the output has {} dimensions of {} loops", specification.output_rank, loops));
  check(specification.left, call.inputs[0], "left");
  check(specification.right, call.inputs[1], "right");
  return {Shape(specification.extents.begin(), specification.extents.begin() + specification.output_rank),
          ElementType::real};
}

Definition define(const Call& call) { return contract(call.attribute<Contraction>("specification")); }

std::vector<Tensor> gradient(const GradientCall& call) {
  const auto& forward = std::get<Contraction>(call.attributes.at("specification"));
  std::vector<Tensor> gradients;
  for (const bool of_left : {true, false}) {
    const Tensor operand = call.inputs[of_left ? 0 : 1], other = call.inputs[of_left ? 1 : 0];
    const Graph::Scope scope = *call.graph.scope;
    call.graph.scope->role = has_batch(operand.shape()) ? Role::input_gradient : Role::weight_gradient;
    gradients.push_back(contraction(call.cotangent, other,
                                    gradient_contraction(forward, of_left, operand.shape(), call.output.node())));
    call.graph.scope = scope;
  }
  return gradients;
}

// A convolution of one dimension; conv2d and depthwise_conv2d bring the others.
Sample sample(Choices& choices) {
  const int64_t width = choices.extent(choices.elements() / 4), channels = choices.extent(choices.elements() / width);
  const int64_t filters = choices.extent(choices.elements() / width);
  const int64_t stride = choices.integer(1, 3), dilation = choices.integer(1, 3), before = choices.integer(0, 2);
  const int64_t size = choices.integer(1, std::min<int64_t>(4, (width + before - 1) / dilation + 1));
  const int64_t output = (width + before - (size - 1) * dilation - 1) / stride + 1;
  const bool flipped = choices.integer(0, 1) == 1;  // mathematicians' convolution: the kernel is read backwards
  const Contraction convolution = {
      .loops = {"n", "w", "f", "k", "c"},
      .extents = {kBatch, output, filters, size, channels},
      .output_rank = 3,
      .left = {{{1, 0, 0, 0, 0}}, {{0, stride, 0, dilation, 0}, -before}, {{0, 0, 0, 0, 1}}},
      .right = {{{0, 0, 1, 0, 0}}, {{0, 0, 0, flipped ? -1 : 1, 0}, flipped ? size - 1 : 0}, {{0, 0, 0, 0, 1}}}};
  return {.inputs = {{{kBatch, width, channels}}, {{filters, size, channels}}},
          .build = [convolution](const std::vector<Tensor>& in) { return contraction(in[0], in[1], convolution); },
          .flat = !reads_input({width, size, stride, dilation, before, output})};
}

/// True where the loop that the index is solved for stays within its extent at every position of the operand: the
/// gradient runs over the operand's positions, and nothing else would keep the others out.
bool stays_within(const Contraction& forward, const AffineIndex& index, size_t loop, int64_t operand_extent) {
  if (forward.extents[loop] == kBatch) return true;
  for (size_t other = 0; other < index.coefficients.size(); ++other) {
    if (other != loop && index.coefficients[other] != 0) return false;
  }
  const auto solved = [&](int64_t position) {
    return static_cast<double>(index.divisor * position - index.offset) / static_cast<double>(index.coefficients[loop]);
  };
  // Between two whole numbers nothing is divisible.
  const auto [low, high] = std::minmax({solved(0), solved(operand_extent - 1)});
  return low > -1 && high < static_cast<double>(forward.extents[loop]);
}

}  // namespace

Contraction gradient_contraction(const Contraction& forward, bool of_left, const Shape& operand, const Node& output) {
  const auto fail = [&](const char* reason) {
    throw UserError(output.location, "contraction",
                    fmt::format("this one has no gradient that is a contraction: {}", reason));
  };
  const std::vector<AffineIndex>& own = of_left ? forward.left : forward.right;
  const std::vector<AffineIndex>& others = of_left ? forward.right : forward.left;
  const size_t loop_count = forward.loops.size();

  // Each dimension of the operand is a loop of the gradient's output and replaces the loop it is solved for; the
  // loops that are left are summed.
  std::vector<size_t> solved;
  for (const AffineIndex& index : own) {
    const std::optional<size_t> loop = solved_loop(index);
    if (!loop) fail("an operand's dimension depends on no loop");
    if (std::count(solved.begin(), solved.end(), *loop)) fail("two dimensions of an operand follow one loop");
    // A cotangent outside of the output is zero; a summed loop has no such end.
    if (*loop >= static_cast<size_t>(forward.output_rank) &&
        !stays_within(forward, index, *loop, operand[solved.size()]))
      fail("a summed loop does not cover its operand's dimension");
    solved.push_back(*loop);
  }
  std::vector<size_t> summed;
  for (size_t loop = 0; loop < loop_count; ++loop) {
    if (std::count(solved.begin(), solved.end(), loop) == 0) summed.push_back(loop);
  }

  Contraction result;
  result.output_rank = static_cast<int64_t>(own.size());
  for (size_t i = 0; i < own.size(); ++i) {
    result.loops.push_back(forward.loops[solved[i]]);
    result.extents.push_back(operand[i]);
  }
  for (size_t loop : summed) {
    result.loops.push_back(forward.loops[loop]);
    result.extents.push_back(forward.extents[loop]);
  }
  const size_t new_count = result.loops.size();

  // The old loop as an affine form of the new ones.
  std::vector<AffineIndex> replaced(loop_count);
  for (size_t i = 0; i < summed.size(); ++i) {
    replaced[summed[i]].coefficients.assign(new_count, 0);
    replaced[summed[i]].coefficients[own.size() + i] = 1;
  }
  for (size_t i = 0; i < own.size(); ++i) {
    // operand_i = (offset + c * loop + rest) / divisor  =>  loop = (divisor * operand_i - offset - rest) / c
    AffineIndex form;
    form.coefficients.assign(new_count, 0);
    form.coefficients[i] = own[i].divisor;
    form.offset = -own[i].offset;
    form.divisor = own[i].coefficients[solved[i]];
    for (size_t loop = 0; loop < loop_count; ++loop) {
      if (loop == solved[i] || own[i].coefficients[loop] == 0) continue;
      const auto at = std::find(summed.begin(), summed.end(), loop);
      if (at == summed.end()) fail("two dimensions of an operand share loops");
      form.coefficients[own.size() + (at - summed.begin())] = -own[i].coefficients[loop];
    }
    if (form.divisor < 0) {
      for (int64_t& coefficient : form.coefficients) coefficient = -coefficient;
      form.offset = -form.offset;
      form.divisor = -form.divisor;
    }
    replaced[solved[i]] = form;
  }

  const auto rewrite = [&](const AffineIndex& index) {
    AffineIndex form;
    form.coefficients.assign(new_count, 0);
    form.offset = index.offset;
    form.divisor = index.divisor;
    for (size_t loop = 0; loop < loop_count; ++loop) {
      const int64_t coefficient = index.coefficients[loop];
      if (coefficient == 0) continue;
      if (replaced[loop].divisor != 1 && (coefficient != 1 || !is_plain(index, loop))) {
        fail("the other operand strides along a strided loop");
      }
      form.divisor *= replaced[loop].divisor;
      form.offset += coefficient * replaced[loop].offset;
      for (size_t i = 0; i < new_count; ++i) form.coefficients[i] += coefficient * replaced[loop].coefficients[i];
    }
    return form;
  };

  for (size_t i = 0; i < output.type.shape.size(); ++i)
    result.left.push_back(replaced[i]);  // the cotangent, at the output's loops
  for (const AffineIndex& index : others) result.right.push_back(rewrite(index));
  return result;
}

const Operator contraction_operator = {
    .name = "contraction",
    .documentation =
        "out[l] = sum over r of left[affine(l, r)] * right[affine(l, r)], positions outside an operand counting as "
        "zero: "
        "the one family that dense layers, convolutions and all their gradients belong to. Sums over the batch are "
        "the gradients' alone.",
    .type = type,
    .define = define,
    .gradient = gradient,
    .sample = sample,
};

Tensor contraction(Tensor left, Tensor right, Contraction specification, Location location) {
  const Graph& graph = left.graph();
  // The last batch of an epoch has rows without data, where cotangents are zero and nothing else is.
  const bool of_gradient = graph.scope && graph.scope->role != Role::forward;
  if (!of_gradient && std::find(specification.extents.begin() +
                                    std::clamp<int64_t>(specification.output_rank, 0, specification.extents.size()),
                                specification.extents.end(), kBatch) != specification.extents.end())
    throw UserError(graph.scope ? graph.scope->location : location, "contraction",
                    "a sum over the batch would count rows without data; reduce_sum() leaves them out");
  return left.graph().append(contraction_operator, {left, right}, {{"specification", std::move(specification)}},
                             location);
}

}  // namespace kiln
