// This program again as a child process, with a job on its standard input and its replies read line by line: what may
// crash or hang, a driver, does it there.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nibble {

// Where the child writes its replies, and reads more work from.
inline constexpr int kReplyDescriptor = 3;
inline constexpr int kWorkDescriptor = 4;

// Writes all of `line` and a newline to kReplyDescriptor; ends the process if the parent is gone. For the child.
void reply_line(std::string_view line);
// A parent that was killed must not leave the child behind, waiting for a driver, and crashes leave no core files. For
// the child, first thing.
void follow_parent();

// Owns a descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// Variables of the child's environment that differ from ours; without a value they are taken away.
using Variables = std::vector<std::pair<std::string, std::optional<std::string>>>;

// Owns the process: it is killed, if it still runs, when the object goes.
class ChildProcess {
 public:
  // `arguments` follow the program's name. Throws kIo if no process can be started.
  ChildProcess(const std::vector<std::string>& arguments, const std::string& input, const Variables& variables = {});
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  enum class Event { kLine, kEnd, kTimeout };
  // The next line of replies, without its newline. kEnd: the process is gone, or will say no more.
  Event read_line(std::string& line, std::chrono::milliseconds limit);

  // More work, as it is; a child that is gone is left to read_line().
  void send(std::string_view text);
  void end_work();

  void kill();
  // Waits until the process has ended: "signal 11 (Segmentation fault)" or "exit code 0".
  std::string wait();
  // After wait(); 128 + signal where a signal ended it.
  int exit_code() const { return exit_code_; }
  // The end of what it printed, as one line of at most 300 characters.
  std::string last_words() const;

 private:
  // Whether the process has ended; takes its status.
  bool has_ended(bool waits);

  pid_t pid_ = -1;
  Descriptor replies_;
  Descriptor output_;
  Descriptor work_;
  int exit_code_ = 0;
  std::string buffered_;
  std::string ending_;
};

}  // namespace nibble
