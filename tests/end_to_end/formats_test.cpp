// Other tools' files, written and read by the built programs as a user runs them, and checked by the tools themselves:
// real Keras, safetensors and TensorBoard, which `./run test` installs into .deps/formats.
#include "end_to_end/formats.h"

#include <cstring>
#include <random>

namespace kiln {
namespace {

TEST_F(Formats, ThereAndBackIsTheSameModel) {
  for (const char* name : {"model.h5", "model.keras"}) {
    ASSERT_EQ(run(std::string("kiln_convert ") + name + " back.kiln --like run/last.kiln").exit_code, 0);
    ASSERT_EQ(run("kiln_convert back.kiln back.keras").exit_code, 0);
    EXPECT_TRUE(contents(path("back.keras")) == contents(path("model.keras"))) << name;  // the optimizer's state, too
  }
  ASSERT_EQ(run("kiln_convert run/last.kiln weights.safetensors").exit_code, 0);
  for (const char* name : {"run/model.kiln", "model.h5", "model.keras", "weights.safetensors"}) {
    const Result result = run(std::string("digits_predict --test data/test.csv --probabilities p.csv --model ") + name);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    if (name == std::string("run/model.kiln")) fs::copy_file(path("p.csv"), path("expected.csv"));
    EXPECT_TRUE(contents(path("p.csv")) == contents(path("expected.csv"))) << name;
  }
}

TEST_F(Formats, TheFormatThatIsAskedForGoesBeforeTheEnding) {
  for (const char* output : {"odd.bin", "odd.h5", "- >odd.out"}) {
    const std::string name = output[0] == '-' ? "odd.out" : output;
    ASSERT_EQ(run("kiln_convert run/last.kiln --to keras " + std::string(output)).exit_code, 0);
    EXPECT_TRUE(contents(path(name)) == contents(path("model.keras"))) << name;
  }
  refused("kiln_convert run/last.kiln odd.bin", 2, "odd.bin: its ending is none of .kiln, .h5, .keras, .safetensors");
}

TEST_F(Formats, GoingOnFromAFileIsGoingOnFromTheState) {
  // One batch an epoch, so that both runs take the same step.
  ASSERT_EQ(run("branches_train --train data/train.csv --overfit 64 --epochs 2 --quiet --run-folder b --save b.keras")
                .exit_code,
            0);
  ASSERT_EQ(run("branches_train --train data/train.csv --overfit 64 --epochs 1 --quiet --run-folder b1 --load b.keras "
                "--save b1.keras")
                .exit_code,
            0);
  ASSERT_EQ(run("branches_train --train data/train.csv --overfit 64 --epochs 1 --quiet --run-folder b2 --load "
                "b/last.kiln --save b2.keras")
                .exit_code,
            0);
  EXPECT_TRUE(contents(path("b1.keras")) == contents(path("b2.keras")));
}

TEST_F(Formats, KerasOpensWhatKilnSaves) {
  REQUIRE_TOOLS();
  ASSERT_EQ(run("digits_predict --model run/model.kiln --test data/test.csv --probabilities p.csv").exit_code, 0);
  check(
      "predictions model.h5 data/test.csv p.csv + predictions model.keras data/test.csv p.csv + "
      "optimizer model.keras model.h5");
}

TEST_F(Formats, TheOriginalInKerasIsTheDigitNetwork) {
  REQUIRE_TOOLS();
  check("original . data/train.csv");
  for (const char* theirs : {"theirs.keras", "theirs.h5"}) {
    const Result result =
        run(std::string("digits_predict --test data/train.csv --probabilities o_") + theirs + ".csv --model " + theirs);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Result trained = run(std::string("digits_train --train data/train.csv --epochs 1 --run-folder o_") + theirs +
                               " --load " + theirs);
    EXPECT_EQ(trained.exit_code, 0) << trained.err;
    EXPECT_EQ(trained.err, "");  // no note: weights, optimizer's state, rate and its constants are taken over
  }
  check("same_as_saved . o_theirs.keras.csv + same_as_saved . o_theirs.h5.csv");
  refused("digits_predict --test data/test.csv --model tanh.keras", 3,
          "tanh.keras: layer 'conv2d': activation is tanh, the graph has relu (graphs/digits.cpp:12)");
  refused("digits_predict --test data/test.csv --model small.h5", 3,
          " is Flatten, where the graph has the activation relu (graphs/digits.cpp:30)");
}

TEST_F(Formats, EveryOptimizerGoesOnAsInKeras) {
  REQUIRE_TOOLS();
  // SGD with Nesterov's momentum on a graph with branches.
  ASSERT_EQ(run("branches_train --train data/train.csv --overfit 64 --epochs 3 --quiet --run-folder k --save k0.keras")
                .exit_code,
            0);
  ASSERT_EQ(run("branches_train --train data/train.csv --overfit 64 --epochs 4 --quiet --run-folder k4 --load k0.keras "
                "--save k4.keras")
                .exit_code,
            0);
  ASSERT_EQ(run("branches_predict --model k4.keras --test data/test.csv --probabilities k.csv").exit_code, 0);
  // Adam, on twenty layers with SELU; its dropout is random, so that only the state is compared.
  ASSERT_EQ(run("digits_deep_train --train data/train.csv --overfit 64 --epochs 3 --quiet --run-folder d --save d.h5")
                .exit_code,
            0);
  ASSERT_EQ(run("kiln_convert d/last.kiln d.keras").exit_code, 0);
  ASSERT_EQ(run("digits_deep_predict --model d.h5 --test data/test.csv --probabilities d.csv").exit_code, 0);
  check(
      "goes_on k0.keras data/train.csv 4 k4.keras + predictions k4.keras data/test.csv k.csv + "
      "predictions d.h5 data/test.csv d.csv + optimizer d.keras d.h5");
}

TEST_F(Formats, TheSafetensorsPackageReadsAndWrites) {
  REQUIRE_TOOLS();
  ASSERT_EQ(run("kiln_convert run/last.kiln st.safetensors").exit_code, 0);
  check("safetensors st.safetensors again.safetensors + safetensors st.safetensors half.safetensors");
  const auto predict = [&](const std::string& model) {
    const Result result = run("digits_predict --test data/test.csv --probabilities st.csv --model " + model);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return contents(path("st.csv"));
  };
  EXPECT_TRUE(predict("again.safetensors") == predict("run/model.kiln"));
  EXPECT_FALSE(predict("half.safetensors") == predict("run/model.kiln"));
}

TEST_F(Formats, TensorBoardReadsCurvesDistributionsAndTheGraph) {
  REQUIRE_TOOLS();
  ASSERT_EQ(run("digits_train --train data/train.csv --epochs 3 --quiet --run-folder events --tensorboard board/digits")
                .exit_code,
            0)
      << contents(path("err.txt"));
  check("tensorboard board/digits 3");
}

TEST_F(Formats, BadFilesGetOneLine) {
  const std::string h5 = contents(path("model.h5")), keras = contents(path("model.keras"));
  const auto predict = [&](const std::string& name, const std::string& bytes, const std::string& message) {
    write(path(name), bytes);
    refused("digits_predict --test data/test.csv --model " + name, 3, name + ": " + message);
  };
  predict("empty.h5", "", "is no HDF5 file");
  predict("text.h5", "label,pixel0\n", "is no HDF5 file");
  predict("cut.h5", h5.substr(0, h5.size() / 2), "is a damaged HDF5 file, or was cut off");
  predict("empty.keras", "", "is no zip archive");
  predict("cut.keras", keras.substr(0, keras.size() - 100), "is no zip archive");
  std::string damaged = keras;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  predict("damaged.keras", damaged, "its model.weights.h5 is damaged");
  refused("digits_predict --test data/test.csv --model none.h5", 3, "none.h5: cannot be read: No such file");
  refused("digits_deep_predict --test data/test.csv --model model.keras", 3,
          "model.keras: layer 'relu_3': activation is relu, the graph has selu (graphs/digits_deep.cpp:32)");
  refused("kiln_convert model.h5 out.kiln", 2, "--like FILE.kiln is missing");
  refused("kiln_convert model.h5 out.kiln --like out.kiln", 3, "out.kiln: cannot be read");
  refused("kiln_convert model.h5 run/last.kiln --like run/last.kiln", 2,
          "OUTPUT run/last.kiln: this file is read by --like; give another one");
  refused("kiln_convert run/last.kiln ./run/last.kiln --to safetensors", 2,
          "OUTPUT ./run/last.kiln: this file is read by INPUT; give another one");
  refused("kiln_convert run/last.kiln out.keras --like run/last.kiln", 2,
          "--like is for other tools' files on their way to another format: leave it out");
  refused("kiln_convert run/last.kiln model.pb", 2, "its ending is none of .kiln, .h5, .keras, .safetensors, .onnx");
  refused("digits_train --resume run/last.kiln --load model.h5", 2, "give one of them");
}

TEST_F(Formats, HostileHdf5IsRefused) {
  REQUIRE_TOOLS();
  check("hostile model.h5 .");
  const auto refuse = [&](const std::string& name, const std::string& message) {
    refused("digits_predict --test data/test.csv --model " + name + ".h5", 3, name + ".h5: " + message);
  };
  refuse("soft", "'bias' is a link to elsewhere, which is not followed");
  refuse("external_link", "'bias' is a link to elsewhere, which is not followed");
  refuse("external_data", "the data of 'bias' lie in another file, which is not read");
  refuse("virtual", "the data of 'bias' lie in another file, which is not read");
  refuse("compressed", "'bias' is compressed, which Keras's files are not");
  refuse("huge", "'bias' claims more data than the file holds");
  refuse("strings", "'bias' does not hold numbers");
  refuse("long", "bias of layer 'conv2d' has the shape 33, expected 32");
  refuse("nan", "bias of layer 'conv2d' has a value that is infinite or not a number");
  refuse("deep", "groups lie deeper than in any model");
  refuse("circle", "groups lie deeper than in any model");
  // What Keras would train with must not be left out without a word.
  refuse("constraint", "layer 'conv2d' has kernel_constraint MaxNorm, the graph has none (graphs/digits.cpp:");
  refuse("regularizer", "layer 'conv2d': L2 of the kernel is Orthogonal, the graph has 0");
  refuse("activity", "layer 'conv2d' has activity_regularizer L2, the graph has none (graphs/digits.cpp:");
  refuse("json", "its model_config is no JSON object");
  refuse("unknown", "its model is a Subclassed; Kiln reads Sequential and Functional ones");
}

/// Damage anywhere is read or refused in one line; whatever it does to HDF5's library, nothing else comes to harm.
TEST_F(Formats, MutatedFilesAreReadOrRefused) {
  ASSERT_EQ(run("branches_train --train data/train.csv --overfit 64 --epochs 1 --quiet --run-folder m").exit_code, 0);
  std::mt19937 random(1);
  const auto below = [&](size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random); };
  for (const std::string ending : {"h5", "keras", "safetensors"}) {
    ASSERT_EQ(run("kiln_convert m/last.kiln whole." + ending).exit_code, 0);
    const std::string whole = contents(path("whole." + ending));
    int read = 0, refused = 0, broke = 0;
    for (int i = 0; i < 100; ++i) {
      std::string bytes = whole;
      for (size_t n = below(4) + 1; n > 0; --n) {
        // Most of a file is weights, where nothing happens: half of the damage goes where the structure is.
        const size_t at = i % 2 == 0 ? below(bytes.size()) : below(std::min<size_t>(bytes.size(), 6000));
        bytes[at] = static_cast<char>(i % 3 == 0 ? below(256) : i % 3 == 1 ? 255 : bytes[at] ^ (1 << below(8)));
      }
      if (i % 10 == 9) bytes.resize(below(bytes.size()));
      write(path("mutated." + ending), bytes);
      const Result result = run("kiln_convert mutated." + ending + " out.kiln --like m/last.kiln");
      EXPECT_TRUE(result.exit_code == 0 || result.exit_code == 3) << result.exit_code << " " << result.err;
      EXPECT_LE(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
      (result.exit_code == 0 ? read : refused)++;
      if (result.err.find("its reader") != std::string::npos) ++broke;
    }
    std::cout << ending << ": " << read << " read, " << refused << " refused, of them " << broke
              << " that broke the reader down\n";
    EXPECT_GT(refused, 10) << ending;
  }
}

/// What a safetensors file may do wrong, each refused before anything is believed.
TEST_F(Formats, BadSafetensorsAreRefused) {
  const auto file = [](std::string header, const std::string& data, uint64_t length) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &length, 8);
    return bytes + header + data;
  };
  const auto refuse = [&](const std::string& header, const std::string& data, const std::string& message,
                          int64_t length = -1) {
    write(path("bad.safetensors"), file(header, data, length < 0 ? header.size() : static_cast<uint64_t>(length)));
    refused("digits_predict --test data/test.csv --model bad.safetensors", 3, "bad.safetensors: " + message);
  };
  const std::string one = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  refuse(one, "abcd", "lacks the tensor 'conv2d/kernel' of the graph");
  refuse("", "", "its header does not begin with {");
  refuse(one, "abcd", "its header of 9223372036854775807 bytes does not fit", INT64_MAX);
  refuse("[]", "", "its header does not begin with {");
  refuse("{", "", "its header is no JSON object");
  refuse(R"({"__metadata__":{"a":1}})", "", "its __metadata__ does not map strings to strings");
  refuse(R"({"a":{"dtype":"F32","shape":[1]}})", "abcd", "tensor 'a' is not described by");
  refuse(R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", "abcd", "tensor 'a' has the unknown type F31");
  refuse(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "abcd", "tensor 'a' is not described by");
  refuse(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", "", "tensor 'a' of");
  refuse(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "abcd", "tensor 'a' takes the bytes 0 to 4 of 4");
  refuse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "abcd", "tensor 'a' takes the bytes");
  refuse(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      "abcd", "its header names a tensor twice");
  refuse(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "abcdefgh",
         "its tensors leave a hole or overlap");
  refuse(
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
      "abcd", "its tensors leave a hole or overlap");
  refuse(one, "abcdefgh", "has 4 bytes behind its tensors");
}

}  // namespace
}  // namespace kiln
