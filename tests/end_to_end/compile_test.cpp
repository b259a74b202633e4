// What the compiler of a graph prints and refuses, run as a user runs it.
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "end_to_end/tools.h"
#include "processor.h"

namespace kiln {
namespace {

class Compile : public Tools {
 protected:
  /// Exit code and the only line of an error, and nothing else.
  void refused(const std::string& arguments, int code, const std::string& message) const {
    const Result result = run("mlp_compile " + arguments);
    EXPECT_EQ(result.exit_code, code) << arguments;
    EXPECT_EQ(result.err, message + "\n") << arguments;
    EXPECT_EQ(result.out, "") << arguments;
  }
  std::string output(const std::string& arguments) const {
    const Result result = run("mlp_compile " + arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }
  /// The names of the kernels that lines of "program kernel: ..." or "program/kernel  @..." begin with.
  static std::set<std::string> names(const std::string& text, const std::string& regex) {
    std::set<std::string> found;
    const std::regex line(regex);
    for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at)
      found.insert((*at)[1].str() + "/" + (*at)[2].str());
    return found;
  }
};

TEST_F(Compile, DumpsEachStage) {
  EXPECT_EQ(output("--dump operators"), contents(KILN_SOURCE_DIR "/docs/operators.md"));
  const std::string graph = output("--dump graph");
  EXPECT_EQ(graph.substr(0, 10), "graph mlp\n");
  EXPECT_EQ(graph.find("gradient"), std::string::npos);
  EXPECT_EQ(output("--dump gradient-dot").substr(0, 22), "digraph \"mlp gradient\"");
  const std::string llvm = output("--dump llvm");
  EXPECT_NE(llvm.find("@mlp_model = "), std::string::npos);
  EXPECT_NE(llvm.find("define internal "), std::string::npos);
  const std::string assembly = output("--dump asm --target avx2");
  EXPECT_NE(assembly.find("vfmadd"), std::string::npos);
  EXPECT_EQ(assembly.find("zmm"), std::string::npos);
  // Recipes and schedules are of the same kernels, which `--kernel` picks one of.
  const std::string recipes = output("--dump recipes");
  EXPECT_EQ(names(recipes, "(?:^|\n)([a-z_]+) ([^ :]+): recipe="),
            names(output("--list-schedules"), "(?:^|\n)([a-z_]+)/([^ ]+)  @"));
  EXPECT_EQ(names(output("--dump stmt --kernel dense.forward"), "(?:^|\n)([a-z_]+) ([^ :]+): \n"),
            (std::set<std::string>{"train/dense.forward", "evaluate/dense.forward", "predict/dense.forward",
                                   "predict_one/dense.forward"}));
}

TEST_F(Compile, WhatIsAboutOneTargetOrAKernelSaysSo) {
  refused("--dump recipes --kernel dense.forwrd", 2, "there is no kernel 'dense.forwrd'; see --dump recipes");
  for (const char* command : {"--dump recipes", "--dump stmt", "--list-schedules", "--explain dense.forward"}) {
    const Result result = run(std::string("mlp_compile --target avx2,sse41 ") + command);
    EXPECT_EQ(result.exit_code, 2) << command;
    EXPECT_PRED2([](const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; },
                 result.err, " is about one target; --target names 2\n");
  }
  EXPECT_EQ(run("mlp_compile --target avx2,sse41 --dump program").exit_code, 0);
  refused("--target avx2,sse41 --autotune 1", 2, "--autotune is about one target; --target names 2");
}

TEST_F(Compile, MistakesInTheCommandAreOneLine) {
  refused("--autotune 1 --schedule-file none", 2, "--autotune has nowhere to write: --schedule-file is none");
  refused("--schedule-file missing.schedule", 2, "missing.schedule: cannot be read");
  refused("--precision f16", 2, "mlp_compile: error: --precision: f16 not in {f32,mixed}; see --help");
  refused("--no-such-flag", 2, "mlp_compile: error: unknown argument --no-such-flag; see --help");
  refused("--autotune nan", 2,
          "mlp_compile: error: --autotune: 'nan' is not a number from 0.001 to 1000000000; see --help");
  refused("--kernel dense.forward", 2, "mlp_compile: error: --kernel requires --dump; see --help");
  refused("--dump graph --kernel dense.forward", 2,
          "mlp_compile: error: --kernel is about --dump recipes and --dump stmt; see --help");
  refused("--dump graph --list-schedules", 2, "mlp_compile: error: --dump excludes --list-schedules; see --help");
  refused("--explain dense.forward --autotune 1", 2, "mlp_compile: error: --explain excludes --autotune; see --help");
  refused("--json --dump graph", 2, "mlp_compile: error: --dump excludes --json; see --help");
  fs::create_directories(path("folder.schedule"));
  refused("--autotune 600 --schedule-file folder.schedule", 1, "mlp_compile: error: cannot write folder.schedule");
  refused("--autotune 600 --schedule-file nowhere/own.schedule", 1,
          "mlp_compile: error: cannot write nowhere/own.schedule");
}

TEST_F(Compile, APlaceThatCannotBeWrittenIsOneLineAndLeavesNothing) {
  std::ofstream(path("file")) << "text";
  const Result into_file = run("mlp_compile --out file");
  EXPECT_EQ(into_file.exit_code, 1);
  EXPECT_EQ(std::count(into_file.err.begin(), into_file.err.end(), '\n'), 1) << into_file.err;
  EXPECT_EQ(contents(path("file")), "text");
  fs::create_directories(path("out/mlp.h"));  // a folder of that name
  refused("--out out", 1, "mlp_compile: error: cannot write out/mlp.h: Is a directory");
  EXPECT_EQ(std::distance(fs::directory_iterator(path("out")), fs::directory_iterator()), 1);
  refused("--out /proc/self", 1, "mlp_compile: error: cannot write /proc/self/mlp.h");
}

TEST_F(Compile, SaysWhichTargetsItCouldNotCheck) {
  const auto json = nlohmann::json::parse(output("--target arm64 --json --out arm"));
  const std::string target = json.at("unchecked_targets").at(0);
  EXPECT_EQ(target.substr(0, 12), "arm-64-linux");
  EXPECT_EQ(json.at("checked_kernels"), 0);
  EXPECT_EQ(json.at("precision"), "f32");
  EXPECT_EQ(json.at("object_bytes"), fs::file_size(path("arm/mlp.o")));
  const std::string text = output("--target arm64 --out arm");
  EXPECT_TRUE(std::regex_match(text, std::regex("mlp: 4 programs, ([0-9]+) kernels \\(\\1 from the cache\\), .*\n"
                                                "mlp: not checked, since this processor cannot run it: " +
                                                target + "\n")))
      << text;
  EXPECT_EQ(output("--target sse41 --out sse --quiet"), "");
  EXPECT_TRUE(fs::exists(path("sse/mlp.o")));
}

TEST_F(Compile, WithoutAFolderItWritesToGenerated) {
  EXPECT_EQ(output("--target sse41 --quiet"), "");
  for (const char* name : {"mlp.o", "mlp.h", "mlp.dot", "mlp.svg", "mlp_gradient.dot", "mlp_gradient.svg"})
    EXPECT_GT(fs::file_size(path(std::string("generated/mlp/") + name)), 0U) << name;
}

TEST_F(Compile, MixedPrecisionIsCheckedWhereTheProcessorHasIt) {
  const Result refused = run("mlp_compile --precision mixed --target avx2");
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_EQ(refused.err.substr(0, 67), "mixed precision needs a processor with dot products of bf16 (avx512");
  if (!processor_has("avx512_zen4")) GTEST_SKIP() << "NOT TESTED: this processor has no bf16";
  const auto json = nlohmann::json::parse(output("--precision mixed --json --out mixed"));
  EXPECT_EQ(json.at("precision"), "mixed");
  EXPECT_GT(json.at("checked_kernels"), 0);
  EXPECT_EQ(json.at("unchecked_targets"), nlohmann::json::array());
  EXPECT_EQ(json.at("fingerprint"), nlohmann::json::parse(output("--json --target sse41 --out f32")).at("fingerprint"));
}

// Where `--autotune` finds nothing that is faster, the file is not there; what it says fits in both cases.
TEST_F(Compile, AutotuneWritesWhatLaterBuildsUse) {
  const auto result = nlohmann::json::parse(output("--autotune 2 --schedule-file tuned.schedule --json"));
  EXPECT_EQ(fs::exists(path("tuned.schedule")), !result.at("kernels").empty());
  // The tuner's own file goes on where it was; a line of one's own stays.
  std::ofstream(path("own.schedule")) << "# mine\ntrain/dense.forward: tile=1\n";
  const std::string text = output("--autotune 2 --schedule-file own.schedule");
  EXPECT_TRUE(std::regex_search(text, std::regex("^[0-9]+ s: [0-9]+ schedules tried, [0-9]+ of [0-9]+ kernels done, ")))
      << text;
  const bool written =
      text.find(" schedules written to own.schedule; the next build uses them.\n") != std::string::npos;
  EXPECT_NE(written, text.find("; nothing was written.\n") != std::string::npos) << text;
  EXPECT_EQ(contents(path("own.schedule")).substr(0, 35), "# mine\ntrain/dense.forward: tile=1\n");
  EXPECT_EQ(contents(path("own.schedule")).find('@') != std::string::npos, written);
  EXPECT_EQ(output("--schedule-file own.schedule --quiet --out built"), "");
}

}  // namespace
}  // namespace kiln
