#include "train_command.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/csv.h"
#include "data/synthetic_digits.h"
#include "error.h"
#include "event_file.h"
#include "model_file.h"
#include "model_inputs.h"
#include "predictor.h"
#include "processor.h"
#include "profiler.h"
#include "report.h"
#include "run_folder.h"
#include "self_test.h"
#include "train_arguments.h"
#include "trainer.h"

namespace kiln {
namespace {

// The built-in digits: one fixed collection, so that runs with different seeds learn from the same rows, and rows far
// behind any that one trains on to test with.
constexpr uint64_t kDigitsSeed = 1;
constexpr int64_t kDigits = 20'000, kTestDigits = 4'000, kFirstTestDigit = 100'000'000;
// They are easier than people's: more passes than this bring nothing.
constexpr int32_t kDigitsEpochs = 10;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string shape_text(const std::vector<int64_t>& shape) { return fmt::format("{}", fmt::join(shape, "x")); }

std::string epochs_text(int64_t epochs) { return fmt::format("{} epoch{}", epochs, epochs == 1 ? "" : "s"); }

struct TestData {
  std::optional<Dataset> rows;
  std::vector<int32_t> labels;  // empty: not known
};

/// "Test accuracy: 99.50% (...)", and result["test_accuracy"]; nothing where classes or labels are unknown.
std::string accuracy_text(const std::string& title, const Predictions& predictions, std::span<const int32_t> labels,
                          nlohmann::ordered_json& result) {
  if (labels.empty() || predictions.labels.empty()) return "";
  const int64_t correct = count_correct(predictions.labels, labels);
  const double accuracy = static_cast<double>(correct) / static_cast<double>(predictions.rows);
  result["test_accuracy"] = accuracy;
  return fmt::format("{}: {:.2f}% ({} of {})\n", title, 100 * accuracy, correct, predictions.rows);
}

void require_digits(const kiln_model& model) {
  const ModelInputs inputs = model_inputs(model);
  if (inputs.shape == std::vector<int64_t>{28, 28, 1} && (inputs.classes == 10 || inputs.classes == 0)) return;
  throw UsageError(
      fmt::format("--train FILE is missing: graph {} takes {} images of {} classes, and the built-in digits are "
                  "28x28x1 images of 10",
                  model.name, shape_text(inputs.shape), inputs.classes));
}

Dataset load_training_data(const kiln_model& model, const TrainingOptions& options, int threads) {
  if (options.train.empty()) return synthetic_digits(options.digits, kDigitsSeed, threads);
  const ModelInputs inputs = model_inputs(model);
  Dataset dataset = load_dataset(options.train, inputs.shape, inputs.classes);
  if (dataset.labels.empty() && inputs.classes > 0) {
    throw DataError(fmt::format("{}: has no labels to learn from; a CSV file has them in its first column, \"label\"",
                                options.train));
  }
  return dataset;
}

TestData load_test_data(const kiln_model& model, const TrainArguments& arguments, const TrainingOptions& options,
                        int threads) {
  TestData test;
  if (!arguments.test.empty()) {
    const ModelInputs inputs = model_inputs(model);
    test.rows = load_dataset(arguments.test, inputs.shape, inputs.classes);
    test.labels = test.rows->labels;
  } else if (options.train.empty()) {
    test.rows = synthetic_digits(kTestDigits, kDigitsSeed, threads, kFirstTestDigit);
    test.rows->origin = "built-in digits that are not trained on";
    test.labels = test.rows->labels;
  }
  if (!arguments.test_labels.empty()) {
    require_classes("--test-labels", model);
    test.labels = read_labels(arguments.test_labels);
    if (static_cast<int64_t>(test.labels.size()) != test.rows->rows) {
      throw DataError(fmt::format("{}: {} labels for the {} rows of {}", arguments.test_labels, test.labels.size(),
                                  test.rows->rows, arguments.test));
    }
  }
  if (test.rows && options.fast_dev_run) {
    Dataset& rows = *test.rows;
    rows.rows = std::min<int64_t>(rows.rows, 3 * model.predict->batch);
    rows.pixels.resize(static_cast<size_t>(rows.rows * rows.elements()));
    if (!rows.labels.empty()) rows.labels.resize(static_cast<size_t>(rows.rows));
    if (!test.labels.empty()) test.labels.resize(static_cast<size_t>(rows.rows));
  }
  return test;
}

int export_digits(const TrainArguments& arguments, const kiln_model& model, const CommandEnvironment& environment) {
  require_digits(model);
  const int threads = thread_count(arguments.threads);
  const std::string folder = arguments.export_digits;
  const Dataset train =
      synthetic_digits(arguments.options.digits > 0 ? arguments.options.digits : kDigits, kDigitsSeed, threads);
  const Dataset test = synthetic_digits(kTestDigits, kDigitsSeed, threads, kFirstTestDigit);
  create_folders(environment.files, folder);
  write_csv(environment.files, folder + "/train.csv", train, true);
  write_csv(environment.files, folder + "/test.csv", test, false);
  write_submission(environment.files, folder + "/test_labels.csv", test.labels);
  if (arguments.json) {
    print_json(environment.out,
               nlohmann::json{{"folder", folder}, {"train_rows", train.rows}, {"test_rows", test.rows}});
  } else if (!arguments.quiet) {
    environment.out << fmt::format("{0}/train.csv: {1} rows\n{0}/test.csv, {0}/test_labels.csv: {2} rows\n", folder,
                                   train.rows, test.rows)
                    << std::flush;
  }
  return 0;
}

int run_self_test(const TrainArguments& arguments, const kiln_model& model, const CommandEnvironment& environment) {
  const bool passed =
      self_test(model, environment.files, std::filesystem::temp_directory_path().string(),
                thread_count(arguments.threads), [&](const SelfTestResult& result) {
                  if (arguments.json) {
                    print_json(environment.out, nlohmann::ordered_json{{"check", result.name},
                                                                       {"passed", result.passed},
                                                                       {"detail", result.detail},
                                                                       {"seconds", result.seconds}});
                  } else if (!arguments.quiet) {
                    environment.out << fmt::format("{:12} {:6} {} ({:.1f} s)\n", result.name,
                                                   result.passed ? "passed" : "FAILED", result.detail, result.seconds)
                                    << std::flush;
                  }
                });
  if (!passed) throw Failure("the self-test failed on this processor: do not trust what is trained or predicted on it");
  return 0;
}

// A file that is only written after hours had better be writable.
void require_parent_folder(const char* flag, const std::string& path) {
  if (path.empty()) return;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!parent.empty() && !std::filesystem::is_directory(parent, error)) {
    throw UsageError(fmt::format("{} {}: there is no folder {}", flag, path, parent.string()));
  }
}

// Empty: the next free one, which is created when everything else is known to be right.
std::string choose_run_folder(const TrainArguments& arguments) {
  const std::filesystem::path state(arguments.resume);
  if (arguments.run_folder.empty()) {
    if (state.filename() != "last.kiln") return "";
    return state.has_parent_path() ? state.parent_path().string() : ".";
  }
  const std::filesystem::path last(arguments.run_folder + "/last.kiln");
  std::error_code error;
  const bool own = std::filesystem::equivalent(last, state, error);  // a run goes on where it is
  if (!own && std::filesystem::exists(last, error)) {
    throw UsageError(
        fmt::format("--run-folder {0} holds a run already: give another folder, or go on with --resume {0}/last.kiln",
                    arguments.run_folder));
  }
  return arguments.run_folder;
}

struct Outcome {
  ExitCode code = ExitCode::done;
  std::optional<Predictions> predictions;  // of the test rows
  std::vector<int32_t> test_labels;
};

// One run, from the options on.
class TrainingRun {
 public:
  TrainingRun(const std::vector<std::string>& command, const TrainArguments& arguments, const kiln_model& model,
              const CommandEnvironment& environment)
      : command_(command),
        arguments_(arguments),
        model_(model),
        environment_(environment),
        start_(std::chrono::steady_clock::now()),
        talk_(!arguments.quiet && !arguments.json),
        context_(thread_count(arguments.threads)) {}

  Outcome run() {
    require_parent_folder("--save", arguments_.save);
    require_parent_folder("--submission", arguments_.submission);
    std::optional<Checkpoint> resumed;
    if (!arguments_.resume.empty()) resumed = load_checkpoint(arguments_.resume, model_);
    std::optional<Checkpoint> loaded;
    if (!arguments_.load.empty()) loaded = load_model_file(arguments_.load, model_);
    if (loaded) print_notes(*loaded);
    const TrainingOptions options =
        resumed ? resumed_options(arguments_, Trainer::saved_options(*resumed, arguments_.resume))
                : new_options(loaded);
    make_views(arguments_.views, options.augment);  // refuses what cannot be done at the end
    if (options.train.empty()) require_digits(model_);
    std::string path = choose_run_folder(arguments_);
    const int threads = context_.pool.threads();
    const Dataset dataset = load_training_data(model_, options, threads);
    const TestData test = load_test_data(model_, arguments_, options, threads);
    Trainer trainer(model_, context_, options, dataset);
    if (resumed) trainer.restore(*resumed, arguments_.resume);
    if (loaded) trainer.begin_with(*loaded, arguments_.load);
    resumed.reset();
    loaded.reset();
    const std::string about = arguments_text(trainer, dataset);
    if (talk_) print_introduction(trainer, dataset, test);

    if (path.empty()) path = create_next_run_folder(environment_.files, "runs", model_.name);
    RunFolder folder(environment_.files, path);
    folder.write("arguments.json", about);
    folder.write_pictures(model_);
    folder.begin_metrics(trainer.epoch());
    std::optional<Profiler> profiler;
    if (!arguments_.profile.empty()) {
      profiler.emplace(*model_.train, context_.pool.threads(), arguments_.profile == "trace", start_);
      trainer.profile(&*profiler);
    }
    const bool complete = train(trainer, folder);
    trainer.profile(nullptr);
    RunResults results;
    if (profiler) results.profile = finish_profile(*profiler, folder);
    if (!complete) {
      write_report(trainer, folder, dataset, "interrupted", results);
      return {ExitCode::interrupted, {}, {}};
    }
    return {ExitCode::done, finish(trainer, folder, dataset, test, results), test.labels};
  }

 private:
  void print_notes(const Checkpoint& loaded) const {
    const nlohmann::json notes = loaded.progress.value("notes", nlohmann::json::array());
    for (const nlohmann::json& note : notes) {
      if (!arguments_.quiet && note.is_string())
        environment_.err << fmt::format("{}_train: note: {}: {}\n", model_.name, arguments_.load,
                                        note.get<std::string>());
    }
  }

  TrainingOptions new_options(const std::optional<Checkpoint>& loaded) const {
    TrainingOptions options = arguments_.options;
    const auto given = [&](const char* flag) {
      return std::any_of(arguments_.given.begin(), arguments_.given.end(),
                         [&](const auto& g) { return g.flag == flag; });
    };
    // Another tool's model goes on at the rate that it had; a state of Kiln's is only a beginning.
    if (loaded && is_foreign(arguments_.load) && !given("--learning-rate"))
      options.learning_rate = loaded->progress.value("learning_rate", options.learning_rate);
    if (options.train.empty() && options.digits == 0) options.digits = kDigits;
    if (options.train.empty() && !given("--epochs")) options.epochs = std::min(options.epochs, kDigitsEpochs);
    if (options.overfit > 0 && !given("--epochs")) options.epochs = 100;
    if (options.fast_dev_run && !given("--epochs")) options.epochs = 1;
    return options;
  }

  void print_introduction(const Trainer& trainer, const Dataset& dataset, const TestData& test) const {
    std::ostream& out = environment_.out;
    if (model_.summary && *model_.summary) out << model_.summary << '\n';
    if (model_.precision == std::string_view("mixed"))
      out << "Precision: mixed; products of bf16, sums, weights and updates in f32\n";
    const Split& split = trainer.split();
    out << fmt::format("Data: {} rows of {}: {} to train on, {}\n", dataset.rows, dataset.origin, split.training.count,
                       split.validation.count == 0 ? std::string("none to validate on")
                       : split.validation.first < split.training.count
                           ? std::string("the same to validate on")
                           : fmt::format("the last {} to validate on", split.validation.count));
    if (test.rows) {
      out << fmt::format("Test: {} rows of {}, labels {}\n", test.rows->rows, test.rows->origin,
                         test.labels.empty() ? "unknown" : "known");
    }
    if (trainer.epoch() > 0 || trainer.step() > 0) {
      out << fmt::format("Going on from {}: {} and {} steps are done\n", arguments_.resume,
                         epochs_text(trainer.epoch()), trainer.step());
    }
    out << std::flush;
  }

  nlohmann::json arguments_json(const Trainer& trainer, const Dataset& dataset) const {
    return {{"command", command_},
            {"options", trainer.options()},
            {"threads", context_.pool.threads()},
            {"processor", processor_name()},
            {"graph", model_.name},
            {"fingerprint", model_.fingerprint},
            {"compiler", model_.compiler},
            {"target", model_.target},
            {"precision", model_.precision},
            {"version", KILN_VERSION},
            {"data", {{"rows", dataset.rows}, {"origin", dataset.origin}}}};
  }

  /// Of arguments.json; states and the report keep the same words.
  std::string arguments_text(const Trainer& trainer, const Dataset& dataset) const {
    try {
      return arguments_json(trainer, dataset).dump(2) + "\n";
    } catch (const nlohmann::json::exception&) {
      throw UsageError("an argument is not UTF-8, but states and reports keep them as JSON, which has nothing else");
    }
  }

  // False when interrupted, the state being saved.
  bool train(Trainer& trainer, RunFolder& folder) {
    const std::string last = folder.file("last.kiln");
    Progress progress(environment_.out, environment_.style);
    std::optional<EventFile> events;
    if (!arguments_.tensorboard.empty()) {
      events.emplace(environment_.files, arguments_.tensorboard);
      events->write_graph(model_);
    }
    const bool save_each = trainer.options().overfit == 0;  // learning by heart has hundreds of tiny epochs
    bool saved = false;
    const auto note = [&](const std::string& text) {
      if (talk_) progress.interrupt();
      if (!arguments_.quiet) environment_.err << fmt::format("{}_train: note: {}\n", model_.name, text) << std::flush;
    };
    try {
      while (!trainer.done()) {
        const auto epoch_start = std::chrono::steady_clock::now();
        const int64_t first_step = trainer.step();
        double step_seconds = 0;
        if (talk_) {
          progress.begin_epoch(static_cast<int>(trainer.epoch() + 1), trainer.options().epochs, trainer.epoch_steps(),
                               first_step);
        }
        const bool complete = trainer.run_epoch(
            [&] {
              step_seconds = seconds_since(epoch_start);
              if (talk_ && progress.due(step_seconds))
                progress.update(trainer.step(), step_seconds, metric_values(trainer.sums()));
              return !environment_.interrupted();
            },
            note);
        if (complete) {
          const double seconds = seconds_since(epoch_start);
          if (talk_) {
            progress.end_epoch(seconds, step_seconds / static_cast<double>(trainer.epoch_steps() - first_step),
                               trainer.values());
          }
          if (arguments_.json) print_epoch(trainer, seconds);
          folder.append_metrics(trainer.epoch(), seconds, trainer.rate(), trainer.values());
          if (events) write_events(trainer, *events);
          if (trainer.improved() && (save_each || trainer.done())) {
            save_checkpoint(environment_.files, folder.file("best.kiln"), model_, trainer.model(trainer.weights()));
          }
          if (save_each || trainer.done()) {
            save_checkpoint(environment_.files, last, model_, trainer.checkpoint());
            saved = true;
          }
        }
        if (!complete || (environment_.interrupted() && !trainer.done())) {
          if (talk_) progress.interrupt();
          save_checkpoint(environment_.files, last, model_, trainer.checkpoint());
          print_interruption(trainer, last);
          return false;
        }
      }
    } catch (const NonFiniteError& error) {
      if (talk_) progress.interrupt();
      std::string state = "no state was saved";
      if (trainer.step() == trainer.epoch_steps()) {  // in validation: there is no step to go on with
        if (saved || !arguments_.resume.empty()) state = "the last good state is " + (saved ? last : arguments_.resume);
      } else if (trainer.epoch() > 0 || trainer.step() > 0) {
        save_checkpoint(environment_.files, last, model_, trainer.checkpoint());
        state = "the state before that step is " + last;
      }
      throw NonFiniteError(fmt::format("{}; {}", error.what(), state));
    }
    return true;
  }

  void write_events(const Trainer& trainer, EventFile& events) const {
    MetricValues scalars = trainer.values();
    scalars.emplace_back("learning_rate", trainer.rate());
    events.write_scalars(trainer.epoch(), scalars);
    for (int i = 0; i < model_.parameter_count; ++i) {
      const kiln_parameter& p = model_.parameters[i];
      if (p.kind != KILN_TRAINABLE) continue;
      events.write_histogram(trainer.epoch(), p.name,
                             {reinterpret_cast<const float*>(trainer.weights() + p.offset), p.count});
    }
  }

  void print_epoch(const Trainer& trainer, double seconds) const {
    nlohmann::ordered_json json = {{"epoch", trainer.epoch()},
                                   {"epochs", trainer.options().epochs},
                                   {"seconds", seconds},
                                   {"learning_rate", trainer.rate()}};
    for (const auto& [name, value] : trainer.values()) json[name] = value;
    print_json(environment_.out, json);
  }

  void print_interruption(const Trainer& trainer, const std::string& last) const {
    if (arguments_.json) {
      print_json(
          environment_.out,
          nlohmann::ordered_json{
              {"result", "interrupted"}, {"epochs", trainer.epoch()}, {"step", trainer.step()}, {"state", last}});
    } else if (talk_) {
      environment_.out << fmt::format("Interrupted after {} and {} steps. Go on with: {}_train --resume {}\n",
                                      epochs_text(trainer.epoch()), trainer.step(), model_.name, last)
                       << std::flush;
    }
  }

  /// Whether predictions can be judged by these labels: the model's output has a value a class, and they are classes.
  bool tells_classes(std::span<const int32_t> labels) const {
    const int32_t classes = model_inputs(model_).classes;
    if (classes < 2 || model_.predict == nullptr || model_.predict->output_count == 0) return false;
    return model_.predict->outputs[predicted_output(model_)].count == static_cast<uint64_t>(classes) &&
           std::all_of(labels.begin(), labels.end(), [&](int32_t label) { return label >= 0 && label < classes; });
  }

  /// What the model makes of the first test or validation rows, where its output is as large as its input.
  std::optional<Reconstructions> reconstruct(const Trainer& trainer, const Dataset& dataset, const TestData& test) {
    constexpr int64_t kRows = 24;
    if (model_inputs(model_).classes > 0 || model_.predict == nullptr || model_.predict->output_count == 0) return {};
    const auto count = static_cast<int64_t>(model_.predict->outputs[predicted_output(model_)].count);
    const RowRange validation = trainer.split().validation;
    if (count != dataset.elements() || (!test.rows && validation.count == 0)) return {};
    Dataset rows = test.rows ? rows_of(*test.rows, 0, std::min(kRows, test.rows->rows))
                             : rows_of(dataset, validation.first, std::min(kRows, validation.count));
    Predictions predictions = predict(model_, context_, trainer.final_weights(), rows);
    return Reconstructions{test.rows ? "test" : "validation", std::move(rows), std::move(predictions)};
  }

  /// The last of a run's files. It tells what `results` holds and what the trainer and the folder know.
  void write_report(const Trainer& trainer, RunFolder& folder, const Dataset& dataset, const char* outcome,
                    RunResults& results) {
    results.run = arguments_json(trainer, dataset);
    results.outcome = outcome;
    results.finished = fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::time(nullptr)));
    results.metrics = folder.metrics();
    results.monitor = trainer.options().monitor;
    results.best_epoch = trainer.best_epoch();
    results.seconds = seconds_since(start_);
    results.weights_checksum = weights_checksum(trainer.model(trainer.final_weights()));
    folder.write("report.html", report_html(model_, trainer.final_weights(), results));
  }

  std::optional<Predictions> finish(const Trainer& trainer, RunFolder& folder, const Dataset& dataset,
                                    const TestData& test, RunResults& results) {
    const Checkpoint final = trainer.model(trainer.final_weights());
    save_checkpoint(environment_.files, folder.file("model.kiln"), model_, final);
    nlohmann::ordered_json result = {{"result", "done"}, {"epochs", trainer.epoch()}};
    if (trainer.best_epoch() > 0) {
      result["best_epoch"] = trainer.best_epoch();
      result["best_" + trainer.options().monitor] = trainer.best_value();
    }
    if (const RowRange rows = trainer.split().validation; rows.count > 0 && tells_classes(dataset.labels)) {
      const Dataset validated = rows_of(dataset, rows.first, rows.count);
      results.evaluations.push_back(
          {"validation", dataset, rows.first,
           std::span(dataset.labels).subspan(static_cast<size_t>(rows.first), static_cast<size_t>(rows.count)),
           predict(model_, context_, trainer.final_weights(), validated)});
    }
    std::string text;
    if (trainer.stopped_early()) {
      text += fmt::format("Stopped early: {} epochs without a better {}\n", trainer.options().early_stopping,
                          trainer.options().monitor);
    }
    std::optional<Predictions> predictions;
    if (test.rows) {
      predictions = predict(model_, context_, trainer.final_weights(), *test.rows,
                            make_views(arguments_.views, trainer.options().augment));
      write_predictions(environment_.files, folder.file("submission.csv"), *predictions);
      if (!arguments_.submission.empty()) write_predictions(environment_.files, arguments_.submission, *predictions);
      text += accuracy_text("Test accuracy", *predictions, test.labels, result);
      if (!test.labels.empty() && tells_classes(test.labels))
        results.evaluations.push_back({"test", *test.rows, 0, test.labels, *predictions});
    }
    results.reconstructions = reconstruct(trainer, dataset, test);
    write_report(trainer, folder, dataset, "done", results);
    // Last, since another tool may not be able to express the graph.
    if (is_foreign(arguments_.save)) {  // with the optimizer's state, as those tools keep it
      Checkpoint whole = trainer.checkpoint();
      whole.weights = final.weights;
      whole.average.clear();
      whole.best.clear();
      save_model_file(environment_.files, arguments_.save, model_, whole);
    } else if (!arguments_.save.empty()) {
      save_checkpoint(environment_.files, arguments_.save, model_, final);
    }
    const double seconds = seconds_since(start_);
    result["weights_crc32"] = weights_checksum(final);
    result["seconds"] = seconds;
    result["run_folder"] = folder.path();
    result["report"] = folder.file("report.html");
    result["model"] = arguments_.save.empty() ? folder.file("model.kiln") : arguments_.save;
    if (test.rows)
      result["submission"] = arguments_.submission.empty() ? folder.file("submission.csv") : arguments_.submission;
    if (arguments_.json) print_json(environment_.out, result);
    if (!talk_) return predictions;
    text += fmt::format("Time: {} in all, {}", format_duration(seconds), epochs_text(trainer.epoch()));
    if (trainer.best_epoch() > 0) {
      text += fmt::format(", the best by {} ({:.4f}) being epoch {}", trainer.options().monitor, trainer.best_value(),
                          trainer.best_epoch());
    }
    std::error_code error;
    const bool has_best = std::filesystem::exists(folder.file("best.kiln"), error);
    text += fmt::format(
        "\nWeights: CRC-32 {}\nFiles in {}: model.kiln (the trained model), {}last.kiln (to go on from), "
        "metrics.csv, "
        "arguments.json{}{}\n",
        weights_checksum(final), folder.path(), has_best ? "best.kiln, " : "",
        model_.svg && *model_.svg ? ", model.svg" : "", test.rows ? ", submission.csv" : "");
    text += fmt::format("Report: {}\n", folder.file("report.html"));
    if (!arguments_.save.empty()) text += fmt::format("Model: {}\n", arguments_.save);
    if (!arguments_.submission.empty()) text += fmt::format("Submission: {}\n", arguments_.submission);
    environment_.out << text << std::flush;
    return predictions;
  }

  Profile finish_profile(const Profiler& profiler, RunFolder& folder) {
    if (arguments_.profile == "trace") folder.write("trace.json", profiler.trace());
    const Roofline roofline = measure_roofline(context_.pool, model_.state_bytes + model_.train->arena_bytes);
    Profile profile = profiler.profile(roofline);
    const nlohmann::ordered_json json = profile_json(profile);
    folder.write("profile.json", json.dump(2) + "\n");
    if (arguments_.json) print_json(environment_.out, nlohmann::ordered_json{{"profile", json}});
    if (talk_) environment_.out << profile_table(profile) << std::flush;
    return profile;
  }

  const std::vector<std::string>& command_;
  const TrainArguments& arguments_;
  const kiln_model& model_;
  const CommandEnvironment& environment_;
  std::chrono::steady_clock::time_point start_;
  bool talk_;
  Context context_;
};

// Networks with seeds of their own in the folders 1, 2, ... of the run's. A member that was finished or interrupted
// goes on from its state; those that follow have the options of the first.
ExitCode train_ensemble(const std::vector<std::string>& command, const TrainArguments& arguments,
                        const kiln_model& model, const CommandEnvironment& environment) {
  const bool talk = !arguments.quiet && !arguments.json;
  require_parent_folder("--submission", arguments.submission);
  std::string base = choose_run_folder(arguments);
  if (base.empty()) base = create_next_run_folder(environment.files, "runs", model.name);
  TrainArguments all = arguments;
  all.submission.clear();
  if (const std::string first = base + "/1/last.kiln"; std::filesystem::exists(first)) {
    all.resume = first;  // what errors name
    all.options = resumed_options(all, Trainer::saved_options(load_checkpoint(first, model), first));
    all.resume.clear();
    all.given.push_back({"--epochs", "epochs"});
  }
  all.given.push_back({"--seed", "seed"});
  std::vector<Predictions> predictions;
  std::vector<int32_t> labels;
  for (int32_t i = 0; i < arguments.ensemble; ++i) {
    TrainArguments member = all;
    member.options.seed += i;
    member.run_folder = fmt::format("{}/{}", base, i + 1);
    const std::string state = member.run_folder + "/last.kiln";
    if (std::filesystem::exists(state)) {
      member.resume = state;
      member.load.clear();  // it has begun
    }
    if (talk)
      environment.out << fmt::format("Network {} of {}, seed {}\n", i + 1, arguments.ensemble, member.options.seed);
    Outcome outcome;
    try {
      outcome = TrainingRun(command, member, model, environment).run();
    } catch (...) {
      std::error_code ignored;
      if (arguments.run_folder.empty()) std::filesystem::remove(base, ignored);  // made above; stays unless it is empty
      throw;
    }
    if (outcome.code != ExitCode::done) {
      if (talk) environment.out << fmt::format("The ensemble goes on with the same flags and --run-folder {}\n", base);
      return outcome.code;
    }
    if (outcome.predictions) predictions.push_back(std::move(*outcome.predictions));
    labels = std::move(outcome.test_labels);
  }
  nlohmann::ordered_json result = {{"result", "ensemble"}, {"networks", arguments.ensemble}};
  std::string text;
  if (!predictions.empty()) {
    const Predictions together = mean(predictions);
    const std::string submission = arguments.submission.empty() ? base + "/submission.csv" : arguments.submission;
    write_predictions(environment.files, submission, together);
    text = accuracy_text(fmt::format("Test accuracy of {} networks together", arguments.ensemble), together, labels,
                         result);
    result["submission"] = submission;
    text += fmt::format("Submission: {}\n", submission);
  }
  result["run_folder"] = base;
  if (arguments.json) print_json(environment.out, result);
  if (talk) environment.out << text << std::flush;
  return ExitCode::done;
}

}  // namespace

int train_command(const std::vector<std::string>& arguments, const kiln_model& model,
                  const CommandEnvironment& environment) {
  return run_command(fmt::format("{}_train", model.name), environment.err, [&] {
    const std::optional<TrainArguments> parsed = parse_train_arguments(arguments, model, environment.out);
    if (!parsed) return 0;
    require_processor(model);
    if (!parsed->export_digits.empty()) return export_digits(*parsed, model, environment);
    if (parsed->selftest) return run_self_test(*parsed, model, environment);
    const ExitCode code = parsed->ensemble > 1 ? train_ensemble(arguments, *parsed, model, environment)
                                               : TrainingRun(arguments, *parsed, model, environment).run().code;
    return static_cast<int>(code);
  });
}

int train_command(int argc, char** argv, const kiln_model& model) {
  Interrupt interrupt;
  DiskFileSystem files;
  return train_command({argv + 1, argv + argc}, model,
                       {.out = std::cout, .err = std::cerr, .files = files, .style = standard_output_style()});
}

}  // namespace kiln
