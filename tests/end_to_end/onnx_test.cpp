// ONNX files, written and read by the built programs as a user runs them; ONNX's checker and ONNX Runtime, which
// `./run test` installs into .deps/formats, say whether they are right.
#include <random>

#include "end_to_end/formats.h"

namespace kiln {
namespace {

TEST_F(Formats, OnnxRuntimePredictsTheSame) {
  REQUIRE_TOOLS();
  std::string checks;
  for (const std::string graph : {"digits", "digits_deep", "branches"}) {
    ASSERT_EQ(run(graph + "_train --train data/train.csv --epochs 1 --quiet --run-folder onnx_" + graph + " --save " +
                  graph + ".onnx")
                  .exit_code,
              0)
        << contents(path("err.txt"));
    ASSERT_EQ(run(graph + "_predict --model onnx_" + graph + "/model.kiln --test data/test.csv --probabilities onnx_" +
                  graph + ".csv")
                  .exit_code,
              0);
    checks +=
        (checks.empty() ? "predictions " : " + predictions ") + graph + ".onnx data/test.csv onnx_" + graph + ".csv";
  }
  check(checks, "onnx_check.py");
}

TEST_F(Formats, ThroughOnnxAndBackIsTheSameModel) {
  for (const std::string graph : {"digits", "digits_deep", "branches"}) {
    ASSERT_EQ(run(graph + "_train --train data/train.csv --fast-dev-run --quiet --run-folder back_" + graph).exit_code,
              0);
    const std::string model = "back_" + graph + "/model.kiln", onnx = graph + "_back.onnx";
    ASSERT_EQ(run("kiln_convert " + model + " " + onnx).exit_code, 0) << contents(path("err.txt"));
    for (const std::string& each : {model, onnx}) {
      const Result result =
          run(graph + "_predict --test data/test.csv --probabilities " + each + ".csv --model " + each);
      ASSERT_EQ(result.exit_code, 0) << result.err;
    }
    EXPECT_TRUE(contents(path(onnx + ".csv")) == contents(path(model + ".csv"))) << graph;
  }
  const Result trained =
      run("digits_train --train data/train.csv --fast-dev-run --run-folder back --load digits_back.onnx");
  EXPECT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_NE(trained.err.find("ONNX files hold weights alone: the optimizer begins anew"), std::string::npos)
      << trained.err;
  refused("digits_deep_predict --test data/test.csv --model digits_back.onnx", 3,
          "digits_back.onnx: layer 'relu_3' is relu, where the graph has selu (graphs/digits_deep.cpp:32)");
}

/// Numbers of a CSV without its first `columns`, behind `headings` lines.
std::vector<double> numbers(const std::string& text, int headings, int columns) {
  std::vector<double> result;
  std::stringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (headings-- > 0) continue;
    std::stringstream cells(line);
    int column = 0;
    for (std::string cell; std::getline(cells, cell, ',');) {
      if (column++ >= columns) result.push_back(std::stod(cell));
    }
  }
  return result;
}

/// Models that PyTorch exported are graphs of this build (kiln_add_graph); their weights come with --model and --load.
TEST_F(Formats, CompiledOnnxModelsPredictAndTrain) {
  const std::string folder = KILN_SOURCE_DIR "/tests/fixtures/onnx/";
  for (const auto& [graph, model] :
       {std::pair("torch_branches", "torch_branches"), std::pair("torch_mobile", "torch_mobile_training")}) {
    const std::string file = folder + model + ".onnx", name = graph;
    const Result predicted =
        run(name + "_predict --test " + folder + "rows.csv --probabilities theirs.csv --model " + file);
    ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
    const std::vector<double> ours = numbers(contents(path("theirs.csv")), 1, 1),
                              theirs = numbers(contents(folder + model + ".csv"), 0, 0);
    ASSERT_EQ(ours.size(), theirs.size());
    for (size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], theirs[i], 1e-5) << graph << " " << i;
    const Result trained =
        run(name + "_train --train data/train.csv --epochs 1 --quiet --run-folder on_" + name + " --load " + file);
    EXPECT_EQ(trained.exit_code, 0) << trained.err;
  }
  refused("torch_mobile_predict --test data/test.csv --model " + folder + "torch_mobile.onnx", 3,
          "torch_mobile.onnx: layer 'conv2d' is conv2d, where the graph has batch_norm (torch_mobile.cpp:");
}

TEST_F(Formats, BadOnnxFilesGetOneLine) {
  ASSERT_EQ(run("kiln_convert run/model.kiln bad_whole.onnx").exit_code, 0);
  const std::string whole = contents(path("bad_whole.onnx"));
  for (const std::string& bytes : {std::string(), std::string("label,pixel0\n"), whole.substr(0, whole.size() / 2)}) {
    write(path("bad.onnx"), bytes);
    refused("digits_predict --test data/test.csv --model bad.onnx", 3, "bad.onnx: is no ONNX model, or a damaged one");
  }
  refused("kiln_convert run/model.kiln net.cpp", 2, "run/model.kiln: a graph file is written of an .onnx alone");
  refused("kiln_convert bad_whole.onnx 2nd-net.cpp", 2, "the graph cannot be called '2nd-net'");
  refused("kiln_convert bad_whole.onnx out.kiln", 2, "--like FILE.kiln is missing");
  refused("kiln_convert run/model.kiln out.onnx --loss none", 2, "--name and --loss are of a graph file");
}

/// Models that are valid and not Kiln's, and models that claim what they do not have, by name: what each one's error
/// says.
TEST_F(Formats, OnnxModelsThatAreNotKilnsGetOneLine) {
  REQUIRE_TOOLS();
  check("refused_models .", "onnx_check.py");
  std::ifstream list(path("refused_models.txt"));
  int count = 0;
  for (std::string name, message; std::getline(list, name, '\t') && std::getline(list, message); ++count)
    refused("kiln_convert " + name + " net.cpp", 3, name + ": " + message);
  EXPECT_GT(count, 10);
}

/// Damage anywhere is read or refused in one line.
TEST_F(Formats, MutatedOnnxFilesAreReadOrRefused) {
  ASSERT_EQ(run("branches_train --train data/train.csv --overfit 64 --epochs 1 --quiet --run-folder mo").exit_code, 0);
  ASSERT_EQ(run("kiln_convert mo/last.kiln whole.onnx").exit_code, 0);
  const std::string whole = contents(path("whole.onnx"));
  std::mt19937 random(1);
  const auto below = [&](size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random); };
  int read = 0, refused = 0, broke = 0;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = whole;
    for (size_t n = below(4) + 1; n > 0; --n) {
      // The nodes come first, the weights behind them.
      const size_t at = i % 4 == 0 ? below(bytes.size()) : below(std::min<size_t>(bytes.size(), 6000));
      bytes[at] = static_cast<char>(i % 3 == 0 ? below(256) : i % 3 == 1 ? 255 : bytes[at] ^ (1 << below(8)));
    }
    if (i % 10 == 9) bytes.resize(below(bytes.size()));
    write(path("mutated.onnx"), bytes);
    const Result result =
        run("kiln_convert mutated.onnx " + std::string(i % 2 == 0 ? "out.kiln --like mo/last.kiln" : "out.cpp"));
    EXPECT_TRUE(result.exit_code == 0 || result.exit_code == 3) << result.exit_code << " " << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), result.exit_code == 0 ? 0 : 1) << result.err;
    (result.exit_code == 0 ? read : refused)++;
    if (result.err.find("its reader") != std::string::npos) ++broke;
  }
  std::cout << "onnx: " << read << " read, " << refused << " refused, of them " << broke
            << " that broke the reader down\n";
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace kiln
