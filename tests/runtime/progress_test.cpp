// The progress line, to the letter. Keras's own bytes are the source of the form.
#include "progress.h"

#include <gtest/gtest.h>

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

TEST(Progress, FormatsAsKeras) {
  EXPECT_EQ(format_step_time(1.4), "1s/step");
  EXPECT_EQ(format_step_time(0.0221), "22ms/step");
  EXPECT_EQ(format_step_time(0.000221), "221us/step");
  EXPECT_EQ(format_metrics({{"loss", 0.00056}, {"accuracy", 1}}), " - loss: 5.6000e-04 - accuracy: 1.0000");
}

}  // namespace
}  // namespace kiln
