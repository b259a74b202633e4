// The command line of <graph>_train, its errors to the letter.
#include "train_arguments.h"

#include <gtest/gtest.h>

#include <sstream>

#include "error.h"

namespace kiln {
namespace {

kiln_model model() {
  kiln_model model = {};
  model.name = "toy";
  model.compiler = "Kiln 0.1.0";
  model.target = "any";
  model.precision = "mixed";
  model.learning_rate = 1e-3f;
  model.validation_split = 0.2f;
  model.epochs = 50;
  return model;
}

TrainArguments parse(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  return parse_train_arguments(arguments, model(), out).value();
}

std::string usage_error(const std::vector<std::string>& arguments) {
  try {
    parse(arguments);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

TEST(TrainArguments, TakeTheModelsDefaults) {
  const TrainArguments arguments = parse({});
  EXPECT_EQ(arguments.options.epochs, 50);
  EXPECT_EQ(arguments.options.learning_rate, 0.001);  // exactly, though the model's is f32
  EXPECT_EQ(arguments.options.validation_split, 0.2);
  EXPECT_EQ(arguments.options.schedule, "constant");
  EXPECT_TRUE(arguments.given.empty());
}

TEST(TrainArguments, ReadTheFlags) {
  const TrainArguments arguments =
      parse({"--train", "a.csv.gz", "--epochs", "14", "--schedule", "one-cycle", "--seed", "3", "--augment",
             "rotation=10,shift=2", "--restore-best", "--threads", "2", "--json"});
  EXPECT_EQ(arguments.options.train, "a.csv.gz");
  EXPECT_EQ(arguments.options.epochs, 14);
  EXPECT_EQ(arguments.options.schedule, "one-cycle");
  EXPECT_EQ(arguments.options.seed, 3);
  EXPECT_EQ(arguments.options.augment, "rotation=10,shift=2");
  EXPECT_TRUE(arguments.options.restore_best);
  EXPECT_EQ(arguments.threads, 2);
  EXPECT_TRUE(arguments.json);
  EXPECT_EQ(arguments.given.size(), 6u);
}

TEST(TrainArguments, AProfileIsATableUnlessATraceIsAskedFor) {
  EXPECT_EQ(parse({}).profile, "");
  EXPECT_EQ(parse({"--profile", "--json"}).profile, "table");
  EXPECT_EQ(parse({"--profile=trace"}).profile, "trace");
  EXPECT_EQ(usage_error({"--profile=all"}), "--profile: all not in {table,trace}; see --help");
  EXPECT_EQ(usage_error({"--profile", "--export-digits", "x"}), "--export-digits does not train: leave out --profile");
}

TEST(TrainArguments, HelpAndVersionGoToTheOutput) {
  std::ostringstream help, version;
  EXPECT_FALSE(parse_train_arguments({"--help"}, model(), help));
  EXPECT_NE(help.str().find("toy_train --train train.csv --test test.csv"), std::string::npos);
  EXPECT_FALSE(parse_train_arguments({"--version"}, model(), version));
  EXPECT_EQ(version.str().substr(0, 10), "toy_train ");
  EXPECT_NE(version.str().find("mixed"), std::string::npos) << version.str();
}

TEST(TrainArguments, ContradictionsAreNamed) {
  EXPECT_EQ(usage_error({"--train", "a.csv", "--digits", "100"}),
            "--train and --digits exclude each other: give one of them");
  EXPECT_EQ(usage_error({"--submission", "s.csv"}), "--submission needs --test FILE, the rows to predict");
  EXPECT_EQ(usage_error({"--epochs", "0"}), "--epochs: '0' is not a number from 1 to 1000000; see --help");
  EXPECT_EQ(usage_error({"--seed", "-1"}), "--seed: '-1' is not a number from 0 to 2147483647; see --help");
  EXPECT_EQ(usage_error({"--average", "nan"}), "--average: 'nan' is not a number from 0 to 0.999999; see --help");
  EXPECT_EQ(usage_error({"--label-smoothing", "1.5"}),
            "--label-smoothing: '1.5' is not a number from 0 to 1; see --help");
  EXPECT_EQ(usage_error({"--learning-rate", "1e-3x"}),
            "--learning-rate: '1e-3x' is not a number from 1e-30 to 1e+30; see --help");
  EXPECT_EQ(usage_error({"--epoch", "3"}), "unknown argument --epoch; see --help");
}

std::string resume_error(const std::vector<std::string>& arguments, const TrainingOptions& saved) {
  try {
    resumed_options(parse(arguments), saved);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

TEST(TrainArguments, AResumedRunHasTheStatesOptions) {
  TrainingOptions saved;
  saved.epochs = 5;
  saved.seed = 7;
  saved.average = 0.99;
  EXPECT_EQ(resumed_options(parse({"--resume", "last.kiln"}), saved), saved);
  EXPECT_EQ(resumed_options(parse({"--resume", "last.kiln", "--seed", "7", "--average", "0.99"}), saved), saved);
  EXPECT_EQ(resumed_options(parse({"--resume", "last.kiln", "--epochs", "9"}), saved).epochs, 9);
}

TEST(TrainArguments, AStateFromBeforeAnOptionHasItsDefault) {
  TrainingOptions options;
  options.epochs = 5;
  nlohmann::json saved = options;
  saved.erase("label_smoothing");
  EXPECT_EQ(saved.get<TrainingOptions>(), options);
}

TEST(TrainArguments, AFlagThatContradictsTheStateIsAnError) {
  TrainingOptions saved;
  saved.epochs = 5;
  saved.seed = 7;
  EXPECT_EQ(
      resume_error({"--resume", "last.kiln", "--seed", "8"}, saved),
      "--seed 8 contradicts the state last.kiln, which was made with --seed 7; leave the flag out or start a new run");
  EXPECT_EQ(
      resume_error({"--resume", "last.kiln", "--average", "0.9"}, saved),
      "--average 0.9 contradicts the state last.kiln, which was made with no --average; leave the flag out or start a "
      "new run");
  saved.schedule = "cosine";
  EXPECT_EQ(resume_error({"--resume", "last.kiln", "--epochs", "9"}, saved),
            "--epochs 9 contradicts the state last.kiln, which was made with --epochs 5; leave the flag out or start a "
            "new run");
}

}  // namespace
}  // namespace kiln
