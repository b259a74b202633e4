// The progress line, to the letter. Keras's own bytes are the source of the form.
#include "progress.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace kiln {
namespace {

const MetricValues kValues = {{"accuracy", 0.079}, {"loss", 0.5957}};
const MetricValues kWithValidation = {
    {"accuracy", 0.079}, {"loss", 0.5957}, {"val_accuracy", 0.11}, {"val_loss", 0.7034}};

TEST(Progress, WritesOnePlainLineAnEpochWhereTheOutputIsNoTerminal) {
  std::ostringstream out;
  Progress progress(out, {});
  progress.begin_epoch(1, 2, 16);
  EXPECT_FALSE(progress.due(100));
  progress.update(3, 100, kValues);
  progress.end_epoch(2.3, 0.146, kWithValidation);
  EXPECT_EQ(out.str(),
            "Epoch 1/2 - 16/16 - 2s - 146ms/step - accuracy: 0.0790 - loss: 0.5957 - val_accuracy: 0.1100 - "
            "val_loss: 0.7034\n");
}

TEST(Progress, RewritesTheLineOnATerminal) {
  std::ostringstream out;
  Progress progress(out, {.terminal = true, .color = false, .columns = 100});
  progress.begin_epoch(1, 2, 16);
  progress.update(3, 0.186, kValues);
  progress.update(4, 0.19, kValues);  // too soon after the one before
  progress.end_epoch(2.1, 0.065, kWithValidation);
  EXPECT_EQ(out.str(),
            "Epoch 1/2\n"
            "\r 3/16 ━━━━━━━━━━━━━━━━━━━━ 0s 62ms/step - accuracy: 0.0790 - loss: 0.5957\x1b[K"
            "\r16/16 ━━━━━━━━━━━━━━━━━━━━ 2s 65ms/step - accuracy: 0.0790 - loss: 0.5957 - val_accuracy: 0.1100 - "
            "val_loss: 0.7034\x1b[K\n");
}

TEST(Progress, ColorsTheBarAsKerasDoes) {
  std::ostringstream out;
  Progress progress(out, {.terminal = true, .color = true, .columns = 100});
  progress.begin_epoch(1, 2, 16);
  progress.update(7, 0.357, {{"accuracy", 0.0737}, {"loss", 0.8716}});
  EXPECT_EQ(out.str(),
            "Epoch 1/2\n"
            "\r\x1b[1m 7/16\x1b[0m \x1b[32m━━━━━━━━\x1b[0m\x1b[37m━━━━━━━━━━━━\x1b[0m \x1b[1m0s\x1b[0m 51ms/step - "
            "accuracy: 0.0737 - loss: 0.8716\x1b[K");
  out.str("");
  progress.end_epoch(2.1, 0.065, {{"loss", 0.5}});  // no colour for the part of the bar that is not there
  EXPECT_EQ(out.str(),
            "\r\x1b[1m16/16\x1b[0m \x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[1m2s\x1b[0m 65ms/step - loss: 0.5000"
            "\x1b[K\n");
}

TEST(Progress, CutsTheRunningLineBeforeItWraps) {
  std::ostringstream out;
  Progress progress(out, {.terminal = true, .color = false, .columns = 32});
  progress.begin_epoch(1, 1, 16);
  progress.update(8, 1.0, kValues);
  EXPECT_EQ(out.str(), "Epoch 1/1\n\r 8/16 ━━━━━━━━━━━━━━━━━━━━ 1s 1\x1b[K");
}

TEST(Progress, CountsTheTimeOfTheStepsOfThisRunOnly) {
  std::ostringstream out;
  Progress progress(out, {.terminal = true, .color = false, .columns = 100});
  progress.begin_epoch(2, 2, 400, 300);
  progress.update(320, 40, {});
  EXPECT_EQ(out.str(), "Epoch 2/2\n\r320/400 ━━━━━━━━━━━━━━━━━━━━ 2:40 2s/step\x1b[K");
}

TEST(Progress, HoursAreShownAsHours) {
  std::ostringstream out;
  Progress progress(out, {.terminal = true, .color = false, .columns = 100});
  progress.begin_epoch(1, 1, 4000);
  progress.update(1, 2, {});
  EXPECT_EQ(out.str(), "Epoch 1/1\n\r   1/4000 ━━━━━━━━━━━━━━━━━━━━ 2:13:18 2s/step\x1b[K");
}

TEST(Progress, AnInterruptedLineIsEndedOnce) {
  std::ostringstream out;
  Progress progress(out, {.terminal = true, .color = false, .columns = 100});
  progress.begin_epoch(1, 1, 16);
  progress.interrupt();
  EXPECT_EQ(out.str(), "Epoch 1/1\n");
  progress.update(8, 8, {});
  const std::string before = out.str();
  progress.interrupt();
  progress.interrupt();
  EXPECT_EQ(out.str(), before + "\n");
}

TEST(Progress, AnErrorInTheMiddleOfALineLeavesItEnded) {
  std::ostringstream out;
  {
    Progress progress(out, {.terminal = true, .color = false, .columns = 100});
    progress.begin_epoch(1, 1, 16);
    progress.update(8, 8, {});
  }
  EXPECT_TRUE(out.str().ends_with("\n")) << out.str();
}

/// Standard output as another file, as long as it lives.
class StandardOutput {
 public:
  explicit StandardOutput(int file) : own_(::dup(STDOUT_FILENO)) { ::dup2(file, STDOUT_FILENO); }
  ~StandardOutput() {
    ::dup2(own_, STDOUT_FILENO);
    ::close(own_);
  }
  StandardOutput(const StandardOutput&) = delete;
  StandardOutput& operator=(const StandardOutput&) = delete;

 private:
  int own_;
};

TEST(Progress, KnowsTheTerminalItWritesTo) {
  int terminal = -1, slave = -1;
  const winsize size = {.ws_row = 30, .ws_col = 93, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(::openpty(&terminal, &slave, nullptr, nullptr, &size), 0);
  int pipe_ends[2];
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const auto style_of = [](int file, const char* term, const char* no_color) {
    term == nullptr ? ::unsetenv("TERM") : ::setenv("TERM", term, 1);
    no_color == nullptr ? ::unsetenv("NO_COLOR") : ::setenv("NO_COLOR", no_color, 1);
    const StandardOutput output(file);
    return standard_output_style();
  };
  for (const char* term : {"xterm", static_cast<const char*>(nullptr)}) {
    const ProgressStyle style = style_of(slave, term, nullptr);
    EXPECT_TRUE(style.terminal);
    EXPECT_TRUE(style.color);
    EXPECT_EQ(style.columns, 93);
  }
  EXPECT_TRUE(style_of(slave, "xterm", "").color);  // no-color.org: only what is not empty counts
  EXPECT_FALSE(style_of(slave, "xterm", "1").color);
  EXPECT_TRUE(style_of(slave, "xterm", "1").terminal);
  EXPECT_FALSE(style_of(slave, "dumb", nullptr).terminal);
  EXPECT_FALSE(style_of(slave, "dumb", nullptr).color);
  EXPECT_FALSE(style_of(pipe_ends[1], "xterm", nullptr).terminal);
  const winsize unknown = {};
  ASSERT_EQ(::ioctl(slave, TIOCSWINSZ, &unknown), 0);
  EXPECT_EQ(style_of(slave, "xterm", nullptr).columns, ProgressStyle().columns);
  for (const int file : {terminal, slave, pipe_ends[0], pipe_ends[1]}) ::close(file);
}

TEST(Progress, FormatsAsKeras) {
  EXPECT_EQ(format_step_time(1.4), "1s/step");
  EXPECT_EQ(format_step_time(0.0221), "22ms/step");
  EXPECT_EQ(format_step_time(0.000221), "221us/step");
  EXPECT_EQ(format_step_time(0), "0s/step");
  EXPECT_EQ(format_metrics({{"loss", 0.00056}, {"accuracy", 1}}), " - loss: 5.6000e-04 - accuracy: 1.0000");
}

}  // namespace
}  // namespace kiln
