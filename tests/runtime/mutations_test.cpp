// Readers of files from outside, given damaged forms of good files: the short form of `./run fuzz`, in any build.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>

#include "fuzz/targets.h"
#include "random.h"
#include "support/case_options.h"

namespace kiln::testing {
namespace {

/// Random numbers of one case.
class Dice {
 public:
  Dice(uint64_t seed, uint64_t number) : seed_(seed), number_(number) {}
  uint32_t below(size_t limit) { return philox(seed_, number_, count_++)[0] % static_cast<uint32_t>(limit); }

 private:
  uint64_t seed_, number_, count_ = 0;
};

/// A seed with a few changes: bits, bytes, cuts, doubled and moved parts, numbers out of range.
std::string mutated(std::string bytes, const std::vector<std::string>& seeds, Dice& dice) {
  static const char* const kWords[] = {"-1", "256", "999999999999999999999", "\r\n", ",", "\"", "nan", "1e999", "{",
                                       "=",  "--"};
  for (uint32_t changes = 1 + dice.below(6); changes > 0; --changes) {
    const size_t at = bytes.empty() ? 0 : dice.below(bytes.size());
    switch (dice.below(8)) {
      case 0:
        if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ 1 << dice.below(8));
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = static_cast<char>(dice.below(256));
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.erase(at, 1 + dice.below(16));
        break;
      case 4:
        bytes.insert(at, bytes.substr(at, 1 + dice.below(64)));
        break;
      case 5:
        bytes.insert(at, kWords[dice.below(std::size(kWords))]);
        break;
      case 6:  // a number's bytes, of a length or a count
        for (size_t i = at; i < std::min(bytes.size(), at + 4); ++i)
          bytes[i] = static_cast<char>(dice.below(2) == 0 ? 255 : 0);
        break;
      default: {
        const std::string& other = seeds[dice.below(seeds.size())];
        bytes = bytes.substr(0, at) + other.substr(other.empty() ? 0 : dice.below(other.size()));
      }
    }
  }
  return bytes;
}

class Mutations : public ::testing::TestWithParam<FuzzTarget> {};

TEST_P(Mutations, AreReadOrRefused) {
  const FuzzTarget& target = GetParam();
  const std::vector<std::string> seeds = target.seeds();
  for (const std::string& seed : seeds) ASSERT_NO_THROW(target.run(seed));
  const CaseOptions& options = case_options();
  const int64_t cases = 20 * options.cases;
  for (int64_t i = options.only.value_or(0); i < (options.only ? *options.only + 1 : cases); ++i) {
    Dice dice(options.seed, static_cast<uint64_t>(i));
    const std::string bytes = mutated(seeds[dice.below(seeds.size())], seeds, dice);
    const std::unique_ptr<char[]> exact(new char[bytes.size()]);  // no terminating zero: an overrun is seen
    std::copy(bytes.begin(), bytes.end(), exact.get());
    ASSERT_NO_THROW(target.run({exact.get(), bytes.size()})) << fmt::format(
        "kiln_runtime_tests --gtest_filter=*Mutations*{} --seed {} --case {}", target.name, options.seed, i);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Mutations, ::testing::ValuesIn(fuzz_targets()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace kiln::testing
