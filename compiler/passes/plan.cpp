#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <set>

#include "ops/contraction.h"
#include "ops/definition.h"
#include "ops/parameter.h"
#include "passes/program.h"

namespace kiln {
namespace {

constexpr int64_t kAlignment = 64;

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

const std::string& parameter_name(const Node& node) { return std::get<std::string>(node.attributes.at("name")); }

/// The buffers that one root of a kernel is computed from; other roots are expressions to it.
std::set<NodeId> sources_of(const Graph& graph, const Kernel& kernel, NodeId root) {
  const std::set<NodeId> leaves(kernel.leaves.begin(), kernel.leaves.end());
  std::set<NodeId> seen, found;
  std::vector<NodeId> pending = {root};
  while (!pending.empty()) {
    const NodeId id = pending.back();
    pending.pop_back();
    if (!seen.insert(id).second) continue;
    if (leaves.count(id))
      found.insert(resolve_view(graph, id));
    else
      pending.insert(pending.end(), graph.node(id).inputs.begin(), graph.node(id).inputs.end());
  }
  return found;
}

/// Whether a kernel that stores `root` over the parameter still needs the old value after that: inside, it may be read
/// at the element that is written only.
bool needs_old_value(const Graph& graph, const Kernel& kernel, NodeId root, NodeId parameter) {
  // Anchors and what has loops of its own read other elements.
  std::vector<NodeId> pending = kernel.roots;
  std::set<NodeId> seen(kernel.leaves.begin(), kernel.leaves.end());
  while (!pending.empty()) {
    const Node& node = graph.node(pending.back());
    pending.pop_back();
    if (!seen.insert(node.id).second || node.op->define == nullptr) continue;
    const Definition definition = node.op->define(graph.call(node));
    const bool folds = definition.contraction || definition.fold != Fold::none;
    const bool anchor = std::count(kernel.anchors.begin(), kernel.anchors.end(), node.id) > 0 && node.id != root;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const bool gathered = std::count(definition.gathered.begin(), definition.gathered.end(), static_cast<int>(i)) > 0;
      if ((folds || anchor || gathered) && sources_of(graph, kernel, node.inputs[i]).count(parameter)) return true;
    }
    pending.insert(pending.end(), node.inputs.begin(), node.inputs.end());
  }
  // The roots are stored one after the other.
  const auto& roots = kernel.roots;
  return std::any_of(std::find(roots.begin(), roots.end(), root) + 1, roots.end(),
                     [&](NodeId later) { return sources_of(graph, kernel, later).count(parameter) > 0; });
}

/// Whether the kernel computes a value for each row, or folds one: that depends on how many rows hold data.
bool reads_batch(const Graph& graph, const Kernel& kernel) {
  std::set<NodeId> seen(kernel.leaves.begin(), kernel.leaves.end());
  std::vector<NodeId> pending = kernel.roots;
  while (!pending.empty()) {
    const Node& node = graph.node(pending.back());
    pending.pop_back();
    if (!seen.insert(node.id).second) continue;
    if (has_batch(node.type.shape)) return true;
    pending.insert(pending.end(), node.inputs.begin(), node.inputs.end());
  }
  return std::any_of(kernel.leaves.begin(), kernel.leaves.end(),
                     [&](NodeId leaf) { return has_batch(graph.node(leaf).type.shape); });
}

/// The kernels that read parameters and each other's results only: those of a graph that updates nothing need to run
/// again only when somebody changes the parameters.
std::vector<bool> prepared_kernels(const Graph& graph, const std::vector<Kernel>& kernels,
                                   const std::vector<int>& producer) {
  std::vector<bool> prepared(kernels.size(), false);
  if (!graph.updates.empty()) return prepared;
  const auto fixed = [&](NodeId leaf) {
    const NodeId source = resolve_view(graph, leaf);
    return graph.node(source).op == &parameter_operator || (producer[source] >= 0 && prepared[producer[source]]);
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t k = 0; k < kernels.size(); ++k) {
      if (prepared[k] || !std::all_of(kernels[k].leaves.begin(), kernels[k].leaves.end(), fixed) ||
          reads_batch(graph, kernels[k]))
        continue;
      prepared[k] = changed = true;
    }
  }
  return prepared;
}

/// When a buffer is written first and read last, as indices of kernels.
struct Lifetime {
  NodeId node;
  int64_t bytes;
  int first, last;
  int64_t offset = -1;
};

/// Places the largest first, each at the lowest offset that is free during its life.
int64_t place(std::vector<Lifetime>& lifetimes) {
  std::stable_sort(lifetimes.begin(), lifetimes.end(),
                   [](const Lifetime& a, const Lifetime& b) { return a.bytes > b.bytes; });
  int64_t total = 0;
  std::vector<const Lifetime*> placed;  // by offset
  for (Lifetime& buffer : lifetimes) {
    int64_t offset = 0;
    for (const Lifetime* other : placed) {
      if (other->last < buffer.first || buffer.last < other->first) continue;
      if (offset + buffer.bytes <= other->offset) break;
      offset = std::max(offset, aligned(other->offset + other->bytes));
    }
    buffer.offset = offset;
    total = std::max(total, aligned(offset + buffer.bytes));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &buffer,
                                   [](const Lifetime* a, const Lifetime* b) { return a->offset < b->offset; }),
                  &buffer);
  }
  return total;
}

}  // namespace

int64_t padded_rows(int64_t batch) { return (batch + kVectorLanes - 1) / kVectorLanes * kVectorLanes; }

StateLayout layout_state(const Graph& graph) {
  StateLayout layout;
  std::vector<NodeId> sections[3];
  for (const Node& node : graph.nodes) {
    if (node.op != &parameter_operator) continue;
    const bool trainable = std::get<bool>(node.attributes.at("trainable"));
    sections[trainable ? 0 : node.role == Role::update ? 2 : 1].push_back(node.id);
  }
  for (const auto& section : sections) {
    if (&section == &sections[2]) layout.weight_bytes = layout.bytes;
    for (NodeId id : section) {
      const Node& node = graph.node(id);
      const StateEntry entry = {parameter_name(node), layout.bytes, element_count(node.type.shape)};
      if (!layout.entries.emplace(entry.name, entry).second) {
        throw InternalError("two parameters are named " + entry.name);
      }
      layout.parameters.push_back(id);
      layout.bytes += aligned(entry.count * 4);
    }
  }
  return layout;
}

Program plan(const std::string& name, const Graph& graph, std::vector<Kernel> kernels, const StateLayout& state,
             int64_t batch, int64_t lanes, bool in_place_updates) {
  Program program;
  program.name = name;
  program.graph = graph;
  program.batch = batch;
  program.lanes = lanes;
  program.precision = graph.precision;
  const int kernel_count = static_cast<int>(kernels.size());
  std::vector<int> producer(graph.nodes.size(), -1);
  for (int k = 0; k < kernel_count; ++k) {
    for (NodeId root : kernels[k].roots) producer[root] = k;
  }

  // Kernels that read each parameter must run before its update is written.
  std::map<NodeId, std::vector<int>> readers;
  for (int k = 0; k < kernel_count; ++k) {
    for (NodeId leaf : kernels[k].leaves) {
      const NodeId source = resolve_view(graph, leaf);
      if (graph.node(source).op == &parameter_operator) readers[source].push_back(k);
    }
  }
  std::vector<std::set<int>> before(kernel_count);
  for (int k = 0; k < kernel_count; ++k) {
    for (NodeId leaf : kernels[k].leaves) {
      const int p = producer[resolve_view(graph, leaf)];
      if (p >= 0) before[k].insert(p);
    }
  }
  const auto depends = [&](int later, int earlier) {
    std::vector<int> pending = {later};
    std::set<int> seen;
    while (!pending.empty()) {
      const int k = pending.back();
      pending.pop_back();
      if (k == earlier) return true;
      if (!seen.insert(k).second) continue;
      pending.insert(pending.end(), before[k].begin(), before[k].end());
    }
    return false;
  };

  std::set<NodeId> reported;  // read from the arena after the step
  if (graph.loss) reported.insert(resolve_view(graph, *graph.loss));
  for (const Output& metric : graph.metrics) reported.insert(resolve_view(graph, metric.node));
  std::map<NodeId, NodeId> in_place;  // value -> parameter
  for (const Update& update : graph.updates) {
    const NodeId value = resolve_view(graph, update.value);
    const int writer = producer[value];
    const StateEntry& entry = state.entries.at(parameter_name(graph.node(update.parameter)));
    bool direct = in_place_updates && writer >= 0 && in_place.count(value) == 0 && reported.count(value) == 0;
    if (direct) {
      direct = !needs_old_value(graph, kernels[writer], value, update.parameter);
      for (int reader : readers[update.parameter]) {
        if (reader != writer && depends(reader, writer)) direct = false;
      }
    }
    if (direct) {
      in_place.emplace(value, update.parameter);
      for (int reader : readers[update.parameter]) {
        if (reader != writer) before[writer].insert(reader);
      }
    } else {
      program.copies.push_back({value, entry.offset, entry.count * 4});
    }
  }

  // Kahn's order, the earliest anchor first: gradients follow the values they need while those are warm.
  const std::vector<bool> prepared = prepared_kernels(graph, kernels, producer);
  program.prepared = static_cast<int>(std::count(prepared.begin(), prepared.end(), true));
  std::vector<int> waiting(kernel_count, 0);
  std::vector<std::vector<int>> after(kernel_count);
  for (int k = 0; k < kernel_count; ++k) {
    waiting[k] = static_cast<int>(before[k].size());
    for (int earlier : before[k]) after[earlier].push_back(k);
  }
  const auto later = [&](int a, int b) {
    return std::tuple(!prepared[a], kernels[a].anchors[0], a) > std::tuple(!prepared[b], kernels[b].anchors[0], b);
  };
  std::priority_queue<int, std::vector<int>, decltype(later)> ready(later);
  for (int k = 0; k < kernel_count; ++k) {
    if (waiting[k] == 0) ready.push(k);
  }
  while (!ready.empty()) {
    const int k = ready.top();
    ready.pop();
    for (int next : after[k]) {
      if (--waiting[next] == 0) ready.push(next);
    }
    program.kernels.push_back(std::move(kernels[k]));
  }
  if (static_cast<int>(program.kernels.size()) != kernel_count)
    throw InternalError("plan: kernels depend on each other in a circle");

  // Lifetimes; inputs are filled before the step, outputs are read after it.
  std::map<NodeId, Lifetime> lifetimes;
  for (const Node& node : graph.nodes) {
    if (node.op->define == nullptr && is_source(node) && !node.attributes.count("trainable") &&
        !node.type.shape.empty()) {
      lifetimes[node.id] = {node.id, byte_count(node.type, program.lanes), 0, kernel_count};
    }
  }
  program.placements.resize(graph.nodes.size());
  for (int k = 0; k < kernel_count; ++k) {
    for (NodeId root : program.kernels[k].roots) {
      if (in_place.count(root)) continue;
      const bool stays = k < program.prepared;
      lifetimes[root] = {root, byte_count(graph.node(root).type, program.lanes), stays ? 0 : k,
                         stays ? kernel_count : k};
    }
    for (NodeId leaf : program.kernels[k].leaves) {
      const auto found = lifetimes.find(resolve_view(graph, leaf));
      if (found != lifetimes.end()) found->second.last = std::max(found->second.last, k);
    }
  }
  const auto keep = [&](NodeId id) {
    const auto found = lifetimes.find(resolve_view(graph, id));
    if (found != lifetimes.end()) found->second.last = kernel_count;
  };
  for (const Output& output : graph.outputs) keep(output.node);
  for (const Output& metric : graph.metrics) keep(metric.node);
  if (graph.loss) keep(*graph.loss);
  for (const Copy& copy : program.copies) keep(copy.from);

  std::vector<Lifetime> buffers;
  for (const auto& [id, lifetime] : lifetimes) buffers.push_back(lifetime);
  program.arena_bytes = place(buffers);
  for (const Lifetime& buffer : buffers) program.placements[buffer.node] = {Placement::Kind::arena, buffer.offset};
  for (const auto& [value, parameter] : in_place) {
    program.placements[value] = {Placement::Kind::state,
                                 state.entries.at(parameter_name(graph.node(parameter))).offset};
  }
  for (const Node& node : graph.nodes) {
    Placement& placement = program.placements[node.id];
    if (node.op == &parameter_operator) {
      placement = {Placement::Kind::state, state.entries.at(parameter_name(node)).offset};
    } else if (is_source(node) && node.type.shape.empty()) {
      placement.kind = Placement::Kind::scalar;
    } else if (resolve_view(graph, node.id) != node.id) {
      placement = program.placements[resolve_view(graph, node.id)];
    }
  }
  verify(program, state);
  return program;
}

namespace {

using Fail = std::function<void(const std::string&)>;

/// Each kernel is complete: from its roots, every way ends at a leaf, and what has loops of its own is an anchor.
void verify_kernels(const Program& program, const Fail& fail) {
  const Graph& graph = program.graph;
  for (const Kernel& kernel : program.kernels) {
    if (kernel.roots.empty() || kernel.anchors.empty()) fail(kernel.name + " has no root or no anchor");
    const std::set<NodeId> leaves(kernel.leaves.begin(), kernel.leaves.end());
    std::set<NodeId> inside;
    std::vector<NodeId> pending = kernel.roots;
    while (!pending.empty()) {
      const NodeId id = pending.back();
      pending.pop_back();
      if (leaves.count(id) || !inside.insert(id).second) continue;
      const Node& node = graph.node(id);
      if (is_source(node) || node.op->define == nullptr)
        fail(fmt::format("{} reads node {} ({}), which is not among its leaves", kernel.name, id, node.op->name));
      if (node.op == &contraction_operator && std::count(kernel.anchors.begin(), kernel.anchors.end(), id) == 0)
        fail(fmt::format("{} contains node {}, a contraction that is not its anchor", kernel.name, id));
      pending.insert(pending.end(), node.inputs.begin(), node.inputs.end());
    }
    for (NodeId anchor : kernel.anchors) {
      if (inside.count(anchor) == 0) fail(fmt::format("{} does not compute its anchor, node {}", kernel.name, anchor));
    }
  }
}

/// Every update reaches its parameter, once, by a kernel or by a copy, at an aligned place inside the state; and a
/// kernel that writes a parameter in place reads it at the element that it writes only.
void verify_updates(const Program& program, const StateLayout& state, const Fail& fail) {
  const Graph& graph = program.graph;
  std::map<int64_t, const StateEntry*> entries;
  for (const auto& [name, entry] : state.entries) {
    entries.emplace(entry.offset, &entry);
    if (entry.offset < 0 || entry.offset % kAlignment != 0 || entry.offset + entry.count * 4 > state.bytes)
      fail(fmt::format("{} lies outside the state block or is not aligned", name));
  }
  std::map<int64_t, int> writers;  // by offset
  for (const Node& node : graph.nodes) {
    if (node.op != &parameter_operator) continue;
    const auto entry = state.entries.find(parameter_name(node));
    if (entry == state.entries.end() || entry->second.count != element_count(node.type.shape) ||
        program.placements[static_cast<size_t>(node.id)].offset != entry->second.offset)
      fail(fmt::format("{} has no place of its size in the state block", parameter_name(node)));
  }
  for (const Copy& copy : program.copies) {
    ++writers[copy.state_offset];
    if (graph.node(resolve_view(graph, copy.from)).op == &parameter_operator)
      fail(fmt::format("the copy of node {} is of a parameter, which may be overwritten by then", copy.from));
    const auto entry = entries.find(copy.state_offset);
    if (entry == entries.end() || copy.bytes != entry->second->count * 4 ||
        copy.bytes != byte_count(graph.node(copy.from).type))
      fail(fmt::format("the copy of node {} does not fit a parameter", copy.from));
  }
  for (const Kernel& kernel : program.kernels) {
    for (NodeId root : kernel.roots) {
      const Placement& placement = program.placements[static_cast<size_t>(root)];
      if (placement.kind != Placement::Kind::state) continue;
      ++writers[placement.offset];
      const auto entry = entries.find(placement.offset);
      if (entry == entries.end() || entry->second->count != element_count(graph.node(root).type.shape))
        fail(fmt::format("node {} is written to the state, but not to a parameter of its size", root));
      for (const Update& update : graph.updates) {
        const Placement& parameter = program.placements[static_cast<size_t>(update.parameter)];
        if (parameter.offset == placement.offset && needs_old_value(graph, kernel, root, update.parameter))
          fail(fmt::format("{} overwrites {} while it reads other elements of it", kernel.name, entry->second->name));
      }
    }
  }
  for (const Update& update : graph.updates) {
    const std::string& name = parameter_name(graph.node(update.parameter));
    const int count = writers[state.entries.at(name).offset];
    if (count != 1) fail(fmt::format("the update of {} is written {} times", name, count));
    const int64_t offset = state.entries.at(name).offset;
    const NodeId value = resolve_view(graph, update.value);
    const Placement& placement = program.placements[static_cast<size_t>(value)];
    const bool copied = std::any_of(program.copies.begin(), program.copies.end(), [&](const Copy& copy) {
      return copy.state_offset == offset && resolve_view(graph, copy.from) == value;
    });
    if (!copied && (placement.kind != Placement::Kind::state || placement.offset != offset))
      fail(fmt::format("{} becomes another value than its update, node {}", name, value));
  }
}

}  // namespace

void verify(const Program& program, const StateLayout& state) {
  const Graph& graph = program.graph;
  const auto fail = [&](const std::string& message) {
    throw InternalError("program " + program.name + ": " + message);
  };
  if (program.placements.size() != graph.nodes.size()) fail("not every node has a placement");
  if (program.lanes < program.batch) fail(fmt::format("{} rows in {} lanes", program.batch, program.lanes));
  verify_kernels(program, fail);
  verify_updates(program, state, fail);
  std::map<NodeId, int> written;
  std::set<int64_t> overwritten;  // offsets of parameters that hold their new value already
  struct Span {
    NodeId node;
    int64_t begin, end;
    int first, last;
  };
  std::map<NodeId, Span> spans;
  const int count = static_cast<int>(program.kernels.size());
  const auto touch = [&](NodeId id, int k) {
    const Placement& placement = program.placements[id];
    if (placement.kind != Placement::Kind::arena) return;
    const int64_t bytes = byte_count(graph.node(id).type, program.lanes);
    if (placement.offset < 0 || placement.offset % kAlignment != 0 || placement.offset + bytes > program.arena_bytes) {
      fail(fmt::format("node {} lies outside the arena or is not aligned", id));
    }
    auto [at, fresh] = spans.try_emplace(id, Span{id, placement.offset, placement.offset + bytes, k, k});
    at->second.last = std::max(at->second.last, k);
    if (is_source(graph.node(id))) at->second.first = -1, at->second.last = count;
  };
  for (int k = 0; k < count; ++k) {
    for (NodeId leaf : program.kernels[k].leaves) {
      const NodeId id = resolve_view(graph, leaf);
      if (k < program.prepared && is_source(graph.node(id)) && graph.node(id).op != &parameter_operator)
        fail(fmt::format("{} is prepared but reads node {}, which changes", program.kernels[k].name, id));
      if (!is_source(graph.node(id)) && written.count(id) == 0) {
        fail(fmt::format("{} reads node {} ({}), which nobody has written", program.kernels[k].name, id,
                         graph.node(id).op->name));
      }
      if (program.placements[id].kind == Placement::Kind::expression)
        fail(fmt::format("node {} is read but has no place", id));
      if (graph.node(id).op == &parameter_operator && overwritten.count(program.placements[id].offset)) {
        fail(fmt::format("{} reads {} after its update", program.kernels[k].name, parameter_name(graph.node(id))));
      }
      touch(id, k);
    }
    for (NodeId root : program.kernels[k].roots) {
      if (!written.emplace(root, k).second) fail(fmt::format("node {} is written twice", root));
      touch(root, k);
      if (const auto span = spans.find(root); span != spans.end() && k < program.prepared)
        span->second.first = -1, span->second.last = count;
      const Placement& placement = program.placements[root];
      if (placement.kind == Placement::Kind::state &&
          placement.offset + byte_count(graph.node(root).type) > state.bytes) {
        fail(fmt::format("node {} lies outside the state block", root));
      }
      if (placement.kind == Placement::Kind::state) overwritten.insert(placement.offset);
    }
  }
  // What is read after the step lives to its end.
  const auto keep = [&](NodeId result, const char* what) {
    const NodeId id = resolve_view(graph, result);
    if (!is_source(graph.node(id)) && written.count(id) == 0)
      fail(fmt::format("{} (node {}) is never written", what, result));
    if (program.placements[static_cast<size_t>(result)].kind != Placement::Kind::arena &&
        std::string(what) != "an update")
      fail(fmt::format("{} (node {}) is not in the arena", what, result));
    touch(id, count);
  };
  for (const Output& output : graph.outputs) keep(output.node, "a result");
  for (const Output& metric : graph.metrics) keep(metric.node, "a metric");
  if (graph.loss) keep(*graph.loss, "the loss");
  for (const Copy& copy : program.copies) keep(copy.from, "an update");
  for (auto a = spans.begin(); a != spans.end(); ++a) {
    for (auto b = std::next(a); b != spans.end(); ++b) {
      const Span &x = a->second, &y = b->second;
      if (x.first <= y.last && y.first <= x.last && x.begin < y.end && y.begin < x.end) {
        fail(fmt::format("nodes {} and {} live at the same time in the same place", x.node, y.node));
      }
    }
  }
}

}  // namespace kiln
