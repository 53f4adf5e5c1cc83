#include "tools/nibble/program_end.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "runtime/base/driver_call.h"
#include "runtime/base/log.h"
#include "runtime/base/sanitized.h"
#include "tools/drivers/driver_check.h"

namespace nibble {
namespace {

constexpr int kNotDone = -1;
volatile std::sig_atomic_t deserved_code = kNotDone;
bool is_watching = false;

// A driver that hangs where it is closed.
constexpr unsigned kClosingSeconds = 60;

#ifndef NIBBLE_IS_SANITIZED
constexpr std::array<int, 5> kSignals = {SIGSEGV, SIGABRT, SIGILL, SIGFPE, SIGALRM};

const char* name_of(int number) {
  switch (number) {
    case SIGSEGV:
      return "signal 11 (Segmentation fault)";
    case SIGABRT:
      return "signal 6 (Aborted)";
    case SIGILL:
      return "signal 4 (Illegal instruction)";
    case SIGFPE:
      return "signal 8 (Floating point exception)";
    default:
      return "no end of it";
  }
}

// In a signal handler nothing may allocate or lock.
void say_parts(std::initializer_list<const char*> parts) {
  std::array<char, 600> text{};
  size_t size = 0;
  for (const char* part : parts) {
    const size_t length = std::min(std::strlen(part), text.size() - size);
    std::memcpy(text.data() + size, part, length);
    size += length;
  }
  say_text({text.data(), size});
}

extern "C" void on_crash(int number) {
  const int code = deserved_code;
  const char* doing = DriverCall::current();
  if (code != kNotDone) {
    say_parts({"nibble: warning: ", name_of(number), " after the work was done, while ",
               doing == nullptr ? "drivers were being closed" : doing, "\n"});
    ::_exit(code);
  }
  if (doing == nullptr) {
    say_parts({"nibble: error: ", name_of(number), "\n"});
  } else {
    say_parts(
        {"nibble: error: ", name_of(number), " while ", doing, "; is it the driver? Try another device, or -d cpu\n"});
  }
  std::signal(number, SIG_DFL);
  ::raise(number);
}

void watch_signals() {
  // A driver's stack overflow leaves no room on that stack.
  static std::array<char, 64 << 10> stack;
  stack_t alternative{};
  alternative.ss_sp = stack.data();
  alternative.ss_size = stack.size();
  ::sigaltstack(&alternative, nullptr);
  for (const int number : kSignals) {
    struct sigaction action {};
    action.sa_handler = on_crash;
    action.sa_flags = SA_ONSTACK | SA_NODEFER;
    ::sigaction(number, &action, nullptr);
  }
}
#endif

// Runs after the handlers that drivers registered, and before the destructors of their libraries.
void on_exit_called() {
  if (!is_watching) return;
  const int code = deserved_code;
  if (code == kNotDone) {
    const char* doing = DriverCall::current();
    say("nibble: error: the program was ended{}{}\n", doing == nullptr ? " from within" : " by a driver while ",
        doing == nullptr ? "" : doing);
    ::_exit(1);
  }
#ifndef NIBBLE_IS_SANITIZED
  if (drivers::have_drivers_been_used()) ::_exit(code);
#endif
}

}  // namespace

void watch_program_end() {
#ifndef NIBBLE_IS_SANITIZED
  watch_signals();
  DriverCall::set_beginning(watch_signals);
#endif
  std::atexit(on_exit_called);
  is_watching = true;
}

void leave_program_end_alone() {
  is_watching = false;
#ifndef NIBBLE_IS_SANITIZED
  DriverCall::set_beginning(nullptr);
  for (const int number : kSignals) std::signal(number, SIG_DFL);
#endif
}

void work_is_done(int exit_code) {
  if (!is_watching || deserved_code != kNotDone) return;
  deserved_code = exit_code;
  if (drivers::have_drivers_been_used()) ::alarm(kClosingSeconds);
}

}  // namespace nibble
