#include "predict_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "checkpoint.h"
#include "data/csv.h"
#include "data/dataset.h"
#include "drawing_page.h"
#include "error.h"
#include "model_file.h"
#include "model_inputs.h"
#include "predictor.h"
#include "processor.h"

namespace kiln {
namespace {

struct PredictArguments {
  std::vector<std::string> models;
  std::string test, out, labels, probabilities, augment, serve;
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
  {0} --model 1/model.kiln --model 2/model.kiln --test test.csv --out submission.csv
      Predicts by the mean of two networks.
  {0} --model digits.kiln --test test.csv --probabilities probabilities.csv
      Writes each class's probability, in the order of the rows.
  {0} --model digits.kiln --serve 8080
      A page to draw on, at http://127.0.0.1:8080/, until Ctrl-C; --serve 0 picks a free port,
      --serve 0.0.0.0:8080 lets other machines, such as a phone, open it.

Exit codes: 0 done, 1 failure, 2 usage error, 3 bad data or file, 4 non-finite values.)",
                     name);
}

std::optional<PredictArguments> parse(const std::vector<std::string>& arguments, const kiln_model& model,
                                      std::ostream& out) {
  const std::string name = fmt::format("{}_predict", model.name);
  PredictArguments result;
  CLI::App app(fmt::format("Predicts with the network {}.", model.name), name);
  app.footer(examples(name));
  add_config_file(app);
  app.set_version_flag("--version", fmt::format("{} ({}; {} for {}, {})", name, KILN_VERSION, model.compiler,
                                                model.target, model.precision));
  app.add_option(
         "--model", result.models,
         "The trained model: model.kiln, best.kiln or last.kiln of a run, or Keras's .h5 or .keras, .safetensors or "
         ".onnx; given again, the mean of what the models say")
      ->allow_extra_args(false)
      ->option_text("FILE")
      ->required();
  CLI::Option* test = app.add_option("--test", result.test, "The rows to predict")->option_text("FILE");
  app.add_option("--out", result.out, "Write ImageId,Label to this file")->option_text("FILE")->needs(test);
  app.add_option("--labels", result.labels, "The rows' labels (ImageId,Label): prints the accuracy")
      ->option_text("FILE")
      ->needs(test);
  app.add_option("--probabilities", result.probabilities, "Write the probabilities to this CSV file")
      ->option_text("FILE")
      ->needs(test);
  app.add_option(
         "--serve", result.serve,
         "Serve a page to draw on, which shows the probabilities while one draws; a port of this machine alone, "
         "or an address that others reach")
      ->option_text("[ADDRESS:]PORT")
      ->excludes(test);
  app.add_option("--threads", result.threads, "Threads to use (all cores)")
      ->option_text("N")
      ->check(number_from(1, 1024));
  CLI::Option* const views =
      app.add_option("--views", result.views,
                     "Predict from N more views of each row, distorted as by --augment at half its strength")
          ->option_text("N")
          ->check(number_from(0, 1000))
          ->needs(test);
  app.add_option("--augment", result.augment,
                 "With --views: the training's distortions, rotation=10,shift=2,zoom=0.1,shear=5,elastic=4")
      ->option_text("SPEC")
      ->needs(views);
  app.add_option("--seed", result.seed, "Accepted like the trainer's; prediction draws no random numbers")
      ->option_text("N")
      ->check(number_from(0, 2'147'483'647));
  app.add_flag("--quiet", result.quiet, "Print nothing but errors, not even with --json");
  app.add_flag("--json", result.json, "Print the result as one JSON object, nothing else");
  if (const std::optional<std::string> text = parse_flags(app, arguments)) {
    out << *text;
    return std::nullopt;
  }
  if (result.quiet) result.json = false;
  if (result.test.empty() && result.serve.empty())
    throw UsageError("give --test FILE, the rows to predict, or --serve PORT, for a page to draw on; see --help");
  return result;
}

/// Until Ctrl-C, which is how it is meant to end.
int serve(const PredictArguments& arguments, const kiln_model& model, Context& context, uint8_t* weights,
          const CommandEnvironment& environment) {
  const Interrupt interrupt;
  const auto ready = [&](const std::string& url) {
    if (arguments.json)
      print_json(environment.out, nlohmann::json{{"url", url}});
    else if (!arguments.quiet)
      environment.out << fmt::format("Draw at {} (Ctrl-C ends it)\n", url) << std::flush;
  };
  const int64_t answered =
      serve_drawing_page(model, context, weights, parse_http_address(arguments.serve), ready, environment.interrupted);
  if (arguments.json)
    print_json(environment.out, nlohmann::json{{"requests", answered}});
  else if (!arguments.quiet)
    environment.out << fmt::format("Stopped; {} requests answered\n", answered) << std::flush;
  return 0;
}

}  // namespace

int predict_command(const std::vector<std::string>& arguments, const kiln_model& model,
                    const CommandEnvironment& environment) {
  return run_command(fmt::format("{}_predict", model.name), environment.out, environment.err, [&] {
    const auto start = std::chrono::steady_clock::now();
    const std::optional<PredictArguments> parsed = parse(arguments, model, environment.out);
    if (!parsed) return 0;
    require_processor(model);
    std::vector<FlagFile> read = {{"--test", parsed->test}, {"--labels", parsed->labels}};
    for (const std::string& path : parsed->models) read.push_back({"--model", path});
    require_other_files(read,
                        std::array{FlagFile{"--out", parsed->out}, FlagFile{"--probabilities", parsed->probabilities}});
    const ModelInputs inputs = model_inputs(model);
    if (!parsed->labels.empty()) require_classes("--labels", model);
    if (parsed->views > 0) require_images("--views", model);
    std::vector<AlignedMemory> weights;  // of all models, before anything is computed
    for (const std::string& path : parsed->models)
      weights.push_back(weights_to_predict_with(load_model_file(path, model)));
    Context context(thread_count(parsed->threads));
    if (!parsed->serve.empty()) {
      if (weights.size() > 1) throw UsageError("--serve draws on one model: give --model once");
      return serve(*parsed, model, context, weights[0].data(), environment);
    }

    const Dataset dataset = load_dataset(parsed->test, inputs.shape, inputs.classes);
    std::vector<int32_t> labels;
    if (predicts_classes(model)) labels = dataset.labels;
    if (!parsed->labels.empty()) labels = read_labels(parsed->labels, inputs.classes);
    if (!labels.empty() && static_cast<int64_t>(labels.size()) != dataset.rows) {
      throw DataError(fmt::format("{}: {} labels for the {} rows of {}", parsed->labels, labels.size(), dataset.rows,
                                  parsed->test));
    }
    std::vector<Predictions> of_models;
    for (const AlignedMemory& memory : weights) {
      of_models.push_back(predict(model, context, memory.data(), dataset, make_views(parsed->views, parsed->augment)));
    }
    const Predictions predictions = mean(of_models);
    if (!parsed->out.empty()) write_predictions(environment.files, parsed->out, predictions);
    if (!parsed->probabilities.empty()) write_outputs(environment.files, parsed->probabilities, predictions);

    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const int64_t correct = labels.empty() ? 0 : count_correct(predictions.labels, labels);
    const double accuracy = labels.empty() ? 0 : static_cast<double>(correct) / static_cast<double>(dataset.rows);
    if (parsed->json) {
      nlohmann::json result = {{"rows", dataset.rows}, {"seconds", seconds}};
      if (!labels.empty()) result["accuracy"] = accuracy;
      if (!parsed->out.empty()) result["submission"] = parsed->out;
      if (!parsed->probabilities.empty()) result["probabilities"] = parsed->probabilities;
      print_json(environment.out, result);
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
  ignore_broken_pipes();
  DiskFileSystem files;
  return predict_command({argv + 1, argv + argc}, model, {.out = std::cout, .err = std::cerr, .files = files});
}

}  // namespace kiln
