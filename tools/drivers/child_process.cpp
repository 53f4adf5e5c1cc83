#include "tools/drivers/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/base/error.h"

namespace nibble {
namespace {

using std::chrono::milliseconds;

// A nameless file in memory; it outlives the process that writes it, whatever becomes of that.
Descriptor memory_file(const char* name, const std::string& content) {
  Descriptor file(::memfd_create(name, MFD_CLOEXEC));
  if (file.get() < 0) fail(ErrorCode::kIo, "cannot make a file in memory: {}", std::strerror(errno));
  for (size_t done = 0; done < content.size();) {
    const ssize_t wrote = ::write(file.get(), content.data() + done, content.size() - done);
    if (wrote <= 0) fail(ErrorCode::kIo, "cannot write a job of {} bytes", content.size());
    done += static_cast<size_t>(wrote);
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

// Above the child's own descriptors, so that giving it one does not close another.
Descriptor above_theirs(Descriptor descriptor) {
  Descriptor moved(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, kWorkDescriptor + 1));
  if (moved.get() < 0) fail(ErrorCode::kIo, "cannot keep a descriptor: {}", std::strerror(errno));
  return moved;
}

std::vector<std::string> environment_with(const Variables& variables) {
  std::vector<std::string> strings;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool is_replaced = std::ranges::any_of(variables, [&](const auto& v) { return v.first == name; });
    if (!is_replaced) strings.emplace_back(text);
  }
  for (const auto& [name, value] : variables) {
    if (value) strings.push_back(name + "=" + *value);
  }
  return strings;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

void reply_line(std::string_view line) {
  const std::string text = std::string(line) + "\n";
  for (size_t done = 0; done < text.size();) {
    const ssize_t wrote = ::write(kReplyDescriptor, text.data() + done, text.size() - done);
    if (wrote <= 0) ::_exit(1);
    done += static_cast<size_t>(wrote);
  }
}

void follow_parent() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

ChildProcess::ChildProcess(const std::vector<std::string>& arguments, const std::string& input,
                           const Variables& variables) {
  const Descriptor job = memory_file("nibble job", input);
  output_ = memory_file("nibble output", "");
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail(ErrorCode::kIo, "cannot open a pipe: {}", std::strerror(errno));
  replies_ = Descriptor(ends[0]);
  const Descriptor answers = above_theirs(Descriptor(ends[1]));
  int work[2];  // a socket: a write to a child that is gone must not end this process
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, work) != 0) {
    fail(ErrorCode::kIo, "cannot open a socket: {}", std::strerror(errno));
  }
  work_ = Descriptor(work[0]);
  const Descriptor theirs = above_theirs(Descriptor(work[1]));
  std::vector<std::string> argument_strings = {"/proc/self/exe"};
  argument_strings.insert(argument_strings.end(), arguments.begin(), arguments.end());
  std::vector<std::string> environment_strings = environment_with(variables);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, job.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output_.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output_.get(), STDERR_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, answers.get(), kReplyDescriptor);
  ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), kWorkDescriptor);
  const int error = ::posix_spawn(&pid_, argument_strings.front().c_str(), &actions, nullptr,
                                  pointers_to(argument_strings).data(), pointers_to(environment_strings).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    pid_ = -1;
    fail(ErrorCode::kIo, "cannot start a child process: {}", std::strerror(error));
  }
}

ChildProcess::~ChildProcess() {
  kill();
  wait();
}

ChildProcess::Event ChildProcess::read_line(std::string& line, milliseconds limit) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (true) {
    const size_t end = buffered_.find('\n');
    if (end != std::string::npos) {
      line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return Event::kLine;
    }
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Event::kTimeout;
    // What a driver started may outlive the child and keep the pipe open: the child's end counts as well.
    constexpr int64_t kLookAgain = 200;
    pollfd waiting{.fd = replies_.get(), .events = POLLIN, .revents = 0};
    const bool was_gone = has_ended(false);
    const int ready = ::poll(&waiting, 1, was_gone ? 0 : static_cast<int>(std::min(left.count(), kLookAgain)));
    if (ready <= 0 && was_gone) return Event::kEnd;
    if (ready <= 0) continue;
    char chunk[65536];
    const ssize_t got = ::read(replies_.get(), chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return Event::kEnd;
    buffered_.append(chunk, static_cast<size_t>(got));
  }
}

void ChildProcess::send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t wrote = ::send(work_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (wrote <= 0) return;
    text.remove_prefix(static_cast<size_t>(wrote));
  }
}

void ChildProcess::end_work() { ::shutdown(work_.get(), SHUT_WR); }

void ChildProcess::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

bool ChildProcess::has_ended(bool waits) {
  if (pid_ <= 0) return true;
  int status = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(pid_, &status, waits ? 0 : WNOHANG)) < 0 && errno == EINTR) {
  }
  if (ended == 0) return false;
  pid_ = -1;
  if (WIFSIGNALED(status)) {
    exit_code_ = 128 + WTERMSIG(status);
    ending_ = fmt::format("signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
  } else {
    exit_code_ = WEXITSTATUS(status);
    ending_ = fmt::format("exit code {}", exit_code_);
  }
  return true;
}

std::string ChildProcess::wait() {
  has_ended(true);
  return ending_;
}

std::string ChildProcess::last_words() const {
  constexpr off_t kMost = 300;
  const off_t size = ::lseek(output_.get(), 0, SEEK_END);
  std::string text(static_cast<size_t>(std::clamp<off_t>(size, 0, kMost)), ' ');
  const ssize_t got = ::pread(output_.get(), text.data(), text.size(), std::max<off_t>(0, size - kMost));
  text.resize(static_cast<size_t>(std::max<ssize_t>(0, got)));
  std::ranges::replace(text, '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace nibble
