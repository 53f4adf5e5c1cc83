#include "tools/nibble/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

namespace nibble {
namespace {

// What the handler and the program share. Times are in nanoseconds of the monotonic clock.
volatile sig_atomic_t interrupt_count = 0;
bool is_held = false;
struct sigaction action_before = {};  // the guard
std::atomic<int64_t> first_interrupt = 0;
std::atomic<int64_t> patience_ns = 0;
static_assert(std::atomic<int64_t>::is_always_lock_free, "the handler uses them");

// Where results go: what was standard output when the program began.
int results_descriptor = STDOUT_FILENO;

int64_t monotonic_ns() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

void end_program(int) { _exit(kExitInterrupted); }

void on_interrupt(int) {
  const int saved = errno;
  interrupt_count = interrupt_count + 1;
  if (interrupt_count == 1) {
    first_interrupt = monotonic_ns();
  } else if (monotonic_ns() - first_interrupt >= patience_ns) {
    end_program(SIGINT);
  } else {
    say_text("\n(stopping; if that takes 10 seconds, one more Ctrl-C ends the program and loses what it holds)\n");
  }
  errno = saved;
}

}  // namespace

void prepare_standard_streams() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) != -1) continue;
    // open() takes the lowest free descriptor, which is fd. Read-only for stdout: writing to it must still fail.
    if (open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) != fd) _exit(1);
  }
  // Drivers and libraries that print take descriptor 1 for theirs; their words must not end up among the results.
  const int results = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 10);
  if (results >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) == STDOUT_FILENO) results_descriptor = results;
  signal(SIGPIPE, SIG_IGN);
  // Whoever started the program with Ctrl-C ignored (nohup, a background job) wants that.
  if (signal(SIGINT, end_program) == SIG_IGN) signal(SIGINT, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is then an error like a full disk
}

void write_stdout(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(results_descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {  // whoever shares the descriptor made it non-blocking
      pollfd waiting{.fd = results_descriptor, .events = POLLOUT, .revents = 0};
      poll(&waiting, 1, -1);
      continue;
    }
    if (errno == EPIPE) throw OutputClosed{};
    fail(ErrorCode::kIo, "cannot write to standard output: {}", std::strerror(errno));
  }
}

LineResult read_line(std::string& line) {
  static std::string ahead;  // read and not given out yet
  line.clear();
  bool is_too_long = false;
  for (;;) {
    const size_t end = ahead.find('\n');
    const bool is_whole = end != std::string::npos;
    line.append(ahead, 0, end);
    ahead.erase(0, is_whole ? end + 1 : end);
    if (line.size() > kMaxLineBytes) {
      is_too_long = true;
      line.clear();
    }
    if (is_whole) break;
    std::array<char, 65536> buffer;
    // Not std::getline, which hides a signal.
    const ssize_t got = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) return LineResult::kInterrupted;
    if (got <= 0 && line.empty() && !is_too_long) return LineResult::kEnd;
    if (got <= 0) break;
    ahead.assign(buffer.data(), static_cast<size_t>(got));
  }
  if (is_too_long) return LineResult::kTooLong;
  if (line.ends_with('\r')) line.pop_back();
  return LineResult::kLine;
}

bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }

ProgressBar::ProgressBar(std::string label) : label_(std::move(label)), visible_(stderr_is_terminal()) {}

ProgressBar::~ProgressBar() {
  if (visible_ && last_drawn_.time_since_epoch().count() != 0) say_text("\r\x1b[K");
}

void ProgressBar::update(uint64_t done, uint64_t total) {
  if (!visible_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_drawn_ < std::chrono::milliseconds(100)) return;
  last_drawn_ = now;
  constexpr size_t kWidth = 30;
  const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(std::max<uint64_t>(total, 1)));
  const auto filled = static_cast<size_t>(share * kWidth);
  const std::string bar = std::string(filled, '#') + std::string(kWidth - filled, '.');
  say("\r\x1b[K{} [{}] {:3.0f} %", label_, bar, share * 100);
}

InterruptGuard::InterruptGuard(std::chrono::seconds patience) {
  interrupt_count = 0;
  is_held = false;
  patience_ns = std::chrono::nanoseconds(patience).count();
  struct sigaction action = {};
  action.sa_handler = on_interrupt;  // no SA_RESTART: a blocked read returns
  sigaction(SIGINT, &action, &action_before);
}

InterruptGuard::~InterruptGuard() {
  interrupt_count = 0;
  sigaction(SIGINT, &action_before, nullptr);
}

bool InterruptGuard::interrupted() const { return interrupt_count != 0; }

void InterruptGuard::reset() { interrupt_count = 0; }

void InterruptGuard::hold() { is_held = true; }

void throw_if_interrupted() {
  if (interrupt_count != 0 && !is_held) throw Interrupted{};
}

}  // namespace nibble
