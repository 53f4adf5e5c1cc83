#include "tests/portability/mutation/child_call.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>

#include <fmt/format.h>

namespace nibble::mutation {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void run_child(const std::function<std::string()>& function, int reply) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  const int nowhere = ::open("/dev/null", O_WRONLY);
  ::dup2(nowhere, STDOUT_FILENO);
  ::dup2(nowhere, STDERR_FILENO);
  try {
    const std::string text = function() + '\n';
    for (size_t done = 0; done < text.size();) {
      const ssize_t wrote = ::write(reply, text.data() + done, text.size() - done);
      if (wrote <= 0) ::_exit(1);
      done += static_cast<size_t>(wrote);
    }
  } catch (const std::exception&) {
    ::_exit(2);
  }
  ::_exit(0);  // without destructors: a driver that a mutant has damaged must not be asked to clean up
}

// Everything the child writes until it closes its end; false when the time is over.
bool read_all(int from, Clock::time_point deadline, std::string& text) {
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    pollfd waiting{.fd = from, .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, static_cast<int>(std::min<int64_t>(left, 1'000'000))) <= 0) continue;
    char chunk[65536];
    const ssize_t got = ::read(from, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    text.append(chunk, static_cast<size_t>(got));
  }
}

}  // namespace

ChildResult call_in_child(const std::function<std::string()>& function, double limit_seconds) {
  const auto begin = Clock::now();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {.ending = Ending::kEnded, .text = std::strerror(errno)};
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    run_child(function, ends[1]);
  }
  ::close(ends[1]);
  ChildResult result;
  if (child < 0) {
    ::close(ends[0]);
    return {.ending = Ending::kEnded, .text = "no process can be started"};
  }
  const auto limit = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limit_seconds));
  const bool in_time = read_all(ends[0], begin + limit, result.text);
  ::close(ends[0]);
  if (!in_time) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (!in_time) {
    result.ending = Ending::kTimeout;
    result.text = fmt::format("more than {} s", limit_seconds);
  } else if (!result.text.ends_with('\n')) {
    result.ending = Ending::kEnded;
    result.text = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                      : fmt::format("exit code {}", WEXITSTATUS(status));
  } else {
    result.text.pop_back();
  }
  return result;
}

}  // namespace nibble::mutation
