// What --list-schedules and --autotune print, to the letter.
#include "driver/schedules.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "codegen/kernel_bitcode.h"
#include "codegen/schedule_requests.h"
#include "codegen/target.h"
#include "driver/pipeline.h"
#include "dsl/graph.h"

namespace kiln {
namespace {

TunedKernel tuned(const std::string& name, double standard, double best, int tried, bool done) {
  TunedKernel kernel;
  kernel.program = "train";
  kernel.name = name;
  kernel.key = "0123456789ab";
  kernel.knobs = {{"recipe", {"rows"}, "rows", "rows"}, {"tile", {"1", "2"}, "1", "2"}};
  kernel.standard = standard;
  kernel.best = best;
  kernel.tried = tried;
  kernel.done = done;
  return kernel;
}

TEST(LegalValues, ARunOfNumbersIsShownAsOne) {
  EXPECT_EQ(legal_values({"tile", {"3", "4", "5", "6", "7"}, "3", "3"}), "3..7");
  EXPECT_EQ(legal_values({"tile", {"1", "2", "3", "4"}, "1", "1"}), "1, 2, 3, 4");  // as short
  EXPECT_EQ(legal_values({"tile", {"1", "2", "3", "4", "6"}, "1", "1"}), "1, 2, 3, 4, 6");
  EXPECT_EQ(legal_values({"recipe", {"rows", "lanes"}, "rows", "rows"}), "rows, lanes");
}

TEST(ScheduleTable, HasEveryKernelItsKnobsAndWhoChose) {
  Graph g{"net"};
  g.output("y", dense(g.input("x", {8}), {.units = 6}));
  const std::string target = kernel_target("x86-64-linux-sse41");
  const Model model =
      with_schedules(build_model(g), {parse_schedule_request("predict/dense.forward:tile=2", "")}, target);
  std::istringstream lines(schedule_table(model, target));
  std::string kernel, tile;
  size_t kernels = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(' ')) kernel = line, ++kernels;
    if (kernel.starts_with("predict/dense.forward  @") && line.starts_with("  tile ")) tile = line;
  }
  size_t expected = 0;
  for (const Program& program : model.programs) expected += program.kernels.size();
  EXPECT_EQ(kernels, expected);
  EXPECT_EQ(tile, "  tile                 2            of 1..6, by the rules 6");
}

TEST(TunedFile, ANewOneSaysWhatItIs) {
  const std::string text = with_tuned("", {tuned("dense.forward", 20e-6, 10e-6, 3, true)});
  EXPECT_EQ(
      text,
      "# Schedules of kernels; `--list-schedules` shows names, knobs and legal values. Lines that begin with @ are\n"
      "# what --autotune found for a kernel's shape and processor.\n"
      "@0123456789ab: recipe=rows tile=2  # train/dense.forward, 10 us; by the rules 20 us\n");
}

TEST(TuneTable, IsALineARoundWhereTheOutputIsNoTerminal) {
  std::ostringstream out;
  TuneTable table(out, {});
  table.show({tuned("a", 2e-3, 1e-3, 3, true), tuned("b", 1e-3, 1e-3, 4, false)}, 4.4);
  table.show({tuned("a", 2e-3, 0.5e-3, 5, true), tuned("b", 1e-3, 1e-3, 4, true)}, 61);
  EXPECT_EQ(out.str(),
            "4 s: 7 schedules tried, 1 of 2 kernels done, 3.00 -> 2.00 ms\n"
            "61 s: 9 schedules tried, 2 of 2 kernels done, 3.00 -> 1.50 ms\n");
}

TEST(TuneTable, IsRewrittenInPlaceOnATerminalTheSlowestKernelFirst) {
  std::ostringstream out;
  TuneTable table(out, {.terminal = true, .color = false, .columns = 70});
  table.show({tuned("a", 10e-6, 9e-6, 3, false), tuned("b", 30e-6, 20e-6, 4, false)}, 4);
  const std::string first =
      "train/b                                   30 ->      20 us    4 tried\n"
      "train/a                                   10 ->       9 us    3 tried\n";
  const auto cut = [](const std::string& text) {  // what the table shows without the knobs, which end in the margin
    std::istringstream lines(text);
    std::string result;
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LT(line.size(), 70U) << line;
      result += line.substr(0, line.find(" tried") + 6) + "\n";
    }
    return result;
  };
  const std::string text = out.str();
  EXPECT_EQ(cut(text.substr(0, text.find("4 s: "))), first);
  EXPECT_EQ(text.substr(text.find("4 s: ")), "4 s: 7 schedules tried, 0 of 2 kernels done, 0.04 -> 0.03 ms\n");
  out.str("");
  table.show({tuned("b", 30e-6, 20e-6, 4, true)}, 5);
  EXPECT_TRUE(out.str().starts_with("\x1b[3A\x1b[Jtrain/b ")) << out.str();  // over two kernels and their total
  out.str("");
  table.show({}, 6);
  EXPECT_TRUE(out.str().starts_with("\x1b[2A\x1b[J6 s: ")) << out.str();
}

TEST(TuneTable, ShowsTwentyKernelsAtMost) {
  std::ostringstream out;
  TuneTable table(out, {.terminal = true, .color = false, .columns = 100});
  const std::vector<TunedKernel> kernels(30, tuned("a", 10e-6, 9e-6, 1, false));
  table.show(kernels, 1);
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 21);
  EXPECT_NE(text.find("\n1 s: 30 schedules tried, 0 of 30 kernels done, "), std::string::npos) << text;
}

TEST(TuneSummary, SaysWhatWasWrittenOrWhyNothingWas) {
  TuneResult result;
  EXPECT_EQ(tune_summary(result, "g.schedule"), "No schedule was faster than the rules'; nothing was written.\n");
  result.standard_median = 2e-3;
  result.tuned_median = 2.5e-3;
  EXPECT_EQ(tune_summary(result, "g.schedule"),
            "Single kernels were faster, whole steps were not (2.00 ms by the rules, 2.50 ms tuned); nothing was "
            "written.\n");
  result = {.kernels = {tuned("a", 20e-6, 10e-6, 3, true)},
            .standard_median = 2e-3,
            .tuned_median = 1e-3,
            .standard_minimum = 1.5e-3,
            .tuned_minimum = 0.5e-3};
  EXPECT_EQ(tune_summary(result, "g.schedule"),
            "Steps of all programs, run in turns: median 2.00 -> 1.00 ms, minimum 1.50 -> 0.50 ms.\n"
            "1 schedules written to g.schedule; the next build uses them.\n");
  EXPECT_EQ(nlohmann::json::parse(to_json(result)), nlohmann::json::parse(R"({
      "kernels": [{"kernel": "train/a", "key": "0123456789ab", "schedule": "recipe=rows tile=2",
                   "standard_seconds": 20e-6, "best_seconds": 10e-6, "tried": 3}],
      "standard_median_seconds": 2e-3, "tuned_median_seconds": 1e-3,
      "standard_minimum_seconds": 1.5e-3, "tuned_minimum_seconds": 0.5e-3})"));
}

}  // namespace
}  // namespace kiln
