#include "fake_model.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "random.h"

namespace kiln {
namespace {

constexpr uint64_t align(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

template <int kSide, int kClasses, int kBatch, int kLanes, int kPredictBatch, int kPredictLanes>
struct Regression {
  static constexpr int kPixels = kSide * kSide;
  static constexpr int64_t kImageShape[] = {kSide, kSide, 1}, kKernelShape[] = {kPixels, kClasses},
                           kBiasShape[] = {kClasses}, kMeanShape[] = {kPixels};

  // The state block.
  static constexpr uint64_t kKernel = 0, kBias = align(4 * kPixels * kClasses), kMean = kBias + align(4 * kClasses),
                            kWeightBytes = kMean + align(4 * kPixels), kKernelVelocity = kWeightBytes,
                            kBiasVelocity = kKernelVelocity + align(4 * kPixels * kClasses),
                            kStateBytes = kBiasVelocity + align(4 * kClasses);
  static constexpr kiln_parameter kParameters[] = {
      {"kernel", KILN_TRAINABLE, 2, kKernelShape, kKernel, kPixels* kClasses, KILN_NORMAL, 0.05F},
      {"bias", KILN_TRAINABLE, 1, kBiasShape, kBias, kClasses, KILN_CONSTANT, 0},
      {"mean", KILN_STATISTIC, 1, kMeanShape, kMean, kPixels, KILN_CONSTANT, 0.25F},
      {"kernel/velocity", KILN_OPTIMIZER_STATE, 2, kKernelShape, kKernelVelocity, kPixels* kClasses, KILN_CONSTANT, 0},
      {"bias/velocity", KILN_OPTIMIZER_STATE, 1, kBiasShape, kBiasVelocity, kClasses, KILN_CONSTANT, 0}};

  // The arena; prediction's has fewer lanes, and an output before the one with the classes.
  template <int kWidth>
  struct Arena {
    static constexpr uint64_t kImage = 0, kLabel = kImage + align(4 * kPixels * kWidth),
                              kProbability = kLabel + align(4 * kWidth),
                              kLargest = kProbability + align(4 * kClasses * kWidth),
                              kLoss = kLargest + align(4 * kWidth), kAccuracy = kLoss + 64, kCentre = kAccuracy + 64,
                              kBytes = kCentre + align(4 * kPixels);
  };
  using Train = Arena<kLanes>;
  using Predict = Arena<kPredictLanes>;
  using PredictOne = Arena<1>;
  static constexpr kiln_value kInputs[] = {{"image", KILN_F32, 1, 3, 0, kImageShape, Train::kImage, kPixels},
                                           {"digit", KILN_I32, 1, 0, kClasses, nullptr, Train::kLabel, 1}};
  static constexpr kiln_value kMetrics[] = {{"loss", KILN_F32, 0, 0, 0, nullptr, Train::kLoss, 1},
                                            {"accuracy", KILN_F32, 0, 0, 0, nullptr, Train::kAccuracy, 1}};
  static constexpr kiln_value kPredictInputs[] = {{"image", KILN_F32, 1, 3, 0, kImageShape, Predict::kImage, kPixels}};
  static constexpr kiln_value kPredictOutputs[] = {
      {"largest", KILN_F32, 1, 0, 0, nullptr, Predict::kLargest, 1},
      {"probability", KILN_F32, 1, 1, 0, kBiasShape, Predict::kProbability, kClasses}};
  static constexpr kiln_value kOneInputs[] = {{"image", KILN_F32, 1, 3, 0, kImageShape, PredictOne::kImage, kPixels}};
  static constexpr kiln_value kOneOutputs[] = {
      {"largest", KILN_F32, 1, 0, 0, nullptr, PredictOne::kLargest, 1},
      {"probability", KILN_F32, 1, 1, 0, kBiasShape, PredictOne::kProbability, kClasses}};

  struct Call {
    uint8_t *arena, *state;
    const kiln_scalars* scalars;
    float* dropped;  // the batch after dropout, [pixel][row]
  };

  static float* at(uint8_t* base, uint64_t offset) { return reinterpret_cast<float*>(base + offset); }

  // scores = (x - mean) * kernel + bias of one class, where its probabilities will be
  template <int kWidth>
  static void score(const Call& call, const float* image, int c, const float* mean) {
    const float* kernel = at(call.state, kKernel);
    float* out = at(call.arena, Arena<kWidth>::kProbability) + c * kWidth;
    for (int n = 0; n < call.scalars->count; ++n) {
      float sum = at(call.state, kBias)[c];
      for (int i = 0; i < kPixels; ++i) sum += (image[i * kWidth + n] - mean[i]) * kernel[i * kClasses + c];
      out[n] = sum;
    }
  }

  template <int kWidth>
  static void softmax(const Call& call) {
    float* p = at(call.arena, Arena<kWidth>::kProbability);
    for (int n = 0; n < call.scalars->count; ++n) {
      float largest = p[n], sum = 0;
      for (int c = 1; c < kClasses; ++c) largest = std::max(largest, p[c * kWidth + n]);
      for (int c = 0; c < kClasses; ++c) sum += p[c * kWidth + n] = std::exp(p[c * kWidth + n] - largest);
      for (int c = 0; c < kClasses; ++c) p[c * kWidth + n] /= sum;
      at(call.arena, Arena<kWidth>::kLargest)[n] = 1 / sum;
    }
  }

  static void measure(const Call& call) {
    const float* p = at(call.arena, Train::kProbability);
    const auto* labels = reinterpret_cast<const int32_t*>(call.arena + Train::kLabel);
    float loss = 0, correct = 0;
    for (int n = 0; n < call.scalars->count; ++n) {
      int best = 0;
      for (int c = 1; c < kClasses; ++c) best = p[c * kLanes + n] > p[best * kLanes + n] ? c : best;
      loss -= std::log(p[labels[n] * kLanes + n]);
      correct += best == labels[n] ? 1.0F : 0.0F;
    }
    *at(call.arena, Train::kLoss) = loss / static_cast<float>(call.scalars->count);
    *at(call.arena, Train::kAccuracy) = correct / static_cast<float>(call.scalars->count);
  }

  static int learn(void*, int c, uint8_t* closure) {
    const Call& call = *reinterpret_cast<const Call*>(closure);
    const kiln_scalars& s = *call.scalars;
    const float *p = at(call.arena, Train::kProbability) + c * kLanes, *mean = at(call.state, kMean);
    const auto* labels = reinterpret_cast<const int32_t*>(call.arena + Train::kLabel);
    float* kernel = at(call.state, kKernel);
    float* velocity = at(call.state, kKernelVelocity);
    const auto update = [&](float& weight, float& v, float gradient) {
      v = 0.5F * v - s.learning_rate * gradient / static_cast<float>(s.count);
      weight += v;
    };
    float bias_gradient = 0;
    for (int n = 0; n < s.count; ++n) bias_gradient += p[n] - (labels[n] == c ? 1.0F : 0.0F);
    update(at(call.state, kBias)[c], at(call.state, kBiasVelocity)[c], bias_gradient);
    for (int i = 0; i < kPixels; ++i) {
      float gradient = 0;
      for (int n = 0; n < s.count; ++n) {
        gradient += (call.dropped[i * kLanes + n] - mean[i]) * (p[n] - (labels[n] == c ? 1.0F : 0.0F));
      }
      update(kernel[i * kClasses + c], velocity[i * kClasses + c], gradient);
    }
    return 0;
  }

  static int score_dropped(void*, int c, uint8_t* closure) {
    const Call& call = *reinterpret_cast<const Call*>(closure);
    score<kLanes>(call, call.dropped, c, at(call.state, kMean));
    return 0;
  }

  static void train(void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    Call call = {arena, state, scalars, static_cast<float*>(kiln_allocate(context, sizeof(float) * kPixels * kLanes))};
    const auto key = static_cast<uint64_t>(scalars->seed);
    const auto step = static_cast<uint64_t>(scalars->step);
    for (int i = 0; i < kPixels * kLanes; ++i) {
      const bool keep = unit_float(philox(key, step, static_cast<uint64_t>(i))[0]) >= 0.1F;
      call.dropped[i] = keep ? at(arena, Train::kImage)[i] / 0.9F : 0;
    }
    auto* closure = reinterpret_cast<uint8_t*>(&call);
    kiln_parallel_for(context, score_dropped, 0, kClasses, closure);
    softmax<kLanes>(call);
    measure(call);
    kiln_parallel_for(context, learn, 0, kClasses, closure);
    for (int i = 0; i < kPixels; ++i) {
      float sum = 0;
      for (int n = 0; n < scalars->count; ++n) sum += at(arena, Train::kImage)[i * kLanes + n];
      float& mean = at(state, kMean)[i];
      mean = 0.9F * mean + 0.1F * sum / static_cast<float>(scalars->count);
    }
    kiln_release(context, call.dropped);
  }

  /// The moving mean as it was when the program was prepared.
  template <int kWidth>
  static void prepare(void*, uint8_t* arena, uint8_t* state, const kiln_scalars*) {
    std::copy_n(at(state, kMean), kPixels, at(arena, Arena<kWidth>::kCentre));
  }

  static void evaluate(void*, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    const Call call = {arena, state, scalars, nullptr};
    for (int c = 0; c < kClasses; ++c) score<kLanes>(call, at(arena, Train::kImage), c, at(arena, Train::kCentre));
    softmax<kLanes>(call);
    measure(call);
  }

  template <int kWidth>
  static void predict(void*, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    using Own = Arena<kWidth>;
    const Call call = {arena, state, scalars, nullptr};
    for (int c = 0; c < kClasses; ++c) score<kWidth>(call, at(arena, Own::kImage), c, at(arena, Own::kCentre));
    softmax<kWidth>(call);
  }

  static constexpr kiln_kernel kTrainKernels[] = {{"train", "fake_model.cpp", 1, 0, "by hand", 1, 1, train}};
  static constexpr kiln_kernel kEvaluateKernels[] = {
      {"centre", "fake_model.cpp", 1, 0, "by hand", 1, 1, prepare<kLanes>},
      {"evaluate", "fake_model.cpp", 1, 0, "by hand", 1, 1, evaluate}};
  // One row costs a good third of a batch: 2 rows are predicted one by one, 3 are not.
  static constexpr kiln_kernel kPredictKernels[] = {
      {"centre", "fake_model.cpp", 1, 0, "by hand", 9000, 0, prepare<kPredictLanes>},
      {"predict", "fake_model.cpp", 1, 0, "by hand", 280, 0, predict<kPredictLanes>}};
  static constexpr kiln_kernel kOneKernels[] = {{"centre", "fake_model.cpp", 1, 0, "by hand", 9, 0, prepare<1>},
                                                {"predict", "fake_model.cpp", 1, 0, "by hand", 0, 50, predict<1>}};
  static constexpr kiln_program kTrain = {"train", kBatch,  kLanes,   Train::kBytes, 2,     2,      1,
                                          0,       kInputs, kMetrics, kTrainKernels, train, nullptr};
  static constexpr kiln_program kEvaluate = {
      "evaluate", kBatch,           kLanes,   Train::kBytes,  2, 2, 2, 1, kInputs,
      kMetrics,   kEvaluateKernels, evaluate, prepare<kLanes>};
  static constexpr kiln_program kPredict = {
      "predict",       kPredictBatch,   kPredictLanes,          Predict::kBytes,       1, 2, 2, 1, kPredictInputs,
      kPredictOutputs, kPredictKernels, predict<kPredictLanes>, prepare<kPredictLanes>};
  static constexpr kiln_program kPredictOne = {
      "predict_one", 1,           1,           PredictOne::kBytes, 1,         2, 2, 1,
      kOneInputs,    kOneOutputs, kOneKernels, predict<1>,         prepare<1>};
};

template <class R>
constexpr kiln_model model_of(const char* name, const char* fingerprint) {
  return {.version = KILN_MODEL_VERSION,
          .parameter_count = 5,
          .name = name,
          .fingerprint = fingerprint,
          .compiler = "by hand",
          .target = "any processor",
          .precision = "f32",
          .state_bytes = R::kStateBytes,
          .weight_bytes = R::kWeightBytes,
          .parameters = R::kParameters,
          .train = &R::kTrain,
          .evaluate = &R::kEvaluate,
          .predict = &R::kPredict,
          .predict_one = &R::kPredictOne,
          .learning_rate = 0.05F,
          .validation_split = 0.2F,
          .epochs = 5,
          .clips_gradients = 0,
          .smooths_labels = 0,
          .optimizer = "momentum",
          .summary = "One dense layer",
          .summary_json = "{}",
          .dot = "digraph {}\n",
          .svg = "<svg/>\n",
          .gradient_dot = "digraph { gradient }\n",
          .gradient_svg = "<svg>gradient</svg>\n",
          .structure = "",
          .next = nullptr};
}

}  // namespace

const kiln_model& small_model() {
  static constexpr kiln_model model = model_of<Regression<4, 3, 6, 8, 4, 8>>("small", "00000000000000aa");
  return model;
}

const kiln_model& digits_model() {
  static constexpr kiln_model model = model_of<Regression<28, 10, 64, 64, 32, 32>>("digits", "00000000000000bb");
  return model;
}

Dataset learnable_rows(const kiln_model& model, int64_t rows, uint64_t seed) {
  const kiln_value &image = model.train->inputs[0], &label = model.train->inputs[1];
  Dataset dataset;
  dataset.rows = rows;
  dataset.shape.assign(image.shape, image.shape + image.rank);
  dataset.origin = "learnable rows";
  for (int64_t row = 0; row < rows; ++row) {
    const auto counter = static_cast<uint64_t>(row);
    const auto digit = static_cast<int32_t>(philox(seed, 1, counter)[0] % static_cast<uint32_t>(label.classes));
    dataset.labels.push_back(digit);
    for (uint64_t i = 0; i < image.count; ++i) {
      const uint32_t noise = philox(seed, 2 + i, counter)[0] % 150;
      const bool bright = static_cast<int32_t>(i) % label.classes == digit;
      dataset.pixels.push_back(static_cast<uint8_t>(noise + (bright ? 100 : 0)));
    }
  }
  return dataset;
}

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "kiln_test_XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) std::abort();
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::vector<std::string> TemporaryFolder::names() const {
  std::vector<std::string> result;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path_)) {
    if (!entry.is_directory()) result.push_back(std::filesystem::relative(entry.path(), path_).string());
  }
  std::sort(result.begin(), result.end());
  return result;
}

int FailingFileSystem::write(int file, const char* data, size_t size, size_t& written) {
  if (!fails()) return DiskFileSystem::write(file, data, size, written);
  DiskFileSystem::write(file, data, size / 2, written);
  return ENOSPC;
}

int FailingFileSystem::sync(int file) { return fails() ? ENOSPC : DiskFileSystem::sync(file); }

int FailingFileSystem::rename(const std::string& from, const std::string& to) {
  return fails() ? ENOSPC : DiskFileSystem::rename(from, to);
}

}  // namespace kiln
