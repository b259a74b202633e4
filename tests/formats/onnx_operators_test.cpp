// ONNX's own tests of its operators, and models that PyTorch once exported, of the `onnx` package that `./run test`
// installs into .deps/formats: each is a small model with inputs and expected outputs. They are read as networks and
// interpreted; the graph files that are written of them are compiled as one, without code.
#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <set>
#include <sstream>

#include "error.h"
#include "formats/graph_of.h"
#include "graph_source.h"
#include "onnx_file.h"
#include "onnx_import.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

const std::string kPython = KILN_SOURCE_DIR "/.deps/formats/bin/python";

/// The folders of the package's models, and of those that it makes, which are written to `scratch`.
std::vector<fs::path> model_folders(const fs::path& scratch) {
  std::vector<fs::path> folders = {scratch / "node"};
  const std::string script = KILN_SOURCE_DIR "/tests/formats/write_node_tests.py";
  if (std::system(fmt::format("{} {} {}", kPython, script, folders[0].string()).c_str()) != 0)
    throw std::runtime_error(script + " failed");
  for (const auto& python : fs::directory_iterator(KILN_SOURCE_DIR "/.deps/formats/lib")) {
    const fs::path data = python.path() / "site-packages/onnx/backend/test/data";
    for (const char* name : {"pytorch-converted", "pytorch-operator", "simple"}) folders.push_back(data / name);
  }
  return folders;
}

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

onnx::TensorProto tensor_in(const fs::path& path) {
  onnx::TensorProto tensor;
  if (!tensor.ParseFromString(contents(path))) throw std::runtime_error(path.string() + " is no tensor");
  return tensor;
}

/// What Kiln says no to, by a part of what it says, and why that is meant.
struct Refusal {
  const char* message;
  const char* reason;
};
constexpr const char* kRows = "that move or reduce the batch";
constexpr const char* kTraining = "in training mode";
constexpr const char* kPooling = "with dilated or overhanging padded pooling";
constexpr const char* kComputed = "with products, powers, conditions or elements chosen by computed values";
constexpr const char* kPadding = "padded with reflections or edges";
constexpr const char* kShapes = "that count with shapes in other ways";
constexpr const char* kNothing = "of constants alone, nothing or what is not finite";
constexpr Refusal kRefusals[] = {
    {"the batch must stay the first dimension", kRows},
    {"its axis is the batch", kRows},
    {"it is over the batch", kRows},
    {"cannot become", kRows},
    {"it would move elements between rows", kRows},
    {"dimension 0 of N", kRows},
    {"(Gemm): the shapes Nx4 and 3x4 do not fit", kRows},
    {"transA is 1", kRows},
    {"training_mode is 1", kTraining},
    {"is in training mode", kTraining},
    {"Kiln has images of one or two dimensions", "with images of three dimensions"},
    {"Kiln's pooling has 1", kPooling},
    {"ceil_mode and count_include_pad are both 1", kPooling},
    {"(MatMul): its input is N, without a batch", kComputed},
    {"its right side is no matrix", kComputed},
    {"its exponent is", kComputed},
    {"its condition is", kComputed},
    {"(Gather): its input is computed", kComputed},
    {"attribute mode is not constant", kPadding},
    {"(Slice): has a step of -1", "with steps"},
    {"(Max): takes real numbers", kShapes},
    {"its parts do not make up the whole", kShapes},
    {"_PaddedInp", kShapes},
    {"is not computed from its inputs", kNothing},
    {"has no size", kNothing},
    {"nothing would be left", kNothing},
    {"infinite or not a number", kNothing},
};

enum class Outcome { passed, failed, refused, out_of_scope };

struct Result {
  Outcome outcome;
  std::string detail;
  std::optional<Network> network = std::nullopt;  // of what passed with a batch
};

struct Passed {
  std::string test;
  Network network;
};

/// The model with some of its inputs as initializers: Kiln's weights are constants of a model, a test's are inputs.
onnx::ModelProto with_constants(const onnx::ModelProto& model, const std::vector<onnx::TensorProto>& values,
                                const std::set<int>& kept) {
  onnx::ModelProto result = model;
  result.mutable_graph()->clear_input();
  for (int i = 0; i < model.graph().input_size(); ++i) {
    if (kept.contains(i)) {
      *result.mutable_graph()->add_input() = model.graph().input(i);
    } else {
      onnx::TensorProto& constant = *result.mutable_graph()->add_initializer();
      constant = values.at(static_cast<size_t>(i));
      constant.set_name(model.graph().input(i).name());
    }
  }
  return result;
}

bool is_real(const onnx::ValueInfoProto& value) {
  return value.type().has_tensor_type() && value.type().tensor_type().elem_type() == onnx::TensorProto::FLOAT;
}

/// Reads and interprets the model in one of these ways; empty, or what is wrong.
std::string difference(const onnx::ModelProto& model, const std::vector<onnx::TensorProto>& values,
                       const std::set<int>& kept, const fs::path& data, std::optional<Network>& passed) {
  const Network network = read_onnx(onnx_bytes(with_constants(model, values, kept)), "model.onnx", "graph");
  if (!kept.empty()) passed = network;
  std::map<std::string, std::vector<float>> inputs;
  int64_t rows = 1;
  for (const int i : kept) {
    const Array array = real_values(values[static_cast<size_t>(i)], "input");
    rows = array.shape.at(0);
    inputs[identifier(model.graph().input(i).name())] = array.values;
  }
  const std::vector<std::vector<double>> results =
      interpret(graph_of(network.structure), network.parameters, inputs, rows);
  for (size_t i = 0; i < results.size(); ++i) {
    const Array expected = real_values(tensor_in(data / fmt::format("output_{}.pb", i)), "output");
    if (results[i].size() != expected.values.size())
      return fmt::format("output {} has {} values, expected {}", i, results[i].size(), expected.values.size());
    for (size_t k = 0; k < results[i].size(); ++k) {
      const double tolerance = 1e-5 + 1e-5 * std::abs(expected.values[k]);
      if (!(std::abs(results[i][k] - expected.values[k]) <= tolerance))
        return fmt::format("output {}: value {} is {}, expected {}", i, k, results[i][k], expected.values[k]);
    }
  }
  return "";
}

Result run(const fs::path& folder) {
  static const std::vector<std::string> known = onnx_operators();
  if (!fs::exists(folder / "model.onnx")) return {Outcome::out_of_scope, "type"};
  const onnx::ModelProto model = parse_onnx(contents(folder / "model.onnx"), folder.filename());
  const onnx::GraphProto& graph = model.graph();
  for (const onnx::NodeProto& node : graph.node()) {
    if (!node.domain().empty() || !std::binary_search(known.begin(), known.end(), node.op_type()))
      return {Outcome::out_of_scope, "operator"};
  }
  std::vector<onnx::TensorProto> values;
  std::vector<int> reals;
  for (int i = 0; i < graph.input_size(); ++i) {
    const fs::path file = folder / "test_data_set_0" / fmt::format("input_{}.pb", i);
    if (!fs::exists(file)) return {Outcome::out_of_scope, "type"};
    if (!graph.input(i).type().has_tensor_type()) return {Outcome::out_of_scope, "type"};
    values.push_back(tensor_in(file));
    if (is_real(graph.input(i))) {
      if (values.back().dims_size() > 0) reals.push_back(i);
    } else if (!holds_integers(values.back())) {
      return {Outcome::out_of_scope, "type"};
    }
  }
  if (!std::all_of(graph.output().begin(), graph.output().end(), is_real)) return {Outcome::out_of_scope, "type"};

  // The first input with a batch and the others constants; all with one; all constants.
  std::vector<std::set<int>> ways = {{}};
  if (!reals.empty()) ways.push_back({reals[0]});
  if (reals.size() > 1) ways.emplace_back(reals.begin(), reals.end());
  Result result = {Outcome::refused, ""};
  for (auto kept = ways.rbegin(); kept != ways.rend(); ++kept) {
    try {
      const std::string wrong = difference(model, values, *kept, folder / "test_data_set_0", result.network);
      if (!wrong.empty()) return {Outcome::failed, fmt::format("with {} inputs: {}", kept->size(), wrong)};
      result.outcome = Outcome::passed;
    } catch (const DataError& error) {
      if (result.detail.empty() || kept->size() == 1) result.detail = error.what();
    } catch (const std::exception& error) {
      return {Outcome::failed, fmt::format("with {} inputs: {}", kept->size(), error.what())};
    }
  }
  return result;
}

/// Compiles the graph files of all networks as one; each must make the graph that was read, and take its weights.
void expect_same_graphs(const std::vector<Passed>& networks, const fs::path& scratch) {
  std::ofstream file(scratch / "graphs.cpp");
  std::string entries;
  for (size_t i = 0; i < networks.size(); ++i) {
    nlohmann::json description = networks[i].network.structure;
    description["name"] = "class";  // any name will do, C++'s own among them
    file << fmt::format(
                "#undef KILN_GRAPH_ENTRY\n#define KILN_GRAPH_ENTRY entry_{0}\n"
                "#undef network\n#define network network_{0}\n",
                i)
         << graph_source(description, "", "an ONNX model");
    entries += fmt::format("entry_{}, ", i);
  }
  file << "extern \"C\" const std::vector<kiln::Graph (*)()> entries = {" << entries << "};\n";
  file.close();
  const std::string command = fmt::format("g++ -std=c++20 -O0 -Wall -Wextra -Werror -fPIC -shared -I" KILN_SOURCE_DIR
                                          "/compiler -I" KILN_BINARY_DIR
                                          "/generated_sources -o {0}/graphs.so {0}/graphs.cpp >{0}/errors.txt 2>&1",
                                          scratch.string());
  ASSERT_EQ(std::system(command.c_str()), 0) << contents(scratch / "errors.txt").substr(0, 4000);
  void* library = dlopen((scratch / "graphs.so").c_str(), RTLD_NOW);
  ASSERT_NE(library, nullptr) << dlerror();
  const auto& made = *static_cast<const std::vector<Graph (*)()>*>(dlsym(library, "entries"));
  ASSERT_EQ(made.size(), networks.size());
  for (size_t i = 0; i < made.size(); ++i) {
    try {
      with_weights_of(networks[i].network, file_of(made[i]()), networks[i].test);
    } catch (const std::exception& error) {
      ADD_FAILURE() << networks[i].test << ": " << error.what();
    }
  }
}

TEST(OnnxOperators, TestsOfOnnxPass) {
  if (!fs::exists(kPython))
    GTEST_SKIP() << "NOT CHECKED against ONNX's own tests: there is no " << kPython << " (./run test makes it)";
  std::string name = (fs::temp_directory_path() / "kiln-onnx-XXXXXX").string();
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  const fs::path scratch = name;
  std::map<std::string, int> refused, out_of_scope;
  std::vector<Passed> networks;
  int passed = 0, failed = 0;
  std::vector<fs::path> tests;
  for (const fs::path& folder : model_folders(scratch)) {
    for (const auto& entry : fs::directory_iterator(folder)) tests.push_back(entry.path());
  }
  std::sort(tests.begin(), tests.end());
  for (const fs::path& test : tests) {
    const Result result = run(test);
    const std::string label = test.filename();
    switch (result.outcome) {
      case Outcome::passed:
        ++passed;
        if (result.network) networks.push_back({label, *result.network});
        break;
      case Outcome::out_of_scope:
        ++out_of_scope[result.detail];
        break;
      case Outcome::failed:
        ++failed;
        ADD_FAILURE() << label << ": " << result.detail;
        break;
      case Outcome::refused: {
        const auto* reason = std::find_if(std::begin(kRefusals), std::end(kRefusals), [&](const Refusal& r) {
          return result.detail.find(r.message) != std::string::npos;
        });
        if (reason == std::end(kRefusals)) {
          ++failed;
          ADD_FAILURE() << label << " is refused: " << result.detail;
        } else {
          ++refused[reason->reason];
        }
      }
    }
  }
  expect_same_graphs(networks, scratch);
  std::cout << passed << " passed (" << networks.size() << " also as compiled graph files), " << failed
            << " failed; out of scope: " << out_of_scope["operator"] << " with operators that Kiln has not, "
            << out_of_scope["type"] << " of other types than f32";
  for (const auto& [reason, count] : refused) std::cout << ", " << count << " " << reason;
  std::cout << "\n";
  EXPECT_GE(passed, 346);
  fs::remove_all(scratch);
}

}  // namespace
}  // namespace kiln
