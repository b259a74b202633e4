#pragma once

#include <csignal>

namespace kiln {

/// While it lives, the first SIGINT, SIGTERM or SIGHUP (Ctrl-C, a polite kill, a terminal that is closed) only sets a
/// flag, for the work in hand to stop at a place it can go on from; a second SIGINT or SIGTERM ends the process at once
/// with code 130. A SIGHUP that was ignored (nohup) stays so. One may exist at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  static bool requested();

 private:
  struct sigaction previous_int_, previous_term_, previous_hup_;
};

/// For a program's main(): writing to a reader that has left is an error like a full disk, and not the program's death.
void ignore_broken_pipes();

}  // namespace kiln
