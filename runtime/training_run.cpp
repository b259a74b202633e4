#include "training_run.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <filesystem>

#include "event_file.h"
#include "model_file.h"
#include "model_inputs.h"
#include "processor.h"
#include "profiler.h"
#include "report.h"
#include "run_folder.h"
#include "run_results.h"
#include "trainer.h"
#include "training_data.h"

namespace kiln {
namespace {

// The built-in digits are easier than people's: more passes than this bring nothing.
constexpr int32_t kDigitsEpochs = 10;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string epochs_text(int64_t epochs) { return fmt::format("{} epoch{}", epochs, epochs == 1 ? "" : "s"); }

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
    require_other_outputs(arguments_, arguments_.options.train);
    std::string path = choose_run_folder(arguments_);
    std::optional<FolderLock> lock;  // now, or when the folder is there
    if (std::error_code error; std::filesystem::is_directory(path, error)) lock.emplace(path);
    std::optional<Checkpoint> resumed;
    if (!arguments_.resume.empty()) resumed = load_checkpoint(arguments_.resume, model_);
    std::optional<Checkpoint> loaded;
    if (!arguments_.load.empty()) loaded = load_model_file(arguments_.load, model_);
    if (loaded) print_notes(*loaded);
    const TrainingOptions options =
        resumed ? resumed_options(arguments_, Trainer::saved_options(*resumed, arguments_.resume))
                : new_options(loaded);
    make_views(arguments_.views, options.augment);  // refuses what cannot be done at the end
    if (!options.augment.empty()) require_images("--augment", model_);
    if (options.train.empty()) require_digits(model_);
    require_other_outputs(arguments_, options.train);
    if (!arguments_.save.empty()) require_model_ending("--save", arguments_.save);
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
    if (!lock) {
      lock.emplace(path);
      choose_run_folder(arguments_);  // again: another run may have begun and ended here meanwhile
    }
    folder.write("arguments.json", about);
    folder.write_pictures(model_);
    folder.begin_metrics(trainer.epoch());
    std::optional<Profiler> profiler;
    if (!arguments_.profile.empty()) {
      profiler.emplace(*model_.train, context_.pool.threads(), arguments_.profile == "trace", start_);
      trainer.profile(&*profiler);
    }
    bool complete = false;
    try {
      complete = train(trainer, folder);
    } catch (const NonFiniteError&) {
      if (profiler) finish_profile(*profiler, folder);
      throw;
    }
    trainer.profile(nullptr);
    std::optional<Profile> profile;
    if (profiler) profile = finish_profile(*profiler, folder);
    if (!complete) {
      RunResults results;
      results.profile = std::move(profile);
      write_report(trainer, folder, dataset, "interrupted", results);
      return {ExitCode::interrupted, {}, {}};
    }
    try {
      return {ExitCode::done, finish(trainer, folder, dataset, test, std::move(profile)), test.labels};
    } catch (const Error& error) {
      if (error.exit_code() != static_cast<int>(ExitCode::interrupted)) throw;
      print_interruption(trainer, folder.file("last.kiln"));
      return {ExitCode::interrupted, {}, {}};
    }
  }

 private:
  void print_notes(const Checkpoint& loaded) const {
    const nlohmann::json notes = loaded.progress.value("notes", nlohmann::json::array());
    for (const nlohmann::json& note : notes) {
      if (!arguments_.quiet && note.is_string())
        environment_.err << fmt::format("{}_train: note: {}: {}\n", model_.name, arguments_.load,
                                        one_line(note.get<std::string>()));
    }
  }

  TrainingOptions new_options(const std::optional<Checkpoint>& loaded) const {
    TrainingOptions options = arguments_.options;
    const auto given = [&](const char* flag) {
      return std::any_of(arguments_.given.begin(), arguments_.given.end(),
                         [&](const auto& g) { return g.flag == flag; });
    };
    // Another tool's model goes on at the rate that it had; a state of Kiln's is only a beginning.
    if (loaded && is_foreign(arguments_.load) && !given("--learning-rate")) {
      const double rate = loaded->progress.value("learning_rate", options.learning_rate);
      const auto range = std::find_if(std::begin(kOptionRanges), std::end(kOptionRanges), [](const OptionRange& r) {
        return r.option == std::string_view("learning_rate");
      });
      // A callback may have left it at 0.
      if (rate >= range->low && rate <= range->high) options.learning_rate = rate;
    }
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
          folder.append_metrics(trainer.epoch(), seconds, trainer.rate(), trainer.values());
          if (events) write_events(trainer, *events);
          if (trainer.improved() && (save_each || trainer.done())) {
            save_checkpoint(environment_.files, folder.file("best.kiln"), model_, trainer.model(trainer.weights()));
          }
          if (save_each || trainer.done()) {
            save_checkpoint(environment_.files, last, model_, trainer.checkpoint());
            saved = true;
          }
          // Last: whoever has read the line finds the epoch in the run's folder.
          if (talk_) {
            progress.end_epoch(seconds, step_seconds / static_cast<double>(trainer.epoch_steps() - first_step),
                               trainer.values());
          }
          if (arguments_.json) print_epoch(trainer, seconds);
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
              {"result", "interrupted"}, {"epochs", trainer.epoch()}, {"step", trainer.saved_step()}, {"state", last}});
    } else if (talk_) {
      std::string saved;
      if (trainer.saved_step() != trainer.step())
        saved = fmt::format("; the state is that after {} of them, for --on-nan rollback", trainer.saved_step());
      environment_.out << fmt::format("Interrupted after {} and {} steps{}. Go on with: {}_train --resume {}\n",
                                      epochs_text(trainer.epoch()), trainer.step(), saved, model_.name, last)
                       << std::flush;
    }
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
    results.kept_epoch = trainer.final_epoch();
    results.seconds = seconds_since(start_);
    results.weights_checksum = weights_checksum(trainer.model(trainer.final_weights()));
    folder.write("report.html", report_html(model_, trainer.final_weights(), results));
  }

  std::optional<Predictions> finish(const Trainer& trainer, RunFolder& folder, const Dataset& dataset,
                                    const TestData& test, std::optional<Profile> profile) {
    const Checkpoint final = trainer.model(trainer.final_weights());
    save_checkpoint(environment_.files, folder.file("model.kiln"), model_, final);
    nlohmann::ordered_json result = {{"result", "done"}, {"epochs", trainer.epoch()}};
    if (trainer.best_epoch() > 0) {
      result["best_epoch"] = trainer.best_epoch();
      result["best_" + trainer.options().monitor] = trainer.best_value();
    }
    std::string text;
    if (trainer.stopped_early()) {
      text += fmt::format("Stopped early: {} epochs without a better {}\n", trainer.options().early_stopping,
                          trainer.options().monitor);
    }
    std::optional<Predictions> predictions;
    if (test.rows) {
      predictions = predict(model_, context_, trainer.final_weights(), *test.rows,
                            make_views(arguments_.views, trainer.options().augment), environment_.interrupted);
      write_predictions(environment_.files, folder.file("submission.csv"), *predictions);
      if (!arguments_.submission.empty()) write_predictions(environment_.files, arguments_.submission, *predictions);
      text += accuracy_text("Test accuracy", *predictions, test.labels, result);
    }
    const std::optional<Predictions> validated = predict_validation(model_, context_, trainer, dataset);
    RunResults results = run_results(model_, context_, trainer, dataset, test, validated, predictions);
    results.profile = std::move(profile);
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

}  // namespace

Outcome training_run(const std::vector<std::string>& command, const TrainArguments& arguments, const kiln_model& model,
                     const CommandEnvironment& environment) {
  return TrainingRun(command, arguments, model, environment).run();
}

std::string choose_run_folder(const TrainArguments& arguments) {
  const std::filesystem::path state(arguments.resume);
  std::string folder = arguments.run_folder;
  if (folder.empty()) {
    if (state.filename() != "last.kiln") return "";
    folder = state.has_parent_path() ? state.parent_path().string() : ".";
  }
  std::error_code error;
  const auto holds = [&](const char* name) { return std::filesystem::exists(folder + "/" + name, error); };
  const bool goes_on = std::filesystem::equivalent(folder + "/last.kiln", state, error);
  if (goes_on && holds("arguments.json")) return folder;  // a run goes on where it is
  if (holds("last.kiln") && !goes_on) {
    throw UsageError(fmt::format(
        "--run-folder {0} holds a run already: give another folder, or go on with --resume {0}/last.kiln", folder));
  }
  const bool ensemble = holds("1/last.kiln");
  if (ensemble && arguments.ensemble == 1) {
    throw UsageError(fmt::format(
        "--run-folder {} holds an ensemble already: give another folder, or go on with --ensemble N", folder));
  }
  // Without a state, or beside one that was copied there, what a run ended with is not to be lost.
  for (const char* name : {"model.kiln", "submission.csv", "report.html"}) {
    if (!holds(name) || (ensemble && name == std::string_view("submission.csv"))) continue;
    if (arguments.run_folder.empty())
      throw UsageError(
          fmt::format("--resume {}: its folder holds {} of another run; add --run-folder DIR", arguments.resume, name));
    throw UsageError(fmt::format("--run-folder {0} holds {1} already: give another folder", folder, name));
  }
  return folder;
}

void require_other_outputs(const TrainArguments& arguments, const std::string& train) {
  // A model may be trained further in its place, --load a.keras --save a.keras.
  const FlagFile inputs[] = {{"--train", train},
                             {"--test", arguments.test},
                             {"--test-labels", arguments.test_labels},
                             {"--resume", arguments.resume}};
  const FlagFile outputs[] = {{"--save", arguments.save}, {"--submission", arguments.submission}};
  require_other_files(inputs, outputs);
  const std::string best = arguments.run_folder.empty() ? "" : arguments.run_folder + "/best.kiln";
  require_other_files(std::array{FlagFile{"--load", arguments.load}},
                      std::array{outputs[1], FlagFile{"--run-folder", best}});
}

void require_parent_folder(const char* flag, const std::string& path) {
  if (path.empty()) return;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) throw UsageError(fmt::format("{} {}: is a folder", flag, path));
  if (!parent.empty() && !std::filesystem::is_directory(parent, error)) {
    throw UsageError(fmt::format("{} {}: there is no folder {}", flag, path, parent.string()));
  }
}

std::string accuracy_text(const std::string& title, const Predictions& predictions, std::span<const int32_t> labels,
                          nlohmann::ordered_json& result) {
  if (labels.empty() || predictions.labels.empty()) return "";
  const int64_t correct = count_correct(predictions.labels, labels);
  const double accuracy = static_cast<double>(correct) / static_cast<double>(predictions.rows);
  result["test_accuracy"] = accuracy;
  return fmt::format("{}: {:.2f}% ({} of {})\n", title, 100 * accuracy, correct, predictions.rows);
}

}  // namespace kiln
