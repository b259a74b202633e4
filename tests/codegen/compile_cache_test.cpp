#include "codegen/compile_cache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "codegen/model.h"
#include "driver/pipeline.h"
#include "dsl/graph.h"

namespace kiln {
namespace {

namespace fs = std::filesystem;

class CompileCacheTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "kiln-cache-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  CompileCache cache(const std::string& compiler = "compiler 1") const { return {folder_.string(), compiler}; }
  std::vector<fs::path> files() const {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::directory_iterator(folder_)) paths.push_back(entry.path());
    return paths;
  }

  fs::path folder_;
};

TEST_F(CompileCacheTest, FindsWhatWasStored) {
  const std::string binary("a\0b\n\xff", 5);
  EXPECT_FALSE(cache().find("source"));
  cache().store("source", binary);
  cache().store("other", "");
  EXPECT_EQ(cache().find("source"), binary);
  EXPECT_EQ(cache().find("other"), "");
  cache().store("source", "new");
  EXPECT_EQ(cache().find("source"), "new");
  EXPECT_EQ(files().size(), 2U) << "no temporary files";
}

TEST_F(CompileCacheTest, AnotherCompilersEntriesAreNotFound) {
  cache("compiler 1").store("source", "one");
  EXPECT_FALSE(cache("compiler 2").find("source"));
  EXPECT_FALSE(cache("compiler 1source").find(""));
  cache("compiler 2").store("source", "two");
  EXPECT_EQ(cache("compiler 1").find("source"), "one");
}

TEST_F(CompileCacheTest, ADamagedEntryIsNone) {
  cache().store("source", "some compiled kernel");
  ASSERT_EQ(files().size(), 1U);
  const fs::path path = files()[0];
  std::ifstream file(path, std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(file)), {});
  for (size_t i = 0; i < good.size(); ++i) {
    std::string damaged = good;
    damaged[i] ^= 1;
    std::ofstream(path, std::ios::binary) << damaged;
    EXPECT_FALSE(cache().find("source")) << "byte " << i;
    std::ofstream(path, std::ios::binary) << good.substr(0, i);
    EXPECT_FALSE(cache().find("source")) << "cut at " << i;
  }
  std::ofstream(path, std::ios::binary) << good + "x";
  EXPECT_FALSE(cache().find("source"));
  cache().store("source", "again");
  EXPECT_EQ(cache().find("source"), "again");
}

TEST_F(CompileCacheTest, WhereNothingCanBeWrittenNothingIsKept) {
  std::ofstream(folder_ / "file") << "no folder";
  const CompileCache impossible((folder_ / "file" / "below").string(), "compiler"), none;
  for (const CompileCache& cache : {impossible, none}) {
    cache.store("source", "result");
    EXPECT_FALSE(cache.find("source"));
    cache.trim(0);
  }
  EXPECT_EQ(files().size(), 1U);
}

TEST_F(CompileCacheTest, AnEntryThatCannotBeReplacedLeavesNoTemporaryFile) {
  cache().store("source", "result");
  ASSERT_EQ(files().size(), 1U);
  const fs::path entry = files()[0];
  fs::remove(entry);
  fs::create_directories(entry / "in the way");
  cache().store("source", "result");
  EXPECT_EQ(files(), (std::vector<fs::path>{entry}));
  EXPECT_FALSE(cache().find("source"));
}

/// An environment variable's value, null for none, as long as it lives.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    set(value);
  }
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  void set(const char* value) const { value == nullptr ? ::unsetenv(name_) : ::setenv(name_, value, 1); }
  const char* name_;
  std::optional<std::string> before_;
};

TEST(CompileCacheFolder, IsTheFirstThatIsSaid) {
  struct Case {
    const char *own, *cache, *home, *folder;
  };
  for (const Case& c : {Case{"/own", "/cache", "/home/me", "/own"},
                        {"none", "/cache", "/home/me", ""},
                        {"", "/cache", "/home/me", "/cache/kiln"},
                        {nullptr, "/cache", "/home/me", "/cache/kiln"},
                        {nullptr, "", "/home/me", "/home/me/.cache/kiln"},
                        {nullptr, nullptr, nullptr, ""}}) {
    const Variable own("KILN_CACHE", c.own), cache("XDG_CACHE_HOME", c.cache), home("HOME", c.home);
    EXPECT_EQ(default_cache_folder(), c.folder);
  }
}

TEST_F(CompileCacheTest, DropsWhatWasUnusedForLongestAndNothingElse) {
  std::ofstream(folder_ / "other.cached") << "not ours";
  const std::string kilobyte(1000, 'k');
  const auto now = fs::file_time_type::clock::now();
  for (int i = 0; i < 10; ++i) cache().store(std::to_string(i), kilobyte);
  for (const fs::path& path : files()) fs::last_write_time(path, now - std::chrono::hours(2));
  EXPECT_TRUE(cache().find("3"));  // used now
  EXPECT_TRUE(cache().find("7"));
  cache().trim(3000);
  EXPECT_TRUE(cache().find("3"));
  EXPECT_TRUE(cache().find("7"));
  EXPECT_EQ(files().size(), 3U);
  cache().trim(0);
  EXPECT_EQ(files(), std::vector<fs::path>{folder_ / "other.cached"});
}

TEST_F(CompileCacheTest, ManyWritersAndReadersSeeWholeEntriesOnly) {
  const auto result = [](int i) { return std::string(20'000, static_cast<char>('a' + i)); };
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        const int i = round % 5;
        cache().store(std::to_string(i), result(i));
        const auto found = cache().find(std::to_string(i));
        if (found && *found != result(i)) ++wrong;
        if (round % 10 == 0) cache().trim(50'000);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  cache().store("0", result(0));
  EXPECT_EQ(cache().find("0"), result(0));
}

// A graph of two dense layers; `units` changes the first one's kernels and what reads their results.
Model two_layers(int64_t units) {
  Graph g{"two"};
  Tensor x = g.input("features", {16});
  x = relu(dense(x, {.units = units}));
  g.output("y", dense(x, {.units = 4}));
  return build_model(g);
}

TEST_F(CompileCacheTest, ARebuildIsTheSameObjectWithoutCompiling) {
  const CompileOptions options{.threads = 2, .cache = cache()};
  const CompiledObject cold = compile_object(two_layers(8), options), warm = compile_object(two_layers(8), options);
  EXPECT_GE(cold.kernels, 2U);
  EXPECT_EQ(cold.cached_kernels, 0U);
  EXPECT_EQ(warm.cached_kernels, cold.kernels);
  EXPECT_TRUE(cold.bytes == warm.bytes);
  const CompiledObject uncached = compile_object(two_layers(8), {.threads = 1});
  EXPECT_EQ(uncached.cached_kernels, 0U);
  EXPECT_TRUE(cold.bytes == uncached.bytes) << "the object depends on threads or the cache";
  EXPECT_EQ(compile_object(two_layers(8), {.cache = cache("compiler 2")}).cached_kernels, 0U);
}

TEST_F(CompileCacheTest, CompilesWhatChanged) {
  const CompileOptions options{.cache = cache()};
  compile_object(two_layers(8), options);
  EXPECT_EQ(compile_object(two_layers(12), options).cached_kernels, 0U);
  Model tuned = two_layers(12);
  tuned.programs[0].kernels[0].schedule = {{"tile", "3"}};
  const CompiledObject object = compile_object(tuned, options);
  EXPECT_EQ(object.cached_kernels, object.kernels - 1) << "a knob is part of the key";
  EXPECT_EQ(compile_object(tuned, options).cached_kernels, object.kernels);
  EXPECT_EQ(compile_object(two_layers(12), {.target = "x86-64-linux-sse41", .cache = cache()}).cached_kernels, 0U);
}

TEST_F(CompileCacheTest, AMutilatedEntryIsCompiledAgain) {
  const CompileOptions options{.cache = cache()};
  const CompiledObject good = compile_object(two_layers(8), options);
  for (const fs::path& path : files()) fs::resize_file(path, fs::file_size(path) / 2);
  const CompiledObject again = compile_object(two_layers(8), options);
  EXPECT_EQ(again.cached_kernels, 0U);
  EXPECT_TRUE(again.bytes == good.bytes);
  EXPECT_EQ(compile_object(two_layers(8), options).cached_kernels, good.kernels);
}

}  // namespace
}  // namespace kiln
