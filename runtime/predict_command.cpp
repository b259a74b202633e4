#include "predict_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "checkpoint.h"
#include "data/csv.h"
#include "data/dataset.h"
#include "error.h"
#include "model_file.h"
#include "model_inputs.h"
#include "predictor.h"
#include "processor.h"

namespace kiln {
namespace {

struct PredictArguments {
  std::string model, test, out, labels, probabilities, augment;
  int32_t threads = 0, views = 0;
  int64_t seed = 0;  // of the trainer's flags; prediction draws no random numbers
  bool quiet = false, json = false;
};

std::string examples(const std::string& name) {
  return fmt::format(R"(Examples:
  {0} --model runs/digits-1/model.kiln --test test.csv --out submission.csv
      Writes ImageId,Label for every row of test.csv (CSV or MNIST IDX, plain or gzipped).
  {0} --model digits.kiln --test test.csv --labels test_labels.csv
      Prints how many of the predictions are right.
  {0} --model model.keras --test test.csv --out submission.csv
      Predicts with a model that Keras saved.
  {0} --model digits.kiln --test test.csv --probabilities probabilities.csv
      Writes each class's probability, in the order of the rows.

Exit codes: 0 done, 1 failure, 2 usage error, 3 bad data or file, 4 non-finite values.)",
                     name);
}

std::optional<PredictArguments> parse(const std::vector<std::string>& arguments, const kiln_model& model,
                                      std::ostream& out) {
  const std::string name = fmt::format("{}_predict", model.name);
  PredictArguments result;
  CLI::App app(fmt::format("Predicts with the network {}.", model.name), name);
  app.footer(examples(name));
  app.set_version_flag("--version", fmt::format("{} ({}; {} for {}, {})", name, KILN_VERSION, model.compiler,
                                                model.target, model.precision));
  app.add_option("--model", result.model,
                 "The trained model: model.kiln, best.kiln or last.kiln of a run, or Keras's .h5 or .keras, "
                 ".safetensors or .onnx")
      ->option_text("FILE")
      ->required();
  app.add_option("--test", result.test, "The rows to predict")->option_text("FILE")->required();
  app.add_option("--out", result.out, "Write ImageId,Label to this file")->option_text("FILE");
  app.add_option("--labels", result.labels, "The rows' labels (ImageId,Label): prints the accuracy")
      ->option_text("FILE");
  app.add_option("--probabilities", result.probabilities, "Write the probabilities to this CSV file")
      ->option_text("FILE");
  app.add_option("--threads", result.threads, "Threads to use (all cores)")
      ->option_text("N")
      ->check(number_from(1, 1024));
  app.add_option("--views", result.views,
                 "Predict from N more views of each row, distorted as by --augment at half its strength")
      ->option_text("N")
      ->check(number_from(0, 1000));
  app.add_option("--augment", result.augment,
                 "With --views: the training's distortions, rotation=10,shift=2,zoom=0.1,shear=5")
      ->option_text("SPEC");
  app.add_option("--seed", result.seed, "Accepted like the trainer's; prediction draws no random numbers")
      ->option_text("N");
  app.add_flag("--quiet", result.quiet, "Print nothing but errors");
  app.add_flag("--json", result.json, "Print the result as one JSON object, nothing else");
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    out << app.help();
    return std::nullopt;
  } catch (const CLI::CallForVersion& version) {
    out << version.what() << '\n';
    return std::nullopt;
  } catch (const CLI::ExtrasError&) {
    throw UsageError(fmt::format("unknown argument {}; see --help", app.remaining().front()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(fmt::format("{}; see --help", error.what()));
  }
  return result;
}

std::string probabilities_csv(const Predictions& predictions) {
  std::string text = "ImageId";
  for (int64_t i = 0; i < predictions.classes; ++i) text += fmt::format(",{}", i);
  text += '\n';
  for (int64_t n = 0; n < predictions.rows; ++n) {
    text += fmt::format("{}", n + 1);
    for (int64_t i = 0; i < predictions.classes; ++i) {
      text += fmt::format(",{}", predictions.probabilities[static_cast<size_t>(n * predictions.classes + i)]);
    }
    text += '\n';
  }
  return text;
}

}  // namespace

int predict_command(const std::vector<std::string>& arguments, const kiln_model& model,
                    const CommandEnvironment& environment) {
  return run_command(fmt::format("{}_predict", model.name), environment.err, [&] {
    const auto start = std::chrono::steady_clock::now();
    const std::optional<PredictArguments> parsed = parse(arguments, model, environment.out);
    if (!parsed) return 0;
    require_processor(model);
    predicted_output(model);  // before anything is read: is there something to predict?
    const ModelInputs inputs = model_inputs(model);
    const Checkpoint checkpoint = load_model_file(parsed->model, model);
    const Dataset dataset = load_dataset(parsed->test, inputs.shape, inputs.classes);
    std::vector<int32_t> labels = dataset.labels;
    if (!parsed->labels.empty()) labels = read_labels(parsed->labels);
    if (!labels.empty() && static_cast<int64_t>(labels.size()) != dataset.rows) {
      throw DataError(fmt::format("{}: {} labels for the {} rows of {}", parsed->labels, labels.size(), dataset.rows,
                                  parsed->test));
    }

    Context context(thread_count(parsed->threads));
    const std::vector<uint8_t>& weights = checkpoint.average.empty() ? checkpoint.weights : checkpoint.average;
    AlignedMemory memory(weights.size());
    std::memcpy(memory.data(), weights.data(), weights.size());
    const Predictions predictions =
        predict(model, context, memory.data(), dataset, make_views(parsed->views, parsed->augment));
    if (!parsed->out.empty()) write_submission(environment.files, parsed->out, predictions.labels);
    if (!parsed->probabilities.empty())
      write_atomically(environment.files, parsed->probabilities, probabilities_csv(predictions));

    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const int64_t correct = labels.empty() ? 0 : count_correct(predictions.labels, labels);
    const double accuracy = labels.empty() ? 0 : static_cast<double>(correct) / static_cast<double>(dataset.rows);
    if (parsed->json) {
      nlohmann::json result = {{"rows", dataset.rows}, {"seconds", seconds}};
      if (!labels.empty()) result["accuracy"] = accuracy;
      if (!parsed->out.empty()) result["submission"] = parsed->out;
      if (!parsed->probabilities.empty()) result["probabilities"] = parsed->probabilities;
      environment.out << result.dump() << std::endl;
    } else if (!parsed->quiet) {
      environment.out << fmt::format("{} rows of {} predicted in {}\n", dataset.rows, dataset.origin,
                                     format_duration(seconds));
      if (!labels.empty()) {
        environment.out << fmt::format("accuracy: {:.2f}% ({} of {})\n", 100 * accuracy, correct, dataset.rows);
      }
      if (!parsed->out.empty()) environment.out << fmt::format("submission: {}\n", parsed->out);
      if (!parsed->probabilities.empty()) environment.out << fmt::format("probabilities: {}\n", parsed->probabilities);
      environment.out << std::flush;
    }
    return 0;
  });
}

int predict_command(int argc, char** argv, const kiln_model& model) {
  DiskFileSystem files;
  return predict_command({argv + 1, argv + argc}, model, {.out = std::cout, .err = std::cerr, .files = files});
}

}  // namespace kiln
