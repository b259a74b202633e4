#include "support/emulated_model.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>

namespace kiln {
namespace {

/// Runs a shell's command; its exit code, where a signal that ended it counts as 128 more.
int run_shell(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

std::string missing_for(const EmulatedProcessor& processor) {
  for (const char* tool : {processor.compiler, processor.emulator}) {
    if (run_shell(fmt::format("command -v {} >/dev/null", tool)) != 0)
      return fmt::format("{} is missing: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user", tool);
  }
  return "";
}

EmulatedModel::EmulatedModel(const std::string& object, const std::string& name, const EmulatedProcessor& processor) {
  std::string folder = (std::filesystem::temp_directory_path() / "kiln-emulated-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("cannot create " + folder);
  folder_ = folder;
  std::ofstream(folder_ / "model.o", std::ios::binary) << object;
  // Static: the emulator then needs no folder of the other processor's libraries.
  const std::string link = fmt::format(
      "{0} -std=c11 -O1 -Wall -Wextra -Werror -static -pthread -DKILN_TEST_MODEL={1}_model -I{2}/runtime -o {3}/step "
      "{2}/tests/support/emulated_step.c {3}/model.o -lm",
      processor.compiler, name, KILN_SOURCE_DIR, folder);
  if (run_shell(link) != 0) throw std::runtime_error("cannot link: " + link);
  command_ = fmt::format("{} -cpu {} {}/step", processor.emulator, processor.model, folder);
}

EmulatedModel::~EmulatedModel() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

int EmulatedModel::run(const std::string& program, StepData& data, int threads) const {
  const std::filesystem::path path = folder_ / "data";
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&data.scalars), sizeof data.scalars);
  out.write(reinterpret_cast<const char*>(data.arena.data()), static_cast<std::streamsize>(data.arena.size()));
  out.write(reinterpret_cast<const char*>(data.state.data()), static_cast<std::streamsize>(data.state.size()));
  out.close();
  // exec: a signal ends the shell's own process, so that its number is seen.
  const int code = run_shell(fmt::format("ulimit -c 0; exec {} {} {} {}", command_, program, threads, path.string()));
  if (code != 0) return code;
  std::ifstream in(path, std::ios::binary);
  in.read(reinterpret_cast<char*>(data.arena.data()), static_cast<std::streamsize>(data.arena.size()));
  in.read(reinterpret_cast<char*>(data.state.data()), static_cast<std::streamsize>(data.state.size()));
  return in ? 0 : 1;
}

}  // namespace kiln
