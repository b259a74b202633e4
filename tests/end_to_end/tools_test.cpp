// The built programs of the digit network, run as a user runs them.
#include "end_to_end/tools.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

namespace kiln {
namespace {

TEST_F(Tools, SameSeedSameBitsForAnyNumberOfThreads) {
  for (const char* threads : {"1", "2", "3"}) {
    const Result result = train(std::string("t") + threads, std::string("--seed 7 --threads ") + threads);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  ASSERT_EQ(train("other", "--seed 8 --threads 2").exit_code, 0);
  const std::string model = contents(path("t1/model.kiln"));
  ASSERT_GT(model.size(), 7'000'000U);
  EXPECT_TRUE(model == contents(path("t2/model.kiln")));
  EXPECT_TRUE(model == contents(path("t3/model.kiln")));
  EXPECT_FALSE(model == contents(path("other/model.kiln")));
}

TEST_F(Tools, InterruptedAndResumedIsAsIfNeverStopped) {
  ASSERT_EQ(run("digits_train --digits 800 --epochs 12 --quiet --run-folder whole").exit_code, 0);
  // Interrupted as soon as the first epoch's line is out, with eleven to go.
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(pipe(pipe_ends.data()), 0);
  const std::string program = kTools + "/digits_train", run_folder = path("stopped");
  const pid_t child = fork();
  if (child == 0) {
    dup2(pipe_ends[1], STDOUT_FILENO);
    close(pipe_ends[0]);
    execl(program.c_str(), program.c_str(), "--digits", "800", "--epochs", "12", "--run-folder", run_folder.c_str(),
          nullptr);
    _exit(127);
  }
  close(pipe_ends[1]);
  std::string out;
  std::array<char, 4096> block{};
  while (out.find("Epoch 1/12 - ") == std::string::npos) {
    const ssize_t count = read(pipe_ends[0], block.data(), block.size());
    ASSERT_GT(count, 0) << out;
    out.append(block.data(), static_cast<size_t>(count));
  }
  kill(child, SIGINT);
  while (read(pipe_ends[0], block.data(), block.size()) > 0) {
  }
  close(pipe_ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_EQ(WEXITSTATUS(status), 130);
  const Result resumed = run("digits_train --quiet --threads 1 --resume stopped/last.kiln");
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_TRUE(contents(path("whole/model.kiln")) == contents(path("stopped/model.kiln")));
}

TEST_F(Tools, ARunLeavesItsFolder) {
  const Result result = train("run", "");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  for (const char* name : {"model.kiln", "best.kiln", "last.kiln", "metrics.csv", "arguments.json", "model.svg",
                           "model.dot", "gradient.svg", "gradient.dot", "submission.csv", "report.html"}) {
    EXPECT_GT(fs::file_size(path(std::string("run/") + name)), 0U) << name;
  }
  EXPECT_EQ(contents(path("run/submission.csv")).substr(0, 14), "ImageId,Label\n");
  // The predictor writes the same submission from the saved model and the exported rows.
  ASSERT_EQ(run("digits_train --export-digits data --digits 100").exit_code, 0);
  const Result predicted = run("digits_predict --model run/model.kiln --test data/test.csv --out submission.csv");
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  EXPECT_EQ(contents(path("submission.csv")), contents(path("run/submission.csv")));
  // A second run does not write into the first one's folder.
  const std::string before = contents(path("run/model.kiln"));
  EXPECT_EQ(train("run", "--seed 5").exit_code, 2);
  EXPECT_TRUE(before == contents(path("run/model.kiln")));
}

// Keras counts the same (model.summary() of the original with BatchNormalization(axis=1)).
TEST_F(Tools, SummaryCountsWhatKerasCounts) {
  const Result result = run("digits_train --fast-dev-run --digits 300 --run-folder run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* text :
       {"Total params: 1,886,354 (7.20 MB)", "Trainable params: 1,886,262 (7.20 MB)",
        "Non-trainable params: 92 (368.00 B)", "(None, 26, 26, 32)", "13,872", "12,352", "1,827,936", "31,690"}) {
    EXPECT_NE(result.out.find(text), std::string::npos) << text;
  }
}

TEST_F(Tools, WrongInputGetsOneLineAndItsExitCode) {
  std::ofstream(path("bad.csv")) << "label,pixel0\n1,2\n";
  std::ofstream cell(path("cell.csv"));
  cell << "label";
  for (int i = 0; i < 784; ++i) cell << ",pixel" << i;
  cell << "\n5,0,0,abc";
  for (int i = 3; i < 784; ++i) cell << ",0";
  cell << "\n";
  cell.close();
  std::ofstream(path("junk.kiln")) << "no model";
  const auto check = [&](const std::string& command, int code, const std::string& message) {
    const Result result = run(command);
    EXPECT_EQ(result.exit_code, code) << command;
    EXPECT_EQ(result.err, message + "\n") << command;
  };
  check("digits_train --train missing.csv --run-folder a", 3,
        "digits_train: error: missing.csv: cannot be read: No such file or directory");
  check("digits_train --train bad.csv --run-folder a", 3,
        "digits_train: error: bad.csv:1: the header has 1 pixel columns, expected 784");
  check("digits_train --train cell.csv --run-folder a", 3,
        "digits_train: error: cell.csv:2: column 4 (pixel2): expected an integer 0..255, found 'abc'");
  check("digits_train --resume junk.kiln", 3,
        "digits_train: error: junk.kiln: is no Kiln file: it does not begin with KILNFILE");
  check("digits_predict --model junk.kiln --test bad.csv --out s.csv", 3,
        "digits_predict: error: junk.kiln: is no Kiln file: it does not begin with KILNFILE");
  check("digits_train --schedule often --run-folder a", 2,
        "digits_train: error: --schedule: often not in {constant,step,cosine,one-cycle}; see --help");
  check("digits_train --views 4 --run-folder a", 2,
        "digits_train: error: --views needs to know how to distort: add --augment rotation=10,shift=2");
  // Another graph's model, and one that was cut off.
  ASSERT_EQ(run("digits_deep_train --fast-dev-run --digits 300 --quiet --run-folder deep").exit_code, 0);
  check("digits_predict --model deep/model.kiln --test cell.csv --out s.csv", 3,
        "digits_predict: error: deep/model.kiln: belongs to the graph 'digits_deep', this program is 'digits'");
  ASSERT_EQ(train("whole", "").exit_code, 0);
  fs::resize_file(path("whole/model.kiln"), fs::file_size(path("whole/model.kiln")) - 1000);
  const Result cut = run("digits_predict --model whole/model.kiln --test cell.csv --out s.csv");
  EXPECT_EQ(cut.exit_code, 3);
  EXPECT_NE(cut.err.find("the file is damaged or was cut off"), std::string::npos) << cut.err;
  EXPECT_FALSE(fs::exists(path("a")));
  EXPECT_FALSE(fs::exists(path("s.csv")));
  EXPECT_EQ(run("digits_train --no-such-flag").exit_code, 2);
  EXPECT_EQ(run("digits_compile --dump nonsense").exit_code, 2);
}

TEST_F(Tools, TheCompilerPrintsItsStages) {
  const std::string program = run("digits_compile --dump program").out;
  // The gradient of the big weights is never stored: one kernel reads, updates and writes weight and state in place.
  const size_t kernel = program.find("kernel dense.weight_gradient ");
  ASSERT_NE(kernel, std::string::npos);
  const std::string body = program.substr(kernel, program.find("kernel ", kernel + 1) - kernel);
  const size_t writes = body.find("writes ");
  const std::string roots = body.substr(writes, body.find('\n', writes) - writes);
  EXPECT_EQ(std::count(roots.begin(), roots.end(), '@'), 2) << roots;
  EXPECT_EQ(roots.find("@arena"), std::string::npos) << roots;
  const std::string recipes = run("digits_compile --dump recipes").out;
  EXPECT_NE(recipes.find("train conv2d_1.forward: recipe=winograd outputs=5 "), std::string::npos) << recipes;
  const Result explained = run("digits_compile --explain predict/conv2d_1.forward");
  EXPECT_EQ(explained.exit_code, 0) << explained.err;
  EXPECT_EQ(explained.out.substr(0, 31), "predict/conv2d_1.forward, kerne") << explained.out;
  EXPECT_NE(explained.out.find(" us, median, the program running around it"), std::string::npos) << explained.out;
  EXPECT_EQ(run("digits_compile --explain nothing").exit_code, 2);
  EXPECT_EQ(run("digits_compile --dump gradient").out.substr(0, 13), "graph digits\n");
  EXPECT_EQ(run("digits_compile --dump dot").out.substr(0, 16), "digraph \"digits\"");
  const Result json = run("digits_compile --json --out built");
  EXPECT_EQ(nlohmann::json::parse(json.out).at("graph"), "digits");
  EXPECT_TRUE(fs::exists(path("built/digits.o")));
  for (const char* tool : {"digits_compile", "digits_train", "digits_predict"}) {
    const std::string help = run(std::string(tool) + " --help").out;
    EXPECT_NE(help.find("Examples:"), std::string::npos) << tool;
    EXPECT_NE(help.find("Exit codes: 0 done"), std::string::npos) << tool;
    EXPECT_NE(run(std::string(tool) + " --version").out.find("Kiln 0."), std::string::npos) << tool;
  }
}

TEST_F(Tools, ASecondCompilationIsTheSameObjectFromTheCache) {
  const auto compile = [&](const std::string& out, const std::string& arguments) {
    const Result result = run("digits_compile --json --out " + out + " " + arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out);
  };
  const auto cold = compile("cold", ""), warm = compile("warm", "--threads 1");
  const int kernels = cold.at("kernels");
  EXPECT_GT(kernels, 100);
  EXPECT_EQ(cold.at("cached_kernels"), 0);
  EXPECT_EQ(warm.at("cached_kernels"), kernels);
  EXPECT_TRUE(contents(path("cold/digits.o")) == contents(path("warm/digits.o")));
  EXPECT_EQ(compile("knob", "--schedule train/conv2d_1.forward:recipe=rows").at("cached_kernels"), kernels - 1);
  // Without a cache, and with one that cannot be written.
  EXPECT_EQ(compile("none", "--cache none").at("cached_kernels"), 0);
  EXPECT_EQ(compile("unwritable", "--cache out.txt/cache").at("cached_kernels"), 0);
  const Result text = run("digits_compile --out warm");
  EXPECT_NE(text.out.find(" kernels (" + std::to_string(kernels) + " from the cache), "), std::string::npos)
      << text.out;
}

TEST_F(Tools, JsonIsAllThereIs) {
  const Result result = run("digits_train --digits 300 --epochs 1 --json --run-folder run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(result.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  EXPECT_GE(count, 2);
}

TEST_F(Tools, AProfileHasEveryKernelAndTheSameBits) {
  ASSERT_EQ(run("digits_train --fast-dev-run --digits 300 --quiet --threads 2 --run-folder plain").exit_code, 0);
  const Result result = run("digits_train --fast-dev-run --digits 300 --threads 2 --run-folder run --profile=trace");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contents(path("plain/model.kiln")) == contents(path("run/model.kiln")));
  const nlohmann::json profile = nlohmann::json::parse(contents(path("run/profile.json")));
  EXPECT_EQ(profile.at("steps"), 3);
  EXPECT_GT(profile.at("first_step_seconds"), 0);
  std::map<std::string, int> kernels;
  for (const nlohmann::json& kernel : profile.at("kernels")) {
    const std::string name = kernel.at("name"), line = kernel.at("line");
    kernels[name] = 0;
    EXPECT_EQ(line.find("graphs/digits.cpp:"), 0U) << line;
    EXPECT_NE(result.out.find("\n" + name + " "), std::string::npos) << name;
  }
  EXPECT_EQ(kernels.count("conv2d_1.weight_gradient"), 1U);
  const nlohmann::json trace = nlohmann::json::parse(contents(path("run/trace.json")));
  for (const nlohmann::json& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X" || event.at("cat") == "phase") continue;
    ASSERT_EQ(kernels.count(event.at("name")), 1U) << event;
    if (event.at("cat") == "kernel") ++kernels[event.at("name")];
  }
  for (const auto& [name, count] : kernels) EXPECT_EQ(count, 3) << name;
}

// One network for each optimizer, whose state the check reads; and one without labels.
TEST_F(Tools, EachOptimizersGradientPassesTheSelfTest) {
  for (const char* graph : {"digits", "digits_deep", "branches", "autoencoder"}) {
    const Result result = run(graph + std::string("_train --selftest --json"));
    EXPECT_EQ(result.exit_code, 0) << graph << ": " << result.out << result.err;
    std::istringstream lines(result.out);
    std::string checks;
    for (std::string line; std::getline(lines, line);) {
      const nlohmann::json check = nlohmann::json::parse(line);
      EXPECT_EQ(check.at("passed"), true) << graph << ": " << line;
      checks += check.at("check").get<std::string>() + " ";
    }
    EXPECT_EQ(checks, "gradient determinism checkpoint ") << graph;
  }
}

TEST_F(Tools, OverfitLearnsItsRowsByHeart) {
  const Result result = run("digits_train --overfit 32 --digits 100 --json --run-folder run");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  // The last row's accuracy, by the column's name.
  std::istringstream lines(contents(path("run/metrics.csv")));
  std::string header, row;
  std::getline(lines, header);
  for (std::string line; std::getline(lines, line);) row = line;
  std::istringstream titles(header), values(row);
  std::string title, value;
  while (std::getline(titles, title, ',') && std::getline(values, value, ',') && title != "accuracy") {
  }
  ASSERT_EQ(title, "accuracy") << header;
  EXPECT_EQ(std::stod(value), 1) << row;
}

}  // namespace
}  // namespace kiln
