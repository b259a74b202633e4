// <graph>_train and <graph>_predict from their flags to their files, with a small hand-written model.
#include "train_command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "checkpoint.h"
#include "data/csv.h"
#include "fake_model.h"
#include "predict_command.h"
#include "predictor.h"
#include "text_predicates.h"

namespace kiln {
namespace {

struct Result {
  int code;
  std::string out, err;
};

bool never() { return false; }

/// The process's working folder, as long as it lives.
class WorkingFolder {
 public:
  explicit WorkingFolder(const std::string& path) : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(path);
  }
  ~WorkingFolder() { std::filesystem::current_path(before_); }
  WorkingFolder(const WorkingFolder&) = delete;
  WorkingFolder& operator=(const WorkingFolder&) = delete;

 private:
  std::filesystem::path before_;
};

class CommandTest : public testing::Test {
 protected:
  CommandTest() {
    DiskFileSystem files;
    write_csv(files, train_, learnable_rows(model_, 100), true);
    const Dataset test = learnable_rows(model_, 30, 2);
    write_csv(files, test_, test, false);
    write_submission(files, labels_, test.labels);
  }

  Result train(const std::vector<std::string>& arguments, const std::function<bool()>& interrupted = never) {
    DiskFileSystem files;
    return train(arguments, files, interrupted);
  }

  Result train(const std::vector<std::string>& arguments, FileSystem& files,
               const std::function<bool()>& interrupted = never) {
    std::ostringstream out, err;
    const int code = train_command(arguments, model_,
                                   {.out = out, .err = err, .files = files, .style = {}, .interrupted = interrupted});
    return {code, out.str(), err.str()};
  }

  Result predict(const std::vector<std::string>& arguments) {
    std::ostringstream out, err;
    DiskFileSystem files;
    const int code =
        predict_command(arguments, model_, {.out = out, .err = err, .files = files, .style = {}, .interrupted = never});
    return {code, out.str(), err.str()};
  }

  std::vector<std::string> run_names() const {
    std::vector<std::string> names;
    for (const std::string& name : folder_.names()) {
      if (name.rfind("run/", 0) == 0) names.push_back(name.substr(4));
    }
    return names;
  }

  nlohmann::json report_data() const {
    const std::string page = read_file(run_ + "/report.html"), begin = R"(id="data">)";
    const size_t at = page.find(begin) + begin.size();
    return nlohmann::json::parse(page.substr(at, page.find("</script>", at) - at));
  }

  // metrics.csv without the seconds, which no two runs share.
  static std::string metrics(const std::string& path) {
    std::istringstream lines(read_file(path));
    std::string line, result;
    while (std::getline(lines, line)) {
      const size_t first = line.find(','), second = line.find(',', first + 1);
      result += line.substr(0, first) + line.substr(second) + "\n";
    }
    return result;
  }

  kiln_model model_ = small_model();
  TemporaryFolder folder_;
  std::string train_ = folder_.file("train.csv"), test_ = folder_.file("test.csv"),
              labels_ = folder_.file("labels.csv"), run_ = folder_.file("run");
};

TEST_F(CommandTest, TrainsValidatesPredictsAndSaysWhereEverythingIs) {
  const std::string model = folder_.file("small.kiln"), submission = folder_.file("submission.csv");
  const Result result = train({"--train", train_, "--test", test_, "--test-labels", labels_, "--epochs", "3",
                               "--run-folder", run_, "--save", model, "--submission", submission, "--threads", "1"});
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(run_names(), (std::vector<std::string>{"arguments.json", "best.kiln", "gradient.dot", "gradient.svg",
                                                   "last.kiln", "metrics.csv", "model.dot", "model.kiln", "model.svg",
                                                   "report.html", "submission.csv"}));
  EXPECT_EQ(read_file(submission), read_file(run_ + "/submission.csv"));
  EXPECT_EQ(read_file(model), read_file(run_ + "/model.kiln"));
  EXPECT_EQ(read_file(run_ + "/model.svg"), model_.svg);
  std::istringstream lines(result.out);
  std::vector<std::string> text;
  for (std::string line; std::getline(lines, line);) text.push_back(line);
  ASSERT_EQ(text.size(), 13u) << result.out;
  EXPECT_EQ(text[0], "One dense layer");
  EXPECT_EQ(text[1], "Data: 100 rows of " + train_ + ": 80 to train on, the last 20 to validate on");
  EXPECT_EQ(text[2], "Test: 30 rows of " + test_ + ", labels known");
  for (size_t i = 3; i < 6; ++i) {
    EXPECT_PRED2(matches, text[i],
                 "Epoch [123]/3 - 14/14 - [0-9]+s - [0-9]+[mu]?s/step - accuracy: [0-9.]+ - loss: [0-9.]+ - "
                 "val_accuracy: [0-9.]+ - val_loss: [0-9.]+");
  }
  EXPECT_PRED2(matches, text[6], "Test accuracy: [0-9.]+% \\([0-9]+ of 30\\)");
  EXPECT_PRED2(matches, text[7],
               "Time: [0-9.]+s in all, 3 epochs, the best by val_loss \\([0-9.]+\\) being epoch [123]");
  EXPECT_EQ(text[8], "Weights: CRC-32 " + weights_checksum(load_checkpoint(model, model_)));
  EXPECT_EQ(text[9],
            "Files in " + run_ +
                ": model.kiln (the trained model), best.kiln, last.kiln (to go on from), metrics.csv, arguments.json, "
                "model.svg, submission.csv");
  EXPECT_EQ(text[10], "Report: " + run_ + "/report.html");
  EXPECT_EQ(text[11], "Model: " + model);
  EXPECT_EQ(text[12], "Submission: " + submission);

  const nlohmann::json arguments = nlohmann::json::parse(read_file(run_ + "/arguments.json"));
  EXPECT_EQ(arguments["command"][0], "--train");
  EXPECT_EQ(arguments["options"]["epochs"], 3);
  EXPECT_EQ(arguments["fingerprint"], model_.fingerprint);
  EXPECT_EQ(metrics(run_ + "/metrics.csv").substr(0, 61),
            "epoch,learning_rate,accuracy,loss,val_accuracy,val_loss\n1,0.0");
}

TEST_F(CommandTest, AFileGivesAnyFlagAndTheCommandLineGoesFirst) {
  const std::string config = folder_.file("flags.toml");
  std::ofstream(config) << "# any flag\ntrain = \"" << train_
                        << "\"\nepochs = 2\nseed = 7\nthreads = 1\nrestore-best = true\n";
  ASSERT_EQ(train({"--config", config, "--seed", "9", "--run-folder", run_}).code, 0);
  const auto options = nlohmann::json::parse(read_file(run_ + "/arguments.json"))["options"];
  EXPECT_EQ(options["epochs"], 2);
  EXPECT_EQ(options["seed"], 9);
  EXPECT_EQ(options["restore_best"], true);

  std::ofstream(config) << "epoch = 2\n";
  const Result misspelt = train({"--config", config});
  EXPECT_EQ(misspelt.code, 2);
  EXPECT_EQ(misspelt.err, "small_train: error: " + config + ": there is no flag --epoch; see --help\n");
  const Result missing = train({"--config", "missing.toml"});
  EXPECT_EQ(missing.code, 2);
  EXPECT_EQ(missing.err, "small_train: error: --config: cannot read missing.toml\n");
}

TEST_F(CommandTest, AnEnsemblePredictsByTheMeanOfItsNetworks) {
  const std::vector<std::string> flags = {"--train",   train_,     "--test", test_,          "--test-labels",
                                          labels_,     "--epochs", "2",      "--run-folder", run_,
                                          "--threads", "1",        "--json", "--ensemble",   "3"};
  // Interrupted within the second network, then gone on with: flags that are left out are those of before.
  int checks = 0;
  EXPECT_EQ(train(flags, [&] { return ++checks > 40; }).code, 130);
  ASSERT_TRUE(std::filesystem::exists(run_ + "/2/last.kiln"));
  ASSERT_FALSE(std::filesystem::exists(run_ + "/3"));
  const Result result = train(
      {"--test", test_, "--test-labels", labels_, "--run-folder", run_, "--threads", "1", "--json", "--ensemble", "3"});
  ASSERT_EQ(result.code, 0) << result.err;

  std::vector<std::string> predict_flags = {"--test", test_, "--out", folder_.file("mean.csv")};
  for (int i = 1; i <= 3; ++i) {
    const std::string name = "/" + std::to_string(i) + "/model.kiln";
    const std::string alone = folder_.file("alone" + std::to_string(i));
    ASSERT_EQ(train({"--train", train_, "--epochs", "2", "--threads", "1", "--quiet", "--run-folder", alone, "--seed",
                     std::to_string(i)})
                  .code,
              0);
    EXPECT_EQ(read_file(run_ + name), read_file(alone + "/model.kiln")) << i;
    predict_flags.insert(predict_flags.end(), {"--model", run_ + name});
  }
  ASSERT_EQ(predict(predict_flags).code, 0);
  EXPECT_EQ(read_file(run_ + "/submission.csv"), read_file(folder_.file("mean.csv")));
  const auto last = nlohmann::json::parse(result.out.substr(result.out.rfind('\n', result.out.size() - 2) + 1));
  EXPECT_EQ(last["result"], "ensemble");
  EXPECT_EQ(last["networks"], 3);
  EXPECT_GT(last["test_accuracy"], 0.5);

  const Result other =
      train({"--train", train_, "--epochs", "2", "--run-folder", run_, "--seed", "5", "--ensemble", "3"});
  EXPECT_EQ(other.code, 2) << "networks of other seeds are there already";
  EXPECT_EQ(train({"--train", train_, "--ensemble", "2", "--save", folder_.file("one.kiln")}).err,
            "small_train: error: --ensemble trains several networks: leave out --save\n");
}

TEST_F(CommandTest, AnEnsembleGoesOnFromItsStatesAndNotFromTheLoadedModel) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--quiet", "--run-folder", run_}).code, 0);
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(),
                {"--train", train_, "--epochs", "2", "--threads", "1", "--quiet", "--load", run_ + "/model.kiln"});
    return more;
  };
  const std::string together = folder_.file("together"), alone = folder_.file("alone");
  const std::vector<std::string> flags = with({"--run-folder", together, "--ensemble", "2"});
  int checks = 0;
  ASSERT_EQ(train(flags, [&] { return ++checks > 20; }).code, 130);
  ASSERT_EQ(train(flags).code, 0);
  ASSERT_EQ(train(with({"--run-folder", alone})).code, 0);
  EXPECT_EQ(read_file(together + "/1/model.kiln"), read_file(alone + "/model.kiln"));
}

TEST_F(CommandTest, AnEnsembleThatCannotBeginLeavesEverythingAsItWas) {
  EXPECT_EQ(train({"--train", train_, "--test", test_, "--submission", "no/s.csv", "--ensemble", "2"}).err,
            "small_train: error: --submission no/s.csv: there is no folder no\n");
  const std::string file = folder_.file("file");
  std::ofstream(file) << "text";
  EXPECT_EQ(train({"--train", train_, "--ensemble", "2", "--run-folder", file}).code, 1);
  EXPECT_EQ(read_file(file), "text");
}

TEST(Mean, IsOfTheOutputsAndNamesTheirLargest) {
  const Predictions first{.rows = 2, .classes = 2, .probabilities = {0.9F, 0.1F, 0.4F, 0.6F}, .labels = {0, 1}};
  const Predictions second{.rows = 2, .classes = 2, .probabilities = {0.3F, 0.7F, 0.7F, 0.3F}, .labels = {1, 0}};
  const Predictions together = mean(std::vector{first, second});
  EXPECT_EQ(together.labels, (std::vector<int32_t>{0, 0}));
  EXPECT_FLOAT_EQ(together.probabilities[1], 0.4F);
  EXPECT_FLOAT_EQ(together.probabilities[2], 0.55F);
}

TEST_F(CommandTest, JsonIsAllThereIsOnStandardOutput) {
  const Result result = train(
      {"--train", train_, "--test", test_, "--test-labels", labels_, "--epochs", "2", "--run-folder", run_, "--json"});
  EXPECT_EQ(result.code, 0);
  std::istringstream lines(result.out);
  std::vector<nlohmann::json> objects;
  for (std::string line; std::getline(lines, line);) objects.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(objects.size(), 3u);
  EXPECT_EQ(objects[0]["epoch"], 1);
  EXPECT_EQ(objects[1]["epochs"], 2);
  EXPECT_TRUE(objects[1].contains("val_accuracy"));
  EXPECT_EQ(objects[2]["result"], "done");
  EXPECT_EQ(objects[2]["submission"], run_ + "/submission.csv");
  EXPECT_TRUE(objects[2].contains("test_accuracy"));
}

TEST_F(CommandTest, AProfiledRunSaysWhereTheTimeWent) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--run-folder", folder_.file("plain"), "--quiet"}).code, 0);
  Result result = train({"--train", train_, "--epochs", "1", "--run-folder", run_, "--profile=trace"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_PRED2(contains, result.out, "Kernels of the program train, batch 6,");
  EXPECT_PRED2(contains, result.out, "fake_model.cpp:1\n");
  EXPECT_EQ(nlohmann::json::parse(read_file(run_ + "/profile.json")).at("steps"), 14);
  EXPECT_TRUE(nlohmann::json::accept(read_file(run_ + "/trace.json")));
  EXPECT_EQ(read_file(run_ + "/model.kiln"), read_file(folder_.file("plain") + "/model.kiln"));

  std::filesystem::remove_all(run_);
  result = train({"--train", train_, "--epochs", "1", "--run-folder", run_, "--profile", "--json"});
  EXPECT_FALSE(std::filesystem::exists(run_ + "/trace.json"));
  std::istringstream lines(result.out);
  std::vector<nlohmann::json> objects;
  for (std::string line; std::getline(lines, line);) objects.push_back(nlohmann::json::parse(line));
  ASSERT_EQ(objects.size(), 3U);
  EXPECT_EQ(objects[1]["profile"]["kernels"][0]["name"], "train");
  EXPECT_EQ(objects[2]["result"], "done");

  // Interrupted and quiet runs leave their profiles as well.
  std::filesystem::remove_all(run_);
  result = train({"--train", train_, "--run-folder", run_, "--profile", "--quiet"}, [] { return true; });
  EXPECT_EQ(result.code, 130);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(nlohmann::json::parse(read_file(run_ + "/profile.json")).at("steps"), 1);

  // And those that end with values that are not finite.
  std::filesystem::remove_all(run_);
  result = train({"--train", train_, "--run-folder", run_, "--learning-rate", "1e30", "--profile"});
  EXPECT_EQ(result.code, 4);
  EXPECT_PRED2(contains, result.out, "Kernels of the program train, batch 6,");
  EXPECT_GT(nlohmann::json::parse(read_file(run_ + "/profile.json")).at("steps"), 0);
}

TEST_F(CommandTest, ARunLeavesAReportWithTheNumbersThatItPrinted) {
  const Result result = train({"--train", train_, "--test", test_, "--test-labels", labels_, "--epochs", "3",
                               "--profile", "--run-folder", run_, "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  double validated = 0, tested = 0;
  std::istringstream lines(result.out);
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json object = nlohmann::json::parse(line);
    validated = object.value("val_accuracy", validated);
    tested = object.value("test_accuracy", tested);
    if (object.contains("report")) {
      EXPECT_EQ(object["report"], run_ + "/report.html");
    }
  }
  const nlohmann::json data = report_data();
  ASSERT_EQ(data.at("evaluations").size(), 2U);
  for (const auto& [name, rows, accuracy] : {std::tuple("validation", 20, validated), {"test", 30, tested}}) {
    const nlohmann::json& evaluation = data.at("evaluations").at(name == std::string("test") ? 1 : 0);
    EXPECT_EQ(evaluation.at("name"), name);
    int sum = 0, diagonal = 0;
    for (size_t i = 0; i < 3; ++i) {
      for (size_t j = 0; j < 3; ++j) {
        const int count = evaluation.at("confusion").at(i).at(j);
        sum += count;
        diagonal += i == j ? count : 0;
      }
    }
    EXPECT_EQ(sum, rows);
    EXPECT_NEAR(static_cast<double>(diagonal) / rows, accuracy, 1e-6);
  }
  EXPECT_EQ(data.at("metrics"), read_file(run_ + "/metrics.csv"));
  EXPECT_EQ(data.at("profile").at("steps"), 42);
  EXPECT_EQ(data.at("weights_crc32"), weights_checksum(load_checkpoint(run_ + "/model.kiln", model_)));
}

TEST_F(CommandTest, AnInterruptionSaysWhichStepTheStateIsOf) {
  const auto out_of = [&](const std::string& on_nan, const std::vector<std::string>& more) {
    std::filesystem::remove_all(run_);
    std::vector<std::string> arguments = {"--train", train_, "--run-folder", run_, "--on-nan", on_nan};
    arguments.insert(arguments.end(), more.begin(), more.end());
    int steps = 0;
    const Result result = train(arguments, [&] { return ++steps == 3; });
    EXPECT_EQ(result.code, 130) << result.err;
    return result.out;
  };
  const std::string go_on = ". Go on with: small_train --resume " + run_ + "/last.kiln\n";
  EXPECT_PRED2(contains, out_of("stop", {}), "Interrupted after 0 epochs and 3 steps" + go_on);
  EXPECT_EQ(load_checkpoint(run_ + "/last.kiln", model_).progress.at("step"), 3);
  EXPECT_PRED2(
      contains, out_of("rollback", {}),
      "Interrupted after 0 epochs and 3 steps; the state is that after 0 of them, for --on-nan rollback" + go_on);
  EXPECT_EQ(load_checkpoint(run_ + "/last.kiln", model_).progress.at("step"), 0);
  EXPECT_PRED2(contains, out_of("stop", {"--json"}), R"("step":3,)");
  EXPECT_PRED2(contains, out_of("rollback", {"--json"}), R"("step":0,)");
}

TEST_F(CommandTest, AnInterruptedRunAndOneWithoutValidationLeaveAReportToo) {
  ASSERT_EQ(train({"--train", train_, "--run-folder", run_}, [] { return true; }).code, 130);
  EXPECT_EQ(report_data().at("outcome"), "interrupted");
  EXPECT_TRUE(report_data().at("evaluations").empty());
  std::filesystem::remove_all(run_);
  ASSERT_EQ(train({"--train", train_, "--validation-split", "0", "--epochs", "1", "--run-folder", run_}).code, 0);
  EXPECT_EQ(report_data().at("outcome"), "done");
  EXPECT_TRUE(report_data().at("evaluations").empty());
}

TEST_F(CommandTest, ARunWithoutAFolderOfItsOwnTakesTheNextFreeOne) {
  const WorkingFolder here(folder_.path());
  Result result = train({"--train", "train.csv", "--epochs", "1", "--save", "saved.kiln", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_PRED2(contains, result.out, R"("run_folder":"runs/small-1")");
  EXPECT_EQ(read_file("saved.kiln"), read_file("runs/small-1/model.kiln"));
  // A state of another name is no run's own: going on from it is a run of its own.
  std::filesystem::copy_file("runs/small-1/last.kiln", "kept.kiln");
  result = train({"--resume", "kept.kiln", "--epochs", "2", "--json"});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_PRED2(contains, result.out, R"("run_folder":"runs/small-2")");
  // last.kiln is, wherever one stands.
  std::filesystem::copy_file("train.csv", "runs/small-1/train.csv");
  const WorkingFolder inside("runs/small-1");
  ASSERT_EQ(train({"--resume", "last.kiln", "--epochs", "2", "--quiet"}).code, 0);
  EXPECT_EQ(read_file("last.kiln"), read_file("../small-2/last.kiln"));
}

TEST_F(CommandTest, AnEnsembleWithoutAFolderOfItsOwnTakesTheNextFreeOne) {
  const WorkingFolder here(folder_.path());
  const std::vector<std::string> flags = {"--train", "train.csv", "--test", "test.csv",   "--epochs",
                                          "1",       "--threads", "1",      "--ensemble", "2"};
  // Nothing is left of one that cannot begin.
  Result result = train({"--train", "test.csv", "--ensemble", "2"});
  EXPECT_EQ(result.code, 3);
  EXPECT_FALSE(std::filesystem::exists("runs/small-1"));
  int checks = 0;
  result = train(flags, [&] { return ++checks > 30; });
  EXPECT_EQ(result.code, 130);
  EXPECT_PRED2(contains, result.out, "Network 1 of 2, seed 1\n");
  EXPECT_PRED2(contains, result.out, "Network 2 of 2, seed 2\n");
  EXPECT_PRED2(contains, result.out, "The ensemble goes on with the same flags and --run-folder runs/small-1\n");
  std::vector<std::string> again = flags;
  again.insert(again.end(), {"--run-folder", "runs/small-1"});
  result = train(again);
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_PRED2(contains, result.out, "Submission: runs/small-1/submission.csv\n");
  again.push_back("--quiet");
  EXPECT_EQ(train(again).out, "");
  // Rows to predict are no need.
  result = train({"--train", "train.csv", "--epochs", "1", "--ensemble", "2", "--json"});
  EXPECT_EQ(result.code, 0) << result.err;
  const auto last = nlohmann::json::parse(result.out.substr(result.out.rfind('\n', result.out.size() - 2) + 1));
  EXPECT_EQ(last, (nlohmann::json{{"result", "ensemble"}, {"networks", 2}, {"run_folder", "runs/small-2"}}));
}

TEST_F(CommandTest, AnInterruptedEnsembleSaysNothingWhenQuiet) {
  const Result result =
      train({"--train", train_, "--ensemble", "2", "--run-folder", run_, "--quiet"}, [] { return true; });
  EXPECT_EQ(result.code, 130);
  EXPECT_EQ(result.out + result.err, "");
}

TEST_F(CommandTest, TheIntroductionSaysWhatIsMixedAndNothingOfWhatIsNotKnown) {
  model_.precision = "mixed";
  model_.summary = "";
  model_.svg = "";
  const Result result = train({"--train", train_, "--epochs", "1", "--run-folder", run_});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out.substr(0, result.out.find("Data:")),
            "Precision: mixed; products of bf16, sums, weights and updates in f32\n");
  EXPECT_EQ(result.out.find("model.svg"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(run_ + "/model.svg"));
}

TEST_F(CommandTest, SaysThatItStoppedEarly) {
  // A rate at which nothing changes: no epoch is better than the first.
  const Result result = train({"--train", train_, "--epochs", "9", "--early-stopping", "2", "--learning-rate", "1e-30",
                               "--monitor", "val_accuracy", "--run-folder", run_});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_PRED2(contains, result.out, "\nStopped early: 2 epochs without a better val_accuracy\n");
  EXPECT_PRED2(contains, result.out, ", 3 epochs, the best by val_accuracy (");
}

TEST_F(CommandTest, NotesOfALoadedFileAreToldOnce) {
  DiskFileSystem files;
  Checkpoint checkpoint;
  checkpoint.weights.resize(model_.weight_bytes);
  checkpoint.progress = {{"notes", {"its rate was lost", 7}}};
  const std::string file = folder_.file("noted.kiln");
  save_checkpoint(files, file, model_, checkpoint);
  const std::vector<std::string> flags = {"--train", train_, "--epochs", "1", "--run-folder", run_, "--load", file};
  EXPECT_EQ(train(flags).err, "small_train: note: " + file + ": its rate was lost\n");
  std::filesystem::remove_all(run_);
  std::vector<std::string> quiet = flags;
  quiet.push_back("--quiet");
  EXPECT_EQ(train(quiet).err, "");
}

TEST_F(CommandTest, LabelsOfAnotherTestAreRefused) {
  const Result result = train({"--train", train_, "--test", train_, "--test-labels", labels_, "--run-folder", run_});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.err, "small_train: error: " + labels_ + ": 30 labels for the 100 rows of " + train_ + "\n");
  EXPECT_FALSE(std::filesystem::exists(run_));
}

TEST_F(CommandTest, LabelsThatAreNoClassesAreRefused) {
  DiskFileSystem files;
  std::vector<int32_t> labels = read_labels(labels_, 10);
  labels[3] = 7;  // of three classes
  write_submission(files, labels_, labels);
  const Result result = train({"--train", train_, "--test", test_, "--test-labels", labels_, "--run-folder", run_});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.err,
            "small_train: error: " + labels_ + ":5: column 2 (Label): expected an integer 0..2, found '7'\n");
}

TEST_F(CommandTest, AShortTrialShortensRowsAndTheirLabels) {
  DiskFileSystem files;
  const Result unlabelled = train({"--train", train_, "--test", test_, "--fast-dev-run", "--run-folder", run_});
  EXPECT_EQ(unlabelled.code, 0) << unlabelled.err;
  EXPECT_PRED2(contains, unlabelled.out, "Test: 12 rows of " + test_ + ", labels unknown\n");
  const Result labelled = train({"--train", train_, "--test", train_, "--fast-dev-run", "--epochs", "2", "--run-folder",
                                 folder_.file("labelled")});
  EXPECT_PRED2(contains, labelled.out, "Epoch 2/2");
  EXPECT_PRED2(contains, labelled.out, " of 12)\n");
}

TEST_F(CommandTest, CurvesAndDistributionsGoToTensorBoard) {
  const std::string board = folder_.file("board");
  ASSERT_EQ(train({"--train", train_, "--epochs", "2", "--run-folder", run_, "--tensorboard", board}).code, 0);
  std::string events;
  for (const std::string& name : folder_.names()) {
    if (name.starts_with("board/events.out.tfevents.")) events += read_file(folder_.file(name));
  }
  const auto count = [&](const std::string& text) {
    int found = 0;
    for (size_t at = 0; (at = events.find(text, at)) != std::string::npos; ++at) ++found;
    return found;
  };
  // A string of a protocol buffer has its length before it.
  EXPECT_EQ(count("\x08val_loss"), 2);
  EXPECT_EQ(count("\x0dlearning_rate"), 2);
  EXPECT_EQ(count("\x06kernel"), 2);
  EXPECT_EQ(count("\x04"
                  "bias"),
            2);
  EXPECT_EQ(count("\x04mean"), 0);  // a statistic is no weight
}

TEST_F(CommandTest, TheSelfTestSaysEachChecksResult) {
  Result result = train({"--selftest"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_PRED2(matches, result.out,
               "gradient     passed .*\\([0-9.]+ s\\)\ndeterminism  passed .*\ncheckpoint   passed .*\n");
  EXPECT_EQ(train({"--selftest", "--quiet"}).out, "");

  kiln_program broken = *model_.train;
  broken.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    static float calls = 0;
    small_model().train->step(context, arena, state, scalars);
    reinterpret_cast<float*>(state + small_model().parameters[2].offset)[0] += 1e-3F * ++calls;
  };
  model_.train = &broken;
  result = train({"--selftest"});
  EXPECT_EQ(result.code, 1);
  EXPECT_PRED2(contains, result.out, "\ndeterminism  FAILED 4 steps have other bits");
  EXPECT_EQ(result.err,
            "small_train: error: the self-test failed on this processor: do not trust what is trained or predicted on "
            "it\n");
  result = train({"--selftest", "--json"});
  EXPECT_EQ(result.code, 1);
  std::istringstream lines(result.out);
  std::vector<std::string> failed;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json check = nlohmann::json::parse(line);
    if (!check.at("passed")) failed.push_back(check.at("check"));
  }
  EXPECT_EQ(failed, (std::vector<std::string>{"determinism", "checkpoint"}));
}

/// The small model with classes but an output that has no value for each.
class OtherOutput : public CommandTest {
 protected:
  OtherOutput() {
    predict_.output_count = one_.output_count = 1;  // the largest probability alone
    model_.predict = &predict_;
    model_.predict_one = &one_;
  }
  kiln_program predict_ = *small_model().predict, one_ = *small_model().predict_one;
};

TEST_F(OtherOutput, IsWrittenAsItIsAndNotTakenForClasses) {
  const Result trained = train({"--train", train_, "--test", train_, "--epochs", "1", "--run-folder", run_});
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(trained.out.find("Test accuracy"), std::string::npos) << trained.out;
  EXPECT_EQ(read_file(run_ + "/submission.csv").substr(0, 12), "ImageId,0\n1,");
  EXPECT_TRUE(report_data().at("evaluations").empty());
  const Result predicted = predict({"--model", run_ + "/model.kiln", "--test", train_, "--json"});
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  EXPECT_FALSE(nlohmann::json::parse(predicted.out).contains("accuracy"));
  const std::string refusal = ": graph small has no classes that labels could be compared with; leave it out\n";
  EXPECT_EQ(predict({"--model", run_ + "/model.kiln", "--test", test_, "--labels", labels_}).err,
            "small_predict: error: --labels" + refusal);
  EXPECT_EQ(train({"--train", train_, "--test", test_, "--test-labels", labels_}).err,
            "small_train: error: --test-labels" + refusal);
}

TEST_F(CommandTest, AGraphWithoutClassesClaimsNoAccuracy) {
  kiln_program train_program = *model_.train, evaluate = *model_.evaluate;
  train_program.input_count = evaluate.input_count = 1;  // no label
  model_.train = &train_program;
  model_.evaluate = &evaluate;
  DiskFileSystem files;
  Checkpoint checkpoint;
  checkpoint.weights.resize(model_.weight_bytes);
  save_checkpoint(files, folder_.file("model.kiln"), model_, checkpoint);
  const Result result = predict({"--model", folder_.file("model.kiln"), "--test", train_});  // whose rows have labels
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_PRED2(matches, result.out, "100 rows of .* predicted in [0-9.]+s\n");
}

/// A validation that stops being finite after the first epoch's.
class BadValidation : public CommandTest {
 protected:
  BadValidation() {
    program_.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
      small_model().evaluate->step(context, arena, state, scalars);
      if (++calls_ > good_calls_)
        *reinterpret_cast<float*>(arena + small_model().evaluate->outputs[0].offset) = std::nanf("");
    };
    model_.evaluate = &program_;
    calls_ = 0;
  }
  kiln_program program_ = *small_model().evaluate;
  inline static int calls_ = 0, good_calls_ = 0;
};

TEST_F(BadValidation, SaysWhichStateIsTheLastGoodOne) {
  const std::string error = "small_train: error: val_loss is nan after epoch ";
  good_calls_ = 0;
  Result result = train({"--train", train_, "--run-folder", folder_.file("none")});
  EXPECT_EQ(result.code, 4);
  EXPECT_PRED2(contains, result.err, error + "1; ");
  EXPECT_TRUE(result.err.ends_with("; no state was saved\n")) << result.err;

  calls_ = 0;
  good_calls_ = 4;  // 20 rows in batches of 6
  result = train({"--train", train_, "--epochs", "3", "--run-folder", run_});
  EXPECT_PRED2(contains, result.err, error + "2; ");
  EXPECT_TRUE(result.err.ends_with("; the last good state is " + run_ + "/last.kiln\n")) << result.err;

  std::filesystem::copy_file(run_ + "/last.kiln", folder_.file("kept.kiln"));
  calls_ = 4;
  result = train({"--resume", folder_.file("kept.kiln"), "--run-folder", folder_.file("other")});
  EXPECT_TRUE(result.err.ends_with("; the last good state is " + folder_.file("kept.kiln") + "\n")) << result.err;
}

TEST_F(CommandTest, AnInterruptionBehindTheLastStepIsTooLate) {
  int calls = 0;
  const Result result =
      train({"--train", train_, "--epochs", "1", "--run-folder", run_}, [&] { return ++calls >= 14; });
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(std::filesystem::exists(run_ + "/model.kiln"));
}

TEST_F(CommandTest, AnEpochsFirstStepThatIsNotFiniteLeavesTheStateBeforeIt) {
  kiln_program program = *model_.train;
  program.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    if (scalars->step == 14) *reinterpret_cast<float*>(arena + small_model().train->outputs[0].offset) = std::nanf("");
  };
  model_.train = &program;
  Result result = train({"--train", train_, "--epochs", "2", "--run-folder", run_});
  EXPECT_EQ(result.code, 4);
  EXPECT_TRUE(result.err.ends_with("; the state before that step is " + run_ + "/last.kiln\n")) << result.err;
  // A batch that is left out is told of, unless quiet.
  const std::string other = folder_.file("other");
  const std::vector<std::string> flags = {"--train",  train_, "--epochs",     "2",
                                          "--on-nan", "skip", "--run-folder", other};
  const auto with = [&](const char* flag) {
    std::filesystem::remove_all(other);
    std::vector<std::string> arguments = flags;
    arguments.emplace_back(flag);
    const Result run = train(arguments);
    EXPECT_EQ(run.code, 0);
    return run.err;
  };
  EXPECT_PRED2(matches, with("--json"),
               "small_train: note: loss is nan at step 1 of epoch 2.*; its batch is skipped\n");
  EXPECT_EQ(with("--quiet"), "");
}

TEST_F(CommandTest, OnATerminalTheLineMovesWithTheSteps) {
  std::ostringstream out, err;
  DiskFileSystem files;
  EXPECT_EQ(train_command({"--train", train_, "--epochs", "1", "--run-folder", run_}, model_,
                          {.out = out,
                           .err = err,
                           .files = files,
                           .style = {.terminal = true, .color = false, .columns = 100},
                           .interrupted = never}),
            0)
      << err.str();
  EXPECT_PRED2(contains, out.str(), "\r 1/14 ");
  EXPECT_PRED2(contains, out.str(), "\r14/14 ");
}

TEST_F(CommandTest, TheHelpAndTheVersionAreNoRun) {
  EXPECT_PRED2(contains, train({"--help"}).out, "--epochs");
  EXPECT_PRED2(contains, train({"--version"}).out, "small_train ");
  EXPECT_EQ(train({"--help"}).code, 0);
  EXPECT_TRUE(run_names().empty());
}

TEST_F(CommandTest, AnEnsemblesSubmissionGoesWhereItIsAsked) {
  const std::string submission = folder_.file("s.csv");
  const Result result = train({"--train", train_, "--test", test_, "--epochs", "1", "--ensemble", "2", "--submission",
                               submission, "--run-folder", run_});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_TRUE(result.out.ends_with("Submission: " + submission + "\n")) << result.out;
  EXPECT_EQ(read_labels(submission, 10).size(), 30U);
  EXPECT_FALSE(std::filesystem::exists(run_ + "/submission.csv"));
}

/// The small model as an autoencoder: no label, and an output as large as the image.
class Drawing : public CommandTest {
 protected:
  Drawing() {
    train_program_.input_count = evaluate_.input_count = 1;
    model_.train = &train_program_;
    model_.evaluate = &evaluate_;
    drawn_ = {"drawn", KILN_F32, 1, 3, 0, model_.train->inputs[0].shape, small_model().predict->inputs[0].offset, 16};
    predict_.outputs = &drawn_;  // the image as it went in
    predict_.output_count = 1;
    model_.predict = &predict_;
    model_.predict_one = nullptr;
  }
  kiln_program train_program_ = *small_model().train, evaluate_ = *small_model().evaluate,
               predict_ = *small_model().predict;
  kiln_value drawn_{};
};

TEST_F(Drawing, LearnsFromRowsWithoutLabelsAndShowsWhatItDraws) {
  const Result result = train({"--train", test_, "--epochs", "1", "--run-folder", run_});
  ASSERT_EQ(result.code, 0) << result.err;
  const nlohmann::json validation = report_data().at("reconstructions");
  EXPECT_EQ(validation.at("name"), "validation");
  EXPECT_EQ(validation.at("images").size(), 6U);
  EXPECT_EQ(validation.at("images")[0].at("drawn"), validation.at("images")[0].at("pixels"));
  std::filesystem::remove_all(run_);
  ASSERT_EQ(train({"--train", test_, "--test", train_, "--epochs", "1", "--run-folder", run_}).code, 0);
  EXPECT_EQ(report_data().at("reconstructions").at("name"), "test");
  EXPECT_EQ(report_data().at("reconstructions").at("images").size(), 24U);
  EXPECT_TRUE(report_data().at("evaluations").empty());
  std::filesystem::remove_all(run_);
  ASSERT_EQ(train({"--train", test_, "--validation-split", "0", "--epochs", "1", "--run-folder", run_}).code, 0);
  EXPECT_TRUE(report_data().at("reconstructions").is_null());
}

TEST_F(CommandTest, AFirstStepThatIsNotFiniteLeavesNoState) {
  kiln_program program = *model_.train;
  program.step = [](void* context, uint8_t* arena, uint8_t* state, const kiln_scalars* scalars) {
    small_model().train->step(context, arena, state, scalars);
    *reinterpret_cast<float*>(arena + small_model().train->outputs[0].offset) = std::nanf("");
  };
  model_.train = &program;
  const Result result = train({"--train", train_, "--run-folder", run_});
  EXPECT_EQ(result.code, 4);
  EXPECT_TRUE(result.err.ends_with("; no state was saved\n")) << result.err;
  EXPECT_FALSE(std::filesystem::exists(run_ + "/last.kiln"));
}

TEST_F(CommandTest, QuietSaysNothing) {
  Result result = train({"--train", train_, "--epochs", "1", "--run-folder", run_, "--quiet"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out + result.err, "");
  result = train({"--resume", run_ + "/last.kiln", "--epochs", "2", "--profile", "--quiet", "--json"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out + result.err, "");
  result = predict({"--model", run_ + "/model.kiln", "--test", test_, "--json", "--quiet"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out + result.err, "");
}

TEST_F(CommandTest, WhatAFileHoldsReachesTheTerminalAsPlainText) {
  kiln_model odd = model_;
  odd.name = "a\x1b[2J\r\n\x7f\xc2\x9b caf\xc3\xa9";
  Checkpoint checkpoint;
  checkpoint.weights.resize(odd.weight_bytes);
  checkpoint.progress = nlohmann::json::object();
  DiskFileSystem files;
  const std::string path = folder_.file("odd.kiln");
  save_checkpoint(files, path, odd, checkpoint);
  EXPECT_EQ(
      predict({"--model", path, "--test", test_}).err,
      "small_predict: error: " + path + ": belongs to the graph 'a?[2J? ??? caf\xc3\xa9', this program is 'small'\n");
}

TEST_F(CommandTest, AReportIsOfTheEpochWhoseWeightsAreKept) {
  const std::vector<std::string> arguments = {
      "--train", train_,    "--epochs",         "30", "--monitor", "val_accuracy", "--run-folder",
      run_,      "--quiet", "--early-stopping", "2"};
  ASSERT_EQ(train(arguments).code, 0);
  nlohmann::json data = report_data();
  const int best = data.at("best_epoch");
  EXPECT_EQ(data.at("kept_epoch"), best + 2);
  std::filesystem::remove_all(run_);
  std::vector<std::string> best_only = arguments;
  best_only.push_back("--restore-best");
  ASSERT_EQ(train(best_only).code, 0);
  EXPECT_EQ(report_data().at("kept_epoch"), best);
}

TEST_F(CommandTest, AnInterruptedRunGoesOnBitForBit) {
  const std::vector<std::string> options = {"--train", train_,           "--epochs",   "3",     "--average",
                                            "0.9",     "--restore-best", "--schedule", "cosine"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), options.begin(), options.end());
    return more;
  };
  const std::string whole = folder_.file("whole");
  ASSERT_EQ(train(with({"--run-folder", whole})).code, 0);
  for (int stop : {1, 14, 20, 41}) {
    std::filesystem::remove_all(run_);
    int calls = 0;
    Result result = train(with({"--run-folder", run_}), [&] { return ++calls >= stop; });
    EXPECT_EQ(result.code, 130);
    EXPECT_PRED2(contains, result.out, "Go on with: small_train --resume " + run_ + "/last.kiln\n");
    EXPECT_FALSE(std::filesystem::exists(run_ + "/model.kiln"));
    result = train({"--resume", run_ + "/last.kiln", "--threads", "2"});
    EXPECT_EQ(result.code, 0) << result.err;
    for (const char* name : {"/model.kiln", "/last.kiln", "/best.kiln"}) {
      EXPECT_EQ(read_file(run_ + name), read_file(whole + name)) << name << " after " << stop;
    }
    EXPECT_EQ(metrics(run_ + "/metrics.csv"), metrics(whole + "/metrics.csv"));
  }
}

TEST_F(CommandTest, MoreEpochsAreTheLongerRun) {
  const std::string whole = folder_.file("whole");
  ASSERT_EQ(train({"--train", train_, "--epochs", "4", "--run-folder", whole}).code, 0);
  ASSERT_EQ(train({"--train", train_, "--epochs", "2", "--run-folder", run_}).code, 0);
  ASSERT_EQ(train({"--resume", run_ + "/last.kiln", "--epochs", "4"}).code, 0);
  EXPECT_EQ(read_file(run_ + "/last.kiln"), read_file(whole + "/last.kiln"));
  EXPECT_EQ(metrics(run_ + "/metrics.csv"), metrics(whole + "/metrics.csv"));
}

TEST_F(CommandTest, AFlagAgainstTheStateIsAUsageError) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--run-folder", run_}).code, 0);
  const Result result = train({"--resume", run_ + "/last.kiln", "--seed", "2"});
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.err, "small_train: error: --seed 2 contradicts the state " + run_ +
                            "/last.kiln, which was made with --seed 1; leave the flag out or start a new run\n");
  EXPECT_EQ(result.out, "");
  const Result views = train({"--resume", run_ + "/last.kiln", "--views", "2", "--test", test_});
  EXPECT_EQ(views.err, "small_train: error: --views needs to know how to distort: add --augment rotation=10,shift=2\n");
  EXPECT_EQ(views.out, "");
}

TEST_F(CommandTest, ValuesThatAreNotFiniteEndTheRunAndKeepTheLastGoodState) {
  const Result result = train({"--train", train_, "--run-folder", run_, "--learning-rate", "1e30", "--quiet"});
  EXPECT_EQ(result.code, 4);
  EXPECT_PRED2(
      matches, result.err,
      "small_train: error: .* step 2 of epoch 1: train \\(fake_model.cpp:1\\) computes the first such value; a "
      "lower --learning-rate than 1e\\+30 may help; the state before that step is " +
          run_ + "/last.kiln\n");
  // The kept state goes on where it was.
  const Result resumed = train({"--resume", run_ + "/last.kiln", "--on-nan", "skip", "--epochs", "1"});
  EXPECT_EQ(resumed.code, 4);  // its weights are of 1e30: nothing can be learnt from there
  EXPECT_PRED2(matches, resumed.err,
               "(small_train: note: loss is .*; its batch is skipped\n)+small_train: error: .*\n");
}

TEST_F(CommandTest, BadInputIsToldBeforeAnythingIsWritten) {
  const auto before = folder_.names();
  struct Case {
    std::vector<std::string> arguments;
    int code;
    std::string error;
  };
  const Case cases[] = {
      {{},
       2,
       "--train FILE is missing: graph small takes 4x4x1 images of 3 classes, and the built-in digits are 28x28x1 "
       "images of 10"},
      {{"--export-digits", folder_.file("x")},
       2,
       "--train FILE is missing: graph small takes 4x4x1 images of 3 classes, and the built-in digits are 28x28x1 "
       "images of 10"},
      {{"--train", train_, "--epoch"}, 2, "unknown argument --epoch; see --help"},
      {{"--train", train_, "--monitor", "x"},
       2,
       "--monitor x: this run measures loss, accuracy, val_loss, val_accuracy"},
      {{"--train", train_, "--save", "no/x.kiln"}, 2, "--save no/x.kiln: there is no folder no"},
      {{"--train", test_},
       3,
       test_ + ": has no labels to learn from; a CSV file has them in its first column, \"label\", IDX images called "
               "...images-idx3... in ...labels-idx1... beside them"},
      {{"--train", train_, "--save", "x.pt"},
       2,
       "--save x.pt: its ending is none of .kiln, .h5, .keras, .safetensors, .onnx"},
      {{"--train", train_, "--save", folder_.path()}, 2, "--save " + folder_.path() + ": is a folder"},
      {{"--train", train_, "--views", "3", "--augment", "shift=1"},
       2,
       "--views needs --test FILE, the rows to predict from them"},
      {{"--selftest", "--train", train_}, 2, "--selftest does not train: leave out --train"},
      {{"--selftest", "--export-digits", "x"},
       2,
       "--selftest and --export-digits exclude each other: give one of them"},
      {{"--train", train_, "--test", test_, "--save", "x.kiln", "--submission", "./x.kiln"},
       2,
       "--submission ./x.kiln: this file is written by --save; give another one"},
      {{"--train", folder_.file("x")}, 3, folder_.file("x") + ": cannot be read: No such file or directory"},
      {{"--train", train_, "--test", test_, "--test-labels", labels_ + "x"},
       3,
       labels_ + "x: cannot be read: No such file or directory"},
      {{"--train", train_, "--resume", train_}, 3, train_ + ": is no Kiln file: it does not begin with KILNFILE"},
  };
  for (const Case& c : cases) {
    std::vector<std::string> arguments = c.arguments;
    arguments.insert(arguments.end(), {"--run-folder", run_});
    const Result result = train(arguments);
    EXPECT_EQ(result.code, c.code);
    EXPECT_EQ(result.err, "small_train: error: " + c.error + "\n");
    EXPECT_EQ(result.out, "");
  }
  EXPECT_EQ(folder_.names(), before);
}

TEST_F(CommandTest, TextThatJsonCannotKeepIsRefusedBeforeAnythingIsWritten) {
  const std::string odd = folder_.file("caf\xe9.csv");
  std::filesystem::copy_file(train_, odd);
  const std::string flags = folder_.file("flags.toml");
  std::ofstream(flags) << "train = \"" << odd << "\"\n";
  const std::string error =
      "small_train: error: an argument is not UTF-8, but states and reports keep them as JSON, which has nothing "
      "else\n";
  EXPECT_EQ(train({"--train", odd, "--run-folder", run_}).err, error);
  EXPECT_EQ(train({"--config", flags, "--run-folder", run_}).err, error);
  EXPECT_FALSE(std::filesystem::exists(run_));
}

TEST_F(CommandTest, APredictionOfAFileWhoseNameIsNoUtf8IsToldAsJson) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--run-folder", run_}).code, 0);
  const std::string odd = folder_.file("caf\xe9.csv");
  const Result result = predict({"--model", run_ + "/model.kiln", "--test", test_, "--out", odd, "--json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out).at("submission"), folder_.file("caf\xef\xbf\xbd.csv"));
}

// What is called last.kiln may have been copied beside somebody else's results.
TEST_F(CommandTest, AStateBesideOthersResultsIsNoRunOfItsOwn) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--quiet", "--run-folder", run_}).code, 0);
  const std::string other = folder_.file("other"), state = other + "/last.kiln";
  std::filesystem::create_directory(other);
  std::filesystem::copy_file(run_ + "/last.kiln", state);
  std::ofstream(other + "/model.kiln") << "mine";
  const Result refused = train({"--resume", state, "--epochs", "2"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.err, "small_train: error: --resume " + state +
                             ": its folder holds model.kiln of another run; add --run-folder DIR\n");
  EXPECT_EQ(read_file(other + "/model.kiln"), "mine");
  std::filesystem::remove(other + "/model.kiln");
  EXPECT_EQ(train({"--resume", state, "--epochs", "2", "--quiet"}).code, 0);
}

TEST_F(CommandTest, AnInterruptionEndsThePredictionsToo) {
  const std::vector<std::string> flags = {"--train", train_, "--test", test_, "--epochs", "1", "--run-folder", run_};
  const Result result =
      train(flags, [&] { return std::filesystem::exists(run_ + "/model.kiln"); });  // the training is over
  EXPECT_EQ(result.code, 130) << result.err;
  EXPECT_PRED2(contains, result.out, "Go on with: small_train --resume " + run_ + "/last.kiln\n");
  EXPECT_FALSE(std::filesystem::exists(run_ + "/submission.csv"));
  EXPECT_EQ(train({"--resume", run_ + "/last.kiln", "--test", test_, "--quiet"}).code, 0);
  EXPECT_TRUE(std::filesystem::exists(run_ + "/submission.csv"));
}

TEST_F(CommandTest, TwoOutputsAreTwoFiles) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--quiet", "--run-folder", run_}).code, 0);
  const std::string out = folder_.file("out.csv");
  const Result result =
      predict({"--model", run_ + "/model.kiln", "--test", test_, "--out", out, "--probabilities", out});
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.err,
            "small_predict: error: --probabilities " + out + ": this file is written by --out; give another one\n");
}

TEST_F(CommandTest, AReplacedFileKeepsItsPermissions) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--quiet", "--run-folder", run_}).code, 0);
  const std::string out = folder_.file("private.csv");
  std::ofstream(out) << "mine";
  std::filesystem::permissions(out, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  ASSERT_EQ(predict({"--model", run_ + "/model.kiln", "--test", test_, "--out", out}).code, 0);
  EXPECT_EQ(std::filesystem::status(out).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(CommandTest, ARunIsNotOverwritten) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--run-folder", run_}).code, 0);
  const std::string state = read_file(run_ + "/last.kiln");
  const Result result = train({"--train", train_, "--epochs", "2", "--run-folder", run_});
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.err, "small_train: error: --run-folder " + run_ +
                            " holds a run already: give another folder, or go on with --resume " + run_ +
                            "/last.kiln\n");
  EXPECT_EQ(read_file(run_ + "/last.kiln"), state);
  const std::string other = folder_.file("other");
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--seed", "2", "--run-folder", other}).code, 0);
  EXPECT_EQ(train({"--resume", other + "/last.kiln", "--run-folder", run_}).err, result.err);
  EXPECT_EQ(read_file(run_ + "/last.kiln"), state);
  EXPECT_EQ(train({"--resume", run_ + "/last.kiln", "--run-folder", run_}).code, 0);
}

TEST_F(CommandTest, WhatARunEndedWithIsNotOverwritten) {
  const std::vector<std::string> alone = {"--train", train_, "--epochs", "1", "--run-folder", run_};
  std::vector<std::string> together = alone;
  together.insert(together.end(), {"--ensemble", "2"});
  const auto refused = [&](const char* name, const std::vector<std::string>& arguments, const std::string& what) {
    std::filesystem::remove_all(run_);
    DiskFileSystem files;
    const std::string path = run_ + "/" + name;
    create_folders(files, std::filesystem::path(path).parent_path().string());
    write_atomically(files, path, "kept");
    const Result result = train(arguments);
    EXPECT_EQ(result.code, 2) << name;
    EXPECT_EQ(result.err, "small_train: error: --run-folder " + run_ + " holds " + what + "\n");
    EXPECT_EQ(read_file(path), "kept");
    EXPECT_EQ(run_names(), std::vector<std::string>{name});
  };
  refused("model.kiln", alone, "model.kiln already: give another folder");
  refused("submission.csv", alone, "submission.csv already: give another folder");
  refused("submission.csv", together, "submission.csv already: give another folder");
  refused("1/last.kiln", alone, "an ensemble already: give another folder, or go on with --ensemble N");
  // A run that was killed before its first state left nothing to lose.
  std::filesystem::remove_all(run_);
  std::filesystem::create_directory(run_);
  std::ofstream(run_ + "/arguments.json") << "{}";
  EXPECT_EQ(train(alone).code, 0);
}

TEST_F(CommandTest, RunsAtTheSameTimeDoNotShareAFolder) {
  const std::vector<std::string> arguments = {"--train",      train_, "--epochs",  "3", "--quiet",
                                              "--run-folder", run_,   "--threads", "1"};
  std::vector<std::string> ensemble = arguments;
  ensemble.insert(ensemble.end(), {"--ensemble", "2"});
  const std::string refusal = "small_train: error: " + run_ +
                              ": another run is writing to this folder: wait for its end, or give another "
                              "--run-folder\n";
  int steps = 0;
  const Result first = train(arguments, [&] {
    ++steps;
    if (steps == 3) {
      for (const std::vector<std::string>& second : {arguments, ensemble}) {
        const Result result = train(second);
        EXPECT_EQ(result.code, 2);
        EXPECT_EQ(result.err, refusal);
      }
    }
    if (steps == 20) {
      EXPECT_EQ(train({"--resume", run_ + "/last.kiln"}).err, refusal);
    }
    return false;
  });
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_GT(steps, 20);
  const std::string other = folder_.file("other");
  ASSERT_EQ(train({"--train", train_, "--epochs", "3", "--quiet", "--run-folder", other, "--threads", "1"}).code, 0);
  EXPECT_EQ(read_file(run_ + "/model.kiln"), read_file(other + "/model.kiln"));
  EXPECT_EQ(metrics(run_ + "/metrics.csv"), metrics(other + "/metrics.csv"));
}

TEST_F(CommandTest, AnEnsembleHasItsFolderForItself) {
  const std::vector<std::string> arguments = {"--train",   train_, "--epochs",     "2",  "--quiet",    "--test", test_,
                                              "--threads", "1",    "--run-folder", run_, "--ensemble", "2"};
  int steps = 0;
  const Result first = train(arguments, [&] {
    ++steps;
    if (steps == 3 || steps == 40) {
      EXPECT_EQ(train(arguments).code, 2);
    }
    return false;
  });
  EXPECT_EQ(first.code, 0) << first.err;
  EXPECT_GT(steps, 40);
  EXPECT_EQ(train(arguments).code, 0) << "a finished one predicts again";
}

/// The disk; before the first folder is created, something happens.
class SlowFileSystem : public DiskFileSystem {
 public:
  explicit SlowFileSystem(std::function<void()> event) : event_(std::move(event)) {}
  int create_folders(const std::string& path) override {
    if (event_) std::exchange(event_, nullptr)();
    return DiskFileSystem::create_folders(path);
  }

 private:
  std::function<void()> event_;
};

TEST_F(CommandTest, ARunThatCameFirstIsNotOverwrittenByOneThatWasLoadingItsRows) {
  const std::vector<std::string> arguments = {"--train", train_, "--epochs", "1", "--quiet", "--run-folder", run_};
  std::string state;
  SlowFileSystem files([&] {
    EXPECT_EQ(train(arguments).code, 0);
    state = read_file(run_ + "/last.kiln");
  });
  std::vector<std::string> late = arguments;
  late.insert(late.end(), {"--seed", "2"});
  EXPECT_EQ(train(late, files).code, 2);
  EXPECT_EQ(read_file(run_ + "/last.kiln"), state);
}

TEST_F(CommandTest, AStateIsReadByOneRunAtATime) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--quiet", "--run-folder", run_}).code, 0);
  const std::vector<std::string> on = {"--resume", run_ + "/last.kiln", "--epochs", "2", "--quiet"};
  int second = 0;
  SlowFileSystem files([&] { second = train(on).code; });
  EXPECT_EQ(train(on, files).code, 0);
  EXPECT_EQ(second, 2);
}

/// Standard output that looks into the run's folder when something is printed.
class Reader : public std::stringbuf {
 public:
  explicit Reader(std::function<void(const std::string&)> look) : look_(std::move(look)) {}
  int sync() override {
    look_(str());
    return 0;
  }

 private:
  std::function<void(const std::string&)> look_;
};

TEST_F(CommandTest, AnEpochIsSavedBeforeItsLineIsPrinted) {
  DiskFileSystem files;
  for (const bool json : {false, true}) {
    std::filesystem::remove_all(run_);
    int epochs = 0;
    Reader reader([&](const std::string& printed) {
      const std::string line = json ? fmt::format(R"("epoch":{},)", epochs + 1) : fmt::format("Epoch {}/2", epochs + 1);
      if (!contains(printed, line)) return;
      ++epochs;
      ASSERT_TRUE(std::filesystem::exists(run_ + "/last.kiln")) << printed;
      EXPECT_EQ(load_checkpoint(run_ + "/last.kiln", model_).progress.at("epoch"), epochs);
      EXPECT_PRED2(contains, read_file(run_ + "/metrics.csv"), fmt::format("\n{},", epochs));
    });
    std::ostream out(&reader);
    std::ostringstream err;
    std::vector<std::string> arguments = {"--train", train_, "--epochs", "2", "--run-folder", run_};
    if (json) arguments.emplace_back("--json");
    EXPECT_EQ(
        train_command(arguments, model_, {.out = out, .err = err, .files = files, .style = {}, .interrupted = never}),
        0)
        << err.str();
    EXPECT_EQ(epochs, 2);
  }
}

TEST_F(CommandTest, WhatCannotBePrintedIsAFailureAndTheResultsAreThere) {
  DiskFileSystem files;
  std::ofstream full("/dev/full");
  std::ostringstream err;
  const CommandEnvironment environment = {.out = full, .err = err, .files = files, .style = {}, .interrupted = never};
  const std::string predictions = folder_.file("out.csv");
  EXPECT_EQ(train_command({"--train", train_, "--epochs", "1", "--run-folder", run_, "--json"}, model_, environment),
            1);
  EXPECT_EQ(err.str(), "small_train: error: standard output cannot be written\n");
  full.clear();
  err.str("");
  EXPECT_EQ(
      predict_command({"--model", run_ + "/model.kiln", "--test", test_, "--out", predictions}, model_, environment),
      1);
  EXPECT_EQ(err.str(), "small_predict: error: standard output cannot be written\n");
  EXPECT_TRUE(std::filesystem::exists(predictions));
  full.clear();
  EXPECT_EQ(train_command({"--help"}, model_, environment), 1);
}

// As in `digits_train | head -1`.
TEST_F(CommandTest, AReaderThatLeavesDoesNotEndTheRun) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  ::close(ends[0]);
  const std::string said = folder_.file("said");
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGPIPE, SIG_DFL);
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(::open(said.c_str(), O_WRONLY | O_CREAT, 0600), STDERR_FILENO);
    std::vector<std::string> words = {"small_train", "--train", train_,         "--epochs", "2",
                                      "--threads",   "1",       "--run-folder", run_};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    ::_exit(train_command(static_cast<int>(argv.size()), argv.data(), model_));
  }
  ::close(ends[1]);
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_EQ(read_file(said), "small_train: error: standard output cannot be written\n");
  EXPECT_EQ(load_checkpoint(run_ + "/last.kiln", model_).progress.at("epoch"), 2);
  EXPECT_TRUE(std::filesystem::exists(run_ + "/report.html"));
}

TEST_F(CommandTest, AnOutputIsNeverAFileThatIsRead) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--quiet", "--run-folder", run_}).code, 0);
  const std::string model = run_ + "/model.kiln", state = run_ + "/last.kiln", link = folder_.file("link");
  std::filesystem::create_hard_link(test_, link);
  std::filesystem::create_directory(folder_.file("bests"));
  std::filesystem::copy_file(model, folder_.file("bests/best.kiln"));
  const std::string other = folder_.file("other");
  struct Case {
    bool predicts;
    std::vector<std::string> arguments;
    std::string flag, path, input;
  };
  const Case cases[] = {
      {false, {"--train", train_, "--test", test_, "--submission", test_}, "--submission", test_, "--test"},
      {false, {"--train", train_, "--test", test_, "--submission", link}, "--submission", link, "--test"},
      {false, {"--train", train_, "--save", train_}, "--save", train_, "--train"},
      {false, {"--resume", state, "--save", state}, "--save", state, "--resume"},
      {false, {"--resume", state, "--save", train_}, "--save", train_, "--train"},  // as the state says
      {false,
       {"--train", train_, "--test", test_, "--test-labels", labels_, "--submission", labels_},
       "--submission",
       labels_,
       "--test-labels"},
      {false,
       {"--train", train_, "--load", model, "--test", test_, "--submission", model},
       "--submission",
       model,
       "--load"},
      {false,
       {"--train", train_, "--test", test_, "--submission", test_, "--ensemble", "2"},
       "--submission",
       test_,
       "--test"},
      {false,
       {"--train", train_, "--load", "bests/best.kiln", "--run-folder", "bests"},
       "--run-folder",
       "bests/best.kiln",
       "--load"},
      {true, {"--model", model, "--test", test_, "--out", link}, "--out", link, "--test"},
      {true, {"--model", state, "--model", model, "--test", test_, "--out", model}, "--out", model, "--model"},
      {true,
       {"--model", model, "--test", test_, "--labels", labels_, "--probabilities", labels_},
       "--probabilities",
       labels_,
       "--labels"},
  };
  std::map<std::string, std::string> before;
  for (const std::string& name : folder_.names()) before[name] = read_file(folder_.file(name));
  const WorkingFolder here(folder_.path());
  for (const Case& c : cases) {
    const Result result = c.predicts ? predict(c.arguments) : train(c.arguments);
    EXPECT_EQ(result.code, 2);
    EXPECT_EQ(result.err, fmt::format("small_{}: error: {} {}: this file is read by {}; give another one\n",
                                      c.predicts ? "predict" : "train", c.flag, c.path, c.input));
    EXPECT_EQ(result.out, "");
    std::map<std::string, std::string> after;
    for (const std::string& name : folder_.names()) after[name] = read_file(folder_.file(name));
    EXPECT_EQ(after, before);
  }
  // A model may be trained further in its place.
  EXPECT_EQ(train({"--train", train_, "--epochs", "1", "--load", model, "--save", model, "--quiet"}).code, 0);
}

TEST_F(CommandTest, WhicheverWriteFailsNothingIsHalfWritten) {
  const std::vector<std::string> arguments = {"--train", train_,         "--epochs", "2",      "--test",
                                              test_,     "--run-folder", run_,       "--quiet"};
  int failures = 0;
  for (int at = 1;; ++at) {
    std::filesystem::remove_all(run_);
    FailingFileSystem files(at);
    const Result result = train(arguments, files);
    if (!files.failed()) {
      EXPECT_EQ(result.code, 0);
      break;
    }
    ++failures;
    // Where syncing a folder or the like is only tried, the run may succeed; else it is one line and code 1.
    if (result.code != 0) {
      EXPECT_EQ(result.code, 1);
      EXPECT_PRED2(contains, result.err, ": No space left on device\n");
    }
    for (const std::string& name : run_names()) {
      EXPECT_FALSE(contains(name, "tmp")) << name << ", write " << at;
      if (name.ends_with(".kiln")) {
        EXPECT_NO_THROW(load_checkpoint(run_ + "/" + name, model_)) << name << ", write " << at;
      }
    }
  }
  EXPECT_GT(failures, 20);
}

TEST_F(CommandTest, LearnsRowsByHeart) {
  const Result result = train({"--train", train_, "--overfit", "12", "--run-folder", run_});
  EXPECT_EQ(result.code, 0);
  EXPECT_PRED2(contains, result.out, ": 12 to train on, the same to validate on\n");
  EXPECT_PRED2(contains, result.out, "val_accuracy: 1.0000");
}

TEST_F(CommandTest, PredictsTheSubmissionAgain) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "3", "--average", "0.9", "--test", test_, "--run-folder", run_}).code,
            0);
  const std::string out = folder_.file("out.csv"), probabilities = folder_.file("probabilities.csv");
  std::string first;
  for (const char* file : {"/model.kiln", "/last.kiln"}) {  // the averaged weights, of either
    const Result result = predict(
        {"--model", run_ + file, "--test", test_, "--out", out, "--probabilities", probabilities, "--labels", labels_});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(read_file(out), read_file(run_ + "/submission.csv"));
    EXPECT_PRED2(matches, result.out,
                 "30 rows of .*test.csv predicted in [0-9.]+s\naccuracy: [0-9.]+% \\([0-9]+ of 30\\)\n"
                 "submission: .*out.csv\nprobabilities: .*probabilities.csv\n");
    EXPECT_EQ(read_file(probabilities).substr(0, 16), "ImageId,0,1,2\n1,");
    if (first.empty()) first = read_file(probabilities);
    EXPECT_EQ(read_file(probabilities), first);
  }
}

TEST_F(CommandTest, PredictionsAsJsonAreOneObject) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--run-folder", run_}).code, 0);
  const std::string model = run_ + "/model.kiln", out = folder_.file("out.csv"), all = folder_.file("all.csv");
  const auto object = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--model", model, "--json"});
    const Result result = predict(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    nlohmann::json json = nlohmann::json::parse(result.out);
    EXPECT_GE(json.at("seconds"), 0);
    json.erase("seconds");
    return json;
  };
  EXPECT_EQ(object({"--test", test_}), (nlohmann::json{{"rows", 30}}));
  const nlohmann::json judged = object({"--test", test_, "--labels", labels_, "--out", out, "--probabilities", all});
  EXPECT_EQ(judged.at("submission"), out);
  EXPECT_EQ(judged.at("probabilities"), all);
  const std::vector<int32_t> labels = read_labels(labels_, 10), said = read_labels(out, 10);
  EXPECT_NEAR(judged.at("accuracy").get<double>() * 30, static_cast<double>(count_correct(said, labels)), 1e-9);
  const Result quiet = predict({"--model", model, "--test", test_, "--quiet"});
  EXPECT_EQ(quiet.code, 0);
  EXPECT_EQ(quiet.out + quiet.err, "");
}

TEST_F(CommandTest, PredictionsErrorsAreOneLine) {
  ASSERT_EQ(train({"--train", train_, "--epochs", "1", "--run-folder", run_}).code, 0);
  const std::string model = run_ + "/model.kiln", out = folder_.file("out.csv");
  Result result = predict({"--model", model, "--test", train_, "--labels", labels_, "--out", out});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.err, "small_predict: error: " + labels_ + ": 30 labels for the 100 rows of " + train_ + "\n");
  EXPECT_FALSE(std::filesystem::exists(out));
  result = predict({"--model", model});
  EXPECT_EQ(result.err,
            "small_predict: error: give --test FILE, the rows to predict, or --serve PORT, for a page to draw on; see "
            "--help\n");
  result = predict({"--model", model, "--serve", "8080:x"});
  EXPECT_EQ(
      result.err,
      "small_predict: error: --serve 8080:x is no [ADDRESS:]PORT; it looks like 8080, 0.0.0.0:8080 or [::1]:8080\n");
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(predict({"--model", model, "--serve", "0", "--test", test_}).code, 2);
  EXPECT_EQ(predict({"--model", model, "--model", model, "--serve", "0"}).err,
            "small_predict: error: --serve draws on one model: give --model once\n");
  result = predict({"--test", test_});
  EXPECT_EQ(result.code, 2);
  EXPECT_EQ(result.err, "small_predict: error: --model is required; see --help\n");
  result = predict({"--model", test_, "--test", test_});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.err, "small_predict: error: " + test_ + ": is no Kiln file: it does not begin with KILNFILE\n");
  EXPECT_EQ(predict({"--help"}).code, 0);
}

TEST(BuiltInDigits, TrainWithNoData) {
  TemporaryFolder folder;
  std::ostringstream out, err;
  DiskFileSystem files;
  const CommandEnvironment environment = {.out = out, .err = err, .files = files, .style = {}, .interrupted = never};
  const std::string run = folder.file("run");
  EXPECT_EQ(train_command({"--digits", "640", "--fast-dev-run", "--run-folder", run}, digits_model(), environment), 0)
      << err.str();
  EXPECT_PRED2(contains, out.str(), ": 192 to train on, the last 128 to validate on\n");
  EXPECT_PRED2(contains, out.str(), "Test: 96 rows of built-in digits that are not trained on, labels known\n");
  EXPECT_TRUE(std::filesystem::exists(run + "/submission.csv"));
}

TEST(BuiltInDigits, AreForGraphsOfTenClassesOrNone) {
  std::ostringstream out;
  DiskFileSystem files;
  kiln_value inputs[] = {digits_model().train->inputs[0], digits_model().train->inputs[1]};
  inputs[1].classes = 3;
  kiln_program program = *digits_model().train;
  program.inputs = inputs;
  kiln_model model = digits_model();
  model.train = model.evaluate = &program;
  const auto error = [&] {
    std::ostringstream err;
    train_command({"--digits", "64", "--fast-dev-run", "--json", "--run-folder", "/proc/self"}, model,
                  {.out = out, .err = err, .files = files, .style = {}, .interrupted = never});
    return err.str();
  };
  EXPECT_EQ(error(),
            "digits_train: error: --train FILE is missing: graph digits takes 28x28x1 images of 3 classes, and the "
            "built-in digits are 28x28x1 images of 10\n");
  program.input_count = 1;
  EXPECT_EQ(error().find("--train FILE is missing"), std::string::npos);
}

TEST(BuiltInDigits, TakeFewerEpochsThanOtherRowsUnlessAsked) {
  TemporaryFolder folder;
  DiskFileSystem files;
  const auto epochs = [&](std::vector<std::string> arguments) {
    std::ostringstream out, err;
    const std::string run = folder.file(std::to_string(arguments.size()));
    arguments.insert(arguments.end(), {"--digits", "64", "--quiet", "--run-folder", run});
    kiln_model model = digits_model();
    model.epochs = 50;
    EXPECT_EQ(
        train_command(arguments, model, {.out = out, .err = err, .files = files, .style = {}, .interrupted = never}), 0)
        << err.str();
    return nlohmann::json::parse(read_file(run + "/arguments.json"))["options"]["epochs"].get<int>();
  };
  EXPECT_EQ(epochs({}), 10);
  EXPECT_EQ(epochs({"--epochs", "12"}), 12);
  EXPECT_EQ(epochs({"--overfit", "16", "--epochs", "2"}), 2);
}

TEST(BuiltInDigits, TheExportSaysWhatItWroteAsItIsAsked) {
  TemporaryFolder folder;
  DiskFileSystem files;
  std::string digits = folder.file("digits");
  const auto exported = [&](std::vector<std::string> arguments) {
    std::ostringstream out, err;
    arguments.insert(arguments.end(), {"--digits", "128", "--export-digits", digits});
    EXPECT_EQ(train_command(arguments, digits_model(),
                            {.out = out, .err = err, .files = files, .style = {}, .interrupted = never}),
              0)
        << err.str();
    return out.str();
  };
  EXPECT_EQ(exported({}),
            fmt::format("{0}/train.csv: 128 rows\n{0}/test.csv, {0}/test_labels.csv: 4000 rows\n", digits));
  digits = folder.file("json");
  EXPECT_EQ(nlohmann::json::parse(exported({"--json"})),
            (nlohmann::json{{"folder", digits}, {"train_rows", 128}, {"test_rows", 4000}}));
  digits = folder.file("quiet");
  EXPECT_EQ(exported({"--quiet"}), "");
}

TEST(BuiltInDigits, AreNotExportedOverFilesThatAreThere) {
  for (const char* name : {"train.csv", "test.csv", "test_labels.csv"}) {
    TemporaryFolder folder;
    DiskFileSystem files;
    const std::string path = folder.file(name);
    write_atomically(files, path, "Kaggle's");
    std::ostringstream out, err;
    EXPECT_EQ(train_command({"--digits", "128", "--export-digits", folder.path()}, digits_model(),
                            {.out = out, .err = err, .files = files, .style = {}, .interrupted = never}),
              2);
    EXPECT_EQ(err.str(),
              fmt::format("digits_train: error: --export-digits {}: {} is there already: give another folder\n",
                          folder.path(), path));
    EXPECT_EQ(read_file(path), "Kaggle's");
    EXPECT_EQ(folder.names(), std::vector<std::string>{name});
  }
}

TEST(BuiltInDigits, AreExportedAsFilesThatTrain) {
  TemporaryFolder folder;
  std::ostringstream out, err;
  DiskFileSystem files;
  const CommandEnvironment environment = {.out = out, .err = err, .files = files, .style = {}, .interrupted = never};
  const std::string digits = folder.file("digits");
  ASSERT_EQ(train_command({"--digits", "128", "--export-digits", digits}, digits_model(), environment), 0) << err.str();
  EXPECT_EQ(folder.names(),
            (std::vector<std::string>{"digits/test.csv", "digits/test_labels.csv", "digits/train.csv"}));
  const std::string run = folder.file("run");
  EXPECT_EQ(train_command({"--train", digits + "/train.csv", "--test", digits + "/test.csv", "--test-labels",
                           digits + "/test_labels.csv", "--epochs", "1", "--run-folder", run, "--quiet"},
                          digits_model(), environment),
            0)
      << err.str();
}

}  // namespace
}  // namespace kiln
