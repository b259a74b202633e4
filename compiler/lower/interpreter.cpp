#include "lower/interpreter.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>

#include "lower/affine.h"
#include "ops/scalar.h"

namespace kiln {
namespace {

using Halide::Expr;
namespace ir = Halide::Internal;

/// Elements that one instruction works on at a time.
constexpr size_t kBlock = 256;

/// One value: of a real expression, or of an integer or a condition.
union Slot {
  double real;
  int64_t integer;
};

enum class Code {
  loop,      // integer: loop variable number `index`
  constant,  // `value`
  read,      // operand number `index` at the positions in `operands`
  convert,
  add,
  subtract,
  multiply,
  divide,
  modulo,
  min,
  max,
  equal,
  not_equal,
  less,
  less_equal,
  both,
  either,
  negate,  // of a condition
  select,
  absolute,
  exponential,
  logarithm,
  root,
  tangent,  // hyperbolic
  error_function,
  bits_and,
  bits_or,
  bits_xor,
  shift_left,
  shift_right,
};

struct Instruction {
  Code code;
  Halide::Type type;
  std::vector<int> operands;  // earlier instructions
  int index = 0;
  Slot value = {};

  bool operator==(const Instruction& other) const {
    return code == other.code && type == other.type && operands == other.operands && index == other.index &&
           value.integer == other.value.integer;
  }
};

int64_t wrapped(Halide::Type type, int64_t value) {
  if (type.is_bool()) return value != 0;
  if (type.is_int() && type.bits() == 32) return static_cast<int32_t>(value);
  if (type.is_uint() && type.bits() == 32) return static_cast<uint32_t>(value);
  throw InternalError("the interpreter knows no integers of " + std::to_string(type.bits()) + " bits");
}

/// The operands of a definition as calls of functions "0", "1", ...
class NamedOperands : public Operands {
 public:
  NamedOperands(const Graph& graph, const Node& node, int64_t lanes) : graph_(graph), node_(node), lanes_(lanes) {}
  Expr read(int operand, const Index& index) const override {
    const Type& type = graph_.node(node_.inputs.at(static_cast<size_t>(operand))).type;
    const Halide::Type element = type.element == ElementType::int32 ? Halide::Int(32) : Halide::Float(64);
    return ir::Call::make(element, std::to_string(operand), index, ir::Call::PureExtern);
  }
  const Shape& shape(int operand) const override {
    return graph_.node(node_.inputs.at(static_cast<size_t>(operand))).type.shape;
  }
  Halide::Type real() const override { return Halide::Float(64); }
  Expr count() const override { return ir::Variable::make(Halide::Int(32), "count"); }
  int64_t batch() const override { return lanes_; }

 private:
  const Graph& graph_;
  const Node& node_;
  int64_t lanes_;
};

/// Turns an expression into instructions; equal ones become one.
class Assembler {
 public:
  Assembler(const std::map<std::string, int>& loops, int64_t count) : loops_(loops), count_(count) {}

  int assemble(const Expr& e) {
    if (const auto known = known_.find(e.get()); known != known_.end()) return known->second;
    const int at = visit(e);
    known_.emplace(e.get(), at);
    return at;
  }

  std::vector<Instruction> instructions;

 private:
  int add(Code code, Halide::Type type, std::vector<int> operands, int index = 0, Slot value = {}) {
    Instruction next = {code, type, std::move(operands), index, value};
    const auto found = std::find(instructions.begin(), instructions.end(), next);
    if (found != instructions.end()) return static_cast<int>(found - instructions.begin());
    instructions.push_back(std::move(next));
    return static_cast<int>(instructions.size()) - 1;
  }
  int integer(Halide::Type type, int64_t value) {
    Slot slot;
    slot.integer = wrapped(type, value);
    return add(Code::constant, type, {}, 0, slot);
  }
  template <class Node>
  int binary(Code code, const Expr& e) {
    const auto* node = e.as<Node>();
    return add(code, e.type(), {assemble(node->a), assemble(node->b)});
  }
  int swapped(Code code, const Expr& a, const Expr& b) { return add(code, Halide::Bool(), {assemble(b), assemble(a)}); }

  int visit(const Expr& e) {
    switch (e->node_type) {
      case ir::IRNodeType::IntImm:
        return integer(e.type(), e.as<ir::IntImm>()->value);
      case ir::IRNodeType::UIntImm:
        return integer(e.type(), static_cast<int64_t>(e.as<ir::UIntImm>()->value));
      case ir::IRNodeType::FloatImm: {
        Slot slot;
        slot.real = e.as<ir::FloatImm>()->value;
        return add(Code::constant, e.type(), {}, 0, slot);
      }
      case ir::IRNodeType::Variable: {
        const std::string& name = e.as<ir::Variable>()->name;
        if (name == "count") return integer(Halide::Int(32), count_);
        return add(Code::loop, e.type(), {}, loops_.at(name));
      }
      case ir::IRNodeType::Cast:
        return add(Code::convert, e.type(), {assemble(e.as<ir::Cast>()->value)});
      case ir::IRNodeType::Add:
        return binary<ir::Add>(Code::add, e);
      case ir::IRNodeType::Sub:
        return binary<ir::Sub>(Code::subtract, e);
      case ir::IRNodeType::Mul:
        return binary<ir::Mul>(Code::multiply, e);
      case ir::IRNodeType::Div:
        return binary<ir::Div>(Code::divide, e);
      case ir::IRNodeType::Mod:
        return binary<ir::Mod>(Code::modulo, e);
      case ir::IRNodeType::Min:
        return binary<ir::Min>(Code::min, e);
      case ir::IRNodeType::Max:
        return binary<ir::Max>(Code::max, e);
      case ir::IRNodeType::EQ:
        return binary<ir::EQ>(Code::equal, e);
      case ir::IRNodeType::NE:
        return binary<ir::NE>(Code::not_equal, e);
      case ir::IRNodeType::LT:
        return binary<ir::LT>(Code::less, e);
      case ir::IRNodeType::LE:
        return binary<ir::LE>(Code::less_equal, e);
      case ir::IRNodeType::GT:
        return swapped(Code::less, e.as<ir::GT>()->a, e.as<ir::GT>()->b);
      case ir::IRNodeType::GE:
        return swapped(Code::less_equal, e.as<ir::GE>()->a, e.as<ir::GE>()->b);
      case ir::IRNodeType::And:
        return binary<ir::And>(Code::both, e);
      case ir::IRNodeType::Or:
        return binary<ir::Or>(Code::either, e);
      case ir::IRNodeType::Not:
        return add(Code::negate, e.type(), {assemble(e.as<ir::Not>()->a)});
      case ir::IRNodeType::Select: {
        const auto* node = e.as<ir::Select>();
        return add(Code::select, e.type(),
                   {assemble(node->condition), assemble(node->true_value), assemble(node->false_value)});
      }
      case ir::IRNodeType::Call:
        return call(e);
      default:
        throw unknown(e);
    }
  }

  int call(const Expr& e) {
    static const std::map<std::string, Code> codes = {
        {"exp_f64", Code::exponential},   {"log_f64", Code::logarithm},       {"sqrt_f64", Code::root},
        {"tanh_f64", Code::tangent},      {"erf", Code::error_function},      {"abs", Code::absolute},
        {"bitwise_and", Code::bits_and},  {"bitwise_or", Code::bits_or},      {"bitwise_xor", Code::bits_xor},
        {"shift_left", Code::shift_left}, {"shift_right", Code::shift_right}, {"strict_add", Code::add},
        {"strict_sub", Code::subtract},   {"strict_mul", Code::multiply},     {"strict_div", Code::divide},
        {"strict_min", Code::min},        {"strict_max", Code::max},          {"strict_eq", Code::equal},
        {"strict_lt", Code::less},        {"strict_le", Code::less_equal}};
    const auto* node = e.as<ir::Call>();
    std::vector<int> operands;
    for (const Expr& argument : node->args) operands.push_back(assemble(argument));
    if (std::isdigit(static_cast<unsigned char>(node->name[0])))
      return add(Code::read, e.type(), std::move(operands), std::stoi(node->name));
    if (node->name == "likely" || node->name == "strict_float") return operands[0];
    const auto found = codes.find(node->name);
    if (found == codes.end()) throw unknown(e);
    return add(found->second, e.type(), std::move(operands));
  }

  static InternalError unknown(const Expr& e) {
    std::ostringstream text;
    text << e;
    return InternalError("the interpreter does not know " + text.str());
  }

  const std::map<std::string, int>& loops_;
  const int64_t count_;
  std::map<const void*, int> known_;
};

/// A node's definition, ready to run.
struct Rule {
  Fold fold = Fold::none;
  std::vector<int> extents;  // of the folded loops
  std::vector<Expr> kept;    // keeps the expression's nodes, and so their addresses, alive
  std::vector<Instruction> instructions;
  int result = 0;
  std::optional<Contraction> contraction;
};

struct Memory {
  const void* values;
  enum { f32, i32, f64 } kind;
};

double bf16(double value) {
  const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(value)) + 0x7fff;
  return std::bit_cast<float>(bits & 0xffff0000U);
}

/// Counts through the elements of some extents, the last one fastest.
struct Odometer {
  explicit Odometer(std::vector<int> extents) : extents(std::move(extents)), at(this->extents.size(), 0) {}
  void next() {
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d] < extents[d]) return;
      at[d] = 0;
    }
  }
  std::vector<int> extents, at;
};

int64_t product(const std::vector<int>& extents) {
  int64_t result = 1;
  for (const int extent : extents) result *= extent;
  return result;
}

}  // namespace

struct Interpreter::Parts {
  Parts(const Graph& graph, const InterpreterOptions& options) : graph(graph), options(options) {}

  const Graph& graph;
  const InterpreterOptions options;
  std::map<NodeId, Memory> memory;
  mutable std::map<NodeId, Rule> rules;
  // What was last computed of a node that is not stored: its other readers mostly want the same elements.
  struct Computed {
    std::vector<std::vector<int>> at;
    std::vector<Slot> values;
  };
  mutable std::map<NodeId, Computed> computed;

  double round(double value) const { return options.single ? static_cast<float>(value) : value; }

  int extent(int64_t value) const { return static_cast<int>(value == kBatch ? options.count : value); }

  const Rule& rule(NodeId id) const {
    if (const auto known = rules.find(id); known != rules.end()) return known->second;
    const Node& node = graph.node(id);
    if (node.op->define == nullptr)
      throw InternalError(fmt::format("interpreter: node {} ({}) has no value", id, node.op->name));
    const Definition definition = node.op->define(graph.call(node));
    Rule rule;
    rule.fold = definition.fold;
    rule.contraction = definition.contraction;
    if (rule.contraction) {
      for (size_t i = static_cast<size_t>(rule.contraction->output_rank); i < rule.contraction->extents.size(); ++i)
        rule.extents.push_back(extent(rule.contraction->extents[i]));
    } else {
      for (const int64_t value : definition.extents) rule.extents.push_back(extent(value));
      std::map<std::string, int> loops;
      const auto variables = [&](size_t count, const char* prefix) {
        Index index;
        for (size_t i = 0; i < count; ++i) {
          const std::string name = prefix + std::to_string(i);
          loops.emplace(name, static_cast<int>(loops.size()));
          index.push_back(ir::Variable::make(Halide::Int(32), name));
        }
        return index;
      };
      const Index at = variables(node.type.shape.size(), "d"), r = variables(definition.extents.size(), "r");
      const Expr value = definition.value(NamedOperands(graph, node, options.lanes), at, r);
      rule.kept = {value};
      Assembler assembler(loops, options.count);
      rule.result = assembler.assemble(value);
      rule.instructions = std::move(assembler.instructions);
    }
    return rules.emplace(id, std::move(rule)).first->second;
  }

  void read_memory(NodeId id, const Memory& from, const Positions& at, Slot* out) const {
    const Node& node = graph.node(id);
    const Shape extents = with_batch(node.type.shape, options.lanes);
    const bool batched = has_batch(node.type.shape);
    int64_t offsets[kBlock] = {};
    for (size_t k = 0; k < extents.size(); ++k) {
      const size_t d = batched ? (k + 1) % extents.size() : k;  // the batch is innermost
      const int64_t extent = extents[d];
      const int* positions = at.at[d].data();
      bool inside = true;
      for (size_t i = 0; i < at.count; ++i) {
        inside &= positions[i] >= 0 && positions[i] < extent;
        offsets[i] = offsets[i] * extent + positions[i];
      }
      if (inside) continue;
      const auto outside = std::find_if(positions, positions + at.count, [&](int p) { return p < 0 || p >= extent; });
      throw InternalError(fmt::format("interpreter: node {} ({}) is read outside: {} of dimension {}", id,
                                      node.op->name, *outside, d));
    }
    const auto load = [&](const auto* values, auto Slot::*member) {
      for (size_t i = 0; i < at.count; ++i) out[i].*member = values[offsets[i]];
    };
    if (from.kind == Memory::i32)
      load(static_cast<const int32_t*>(from.values), &Slot::integer);
    else if (from.kind == Memory::f32)
      load(static_cast<const float*>(from.values), &Slot::real);
    else
      load(static_cast<const double*>(from.values), &Slot::real);
  }

  /// At most kBlock positions.
  void evaluate(NodeId id, const Positions& at, Slot* out) const {
    if (at.count == 0) return;
    const Node& node = graph.node(id);
    if (const auto stored = memory.find(id); stored != memory.end()) return read_memory(id, stored->second, at, out);
    if (node.op == &scalar_operator) {
      const auto& name = std::get<std::string>(node.attributes.at("name"));
      Slot value;
      if (name == "step" || name == "seed")
        value.integer = name == "step" ? options.step : options.seed;
      else
        value.real = name == "count"             ? static_cast<double>(options.count)
                     : name == "label_smoothing" ? round(options.label_smoothing)
                                                 : round(options.learning_rate);
      std::fill_n(out, at.count, value);
      return;
    }
    if (const auto known = computed.find(id);
        known != computed.end() && known->second.values.size() == at.count && known->second.at == at.at) {
      std::copy(known->second.values.begin(), known->second.values.end(), out);
      return;
    }
    const Rule& own = rule(id);
    if (own.contraction)
      contract(node, own, at, out);
    else if (own.fold == Fold::none)
      run(node, own, at, out);
    else
      fold(node, own, at, out);
    computed[id] = {at.at, {out, out + at.count}};
  }

  void fold(const Node& node, const Rule& own, const Positions& at, Slot* out) const {
    const size_t rank = at.at.size();
    const double first = own.fold == Fold::sum   ? 0
                         : own.fold == Fold::max ? -std::numeric_limits<double>::infinity()
                                                 : std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < at.count; ++i) out[i].real = first;
    Positions block;
    block.at.resize(rank + own.extents.size());
    for (auto& dimension : block.at) dimension.resize(kBlock);
    std::vector<size_t> owner(kBlock);
    std::vector<Slot> found(kBlock);
    const auto flush = [&] {
      run(node, own, block, found.data());
      for (size_t k = 0; k < block.count; ++k) {
        double& total = out[owner[k]].real;
        total = own.fold == Fold::sum   ? round(total + found[k].real)
                : own.fold == Fold::max ? std::max(total, found[k].real)
                                        : std::min(total, found[k].real);
      }
      block.count = 0;
    };
    const int64_t terms = product(own.extents);
    for (size_t i = 0; i < at.count; ++i) {
      Odometer r(own.extents);
      for (int64_t t = 0; t < terms; ++t, r.next()) {
        for (size_t d = 0; d < rank; ++d) block.at[d][block.count] = at.at[d][i];
        for (size_t d = 0; d < r.at.size(); ++d) block.at[rank + d][block.count] = r.at[d];
        owner[block.count] = i;
        if (++block.count == kBlock) flush();
      }
    }
    if (block.count > 0) flush();
  }

  void contract(const Node& node, const Rule& own, const Positions& at, Slot* out) const {
    const Contraction& c = *own.contraction;
    const bool rounded = options.rounded.count(node.id) > 0;
    for (size_t i = 0; i < at.count; ++i) out[i].real = 0;
    Positions sides[2];
    for (int side = 0; side < 2; ++side) {
      sides[side].at.resize(graph.node(node.inputs[static_cast<size_t>(side)]).type.shape.size());
      for (auto& dimension : sides[side].at) dimension.resize(kBlock);
    }
    std::vector<size_t> owner(kBlock);
    std::vector<Slot> left(kBlock), right(kBlock);
    size_t filled = 0;
    const auto flush = [&] {
      sides[0].count = sides[1].count = filled;
      evaluate(node.inputs[0], sides[0], left.data());
      evaluate(node.inputs[1], sides[1], right.data());
      for (size_t k = 0; k < filled; ++k) {
        const double a = rounded ? bf16(left[k].real) : left[k].real, b = rounded ? bf16(right[k].real) : right[k].real;
        out[owner[k]].real = round(out[owner[k]].real + round(a * b));
      }
      filled = 0;
    };
    // One dimension of an operand: a part of its position is an output element's, the rest a term's.
    struct Dimension {
      std::vector<int64_t> coefficients;  // of the output's loops
      std::vector<int> of_term;
      int offset, divisor, extent;
      int* to;
    };
    const int64_t terms = product(own.extents);
    std::vector<Dimension> dimensions;
    for (size_t side = 0; side < 2; ++side) {
      const Shape shape = with_batch(graph.node(node.inputs[side]).type.shape, options.lanes);
      size_t d = 0;
      for (const AffineIndex& index : side == 0 ? c.left : c.right) {
        const auto folded = index.coefficients.begin() + c.output_rank;
        Dimension dimension = {{index.coefficients.begin(), folded},
                               {},
                               static_cast<int>(index.offset),
                               static_cast<int>(index.divisor),
                               static_cast<int>(shape[d]),
                               sides[side].at[d].data()};
        Odometer r(own.extents);
        for (int64_t t = 0; t < terms; ++t, r.next())
          dimension.of_term.push_back(
              static_cast<int>(std::inner_product(r.at.begin(), r.at.end(), folded, int64_t{0})));
        dimensions.push_back(std::move(dimension));
        ++d;
      }
    }
    std::vector<int> outside(kBlock);
    for (size_t i = 0; i < at.count; ++i) {
      for (size_t t = 0, count = 0; t < static_cast<size_t>(terms); t += count) {
        count = std::min(kBlock - filled, static_cast<size_t>(terms) - t);
        std::fill_n(outside.begin(), count, 0);
        for (const Dimension& dimension : dimensions) {
          int base = dimension.offset;
          for (size_t d = 0; d < at.at.size(); ++d) base += static_cast<int>(dimension.coefficients[d]) * at.at[d][i];
          const int *of_term = dimension.of_term.data() + t, divisor = dimension.divisor, extent = dimension.extent;
          int *to = dimension.to + filled, *out_of_range = outside.data();
          if (divisor == 1) {
            for (size_t k = 0; k < count; ++k) {
              const int position = base + of_term[k];
              to[k] = position;
              out_of_range[k] |= static_cast<int>(position < 0) | static_cast<int>(position >= extent);
            }
          } else {
            for (size_t k = 0; k < count; ++k) {
              const int position = base + of_term[k];
              to[k] = position / divisor;
              out_of_range[k] |= static_cast<int>(position < 0) | static_cast<int>(position % divisor != 0) |
                                 static_cast<int>(position / divisor >= extent);
            }
          }
        }
        // Terms outside of an operand are none.
        size_t kept = filled;
        for (size_t k = 0; k < count; ++k) {
          if (outside[k] != 0) continue;
          for (const Dimension& dimension : dimensions) dimension.to[kept] = dimension.to[filled + k];
          owner[kept++] = i;
        }
        filled = kept;
        if (filled == kBlock) flush();
      }
    }
    if (filled > 0) flush();
  }

  /// The rule's expression at positions of its loops: the element's, then the folded ones.
  void run(const Node& node, const Rule& own, const Positions& at, Slot* out) const {
    const size_t n = at.count;
    std::vector<Slot> registers(own.instructions.size() * n);
    Positions read;
    for (size_t k = 0; k < own.instructions.size(); ++k) {
      const Instruction& instruction = own.instructions[k];
      Slot* to = registers.data() + k * n;
      const auto operand = [&](size_t i) {
        return registers.data() + static_cast<size_t>(instruction.operands[i]) * n;
      };
      const auto type_of = [&](size_t i) {
        return own.instructions[static_cast<size_t>(instruction.operands[i])].type;
      };
      const auto reals = [&](auto work) {
        const Slot *a = operand(0), *b = operand(instruction.operands.size() - 1);
        for (size_t i = 0; i < n; ++i) to[i].real = round(work(a[i].real, b[i].real));
      };
      const auto integers = [&](auto work) {
        const Slot *a = operand(0), *b = operand(instruction.operands.size() - 1);
        for (size_t i = 0; i < n; ++i) to[i].integer = wrapped(instruction.type, work(a[i].integer, b[i].integer));
      };
      const auto either = [&](auto work) { instruction.type.is_float() ? reals(work) : integers(work); };
      const auto compare = [&](auto work) {
        const Slot *a = operand(0), *b = operand(1);
        if (type_of(0).is_float())
          for (size_t i = 0; i < n; ++i) to[i].integer = work(a[i].real, b[i].real);
        else
          for (size_t i = 0; i < n; ++i) to[i].integer = work(a[i].integer, b[i].integer);
      };
      switch (instruction.code) {
        case Code::loop:
          for (size_t i = 0; i < n; ++i) to[i].integer = at.at[static_cast<size_t>(instruction.index)][i];
          break;
        case Code::constant: {
          Slot value = instruction.value;
          if (instruction.type.is_float()) value.real = round(value.real);
          std::fill_n(to, n, value);
          break;
        }
        case Code::read: {
          read.count = n;
          read.at.resize(instruction.operands.size());
          for (size_t d = 0; d < read.at.size(); ++d) {
            read.at[d].resize(n);
            for (size_t i = 0; i < n; ++i) read.at[d][i] = static_cast<int>(operand(d)[i].integer);
          }
          evaluate(node.inputs[static_cast<size_t>(instruction.index)], read, to);
          break;
        }
        case Code::convert: {
          const bool from_real = type_of(0).is_float(), to_real = instruction.type.is_float();
          for (size_t i = 0; i < n; ++i) {
            const Slot value = operand(0)[i];
            if (to_real)
              to[i].real = round(from_real ? value.real : static_cast<double>(value.integer));
            else
              to[i].integer = wrapped(instruction.type, from_real ? static_cast<int64_t>(value.real) : value.integer);
          }
          break;
        }
        case Code::add:
          either([](auto a, auto b) { return a + b; });
          break;
        case Code::subtract:
          either([](auto a, auto b) { return a - b; });
          break;
        case Code::multiply:
          if (instruction.type.is_float())
            reals([](double a, double b) { return a * b; });
          else  // modulo 2^64 is enough for 32 bits
            integers([](int64_t a, int64_t b) {
              return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
            });
          break;
        case Code::divide:
          if (instruction.type.is_float())
            reals([](double a, double b) { return a / b; });
          else  // Halide's: the remainder is never negative, and x / 0 = 0
            integers([](int64_t a, int64_t b) {
              if (b == 0) return int64_t{0};
              const int64_t rest = (a % b + std::abs(b)) % std::abs(b);
              return (a - rest) / b;
            });
          break;
        case Code::modulo:
          integers([](int64_t a, int64_t b) { return b == 0 ? 0 : (a % b + std::abs(b)) % std::abs(b); });
          break;
        case Code::min:
          either([](auto a, auto b) { return std::min(a, b); });
          break;
        case Code::max:
          either([](auto a, auto b) { return std::max(a, b); });
          break;
        case Code::equal:
          compare([](auto a, auto b) { return a == b; });
          break;
        case Code::not_equal:
          compare([](auto a, auto b) { return a != b; });
          break;
        case Code::less:
          compare([](auto a, auto b) { return a < b; });
          break;
        case Code::less_equal:
          compare([](auto a, auto b) { return a <= b; });
          break;
        case Code::both:
          integers([](int64_t a, int64_t b) { return a & b; });
          break;
        case Code::either:
          integers([](int64_t a, int64_t b) { return a | b; });
          break;
        case Code::negate:
          integers([](int64_t a, int64_t) { return a == 0; });
          break;
        case Code::select: {
          const Slot *condition = operand(0), *yes = operand(1), *no = operand(2);
          for (size_t i = 0; i < n; ++i) to[i] = condition[i].integer != 0 ? yes[i] : no[i];
          break;
        }
        case Code::absolute:
          either([](auto a, auto) { return a < 0 ? -a : a; });
          break;
        case Code::exponential:
          reals([](double a, double) { return std::exp(a); });
          break;
        case Code::logarithm:
          reals([](double a, double) { return std::log(a); });
          break;
        case Code::root:
          reals([](double a, double) { return std::sqrt(a); });
          break;
        case Code::tangent:
          reals([](double a, double) { return std::tanh(a); });
          break;
        case Code::error_function:
          reals([](double a, double) { return std::erf(a); });
          break;
        case Code::bits_and:
          integers([](int64_t a, int64_t b) { return a & b; });
          break;
        case Code::bits_or:
          integers([](int64_t a, int64_t b) { return a | b; });
          break;
        case Code::bits_xor:
          integers([](int64_t a, int64_t b) { return a ^ b; });
          break;
        case Code::shift_left:
          integers([](int64_t a, int64_t b) { return a << b; });
          break;
        case Code::shift_right:
          integers([](int64_t a, int64_t b) { return a >> b; });
          break;
      }
    }
    std::copy_n(registers.data() + static_cast<size_t>(own.result) * n, n, out);
    if (node.type.element == ElementType::bf16)
      for (size_t i = 0; i < n; ++i) out[i].real = bf16(out[i].real);
  }
};

Interpreter::Interpreter(const Graph& graph, const InterpreterOptions& options) : parts_(new Parts(graph, options)) {}
Interpreter::~Interpreter() = default;
Interpreter::Interpreter(Interpreter&&) noexcept = default;

void Interpreter::store(NodeId id, const float* values) { parts_->memory[id] = {values, Memory::f32}; }
void Interpreter::store(NodeId id, const int32_t* values) { parts_->memory[id] = {values, Memory::i32}; }
void Interpreter::store(NodeId id, const double* values) { parts_->memory[id] = {values, Memory::f64}; }
void Interpreter::forget() { parts_->memory.clear(); }

std::vector<double> Interpreter::values(NodeId id, const Positions& at) const {
  const bool real = parts_->graph.node(id).type.element != ElementType::int32;
  std::vector<double> result;
  result.reserve(at.count);
  std::vector<Slot> found(kBlock);
  parts_->computed.clear();  // the stored values may be others by now
  Positions block;
  for (size_t begin = 0; begin < at.count; begin += kBlock) {
    block.count = std::min(kBlock, at.count - begin);
    block.at.clear();
    for (const std::vector<int>& dimension : at.at) {
      const auto from = dimension.begin() + static_cast<std::ptrdiff_t>(begin);
      block.at.emplace_back(from, from + static_cast<std::ptrdiff_t>(block.count));
    }
    parts_->evaluate(id, block, found.data());
    for (size_t i = 0; i < block.count; ++i)
      result.push_back(real ? found[i].real : static_cast<double>(found[i].integer));
  }
  return result;
}

std::vector<double> Interpreter::values(NodeId id) const {
  return values(id, all_positions(parts_->graph.node(id).type.shape, parts_->options.lanes));
}

int64_t Interpreter::terms(NodeId id) const {
  std::map<NodeId, int64_t> known;
  const auto count = [&](const auto& self, NodeId node) -> int64_t {
    if (parts_->memory.count(node) || parts_->graph.node(node).inputs.empty()) return 1;
    if (const auto found = known.find(node); found != known.end()) return found->second;
    int64_t most = 1;
    for (const NodeId input : parts_->graph.node(node).inputs) most = std::max(most, self(self, input));
    return known[node] = most * product(parts_->rule(node).extents);
  };
  return count(count, id);
}

Positions all_positions(const Shape& shape, int64_t lanes) {
  const Shape extents = with_batch(shape, lanes);
  Positions result;
  result.count = static_cast<size_t>(element_count(extents));
  result.at.resize(extents.size());
  const size_t rank = extents.size();
  size_t repeated = 1;  // how many elements in a row share a dimension's position
  for (size_t k = rank; k-- > 0;) {
    const size_t d = has_batch(shape) ? (k + 1) % rank : k;  // the batch is innermost
    const auto extent = static_cast<size_t>(extents[d]);
    result.at[d].resize(result.count);
    for (size_t i = 0; i < result.count; i += repeated)
      std::fill_n(result.at[d].begin() + static_cast<std::ptrdiff_t>(i), repeated,
                  static_cast<int>(i / repeated % extent));
    repeated *= extent;
  }
  return result;
}

}  // namespace kiln
