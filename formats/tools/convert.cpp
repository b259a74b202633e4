#include <iostream>

#include "convert_command.h"

int main(int argc, char** argv) {
  kiln::DiskFileSystem files;
  return kiln::convert_command({argv + 1, argv + argc}, {.out = std::cout, .err = std::cerr, .files = files});
}
