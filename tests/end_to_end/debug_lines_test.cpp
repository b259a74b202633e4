// From an instruction of the object file back to the line of the graph file.
#include <gtest/gtest.h>
#include <llvm/DebugInfo/DWARF/DWARFContext.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Object/ObjectFile.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace kiln {
namespace {

/// The graph file's lines, from 1.
std::vector<std::string> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines = {""};
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST(DebugLines, LeadFromInstructionsToTheGraphFile) {
  const std::filesystem::path root = KILN_SOURCE_DIR;
  auto binary = llvm::object::ObjectFile::createObjectFile(KILN_GENERATED_DIR "/digits/digits.o");
  ASSERT_TRUE(static_cast<bool>(binary)) << llvm::toString(binary.takeError());
  const llvm::object::ObjectFile& object = *binary->getBinary();
  const auto context = llvm::DWARFContext::create(object);
  const std::vector<std::string> graph = lines_of(root / "graphs/digits.cpp");

  // What the line of each kernel's instructions must say.
  const std::map<std::string, std::string> wanted = {
      {"digits_train_conv2d_forward", "conv2d(x, {.filters = 32"},
      {"digits_train_conv2d_1_forward", "conv2d(x, {.filters = 48"},
      {"digits_train_conv2d_1_weight_gradient", "conv2d(x, {.filters = 48"},
      {"digits_train_conv2d_2_input_gradient", "conv2d(x, {.filters = 64"},
      {"digits_train_dense_weight_gradient", "dense(x, {.units = 3168"},
      {"digits_train_max_pool_forward", "max_pool(x, {.size = {2, 2}})"},
      {"digits_predict_dense_1_forward", "dense(x, {.units = 10"},
  };
  std::map<std::string, int> instructions;
  for (const llvm::object::SymbolRef& symbol : object.symbols()) {
    const std::string name = llvm::cantFail(symbol.getName()).str();
    // The parallel part of a kernel is a function of its own, named after it.
    const auto found = std::find_if(wanted.begin(), wanted.end(), [&](const auto& entry) {
      return name == entry.first || name.rfind(entry.first + ".par_for", 0) == 0 ||
             name.rfind(entry.first + "_par_for", 0) == 0;
    });
    if (found == wanted.end() || llvm::cantFail(symbol.getType()) != llvm::object::SymbolRef::ST_Function) continue;
    const auto section = llvm::cantFail(symbol.getSection())->getIndex();
    const uint64_t begin = llvm::cantFail(symbol.getAddress());
    const uint64_t size = llvm::object::ELFSymbolRef(symbol).getSize();
    for (uint64_t address = begin; address < begin + size; ++address) {
      llvm::DILineInfoSpecifier specifier(llvm::DILineInfoSpecifier::FileLineInfoKind::RelativeFilePath);
      const auto line = context->getLineInfoForAddress({address, section}, specifier);
      ASSERT_TRUE(line.has_value()) << name;
      if (line->Line == 0) continue;
      ASSERT_LT(line->Line, graph.size()) << name;
      EXPECT_TRUE(llvm::StringRef(line->FileName).ends_with("graphs/digits.cpp")) << line->FileName;
      EXPECT_NE(graph[line->Line].find(found->second), std::string::npos)
          << name << " says line " << line->Line << ": " << graph[line->Line];
      ++instructions[found->first];
    }
  }
  for (const auto& [name, text] : wanted) EXPECT_GT(instructions[name], 0) << name << " has no debug lines";
}

}  // namespace
}  // namespace kiln
