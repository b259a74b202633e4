#pragma once

#include <csignal>

namespace kiln {

/// While it lives, the first SIGINT or SIGTERM (Ctrl-C, a polite kill) only sets a flag, for the work in hand to stop
/// at a place it can go on from; the second ends the process at once with code 130. One may exist at a time.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  static bool requested();

 private:
  struct sigaction previous_int_, previous_term_;
};

}  // namespace kiln
