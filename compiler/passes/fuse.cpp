#include <algorithm>
#include <set>

#include "ops/definition.h"
#include "ops/reshape.h"
#include "ops/window.h"
#include "passes/program.h"

// The rules of fusion:
//  - A contraction or fold is an anchor: it has loops of its own. Element-wise work on its result in the same shape
//  runs
//    on the register tile (the epilogue), up to values that somebody else needs.
//    In prediction that goes on through pooling without overlap, folded there too: its input is never stored.
//  - Sums within each row of an image run in the kernel that makes the row.
//  - Folds of the same domain that do not depend on each other share one pass.
//  - Other element-wise nodes are expressions of their consumers, unless recomputing them costs more than storing them.
//  - What a contraction multiplies is always a buffer, and so is what is compared for equality; a reshape is a view.

namespace kiln {
namespace {

/// Recomputing up to this much work (simple operations an element, over all uses but one) is cheaper than a round trip
/// through memory.
constexpr int64_t kRecomputeLimit = 24;
/// An expression grows to at most this much work before it gets a buffer, which bounds compile time.
constexpr int64_t kExpressionLimit = 200;
/// A value read by many inlined leaves is streamed rather than recomputed.
constexpr size_t kLeafLimit = 3;
/// Larger windows are not pooled in the kernel that makes their elements: each is an expression in it.
constexpr int64_t kPooledWindow = 9;

class Fuser {
 public:
  Fuser(const Graph& graph, int64_t batch) : graph_(graph), batch_(batch), count_(graph.nodes.size()) {
    definitions_.resize(count_);
    consumers_.resize(count_);
    reaches_.assign(count_, std::vector<bool>(count_, false));
    for (const Node& node : graph.nodes) {
      if (node.op->define != nullptr) definitions_[node.id] = node.op->define(graph.call(node));
      for (NodeId input : node.inputs) {
        std::vector<NodeId>& list = consumers_[input];
        if (list.empty() || list.back() != node.id) list.push_back(node.id);
        reaches_[node.id][input] = true;
        for (size_t i = 0; i < count_; ++i) {
          if (reaches_[input][i]) reaches_[node.id][i] = true;
        }
      }
    }
  }

  std::vector<Kernel> run() {
    force_buffers();
    decide_expressions();
    group_folds();
    for (const Node& node : graph_.nodes) {
      if (is_anchor(node.id) && !grouped_[node.id] && !claimed_[node.id] && !pooled_[node.id]) {
        Kernel kernel;
        kernel.anchors = {node.id};
        kernel.roots = epilogue(node.id, kernel.anchors);
        add(std::move(kernel));
      }
    }
    for (const Node& node : graph_.nodes) {
      if (buffer_[node.id] && !claimed_[node.id] && is_map(node.id)) {
        Kernel kernel;
        kernel.anchors = kernel.roots = {node.id};
        add(std::move(kernel));
      }
    }
    for (Kernel& kernel : kernels_) find_leaves(kernel);
    attach_row_sums();
    name_kernels();
    for (Kernel& kernel : kernels_) give_reasons(kernel);
    return std::move(kernels_);
  }

 private:
  const Node& node(NodeId id) const { return graph_.node(id); }
  bool is_view(NodeId id) const { return node(id).op == &reshape_operator; }
  bool is_anchor(NodeId id) const {
    return definitions_[id] && (definitions_[id]->contraction || definitions_[id]->fold != Fold::none);
  }
  bool is_map(NodeId id) const { return definitions_[id] && !is_anchor(id) && !is_view(id); }
  int64_t elements(NodeId id) const { return element_count(node(id).type.shape, batch_); }
  bool is_fold_over_axes(NodeId id) const {
    return definitions_[id] && definitions_[id]->fold != Fold::none && node(id).attributes.count("axes");
  }

  bool gathers(NodeId consumer, NodeId producer) const {
    const auto& gathered = definitions_[consumer]->gathered;
    for (size_t i = 0; i < node(consumer).inputs.size(); ++i) {
      if (node(consumer).inputs[i] == producer && std::count(gathered.begin(), gathered.end(), static_cast<int>(i)))
        return true;
    }
    return false;
  }

  void force_buffers() {
    buffer_.assign(count_, false);
    claimed_.assign(count_, false);
    taken_.assign(count_, false);
    grouped_.assign(count_, false);
    pooled_.assign(count_, false);
    stored_because_.assign(count_, "");
    const auto force = [&](NodeId id, const char* reason) {
      const NodeId buffer = resolve_view(graph_, id);
      buffer_[buffer] = true;
      if (stored_because_[buffer].empty()) stored_because_[buffer] = reason;
    };
    for (const Output& output : graph_.outputs) force(output.node, "the program's result");
    for (const Output& metric : graph_.metrics) force(metric.node, "a metric");
    if (graph_.loss) force(*graph_.loss, "the loss");
    for (const Update& update : graph_.updates) force(update.value, "a parameter's next value");
    for (const Node& node : graph_.nodes) {
      if (is_view(node.id)) force(node.inputs[0], "a reshape is a view of it");
      if (definitions_[node.id] && (definitions_[node.id]->contraction || definitions_[node.id]->compares)) {
        const char* reason =
            definitions_[node.id]->contraction ? "a contraction multiplies it" : "it is compared for equality";
        for (NodeId input : node.inputs) force(input, reason);
      }
    }
  }

  /// Work and leaves of a node as an expression; those of a buffer are free.
  struct Expression {
    int64_t work = 0;
    std::set<NodeId> leaves;
  };

  void decide_expressions() {
    std::vector<Expression> expressions(count_);
    works_.assign(count_, 0);
    for (const Node& node : graph_.nodes) {
      Expression& own = expressions[node.id];
      if (is_map(node.id)) {
        own.work = definitions_[node.id]->cost;
        for (NodeId input : node.inputs) {
          own.work += expressions[input].work;
          own.leaves.insert(expressions[input].leaves.begin(), expressions[input].leaves.end());
        }
        works_.at(node.id) = own.work;
        if (!buffer_[node.id]) {
          stored_because_[node.id] = wants_buffer(node.id, own);
          buffer_[node.id] = !stored_because_[node.id].empty();
        }
      }
      if (!is_map(node.id) || buffer_[node.id]) {
        own = {};
        if (!node.type.shape.empty() || !is_source(node)) own.leaves = {node.id};
      }
    }
  }

  /// Why an element-wise value should be stored; empty if it should not.
  std::string wants_buffer(NodeId id, const Expression& own) const {
    if (own.leaves.empty()) return "";  // constants and scalars: hoisted out of every loop
    if (own.work > kExpressionLimit) return "its expression has grown large";
    std::set<std::vector<int64_t>> fold_domains;  // folds of one domain share a pass
    int64_t uses = 0;
    size_t full_leaves = 0;
    for (NodeId leaf : own.leaves) full_leaves += elements(leaf) == elements(id);
    for (NodeId consumer : consumers_[id]) {
      if (is_fold_over_axes(consumer)) {
        if (fold_domains.insert(std::get<std::vector<int64_t>>(node(consumer).attributes.at("axes"))).second) ++uses;
        continue;
      }
      if (is_anchor(consumer)) {  // a window: each element is read size / stride times
        const int64_t reads = element_count(definitions_[consumer]->extents, batch_) * elements(consumer);
        uses += std::max<int64_t>(1, reads / elements(id));
        continue;
      }
      if (elements(consumer) > elements(id)) return "it is broadcast";  // computed once, not for each element
      uses += gathers(consumer, id) && definitions_[consumer]->period.empty() ? 4 : 1;
    }
    if (uses <= 1) return "";
    if (own.work * (uses - 1) > kRecomputeLimit)
      return fmt::format("{} operations an element for each of {} uses cost more than storing it", own.work, uses);
    return full_leaves > kLeafLimit ? fmt::format("{} uses would each read {} values", uses, full_leaves) : "";
  }

  /// Folds over the same axes of values of the same shape, none depending on another.
  void group_folds() {
    std::vector<std::vector<NodeId>> groups;
    for (const Node& node : graph_.nodes) {
      if (!is_fold_over_axes(node.id)) continue;
      const auto fits = [&](const std::vector<NodeId>& group) {
        const Node& first = this->node(group.front());
        // Within one layer only: groups across layers could depend on each other in a circle.
        return first.layer == node.layer && first.role == node.role &&
               definitions_[first.id]->fold == definitions_[node.id]->fold && first.attributes == node.attributes &&
               graph_.node(first.inputs[0]).type == graph_.node(node.inputs[0]).type &&
               std::none_of(group.begin(), group.end(),
                            [&](NodeId other) { return depends_through_kernel(node.id, other); });
      };
      const auto found = std::find_if(groups.begin(), groups.end(), fits);
      if (found != groups.end())
        found->push_back(node.id);
      else
        groups.push_back({node.id});
    }
    for (std::vector<NodeId>& group : groups) {
      if (group.size() < 2) continue;
      Kernel kernel;
      for (NodeId id : group) {
        grouped_[id] = buffer_[id] = true;
      }
      kernel.anchors = kernel.roots = group;
      add(std::move(kernel));
    }
  }

  bool depends_through_kernel(NodeId later, NodeId earlier) const {
    return reaches_[later][earlier] || reaches_[earlier][later];
  }

  /// The values that an anchor's kernel writes: its result after the element-wise work that can run on the tile.
  std::vector<NodeId> epilogue(NodeId anchor, std::vector<NodeId>& anchors) {
    NodeId current = anchor;
    while (!buffer_[current]) {
      const std::vector<NodeId>& next = consumers_[current];
      if (next.size() != 1) break;
      if (anchors.size() == 1 && pools(anchor, current, next[0])) {
        anchors.push_back(next[0]);
        pooled_[next[0]] = true;
      } else if (!continues(current, next[0])) {
        break;
      }
      current = next[0];
    }
    if (!buffer_[current]) {
      std::vector<NodeId> roots;
      if (all_end_in_roots(current, roots) && independent(current, roots)) {
        // The last first: a weight is written before the state that its value is made of.
        std::sort(roots.begin(), roots.end(), std::greater<>());
        roots.erase(std::unique(roots.begin(), roots.end()), roots.end());
        if (roots.size() <= 4) {
          for (NodeId root : roots) take(root, anchor);
          return roots;
        }
      }
      buffer_[current] = true;
      stored_because_[current] = "several kernels read it";
    }
    take(current, anchor);
    return {current};
  }

  /// What lies between an anchor and its kernel's root: the epilogue of another anchor must end before it.
  void take(NodeId root, NodeId anchor) {
    for (NodeId input : node(root).inputs) {
      if (input == anchor || buffer_[input] || taken_[input] || !reaches_[input][anchor]) continue;
      taken_[input] = true;
      take(input, anchor);
    }
  }

  bool continues(NodeId value, NodeId consumer) const {
    return is_map(consumer) && !claimed_[consumer] && !taken_[consumer] &&
           node(consumer).type.shape == node(value).type.shape && !gathers(consumer, value);
  }

  /// True for a pooling window over a contraction's result that takes each element once at most: nothing is computed
  /// twice. In training, the gradient wants what was pooled.
  bool pools(NodeId anchor, NodeId value, NodeId consumer) const {
    const auto& attributes = node(consumer).attributes;
    if (!graph_.updates.empty() || !definitions_[anchor]->contraction || !is_anchor(consumer) ||
        !attributes.count("windows") || element_count(definitions_[consumer]->extents, batch_) > kPooledWindow ||
        node(value).type.shape != node(anchor).type.shape)
      return false;
    const std::vector<Window> windows = decode_windows(std::get<std::vector<int64_t>>(attributes.at("windows")));
    return std::all_of(windows.begin(), windows.end(), [](const Window& w) {
      return w.before == 0 && w.stride >= w.size && (w.output - 1) * w.stride + w.size <= w.input;
    });
  }

  /// Follows element-wise consumers until buffers are reached: several results of one tile (a weight and its state).
  bool all_end_in_roots(NodeId value, std::vector<NodeId>& roots) const {
    if (consumers_[value].empty()) return false;
    for (NodeId consumer : consumers_[value]) {
      if (!continues(value, consumer)) return false;
      if (buffer_[consumer])
        roots.push_back(consumer);
      else if (!all_end_in_roots(consumer, roots))
        return false;
    }
    // A root that other roots read is an expression of them inside the kernel.
    return true;
  }

  /// No root may need a value that another kernel makes of this one.
  bool independent(NodeId value, const std::vector<NodeId>& roots) const {
    std::set<NodeId> inside;
    std::vector<NodeId> pending(roots.begin(), roots.end());
    while (!pending.empty()) {
      const NodeId id = pending.back();
      pending.pop_back();
      if (!inside.insert(id).second || id == value) continue;
      for (NodeId input : node(id).inputs) {
        if (input != value && !reaches_[input][value]) continue;
        const bool root = std::count(roots.begin(), roots.end(), input) > 0;
        if (input != value && !root && (buffer_[input] || !is_map(input))) return false;
        if (input != value && node(input).type.shape != node(value).type.shape) return false;
        pending.push_back(input);
      }
    }
    return true;
  }

  void add(Kernel kernel) {
    for (NodeId root : kernel.roots) claimed_[root] = buffer_[root] = true;
    kernels_.push_back(std::move(kernel));
  }

  void find_leaves(Kernel& kernel) {
    std::set<NodeId> seen, leaves;
    std::vector<NodeId> pending(kernel.roots.begin(), kernel.roots.end());
    const std::set<NodeId> own(kernel.roots.begin(), kernel.roots.end());
    while (!pending.empty()) {
      const NodeId id = pending.back();
      pending.pop_back();
      if (!seen.insert(id).second) continue;
      if (own.count(id) == 0 && (buffer_[id] || is_view(id) || is_source(node(id)))) {
        leaves.insert(id);
        continue;
      }
      pending.insert(pending.end(), node(id).inputs.begin(), node(id).inputs.end());
    }
    kernel.leaves.assign(leaves.begin(), leaves.end());
  }

  /// True for sums over the batch and along each row, of a batch of images.
  bool is_row_sum(NodeId id) const {
    if (!is_fold_over_axes(id) || definitions_[id]->fold != Fold::sum) return false;
    const auto& axes = std::get<std::vector<int64_t>>(node(id).attributes.at("axes"));
    return node(node(id).inputs[0]).type.shape.size() == 4 && std::count(axes.begin(), axes.end(), 0) &&
           std::count(axes.begin(), axes.end(), 2) && !std::count(axes.begin(), axes.end(), 1);
  }

  /// A contraction's kernel that makes images row by row, so that sums within rows can join it. (Element-wise kernels
  /// run at the memory's speed, where the copy of each row costs more than the pass that it saves.)
  bool makes_rows(const Kernel& kernel) const {
    return kernel.roots.size() == 1 && kernel.anchors.size() == 1 && definitions_[kernel.anchors[0]]->contraction &&
           node(kernel.roots[0]).type.shape.size() == 4 && has_batch(node(kernel.roots[0]).type.shape) &&
           has_batch(node(kernel.anchors[0]).type.shape);
  }

  void attach_row_sums() {
    std::vector<Kernel> kept;
    for (Kernel& sums : kernels_) {
      Kernel* producer = nullptr;
      if (sums.roots == sums.anchors &&
          std::all_of(sums.anchors.begin(), sums.anchors.end(), [&](NodeId id) { return is_row_sum(id); })) {
        for (Kernel& candidate : kernels_) {
          if (&candidate == &sums || !makes_rows(candidate)) continue;
          const NodeId root = candidate.roots[0];
          const bool reads = std::count(sums.leaves.begin(), sums.leaves.end(), root) > 0;
          const bool ready = std::all_of(sums.leaves.begin(), sums.leaves.end(),
                                         [&](NodeId leaf) { return leaf == root || !reaches_[leaf][root]; });
          if (reads && ready && node(root).type.shape == node(node(sums.anchors[0]).inputs[0]).type.shape)
            producer = &candidate;
        }
      }
      if (producer == nullptr) continue;
      producer->row_sums = sums.anchors;
      producer->roots.insert(producer->roots.end(), sums.anchors.begin(), sums.anchors.end());
      find_leaves(*producer);
      sums.roots.clear();  // moved
    }
    for (Kernel& kernel : kernels_) {
      if (!kernel.roots.empty()) kept.push_back(std::move(kernel));
    }
    kernels_ = std::move(kept);
  }

  /// Says of every node in a kernel why it is there.
  void give_reasons(Kernel& kernel) const {
    const std::set<NodeId> leaves(kernel.leaves.begin(), kernel.leaves.end());
    std::set<NodeId> inside;
    std::vector<NodeId> pending = kernel.roots;
    while (!pending.empty()) {
      const NodeId id = pending.back();
      pending.pop_back();
      if (leaves.count(id) || !inside.insert(id).second) continue;
      pending.insert(pending.end(), node(id).inputs.begin(), node(id).inputs.end());
    }
    for (NodeId id : inside) {
      std::string reason = reason_for(kernel, id);
      if (std::count(kernel.roots.begin(), kernel.roots.end(), id))
        reason += "; stored" + (stored_because_[id].empty() ? "" : ": " + stored_because_[id]);
      kernel.fused.push_back({id, std::move(reason)});
    }
  }

  std::string reason_for(const Kernel& kernel, NodeId id) const {
    const NodeId anchor = kernel.anchors[0];
    if (std::count(kernel.row_sums.begin(), kernel.row_sums.end(), id))
      return "sum within each row, joined: the row is in the cache when it has been made";
    if (std::count(kernel.anchors.begin(), kernel.anchors.end(), id)) {
      if (!is_anchor(id)) return "element-wise loop of its own";
      const char* kind = definitions_[id]->contraction ? "contraction" : "fold";
      if (kernel.anchors.size() == 1) return fmt::format("{} with loops of its own", kind);
      return fmt::format("fold that shares its pass with {} more", kernel.anchors.size() - 1);
    }
    if (is_anchor(anchor) && reaches_[id][anchor]) {
      const char* kind = definitions_[anchor]->contraction ? "contraction" : "fold";
      return fmt::format("epilogue: works on the {}'s registers", kind);
    }
    if (is_anchor(id)) return "small window, unrolled into the expression";
    if (node(id).type.shape.empty() && node(id).inputs.empty()) return "a number";
    const size_t uses = consumers_[id].size();
    if (uses <= 1) return "expression: read here alone";
    return fmt::format(
        "expression: {} operations an element, computed again by each of {} readers, are cheaper than storing it",
        works_[id], uses);
  }

  void name_kernels() {
    std::map<std::string, int> used;
    std::vector<Kernel*> order;
    for (Kernel& kernel : kernels_) order.push_back(&kernel);
    std::sort(order.begin(), order.end(),
              [](const Kernel* a, const Kernel* b) { return a->anchors[0] < b->anchors[0]; });
    for (Kernel* kernel : order) {
      const Node& anchor = node(kernel->anchors[0]);
      std::string name = (anchor.layer.empty() ? anchor.op->name : anchor.layer) + "." + to_string(anchor.role);
      const int count = used[name]++;
      kernel->name = count == 0 ? name : fmt::format("{}_{}", name, count + 1);
    }
  }

  const Graph& graph_;
  const int64_t batch_;
  const size_t count_;
  std::vector<std::optional<Definition>> definitions_;
  std::vector<std::vector<NodeId>> consumers_;
  std::vector<std::vector<bool>> reaches_;
  std::vector<bool> buffer_;   // has memory
  std::vector<bool> claimed_;  // is a root of a kernel
  std::vector<bool> taken_;    // is an expression in an anchor's epilogue
  std::vector<bool> grouped_;  // is a fold in a shared pass
  std::vector<bool> pooled_;   // is a window in its contraction's kernel
  std::vector<std::string> stored_because_;
  std::vector<int64_t> works_;  // of an element as an expression
  std::vector<Kernel> kernels_;
};

}  // namespace

NodeId resolve_view(const Graph& graph, NodeId id) {
  while (graph.node(id).op == &reshape_operator) id = graph.node(id).inputs[0];
  return id;
}

std::vector<Kernel> fuse(const Graph& graph, int64_t batch) { return Fuser(graph, batch).run(); }

}  // namespace kiln
