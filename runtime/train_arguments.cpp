#include "train_arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <limits>
#include <ostream>
#include <string_view>

#include "command.h"
#include "error.h"

namespace kiln {
namespace {

std::string examples(const std::string& name) {
  return fmt::format(R"(Examples:
  {0}
      Trains on built-in synthetic digits (graphs with a 28x28x1 image and ten classes), or asks for --train.
  {0} --train train.csv --test test.csv
      Trains on a Kaggle CSV (plain or .gz; MNIST's IDX files work too), validates on its last part,
      predicts test.csv and writes runs/<graph>-<n>/submission.csv.
  {0} --train train.csv --epochs 14 --schedule one-cycle --learning-rate 2e-3 \
      --augment rotation=10,shift=2,zoom=0.1 --average 0.999
      A schedule, light augmentation and a moving average of the weights.
  {0} --train train.csv --early-stopping 5 --monitor val_accuracy --restore-best
      Stops when five epochs in a row were no better, and keeps the best one.
  {0} --train train.csv --test test.csv --ensemble 5
      Five networks whose seeds follow each other, and one submission by the mean of what they say.
  {0} --resume runs/digits-1/last.kiln
      Goes on where that run was stopped, bit for bit as if it never had been.
  {0} --load model.keras --save model.keras
      Goes on with a model that Keras saved; Keras opens what comes of it.
  {0} --train train.csv --overfit 64      A sanity check: learns 64 rows by heart.
  {0} --profile                           Where the time of a step goes, kernel by kernel.
  {0} --fast-dev-run                      Three batches of everything.
  {0} --selftest                          Whether the compiled network is right on this processor.
  {0} --export-digits digits              Writes the built-in digits as Kaggle CSV files.

Exit codes: 0 done, 1 failure, 2 usage error, 3 bad data or file, 4 non-finite loss or weights,
130 interrupted by Ctrl-C, SIGTERM or a closed terminal after saving (a second Ctrl-C ends at once).
A reader of the output that leaves (| head) ends no run; it then ends with 1, its results in its folder.)",
                     name);
}

}  // namespace

std::optional<TrainArguments> parse_train_arguments(const std::vector<std::string>& arguments, const kiln_model& model,
                                                    std::ostream& out) {
  const std::string name = fmt::format("{}_train", model.name);
  TrainArguments result;
  TrainingOptions& options = result.options;
  options.epochs = model.epochs;
  // The decimal number that the graph file says, not the f32 nearest to it: these are shown and compared.
  options.learning_rate = std::stod(fmt::format("{}", model.learning_rate));
  options.validation_split = std::stod(fmt::format("{}", model.validation_split));

  CLI::App app(fmt::format("Trains the network {}.", model.name), name);
  app.footer(examples(name));
  add_config_file(app);
  app.set_version_flag("--version", fmt::format("{} ({}; {} for {}, {})", name, KILN_VERSION, model.compiler,
                                                model.target, model.precision));
  std::vector<std::pair<CLI::Option*, GivenOption>> lasting;  // those that decide the run's bits
  const auto lasts = [&](CLI::Option* option, const char* field) {
    lasting.push_back({option, {option->get_name(), field}});
    for (const OptionRange& range : kOptionRanges) {
      if (range.option == std::string_view(field)) option->check(number_from(range.low, range.high));
    }
    for (const OptionNames& allowed : kOptionNames) {
      if (allowed.option == std::string_view(field)) option->check(CLI::IsMember(allowed.names));
    }
    return option;
  };

  const char* group = "Data";
  lasts(app.add_option("--train", options.train, "Training rows: Kaggle CSV, CSV.gz or MNIST IDX images"), "train")
      ->option_text("FILE")
      ->group(group);
  app.add_option("--test", result.test, "Rows to predict for the submission")->option_text("FILE")->group(group);
  app.add_option("--test-labels", result.test_labels, "Their labels (ImageId,Label): prints the test accuracy")
      ->option_text("FILE")
      ->group(group);
  lasts(app.add_option("--validation-split", options.validation_split,
                       fmt::format("Part of the rows to validate on: the last ones, before shuffling ({})",
                                   options.validation_split)),
        "validation_split")
      ->option_text("PART")
      ->group(group);
  lasts(app.add_option("--augment", options.augment,
                       "Random distortion of training images: rotation=10,shift=2,zoom=0.1,shear=5,elastic=4"),
        "augment")
      ->option_text("SPEC")
      ->group(group);
  lasts(app.add_option("--digits", options.digits,
                       "Rows of built-in synthetic digits to train on (20000; 4000 more to test)"),
        "digits")
      ->option_text("N")
      ->group(group);
  app.add_option("--export-digits", result.export_digits,
                 "Write the built-in digits as CSV files to this folder, over none that is there, and end")
      ->option_text("FOLDER")
      ->group(group);

  group = "Training";
  lasts(app.add_option(
            "--epochs", options.epochs,
            fmt::format("Passes over the data ({}; at most 10 over the built-in digits, 100 with --overfit, 1 with "
                        "--fast-dev-run)",
                        options.epochs)),
        "epochs")
      ->option_text("N")
      ->group(group);
  lasts(app.add_option("--learning-rate", options.learning_rate,
                       fmt::format("The rate, or the schedule's peak ({})", options.learning_rate)),
        "learning_rate")
      ->option_text("RATE")
      ->group(group);
  lasts(app.add_option("--schedule", options.schedule,
                       "constant, step (a tenth every 10 epochs), cosine (down to 0) or one-cycle (constant)"),
        "schedule")
      ->option_text("NAME")
      ->group(group);
  lasts(app.add_option("--seed", options.seed, fmt::format("Of every random number ({})", options.seed)), "seed")
      ->option_text("N")
      ->group(group);
  lasts(app.add_option("--label-smoothing", options.label_smoothing,
                       "Part of each label that is spread evenly over the classes, or, in a binary cross-entropy, over "
                       "yes and no: 0.1 (cross-entropies whose graph file says nothing else)"),
        "label_smoothing")
      ->option_text("PART")
      ->group(group);
  lasts(app.add_option("--average", options.average,
                       "Predict with a moving average of the weights with this decay: 0.999"),
        "average")
      ->option_text("DECAY")
      ->group(group);
  lasts(app.add_option("--early-stopping", options.early_stopping, "Stop after so many epochs without a better one"),
        "early_stopping")
      ->option_text("PATIENCE")
      ->group(group);
  lasts(app.add_option("--monitor", options.monitor,
                       "What says which epoch is best: val_loss, val_accuracy... (val_loss)"),
        "monitor")
      ->option_text("NAME")
      ->group(group);
  lasts(app.add_flag("--restore-best", options.restore_best, "End with the best epoch's weights, not the last one's"),
        "restore_best")
      ->group(group);
  lasts(
      app.add_option("--on-nan", options.on_nan,
                     "When a loss, gradient or weight is infinite or not a number: stop and keep the state before that "
                     "step, skip that batch, or rollback some steps with half the learning rate (stop)"),
      "on_nan")
      ->option_text("stop|skip|rollback")
      ->group(group);
  app.add_option("--threads", result.threads, "Threads to use (all cores)")
      ->option_text("N")
      ->check(number_from(1, 1024))
      ->group(group);
  app.add_option("--resume", result.resume, "Go on from this state, with its options")
      ->option_text("STATE")
      ->group(group);
  app.add_option(
         "--load", result.load,
         "Begin a new run with this model's weights, and its optimizer's state where it has one: .kiln, Keras's "
         ".h5 or .keras, .safetensors, .onnx")
      ->option_text("FILE")
      ->group(group);
  lasts(app.add_flag("--fast-dev-run", options.fast_dev_run, "Three batches of everything, to see that it works"),
        "fast_dev_run")
      ->group(group);
  app.add_flag("--selftest", result.selftest,
               "Check gradient, determinism and checkpoints on this processor, and end (exit code 1 when one fails)")
      ->group(group);
  lasts(app.add_option("--overfit", options.overfit, "Learn the first N rows by heart, a sanity check"), "overfit")
      ->option_text("N")
      ->group(group);

  group = "Results";
  app.add_option("--run-folder", result.run_folder,
                 fmt::format("Where to write, over no other run (runs/{}-<n>, the next free n)", model.name))
      ->option_text("DIR")
      ->group(group);
  app.add_option("--save", result.save,
                 "Also write the trained model to this file: .kiln, Keras's .h5 or .keras, .safetensors, .onnx")
      ->option_text("FILE")
      ->group(group);
  app.add_option("--tensorboard", result.tensorboard,
                 "Write curves, distributions of the weights and the graph to this folder, for TensorBoard")
      ->option_text("DIR")
      ->group(group);
  app.add_option("--views", result.views,
                 "Predict the test rows from N more views of each, distorted as by --augment at half its strength")
      ->option_text("N")
      ->check(number_from(0, 1000))
      ->group(group);
  app.add_option("--ensemble", result.ensemble,
                 "Train N networks, with seeds that follow each other, and predict the test rows by the mean of what "
                 "they say; the same command with the same --run-folder goes on after an interruption")
      ->option_text("N")
      ->check(number_from(1, 1000))
      ->group(group);
  app.add_option("--submission", result.submission, "Also write the submission to this file (needs --test)")
      ->option_text("FILE")
      ->group(group);
  app.add_flag("--profile{table}", result.profile,
               "Time each kernel: a table at the end and profile.json; --profile=trace: also trace.json of the first "
               "steps, for ui.perfetto.dev")
      ->check(CLI::IsMember({"table", "trace"}))
      ->group(group);
  app.add_flag("--quiet", result.quiet, "Print nothing but errors, not even with --json")->group(group);
  app.add_flag("--json", result.json,
               "Print a JSON object an epoch, one for a profile and one for the result, nothing else")
      ->group(group);

  if (const std::optional<std::string> text = parse_flags(app, arguments)) {
    out << *text;
    return std::nullopt;
  }
  if (result.quiet) result.json = false;
  for (const auto& [option, given] : lasting) {
    if (option->count() > 0) result.given.push_back(given);
  }

  for (const auto& [flag, given] :
       {std::pair("--export-digits", !result.export_digits.empty()), std::pair("--selftest", result.selftest)}) {
    if (!given) continue;
    for (const auto& [other, value] :
         {std::pair("--resume", &result.resume), std::pair("--load", &result.load), std::pair("--save", &result.save),
          std::pair("--train", &options.train), std::pair("--test", &result.test),
          std::pair("--tensorboard", &result.tensorboard), std::pair("--profile", &result.profile)}) {
      if (!value->empty()) throw UsageError(fmt::format("{} does not train: leave out {}", flag, other));
    }
  }
  if (result.selftest && !result.export_digits.empty())
    throw UsageError("--selftest and --export-digits exclude each other: give one of them");
  if (!result.resume.empty() && !result.load.empty())
    throw UsageError("--resume goes on with a run, --load begins a new one: give one of them");
  if (result.ensemble > 1) {
    for (const auto& [flag, value] : {std::pair("--resume", &result.resume), std::pair("--save", &result.save),
                                      std::pair("--tensorboard", &result.tensorboard)}) {
      if (!value->empty()) throw UsageError(fmt::format("--ensemble trains several networks: leave out {}", flag));
    }
    if (options.seed > std::numeric_limits<int32_t>::max() - result.ensemble)
      throw UsageError(fmt::format("--seed {} leaves no seeds for --ensemble {}", options.seed, result.ensemble));
  }
  if (!options.train.empty() && options.digits > 0)
    throw UsageError("--train and --digits exclude each other: give one of them");
  if (result.test.empty() && !result.submission.empty())
    throw UsageError("--submission needs --test FILE, the rows to predict");
  if (result.test.empty() && !result.test_labels.empty())
    throw UsageError("--test-labels needs --test FILE, the rows they belong to");
  if (result.test.empty() && !options.train.empty() && result.views > 0)
    throw UsageError("--views needs --test FILE, the rows to predict from them");
  if (options.overfit > 0 && !options.augment.empty())
    throw UsageError("--overfit learns rows by heart: leave out --augment");
  return result;
}

TrainingOptions resumed_options(const TrainArguments& arguments, const TrainingOptions& saved) {
  const nlohmann::json flags = arguments.options, state = saved;
  TrainingOptions result = saved;
  for (const GivenOption& given : arguments.given) {
    if (flags.at(given.field) == state.at(given.field)) continue;
    // Where the rate does not depend on the number of epochs, more of them are what the longer run would have done.
    if (given.field == "epochs" && (saved.schedule == "constant" || saved.schedule == "step")) {
      result.epochs = arguments.options.epochs;
      continue;
    }
    if (given.field == "on_nan") {  // what was done was finite
      result.on_nan = arguments.options.on_nan;
      continue;
    }
    if (given.field == "train" && !saved.train.empty()) {  // the same rows may lie elsewhere; they are checked
      result.train = arguments.options.train;
      continue;
    }
    const auto text = [](const nlohmann::json& value) {
      return value.is_string() ? value.get<std::string>() : value.dump();
    };
    const std::string was = text(state.at(given.field));
    throw UsageError(fmt::format(
        "{} {} contradicts the state {}, which was made with {}; leave the flag out or start a new run", given.flag,
        text(flags.at(given.field)), arguments.resume,
        was.empty() || was == "0" || was == "0.0" || was == "false" ? "no " + given.flag : given.flag + " " + was));
  }
  return result;
}

}  // namespace kiln
