#include "ensemble.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "checkpoint.h"
#include "predictor.h"
#include "run_folder.h"
#include "trainer.h"
#include "training_run.h"

namespace kiln {

ExitCode train_ensemble(const std::vector<std::string>& command, const TrainArguments& arguments,
                        const kiln_model& model, const CommandEnvironment& environment) {
  const bool talk = !arguments.quiet && !arguments.json;
  require_parent_folder("--submission", arguments.submission);
  require_other_outputs(arguments, arguments.options.train);
  std::string base = choose_run_folder(arguments);
  const bool made = base.empty() || !std::filesystem::exists(base);
  if (base.empty()) base = create_next_run_folder(environment.files, "runs", model.name);
  create_folders(environment.files, base);
  const FolderLock lock(base);
  choose_run_folder(arguments);  // again: another run may have begun and ended here meanwhile
  TrainArguments all = arguments;
  all.submission.clear();
  if (const std::string first = base + "/1/last.kiln"; std::filesystem::exists(first)) {
    all.resume = first;  // what errors name
    all.options = resumed_options(all, Trainer::saved_options(load_checkpoint(first, model), first));
    all.resume.clear();
    require_other_outputs(arguments, all.options.train);
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
      outcome = training_run(command, member, model, environment);
    } catch (...) {
      std::error_code ignored;
      if (made) std::filesystem::remove(base, ignored);  // stays unless it is empty
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

}  // namespace kiln
