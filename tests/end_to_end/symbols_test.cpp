// The names that perf and gdb show of the trainer's kernels.
#include <gtest/gtest.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Object/ObjectFile.h>

#include <algorithm>
#include <set>

#include "program.h"

extern "C" const kiln_model digits_model;

namespace kiln {
namespace {

TEST(Symbols, TheTrainerHasAFunctionNamedAfterEachKernelAndItsParallelPart) {
  auto binary = llvm::object::ObjectFile::createObjectFile(std::string(KILN_BINARY_DIR) + "/digits_train");
  ASSERT_TRUE(static_cast<bool>(binary)) << llvm::toString(binary.takeError());
  std::set<std::string> functions;
  for (const llvm::object::SymbolRef& symbol : binary->getBinary()->symbols()) {
    if (llvm::cantFail(symbol.getType()) == llvm::object::SymbolRef::ST_Function)
      functions.insert(llvm::cantFail(symbol.getName()).str());
  }
  for (const kiln_program* program : {digits_model.train, digits_model.evaluate, digits_model.predict}) {
    for (int k = 0; k < program->kernel_count; ++k) {
      std::string name = std::string("digits_") + program->name + "_" + program->kernels[k].name;
      std::replace_if(
          name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
      EXPECT_TRUE(functions.count(name) == 1 || functions.count(name + "_run") == 1) << name;
    }
  }
  // Halide's parallel loops are functions of their own, which must say whose they are.
  int parallel = 0;
  for (const std::string& name : functions) {
    if (name.find("par_for") == std::string::npos) continue;
    EXPECT_EQ(name.rfind("digits_", 0), 0U) << name;
    parallel += name.rfind("digits_train_conv2d_1_weight_gradient", 0) == 0;
  }
  EXPECT_GT(parallel, 0);
}

}  // namespace
}  // namespace kiln
