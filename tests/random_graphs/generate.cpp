#include "random_graphs/generate.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <random>

namespace kiln::testing {
namespace {

/// The same numbers on every machine: the standard's distributions are not.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed * 0x9e3779b97f4a7c15 + 1) {}
  int64_t below(int64_t n) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(n)); }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }
  template <class Value>
  const Value& of(const std::vector<Value>& values) {
    return values[static_cast<size_t>(below(static_cast<int64_t>(values.size())))];
  }

 private:
  std::mt19937_64 engine_;
};

constexpr int64_t kMostElements = 1500;  // of one sample of any activation

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed), rare_(~seed) {}

  Sketch run(int layers) {
    batch_ = random_.of(std::vector<int64_t>{1, 2, 5, 8, 16, 16, 17, 24, 32, 33});
    const int inputs = random_.chance(25) ? 2 : 1;
    for (int i = 0; i < inputs; ++i) add_input();
    const size_t end = sketch_.lines.size() + static_cast<size_t>(layers);
    for (int attempt = 0; sketch_.lines.size() < end && attempt < 20 * layers; ++attempt) add_layer();
    finish();
    return std::move(sketch_);
  }

 private:
  using Settings = std::vector<std::pair<std::string, Setting>>;

  int add(const std::string& operation, std::vector<int> inputs, Settings settings = {}) {
    for (const int input : inputs) used_[static_cast<size_t>(input)] = true;
    sketch_.lines.push_back({operation, std::move(inputs), std::move(settings)});
    tensors_.push_back(build_line(graph_, sketch_, sketch_.lines.size() - 1, tensors_));
    used_.push_back(false);
    return static_cast<int>(tensors_.size()) - 1;
  }

  const Shape& shape(int line) const { return tensors_[static_cast<size_t>(line)].shape(); }
  int64_t elements(int line) const { return element_count(shape(line)); }
  bool has_tensor(int line) const { return static_cast<bool>(tensors_[static_cast<size_t>(line)]); }

  void add_input() {
    std::vector<int64_t> shape;
    if (random_.chance(55))
      shape = {random_.between(1, 11), random_.between(1, 11), random_.between(1, 6)};
    else if (random_.chance(85))
      shape = {random_.between(1, 70)};
    else
      shape = {random_.between(1, 9), random_.between(1, 9)};
    // Rows that are long enough for the recipes of many inputs, features and channels that padding makes complete.
    if (shape.size() == 1 && rare_.chance(8)) shape[0] = rare_.between(71, 1100);
    const int x = add("input", {}, {{"shape", shape}});
    if (rare_.chance(shape.back() > 70 ? 50 : 5)) {
      std::vector<int64_t> before(shape.size() + 1, 0), after = before;
      const int64_t extent = shape.back(), missing = (extent + 15) / 16 * 16 - extent + (rare_.chance(30) ? 16 : 0);
      before.back() = rare_.between(0, missing);
      after.back() = missing - before.back();
      if (element_count(shape) / extent * (extent + missing) <= kMostElements)
        add("pad", {x}, {{"before", before}, {"after", after}});
    }
  }

  /// An activation: one that nobody has read yet more often, and a late one more often.
  int pick(const std::function<bool(int)>& fits = [](int) { return true; }) {
    std::vector<int> all, unread;
    for (int i = 0; i < static_cast<int>(tensors_.size()); ++i) {
      if (!has_tensor(i) || !has_batch(shape(i)) || !fits(i)) continue;
      all.push_back(i);
      if (!used_[static_cast<size_t>(i)]) unread.push_back(i);
    }
    if (all.empty()) return -1;
    if (!unread.empty() && random_.chance(60)) return random_.of(unread);
    const auto n = static_cast<int64_t>(all.size());
    return all[static_cast<size_t>(std::max(random_.below(n), random_.below(n)))];
  }
  int pick_rank(size_t rank) {
    return pick([&](int i) { return shape(i).size() == rank; });
  }

  /// A parameter of the shape; one that others use already, where there is one, in half of the cases.
  int weight(const Shape& wanted) {
    std::vector<int> found;
    for (int i = 0; i < static_cast<int>(tensors_.size()); ++i) {
      if (sketch_.lines[static_cast<size_t>(i)].operation == "parameter" && shape(i) == wanted) found.push_back(i);
    }
    if (!found.empty() && random_.chance(60)) return random_.of(found);
    return add("parameter", {}, {{"shape", wanted}, {"scale", 0.5}});
  }

  /// A shape of a parameter that broadcasts against `x` without making it larger.
  Shape broadcasting(const Shape& x) {
    Shape result(x.begin() + 1, x.end());
    for (int64_t& extent : result) {
      if (random_.chance(50)) extent = 1;
    }
    while (!result.empty() && random_.chance(25)) result.erase(result.begin());
    return result;
  }

  Padding padding() {
    if (random_.chance(40)) return Padding::valid();
    if (random_.chance(60)) return Padding::same();
    return Padding::explicit_(random_.below(3), random_.below(3), random_.below(3), random_.below(3));
  }

  /// Windows that fit: size, strides, dilation and padding for an image.
  struct Windows {
    std::vector<int64_t> size, strides, dilation;
    Padding padding;
    int64_t elements;
  };
  std::optional<Windows> windows(const Shape& x, int64_t most, bool dilated) {
    Windows w;
    const int64_t square = random_.between(1, most);
    const bool same_size = random_.chance(60);
    for (int i = 0; i < 2; ++i) {
      w.size.push_back(same_size ? square : random_.between(1, most));
      w.strides.push_back(random_.chance(65) ? 1 : random_.between(1, 3));
      w.dilation.push_back(dilated && random_.chance(20) ? random_.between(1, 2) : 1);
    }
    w.padding = padding();
    if (w.padding.kind == Padding::Kind::explicit_ && !dilated) {
      // A pooling window must hold an element.
      w.padding.top = std::min(w.padding.top, w.size[0] - 1);
      w.padding.bottom = std::min(w.padding.bottom, w.size[0] - 1);
      w.padding.left = std::min(w.padding.left, w.size[1] - 1);
      w.padding.right = std::min(w.padding.right, w.size[1] - 1);
    }
    try {
      const auto found = kiln::windows("", x, w.size, w.strides, w.dilation, w.padding, {});
      w.elements = found[0].output * found[1].output;
    } catch (const UserError&) {
      return {};
    }
    return w;
  }

  int convolution() {
    const int x = pick_rank(4);
    if (x < 0) return -1;
    const auto w = windows(shape(x), 4, true);
    if (!w) return -1;
    const int64_t channels = shape(x)[3];
    Settings settings;
    if (random_.chance(20)) {
      const int64_t multiplier = random_.between(1, 3);
      if (w->elements * channels * multiplier > kMostElements) return -1;
      settings = {{"kernel", w->size},       {"strides", w->strides},          {"padding", w->padding},
                  {"dilation", w->dilation}, {"depth_multiplier", multiplier}, {"use_bias", random_.chance(70)}};
      if (random_.chance(15)) settings.emplace_back("kernel_l2", 0.01);
      return add("depthwise_conv2d", {x}, settings);
    }
    int64_t groups = 1;
    if (random_.chance(20)) {
      groups = random_.between(1, channels);
      while (channels % groups != 0) --groups;
    }
    int64_t filters = groups * random_.between(1, std::max<int64_t>(1, 18 / groups));
    if (random_.chance(30)) filters = groups * std::max<int64_t>(1, 16 / groups);
    if (w->elements * filters > kMostElements) filters = groups;
    if (w->elements * filters > kMostElements) return -1;
    settings = {
        {"filters", filters},      {"kernel", w->size}, {"strides", w->strides},         {"padding", w->padding},
        {"dilation", w->dilation}, {"groups", groups},  {"use_bias", random_.chance(70)}};
    if (random_.chance(15)) settings.emplace_back("kernel_l2", 0.01);
    return add("conv2d", {x}, settings);
  }

  int pooling() {
    const int x = pick_rank(4);
    if (x < 0) return -1;
    if (random_.chance(15)) return add(random_.chance(50) ? "global_average_pool" : "global_max_pool", {x});
    const auto w = windows(shape(x), 3, false);
    if (!w || w->elements * shape(x)[3] > kMostElements) return -1;
    Settings settings = {{"size", w->size}};
    if (random_.chance(50)) {
      // The strides that come with the size, which must fit as well: they do, being larger than none.
      settings.emplace_back("padding", w->padding.kind == Padding::Kind::explicit_ ? Padding::valid() : w->padding);
      const int64_t h = shape(x)[1], wd = shape(x)[2];
      if (std::get<Padding>(settings.back().second).kind == Padding::Kind::valid && (w->size[0] > h || w->size[1] > wd))
        return -1;
    } else {
      settings.emplace_back("strides", w->strides);
      settings.emplace_back("padding", w->padding);
    }
    static const std::vector<std::string> kinds = {"max_pool", "max_pool", "average_pool", "min_pool"};
    return add(random_.of(kinds), {x}, settings);
  }

  int row() {
    const int x = pick_rank(2);
    if (x < 0) return -1;
    const int64_t inputs = shape(x)[1];
    if (random_.chance(25)) {  // weights that may be shared
      const int64_t units = random_.chance(60) ? inputs : random_.between(1, 40);
      if (units * inputs > 4000) return -1;
      const bool transposed = rare_.chance(25);
      const int w = weight(transposed ? Shape{inputs, units} : Shape{units, inputs});
      Settings settings = {{"units", units}, {"inputs", inputs}};
      if (transposed) settings.emplace_back("transposed", true);
      return add("contraction", {x, w}, settings);
    }
    Settings settings = {{"units", random_.chance(20) ? int64_t{64} : random_.between(1, 70)},
                         {"use_bias", random_.chance(75)}};
    if (random_.chance(15)) settings.emplace_back("kernel_l2", 0.01);
    return add("dense", {x}, settings);
  }

  int normalisation() {
    const int x = pick([&](int i) { return shape(i).size() > 1; });
    if (x < 0) return -1;
    Settings settings;
    if (random_.chance(50))
      settings.emplace_back("axis", random_.between(1, static_cast<int64_t>(shape(x).size()) - 1));
    if (random_.chance(30)) settings.emplace_back("momentum", 0.75);
    if (random_.chance(30)) settings.emplace_back("epsilon", 0.01);
    return add("batch_norm", {x}, settings);
  }

  int activation() {
    // Weights too, sometimes: what depends on them only is prepared in prediction.
    int x = -1;
    if (random_.chance(8)) {
      std::vector<int> weights;
      for (int i = 0; i < static_cast<int>(tensors_.size()); ++i) {
        if (has_tensor(i) && !has_batch(shape(i)) && !shape(i).empty()) weights.push_back(i);
      }
      if (!weights.empty()) x = random_.of(weights);
    }
    if (x < 0) x = pick();
    if (x < 0) return -1;
    static const std::vector<std::string> plain = {"relu", "relu", "relu", "tanh",      "sigmoid",
                                                   "selu", "abs",  "erf",  "negate",    "softplus",
                                                   "elu",  "gelu", "clip", "leaky_relu"};
    const std::string op = random_.of(plain);
    if (op == "elu") return add(op, {x}, {{"alpha", random_.chance(50) ? 1.0 : 0.7}});
    if (op == "gelu") return add(op, {x}, {{"approximate", random_.chance(50)}});
    if (op == "clip") return add(op, {x}, {{"min", -0.5}, {"max", 0.75}});
    if (op == "leaky_relu") return add(op, {x}, {{"negative_slope", 0.2}});
    return add(op, {x});
  }

  /// Functions that are tame in a part of their domain only: two lines.
  int guarded() {
    const int x = pick();
    if (x < 0) return -1;
    switch (random_.below(4)) {
      case 0:
        return add("exp", {add("tanh", {x})});
      case 1:
        return add("square", {add(random_.chance(50) ? "tanh" : "selu", {x})});
      default: {
        const int half = add("constant", {}, {{"value", 0.5}});
        const int positive = add("add", {add("softplus", {x}), half});
        if (random_.chance(40)) return add(random_.chance(50) ? "log" : "sqrt", {positive});
        const int y = pick([&](int i) { return shape(i) == shape(x); });
        return add("divide", {y, positive});
      }
    }
  }

  int softmaxes() {
    const int x = pick([&](int i) { return shape(i).size() > 1; });
    if (x < 0) return -1;
    if (random_.chance(10)) return add("argmax", {x});
    return add(random_.chance(70) ? "softmax" : "log_softmax", {x});
  }

  /// Two or three values of the same shape, or that broadcast.
  int joined() {
    const int x = pick();
    if (x < 0) return -1;
    const int y = random_.chance(75)
                      ? pick([&](int i) { return shape(i) == shape(x) && (i != x || random_.chance(20)); })
                      : pick([&](int i) {
                          const Broadcast both = broadcast(shape(x), shape(i));
                          return both.ok && both.shape == shape(x) && shape(i).size() == shape(x).size();
                        });
    if (y < 0) return -1;
    switch (random_.below(8)) {
      case 0:
        return add("subtract", {x, y});
      case 1:
        return add("maximum", {x, y});
      case 2:
        return add("minimum", {x, y});
      case 3:
        return add("multiply", {x, add(random_.chance(50) ? "sigmoid" : "tanh", {y})});
      case 4: {
        const int z = pick([&](int i) { return shape(i) == shape(x); });
        return add("where_positive", {y, x, z});
      }
      case 5:
        return add("add", {x, add("stop_gradient", {y})});
      default:
        return add("add", {x, y});
    }
  }

  /// With a parameter: gates, scales and shifts, shared ones among them.
  int weighted() {
    const int x = pick();
    if (x < 0) return -1;
    const int w = weight(broadcasting(shape(x)));
    static const std::vector<std::string> kinds = {"multiply", "multiply", "add", "subtract", "maximum"};
    const std::string op = random_.of(kinds);
    return random_.chance(70) ? add(op, {x, w}) : add(op, {w, x});
  }

  int joined_along() {
    const int x = pick([&](int i) { return shape(i).size() > 1; });
    if (x < 0) return -1;
    const int64_t axis = random_.between(1, static_cast<int64_t>(shape(x).size()) - 1);
    std::vector<int> parts = {x};
    int64_t total = elements(x);
    for (int64_t more = random_.between(1, 2); more > 0; --more) {
      const int y = pick([&](int i) {
        if (shape(i).size() != shape(x).size()) return false;
        for (size_t d = 0; d < shape(x).size(); ++d) {
          if (static_cast<int64_t>(d) != axis && shape(i)[d] != shape(x)[d]) return false;
        }
        return true;
      });
      total += elements(y);
      if (total > kMostElements) break;
      parts.push_back(y);
    }
    if (random_.chance(50)) std::reverse(parts.begin(), parts.end());
    Settings settings;
    if (axis != static_cast<int64_t>(shape(x).size()) - 1 || random_.chance(50)) settings.emplace_back("axis", axis);
    return add("concatenate", parts, settings);
  }

  int reshaped() {
    const int x = pick();
    if (x < 0) return -1;
    const Shape& from = shape(x);
    const size_t rank = from.size();
    switch (random_.below(6)) {
      case 0:
        return rank > 2 ? add("flatten", {x}) : -1;
      case 1: {
        Shape to = {kBatch};
        int64_t rest = elements(x);
        for (int64_t d = random_.between(1, 3); d > 1 && rest > 1; --d) {
          int64_t extent = random_.between(1, std::min<int64_t>(rest, 12));
          while (rest % extent != 0) --extent;
          to.push_back(extent);
          rest /= extent;
        }
        to.push_back(rest);
        return add("reshape", {x}, {{"shape", to}});
      }
      case 2: {
        if (rank < 2) return -1;
        std::vector<int64_t> axes(rank);
        for (size_t d = 0; d < rank; ++d) axes[d] = static_cast<int64_t>(d);
        for (size_t d = rank; d-- > 2;)
          std::swap(axes[d], axes[static_cast<size_t>(random_.between(1, static_cast<int64_t>(d)))]);
        return add("transpose", {x}, {{"axes", axes}});
      }
      case 3: {
        if (rank < 2) return -1;
        std::vector<int64_t> begin = {0}, size = {-1};
        for (size_t d = 1; d < rank; ++d) {
          begin.push_back(random_.chance(50) ? 0 : random_.below(from[d]));
          size.push_back(random_.chance(40) ? -1 : random_.between(1, from[d] - begin.back()));
        }
        return add("slice", {x}, {{"begin", begin}, {"size", size}});
      }
      case 4: {
        if (rank == 4 && random_.chance(50)) {
          if ((from[1] + 2) * (from[2] + 2) * from[3] > kMostElements) return -1;
          return add("zero_padding2d", {x},
                     {{"padding", random_.chance(50) ? std::vector<int64_t>{1} : std::vector<int64_t>{0, 1, 2, 0}}});
        }
        std::vector<int64_t> before = {0}, after = {0};
        int64_t total = 1;
        for (size_t d = 1; d < rank; ++d) {
          before.push_back(random_.below(3));
          after.push_back(random_.below(3));
          total *= from[d] + before.back() + after.back();
        }
        return total > kMostElements ? -1 : add("pad", {x}, {{"before", before}, {"after", after}});
      }
      default: {
        Shape to = from;
        int64_t total = 1;
        for (size_t d = 1; d < rank; ++d) {
          if (to[d] == 1 && random_.chance(70)) to[d] = random_.between(1, 6);
          total *= to[d];
        }
        return total > kMostElements ? -1 : add("broadcast_to", {x}, {{"shape", to}});
      }
    }
  }

  int reduced() {
    const int x = pick();
    if (x < 0) return -1;
    std::vector<int64_t> axes;
    // Over the batch too, sometimes: statistics that every row reads, scaled to stay small.
    const bool over_batch = random_.chance(15);
    for (size_t d = over_batch ? 0 : 1; d < shape(x).size(); ++d) {
      if ((d == 0 && over_batch) || random_.chance(50)) axes.push_back(static_cast<int64_t>(d));
    }
    if (axes.empty()) return -1;
    static const std::vector<std::string> kinds = {"reduce_mean", "reduce_mean", "reduce_sum", "reduce_max"};
    std::string op = random_.of(kinds);
    if (over_batch && op == "reduce_sum") op = "reduce_mean";
    const int result = add(op, {x}, {{"axes", axes}});
    if (!over_batch) return op == "reduce_sum" ? add("tanh", {result}) : result;
    return add("subtract", {x, result});
  }

  int dropped() {
    const int x = pick();
    if (x < 0) return -1;
    return add(random_.chance(75) ? "dropout" : "alpha_dropout", {x}, {{"rate", random_.chance(10) ? 0.0 : 0.25}});
  }

  void add_layer() {
    switch (random_.below(21)) {
      case 0:
      case 1:
      case 2:
      case 3:
        convolution();
        break;
      case 4:
      case 5:
        pooling();
        break;
      case 6:
      case 7:
      case 8:
        row();
        break;
      case 9:
      case 10:
        normalisation();
        break;
      case 11:
      case 12:
        activation();
        break;
      case 13:
      case 14:
        joined();
        break;
      case 15:
        weighted();
        break;
      case 16:
        joined_along();
        break;
      case 17:
        reshaped();
        break;
      case 18:
        reduced();
        break;
      case 19:
        dropped();
        break;
      default:
        random_.chance(60) ? guarded() : softmaxes();
    }
  }

  int as_row(int x) {
    if (shape(x).size() == 2) return x;
    if (shape(x).size() == 1) return add("reshape", {x}, {{"shape", Shape{kBatch, 1}}});
    if (shape(x).size() == 4 && random_.chance(30)) return add("global_average_pool", {x});
    return add("flatten", {x});
  }

  /// Joins what nobody has read, then outputs, loss, metrics and optimizer.
  void finish() {
    std::vector<int> rows;
    int64_t width = 0;
    for (int i = static_cast<int>(tensors_.size()) - 1; i >= 0 && rows.size() < 4; --i) {
      if (used_[static_cast<size_t>(i)] || !has_tensor(i) || !has_batch(shape(i))) continue;
      rows.push_back(as_row(i));
      width += shape(rows.back())[1];
      if (width > 600) break;
    }
    if (rows.empty()) rows.push_back(as_row(pick()));
    const int head = rows.size() == 1 ? rows[0] : add("concatenate", rows, {{"axis", int64_t{1}}});
    const int64_t classes = random_.between(1, 11);
    const int logits = add("dense", {head}, {{"units", classes}});
    int prediction = logits, loss = -1;
    const auto smoothing = [&](Settings settings) {
      if (random_.chance(20)) settings.emplace_back("label_smoothing", 0.1);
      return settings;
    };
    switch (random_.below(classes > 1 ? 5 : 2)) {
      case 0: {
        const int target = add("input", {}, {{"shape", std::vector<int64_t>{classes}}});
        loss = add("mean_squared_error", {prediction, target});
        metric("binary_accuracy", {prediction, target});
        break;
      }
      case 1: {
        const int target = add("input", {}, {{"shape", std::vector<int64_t>{classes}}});
        const bool logit = random_.chance(50);
        if (!logit) prediction = add("sigmoid", {logits});
        loss = add("binary_cross_entropy", {prediction, target}, smoothing({{"from_logits", logit}}));
        metric("binary_accuracy", {prediction, target});
        break;
      }
      case 2: {
        const int target = add("label", {}, {{"classes", classes}});
        prediction = add("softmax", {logits});
        loss = add("binary_cross_entropy", {prediction, target}, smoothing({}));
        metric("categorical_accuracy", {prediction, target});
        break;
      }
      default: {
        const int target = add("label", {}, {{"classes", classes}});
        const bool logit = random_.chance(50);
        if (!logit) prediction = add("softmax", {logits});
        loss = add("categorical_cross_entropy", {prediction, target}, smoothing({{"from_logits", logit}}));
        metric("categorical_accuracy", {prediction, target});
      }
    }
    if (random_.chance(20)) {  // a second loss on what lies between
      const int x = pick();
      std::vector<int64_t> axes;
      for (size_t d = 0; d < shape(x).size(); ++d) axes.push_back(static_cast<int64_t>(d));
      int extra = add("reduce_mean", {add("square", {add("tanh", {x})})}, {{"axes", axes}});
      if (!shape(extra).empty()) extra = add("reshape", {extra}, {{"shape", Shape{}}});
      loss = add("add", {loss, extra});
    }
    add("output", {prediction}, {{"name", std::string("prediction")}});
    if (random_.chance(25)) add("output", {pick()}, {{"name", std::string("between")}});
    Settings settings;
    static const std::vector<std::string> optimizers = {"gradient", "gradient", "sgd", "sgd", "rmsprop", "adam"};
    const std::string optimizer = random_.of(optimizers);
    settings.emplace_back("optimizer", optimizer);
    if (optimizer != "gradient") settings.emplace_back("learning_rate", 1.0);
    if (optimizer == "sgd" && random_.chance(60)) {
      settings.emplace_back("momentum", 0.9);
      settings.emplace_back("nesterov", random_.chance(50));
    }
    if (optimizer == "rmsprop" && random_.chance(40)) settings.emplace_back("momentum", 0.9);
    if (optimizer == "rmsprop" || optimizer == "adam") settings.emplace_back("epsilon", 0.1);
    if (optimizer == "adam" && random_.chance(40)) settings.emplace_back("weight_decay", 0.1);
    if (optimizer != "gradient" && random_.chance(25)) {
      static const std::vector<std::string> clips = {"clip_value", "clip_norm", "global_clip_norm"};
      settings.emplace_back(random_.of(clips), 0.05);
    }
    settings.emplace_back("batch", batch_);
    add("train", {loss}, settings);
  }

  void metric(const char* operation, const std::vector<int>& inputs) {
    if (random_.chance(50)) add("metric", {add(operation, inputs)}, {{"name", std::string("accuracy")}});
  }

  Random random_, rare_;  // a second one, so that a seed means the same graph where nothing rare happens
  Graph graph_{"random_graph"};
  Sketch sketch_;
  std::vector<Tensor> tensors_;  // by line
  std::vector<bool> used_;
  int64_t batch_ = 16;
};

}  // namespace

Sketch random_sketch(uint64_t seed, int layers) { return Generator(seed).run(layers); }

Sketch random_sketch(uint64_t seed) {
  Random random(seed ^ 0x5eed);
  return random_sketch(seed, static_cast<int>(random.chance(70) ? random.between(3, 12) : random.between(3, 40)));
}

Sketch with_mistake(Sketch sketch, uint64_t seed) {
  Random random(seed ^ 0xbad);
  const auto line_at = [&]() -> Line& {
    return sketch.lines[static_cast<size_t>(random.below(static_cast<int64_t>(sketch.lines.size())))];
  };
  static const std::vector<int64_t> integers = {-1, 0, 1, 2, 3, 5, 64, -5, 1000, int64_t{1} << 20, int64_t{1} << 33};
  static const std::vector<double> reals = {
      -1, 0, 1, 2, -0.5, 1e30, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};
  const auto change = [&](Setting& setting) {
    if (auto* integer = std::get_if<int64_t>(&setting)) *integer = random.of(integers);
    if (auto* real = std::get_if<double>(&setting)) *real = random.of(reals);
    if (auto* flag = std::get_if<bool>(&setting)) *flag = !*flag;
    if (auto* name = std::get_if<std::string>(&setting)) *name = random.chance(50) ? "" : "prediction";
    if (auto* padding = std::get_if<Padding>(&setting)) {
      *padding = Padding::explicit_(random.between(-1, 3), random.between(0, 2), random.between(-1, 9), 0);
    }
    if (auto* list = std::get_if<std::vector<int64_t>>(&setting)) {
      const int64_t kind = list->empty() ? 1 : random.below(4);
      if (kind == 0) list->pop_back();
      if (kind == 1) list->push_back(random.of(integers));
      if (kind > 1)
        list->at(static_cast<size_t>(random.below(static_cast<int64_t>(list->size())))) = random.of(integers);
    }
  };
  for (int64_t mistakes = random.between(1, 2); mistakes > 0; --mistakes) {
    Line& line = line_at();
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2:
        if (!line.settings.empty())
          change(line.settings[static_cast<size_t>(random.below(static_cast<int64_t>(line.settings.size())))].second);
        break;
      case 3:
      case 4:  // another operand, or one that nobody assigned
        if (!line.inputs.empty()) {
          int& input = line.inputs[static_cast<size_t>(random.below(static_cast<int64_t>(line.inputs.size())))];
          const auto before = static_cast<int64_t>(&line - sketch.lines.data());
          input = random.chance(10) ? -1 : static_cast<int>(random.below(before));
        }
        break;
      case 5:
        if (!line.settings.empty()) line.settings.pop_back();
        break;
      case 6:
        if (!line.inputs.empty() && line.operation == "concatenate") line.inputs.pop_back();
        break;
      default:  // an output, a metric or the training itself is gone, or is there twice
        if (line.operation == "train" || line.operation == "output" || line.operation == "metric") {
          const Line copy = line;
          if (random.chance(50))
            sketch.lines.erase(sketch.lines.begin() + (&line - sketch.lines.data()));
          else
            sketch.lines.push_back(copy);
        }
    }
  }
  return sketch;
}

}  // namespace kiln::testing
