#include "ops/interpreter.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "ops/definition.h"
#include "ops/scalar.h"

namespace kiln::testing {
namespace {

using Halide::Expr;
namespace ir = Halide::Internal;

/// Operands are read through calls of this name: the operand's number, then the index.
constexpr const char* kRead = "read_operand";

class SymbolicOperands : public Operands {
 public:
  SymbolicOperands(std::vector<Type> types, int64_t batch) : types_(std::move(types)), batch_(batch) {}
  Expr read(int operand, const Index& index) const override {
    std::vector<Expr> arguments = {operand};
    arguments.insert(arguments.end(), index.begin(), index.end());
    const Halide::Type type = types_.at(operand).element == ElementType::real ? Halide::Float(64) : Halide::Int(32);
    return ir::Call::make(type, kRead, arguments, ir::Call::PureExtern);
  }
  const Shape& shape(int operand) const override { return types_.at(operand).shape; }
  Halide::Type real() const override { return Halide::Float(64); }
  Expr count() const override { return ir::Variable::make(Halide::Int(32), "count"); }
  int64_t batch() const override { return batch_; }

 private:
  std::vector<Type> types_;
  int64_t batch_;
};

/// One instruction over all lanes (elements of the result, times elements of its reduction): real numbers are in
/// `reals`, whole numbers and truth values in `wholes`.
struct Instruction {
  std::function<void()> run;  // empty for constants and indices
  bool real = false;
  bool fixed = true;  // the same in every run: computed once
  std::vector<double> reals;
  std::vector<int64_t> wholes;
};

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) return 0;  // Halide's rule
  const int64_t quotient = a / b;
  return a % b != 0 && (a % b < 0) != (b < 0) ? quotient - 1 : quotient;
}

}  // namespace

/// How one node is computed.
struct Interpreter::Step {
  Values value;
  std::function<void(const ReferenceOptions&)> run;
  std::vector<std::unique_ptr<Instruction>> instructions;
  std::vector<const Values*> operands;
  int64_t count = 0;  // of the current run
};

namespace {

/// Turns an expression into instructions, each shared subexpression once.
class Translator {
 public:
  Translator(std::vector<std::unique_ptr<Instruction>>& instructions, const std::vector<Type>& types, int64_t batch,
             std::vector<const Values*>& operands, const int64_t& count,
             std::map<std::string, std::vector<int64_t>> indices, size_t lanes)
      : instructions_(instructions),
        types_(types),
        batch_(batch),
        operands_(operands),
        count_(count),
        indices_(std::move(indices)),
        lanes_(lanes) {}

  Instruction* translate(const Expr& e) {
    Instruction*& known = known_[e.get()];
    if (known == nullptr) {
      Instruction* const made = make(e);
      known_[e.get()] = made;  // `known` may have moved
      kept_.push_back(e);
      if (made->run && made->fixed) made->run(), made->run = nullptr;
      return made;
    }
    return known;
  }

 private:
  Instruction* fresh(bool real, std::initializer_list<Instruction*> inputs) {
    instructions_.push_back(std::make_unique<Instruction>());
    Instruction* made = instructions_.back().get();
    made->real = real;
    real ? made->reals.resize(lanes_) : made->wholes.resize(lanes_);
    for (const Instruction* input : inputs) made->fixed = made->fixed && input->fixed;
    return made;
  }

  template <class F>
  Instruction* unary_real(const Expr& a, F f) {
    Instruction *x = translate(a), *y = fresh(true, {x});
    y->run = [=, lanes = lanes_] {
      for (size_t i = 0; i < lanes; ++i) y->reals[i] = f(x->reals[i]);
    };
    return y;
  }

  template <class Real, class Whole>
  Instruction* binary(const Expr& e, const Expr& a, const Expr& b, Real real, Whole whole) {
    Instruction *x = translate(a), *y = translate(b), *z = fresh(e.type().is_float(), {x, y});
    const bool wraps = e.type().is_uint() && e.type().bits() == 32;
    if (z->real) {
      z->run = [=, lanes = lanes_] {
        for (size_t i = 0; i < lanes; ++i) z->reals[i] = real(x->reals[i], y->reals[i]);
      };
    } else if (x->real) {  // a comparison
      z->run = [=, lanes = lanes_] {
        for (size_t i = 0; i < lanes; ++i) z->wholes[i] = static_cast<int64_t>(real(x->reals[i], y->reals[i]));
      };
    } else {
      z->run = [=, lanes = lanes_] {
        for (size_t i = 0; i < lanes; ++i) {
          z->wholes[i] = static_cast<int64_t>(whole(x->wholes[i], y->wholes[i]));
          if (wraps) z->wholes[i] &= 0xffffffff;
        }
      };
    }
    return z;
  }
  template <class F>
  Instruction* binary(const Expr& e, const Expr& a, const Expr& b, F f) {
    return binary(e, a, b, f, f);
  }

  Instruction* make(const Expr& e) {
    if (const auto* op = e.as<ir::IntImm>()) return whole_constant(op->value);
    if (const auto* op = e.as<ir::UIntImm>()) return whole_constant(static_cast<int64_t>(op->value));
    if (const auto* op = e.as<ir::FloatImm>()) {
      Instruction* made = fresh(true, {});
      std::fill(made->reals.begin(), made->reals.end(), op->value);
      return made;
    }
    if (const auto* op = e.as<ir::Variable>()) return variable(op->name);
    if (const auto* op = e.as<ir::Add>()) return binary(e, op->a, op->b, std::plus<>());
    if (const auto* op = e.as<ir::Sub>()) return binary(e, op->a, op->b, std::minus<>());
    if (const auto* op = e.as<ir::Mul>()) return binary(e, op->a, op->b, std::multiplies<>());
    if (const auto* op = e.as<ir::Div>()) return binary(e, op->a, op->b, std::divides<>(), floor_divide);
    if (const auto* op = e.as<ir::Mod>()) {
      const auto whole = [](int64_t a, int64_t b) { return b == 0 ? 0 : a - floor_divide(a, b) * b; };
      return binary(
          e, op->a, op->b, [](double a, double b) { return a - std::floor(a / b) * b; }, whole);
    }
    if (const auto* op = e.as<ir::Min>()) return binary(e, op->a, op->b, [](auto a, auto b) { return std::min(a, b); });
    if (const auto* op = e.as<ir::Max>()) return binary(e, op->a, op->b, [](auto a, auto b) { return std::max(a, b); });
    if (const auto* op = e.as<ir::EQ>()) return binary(e, op->a, op->b, std::equal_to<>());
    if (const auto* op = e.as<ir::NE>()) return binary(e, op->a, op->b, std::not_equal_to<>());
    if (const auto* op = e.as<ir::LT>()) return binary(e, op->a, op->b, std::less<>());
    if (const auto* op = e.as<ir::LE>()) return binary(e, op->a, op->b, std::less_equal<>());
    if (const auto* op = e.as<ir::GT>()) return binary(e, op->a, op->b, std::greater<>());
    if (const auto* op = e.as<ir::GE>()) return binary(e, op->a, op->b, std::greater_equal<>());
    if (const auto* op = e.as<ir::And>()) return binary(e, op->a, op->b, std::logical_and<>());
    if (const auto* op = e.as<ir::Or>()) return binary(e, op->a, op->b, std::logical_or<>());
    if (const auto* op = e.as<ir::Not>()) return binary(e, op->a, op->a, [](auto a, auto) { return !a; });
    if (const auto* op = e.as<ir::Select>()) {
      Instruction *c = translate(op->condition), *x = translate(op->true_value), *y = translate(op->false_value);
      Instruction* made = fresh(e.type().is_float(), {c, x, y});
      made->run = [=, lanes = lanes_] {
        for (size_t i = 0; i < lanes; ++i) {
          if (made->real) {
            made->reals[i] = c->wholes[i] ? x->reals[i] : y->reals[i];
          } else {
            made->wholes[i] = c->wholes[i] ? x->wholes[i] : y->wholes[i];
          }
        }
      };
      return made;
    }
    if (const auto* op = e.as<ir::Cast>()) return cast(e.type(), op->value);
    if (const auto* op = e.as<ir::Call>()) return call(e, *op);
    throw InternalError("interpreter: no rule for an expression of this kind");
  }

  Instruction* whole_constant(int64_t value) {
    Instruction* made = fresh(false, {});
    std::fill(made->wholes.begin(), made->wholes.end(), value);
    return made;
  }

  Instruction* variable(const std::string& name) {
    Instruction* made = fresh(false, {});
    if (name == "count") {
      made->fixed = false;
      made->run = [made, &count = count_] { std::fill(made->wholes.begin(), made->wholes.end(), count); };
    } else {
      made->wholes = indices_.at(name);
    }
    return made;
  }

  Instruction* cast(Halide::Type type, const Expr& value) {
    Instruction *x = translate(value), *y = fresh(type.is_float(), {x});
    y->run = [=, lanes = lanes_] {
      for (size_t i = 0; i < lanes; ++i) {
        if (y->real) {
          y->reals[i] = x->real ? x->reals[i] : static_cast<double>(x->wholes[i]);
        } else {
          y->wholes[i] = x->real ? static_cast<int64_t>(x->reals[i]) : x->wholes[i];
          if (type == Halide::UInt(32)) y->wholes[i] &= 0xffffffff;
          if (type == Halide::Int(32)) y->wholes[i] = static_cast<int32_t>(y->wholes[i]);
        }
      }
    };
    return y;
  }

  Instruction* call(const Expr& e, const ir::Call& op) {
    const auto& a = op.args;
    if (op.name == kRead) return read(e.type(), op);
    if (op.is_intrinsic(ir::Call::abs)) return unary_real(a[0], [](double x) { return std::abs(x); });
    if (op.is_intrinsic(ir::Call::bitwise_xor)) return binary(e, a[0], a[1], no_reals, std::bit_xor<>());
    if (op.is_intrinsic(ir::Call::shift_right))
      return binary(e, a[0], a[1], no_reals, [](int64_t x, int64_t y) { return x >> y; });
    if (op.is_intrinsic(ir::Call::strict_lt)) return binary(e, a[0], a[1], std::less<>());
    if (op.is_intrinsic(ir::Call::strict_le)) return binary(e, a[0], a[1], std::less_equal<>());
    if (op.name == "exp_f64") return unary_real(a[0], [](double x) { return std::exp(x); });
    if (op.name == "log_f64") return unary_real(a[0], [](double x) { return std::log(x); });
    if (op.name == "sqrt_f64") return unary_real(a[0], [](double x) { return std::sqrt(x); });
    if (op.name == "tanh_f64") return unary_real(a[0], [](double x) { return std::tanh(x); });
    if (op.name == "erf") return unary_real(a[0], [](double x) { return std::erf(x); });
    throw InternalError("interpreter: no rule for a call of " + op.name);
  }
  static double no_reals(double, double) { throw InternalError("interpreter: a bit operation on real numbers"); }

  Instruction* read(Halide::Type type, const ir::Call& op) {
    const auto operand = static_cast<size_t>(op.args[0].as<ir::IntImm>()->value);
    const Shape extents = with_batch(types_.at(operand).shape, batch_);
    if (op.args.size() != extents.size() + 1) throw InternalError("a read of an operand of another rank");
    std::vector<Instruction*> index;
    bool fixed = true;
    for (size_t d = 0; d < extents.size(); ++d) {
      index.push_back(translate(op.args[d + 1]));
      fixed = fixed && index.back()->fixed;
    }
    auto addresses = std::make_shared<std::vector<int64_t>>(lanes_);
    const auto find_addresses = [=, lanes = lanes_] {
      for (size_t i = 0; i < lanes; ++i) {
        int64_t address = 0;
        for (size_t d = 0; d < extents.size(); ++d) {
          const int64_t at = index[d]->wholes[i];
          if (at < 0 || at >= extents[d]) {
            throw InternalError(fmt::format("a definition reads position {} of dimension {} of an operand of {}", at, d,
                                            to_string(extents)));
          }
          address = address * extents[d] + at;
        }
        (*addresses)[i] = address;
      }
    };
    if (fixed) find_addresses();
    Instruction* made = fresh(type.is_float(), {});
    made->fixed = false;
    made->run = [=, lanes = lanes_, &values = operands_] {
      if (!fixed) find_addresses();
      const Values& source = *values[operand];
      for (size_t i = 0; i < lanes; ++i) {
        const double value = source[static_cast<size_t>((*addresses)[i])];
        made->real ? made->reals[i] = value : made->wholes[i] = static_cast<int64_t>(value);
      }
    };
    return made;
  }

  std::vector<std::unique_ptr<Instruction>>& instructions_;
  const std::vector<Type>& types_;
  int64_t batch_;
  std::vector<const Values*>& operands_;
  const int64_t& count_;
  std::map<std::string, std::vector<int64_t>> indices_;
  size_t lanes_;
  std::map<const void*, Instruction*> known_;
  std::vector<Expr> kept_;  // whose addresses are keys
};

/// For each lane of a loop nest, the value of each loop; the last loop is the fastest.
std::vector<std::vector<int64_t>> loop_values(const Shape& extents) {
  const auto lanes = static_cast<size_t>(element_count(extents));
  std::vector<std::vector<int64_t>> values(extents.size(), std::vector<int64_t>(lanes));
  for (size_t lane = 0; lane < lanes; ++lane) {
    auto rest = static_cast<int64_t>(lane);
    for (size_t d = extents.size(); d-- > 0;) {
      values[d][lane] = rest % extents[d];
      rest /= extents[d];
    }
  }
  return values;
}

/// The address that an operand of a contraction is read at in each lane, -1 where that is outside.
std::vector<int32_t> contraction_addresses(const std::vector<AffineIndex>& indices, const Shape& extents,
                                           const std::vector<std::vector<int64_t>>& loops) {
  std::vector<int32_t> addresses(loops.empty() ? 1 : loops[0].size());
  for (size_t lane = 0; lane < addresses.size(); ++lane) {
    int64_t address = 0;
    for (size_t d = 0; d < indices.size() && address >= 0; ++d) {
      int64_t at = indices[d].offset;
      for (size_t l = 0; l < loops.size(); ++l) at += indices[d].coefficients[l] * loops[l][lane];
      const bool inside = at % indices[d].divisor == 0 && at >= 0 && at / indices[d].divisor < extents[d];
      address = inside ? address * extents[d] + at / indices[d].divisor : -1;
    }
    addresses[lane] = static_cast<int32_t>(address);
  }
  return addresses;
}

}  // namespace

Interpreter::Interpreter(const Graph& graph, int64_t batch)
    : graph_(graph), batch_(batch), steps_(graph.nodes.size()) {}
Interpreter::~Interpreter() = default;

std::unique_ptr<Interpreter::Step> Interpreter::prepare(const Node& node) const {
  auto owned = std::make_unique<Step>();
  Step& step = *owned;
  const Shape shape = with_batch(node.type.shape, batch_);
  const auto elements = static_cast<size_t>(element_count(shape));
  step.value.resize(elements);
  if (node.op == &scalar_operator) {
    const auto name = std::get<std::string>(node.attributes.at("name"));
    step.run = [&step, name](const ReferenceOptions& options) {
      step.value[0] = name == "count"  ? static_cast<double>(options.count)
                      : name == "step" ? options.step
                      : name == "seed" ? options.seed
                                       : options.learning_rate;
    };
    return owned;
  }
  if (is_source(node)) return owned;

  const std::vector<Type> types = graph_.input_types(node);
  const Definition definition = node.op->define(graph_.call(node));
  if (definition.contraction) {
    const Contraction& c = *definition.contraction;
    const auto loops = loop_values(with_batch(c.extents, batch_));
    const auto left = contraction_addresses(c.left, with_batch(types[0].shape, batch_), loops);
    const auto right = contraction_addresses(c.right, with_batch(types[1].shape, batch_), loops);
    step.run = [&step, left, right, elements](const ReferenceOptions&) {
      const size_t terms = left.size() / elements;
      for (size_t i = 0; i < elements; ++i) {
        double sum = 0;
        for (size_t lane = i * terms; lane < (i + 1) * terms; ++lane) {
          if (left[lane] >= 0 && right[lane] >= 0)
            sum += (*step.operands[0])[static_cast<size_t>(left[lane])] *
                   (*step.operands[1])[static_cast<size_t>(right[lane])];
        }
        step.value[i] = sum;
      }
    };
    return owned;
  }

  const bool folds = definition.fold != Fold::none;
  const Shape domain = folds ? with_batch(definition.extents, batch_) : Shape{};
  Shape all = shape;
  all.insert(all.end(), domain.begin(), domain.end());
  auto values = loop_values(all);
  const size_t lanes = elements * static_cast<size_t>(element_count(domain));
  std::map<std::string, std::vector<int64_t>> indices;
  Index at, r;
  for (size_t i = 0; i < all.size(); ++i) {
    const std::string name = fmt::format("i{}", i);
    indices[name] = values[i];
    (i < shape.size() ? at : r).push_back(ir::Variable::make(Halide::Int(32), name));
  }
  const SymbolicOperands operands(types, batch_);
  Translator translator(step.instructions, types, batch_, step.operands, step.count, std::move(indices), lanes);
  Instruction* const result = translator.translate(definition.value(operands, at, r));
  std::vector<int64_t> rows;  // of the batch, where the fold runs over it
  for (size_t i = 0; folds && i < domain.size(); ++i) {
    if (definition.extents[i] == kBatch) rows = values[shape.size() + i];
  }
  step.run = [&step, result, rows, elements, lanes, fold = definition.fold](const ReferenceOptions&) {
    for (const auto& instruction : step.instructions) {
      if (instruction->run) instruction->run();
    }
    const size_t terms = lanes / elements;
    for (size_t i = 0; i < elements; ++i) {
      bool first = true;
      for (size_t lane = i * terms; lane < (i + 1) * terms; ++lane) {
        if (!rows.empty() && rows[lane] >= step.count) continue;
        const double value = result->real ? result->reals[lane] : static_cast<double>(result->wholes[lane]);
        double& total = step.value[i];
        total = first               ? value
                : fold == Fold::max ? std::max(total, value)
                : fold == Fold::min ? std::min(total, value)
                                    : total + value;
        first = false;
      }
    }
  };
  return owned;
}

std::vector<Values> Interpreter::run(const std::map<NodeId, Values>& sources, const ReferenceOptions& options,
                                     const std::vector<NodeId>& wanted) {
  std::vector<bool> needed(graph_.nodes.size(), false);
  for (const NodeId id : wanted) needed[id] = true;
  for (auto node = graph_.nodes.rbegin(); node != graph_.nodes.rend(); ++node) {
    if (!needed[node->id]) continue;
    for (const NodeId input : node->inputs) needed[input] = true;
  }
  for (const Node& node : graph_.nodes) {
    if (!needed[node.id]) continue;
    std::unique_ptr<Step>& step = steps_[node.id];
    if (!step) {
      step = prepare(node);
      for (const NodeId input : node.inputs) step->operands.push_back(&steps_[input]->value);
    }
    if (is_source(node) && node.op != &scalar_operator) {
      const Values& given = sources.at(node.id);
      if (given.size() != step->value.size()) throw InternalError("interpreter: a value of another size");
      step->value = given;
      continue;
    }
    step->count = options.count;
    step->run(options);
  }
  std::vector<Values> results;
  for (const NodeId id : wanted) results.push_back(steps_[id]->value);
  return results;
}

}  // namespace kiln::testing
