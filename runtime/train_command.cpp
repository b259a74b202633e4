#include "train_command.h"

#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "data/csv.h"
#include "ensemble.h"
#include "error.h"
#include "interrupt.h"
#include "processor.h"
#include "self_test.h"
#include "train_arguments.h"
#include "training_data.h"
#include "training_run.h"

namespace kiln {
namespace {

int export_digits(const TrainArguments& arguments, const kiln_model& model, const CommandEnvironment& environment) {
  require_digits(model);
  const int threads = thread_count(arguments.threads);
  const std::string folder = arguments.export_digits;
  for (const char* name : {"train.csv", "test.csv", "test_labels.csv"}) {  // as Kaggle's own files are called
    const std::string path = folder + "/" + name;
    std::error_code error;
    if (std::filesystem::exists(path, error))
      throw UsageError(fmt::format("--export-digits {}: {} is there already: give another folder", folder, path));
  }
  const Dataset train = training_digits(arguments.options.digits > 0 ? arguments.options.digits : kDigits, threads);
  const Dataset test = test_digits(threads);
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

}  // namespace

int train_command(const std::vector<std::string>& arguments, const kiln_model& model,
                  const CommandEnvironment& environment) {
  return run_command(fmt::format("{}_train", model.name), environment.out, environment.err, [&] {
    const std::optional<TrainArguments> parsed = parse_train_arguments(arguments, model, environment.out);
    if (!parsed) return 0;
    require_processor(model);
    if (!parsed->export_digits.empty()) return export_digits(*parsed, model, environment);
    if (parsed->selftest) return run_self_test(*parsed, model, environment);
    const Interrupt interrupt;  // the others save nothing: a signal ends them
    const ExitCode code = parsed->ensemble > 1 ? train_ensemble(arguments, *parsed, model, environment)
                                               : training_run(arguments, *parsed, model, environment).code;
    return static_cast<int>(code);
  });
}

int train_command(int argc, char** argv, const kiln_model& model) {
  ignore_broken_pipes();
  DiskFileSystem files;
  return train_command({argv + 1, argv + argc}, model,
                       {.out = std::cout, .err = std::cerr, .files = files, .style = standard_output_style()});
}

}  // namespace kiln
