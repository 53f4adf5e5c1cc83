#include "tools/conformance/child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "runtime/base/error.h"

namespace nibble::conformance {
namespace {

// A nameless file in memory; it outlives the process that writes it, whatever becomes of that.
int memory_file(const char* name, const std::string& content) {
  const int file = ::memfd_create(name, MFD_CLOEXEC);
  if (file < 0) fail(ErrorCode::kIo, "cannot make a file in memory: {}", std::strerror(errno));
  for (size_t done = 0; done < content.size();) {
    const ssize_t wrote = ::write(file, content.data() + done, content.size() - done);
    if (wrote <= 0) fail(ErrorCode::kIo, "cannot write a job of {} bytes", content.size());
    done += static_cast<size_t>(wrote);
  }
  ::lseek(file, 0, SEEK_SET);
  return file;
}

}  // namespace

Child::Child(const Job& job) {
  const int input = memory_file("nibble job", dump(to_json(job)));
  output_ = memory_file("nibble output", "");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(ErrorCode::kIo, "cannot open a pipe: {}", std::strerror(errno));
  replies_ = ends[0];
  int work[2];  // a socket: a write to a child that is gone must not end this process
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, work) != 0) {
    fail(ErrorCode::kIo, "cannot open a socket: {}", std::strerror(errno));
  }
  work_ = work[0];
  // Above the child's own descriptors, so that giving it one does not close another.
  const int theirs = ::fcntl(work[1], F_DUPFD_CLOEXEC, kWorkDescriptor + 1);
  ::close(work[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output_, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output_, STDERR_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], kReplyDescriptor);
  ::posix_spawn_file_actions_adddup2(&actions, theirs, kWorkDescriptor);
  char program[] = "/proc/self/exe";
  char command[] = "conformance-worker";
  char* arguments[] = {program, command, nullptr};
  const int error = ::posix_spawn(&pid_, program, &actions, nullptr, arguments, environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  ::close(theirs);
  ::close(input);
  if (error != 0) {
    pid_ = -1;
    fail(ErrorCode::kIo, "cannot start a child process: {}", std::strerror(error));
  }
}

Child::~Child() {
  if (pid_ > 0) {
    kill();
    wait();
  }
  if (replies_ >= 0) ::close(replies_);
  if (output_ >= 0) ::close(output_);
  if (work_ >= 0) ::close(work_);
}

Child::Event Child::read_line(std::string& line, std::chrono::milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (true) {
    const size_t end = buffered_.find('\n');
    if (end != std::string::npos) {
      line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return Event::kLine;
    }
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Event::kTimeout;
    pollfd waiting{.fd = replies_, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::min<int64_t>(left.count(), 1'000'000)));
    if (ready <= 0) continue;
    char chunk[65536];
    const ssize_t got = ::read(replies_, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Event::kEnd;
    buffered_.append(chunk, static_cast<size_t>(got));
  }
}

void Child::send_rows(const std::vector<Row>& rows) {
  if (rows.empty()) ::shutdown(work_, SHUT_WR);
  const std::string line = rows.empty() ? "" : dump(to_json(rows)) + "\n";
  for (size_t done = 0; done < line.size();) {
    const ssize_t wrote = ::send(work_, line.data() + done, line.size() - done, MSG_NOSIGNAL);
    if (wrote <= 0) return;
    done += static_cast<size_t>(wrote);
  }
}

void Child::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

std::string Child::wait() {
  if (pid_ <= 0) return ending_;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (WIFSIGNALED(status)) {
    exit_code_ = 128 + WTERMSIG(status);
    ending_ = fmt::format("signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  } else if (WEXITSTATUS(status) != 0) {
    exit_code_ = WEXITSTATUS(status);
    ending_ = fmt::format("exit code {}", exit_code_);
  }
  return ending_;
}

std::string Child::last_words() const {
  constexpr off_t kMost = 300;
  const off_t size = ::lseek(output_, 0, SEEK_END);
  std::string text(static_cast<size_t>(std::clamp<off_t>(size, 0, kMost)), ' ');
  const ssize_t got = ::pread(output_, text.data(), text.size(), std::max<off_t>(0, size - kMost));
  text.resize(static_cast<size_t>(std::max<ssize_t>(0, got)));
  std::ranges::replace(text, '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::string with_last_words(std::string message, const Child& child) {
  const std::string words = child.last_words();
  return words.empty() ? message : fmt::format("{}; it said: {}", message, words);
}

}  // namespace nibble::conformance
