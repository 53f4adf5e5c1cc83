// A child process that does a job: this program again, its replies read line by line.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>

#include "tools/conformance/job.h"

namespace nibble::conformance {

// Owns the process: it is killed, if it still runs, when the object goes.
class Child {
 public:
  // Throws kIo if no process can be started.
  explicit Child(const Job& job);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  enum class Event { kLine, kEnd, kTimeout };
  // The next line of replies, without its newline.
  Event read_line(std::string& line, std::chrono::milliseconds limit);

  // More rows for a child of a run job that said it is idle; none end it. A child that is gone is left to read_line().
  void send_rows(const std::vector<Row>& rows);

  void kill();
  // Waits until the process has ended. "" for exit code 0, else "signal 11 (Segmentation fault)" or "exit code 1".
  std::string wait();
  // After wait().
  int exit_code() const { return exit_code_; }
  // The end of what the driver printed, as one line of at most 300 characters.
  std::string last_words() const;

 private:
  pid_t pid_ = -1;
  int replies_ = -1;
  int output_ = -1;
  int work_ = -1;
  int exit_code_ = 0;
  std::string buffered_;
  std::string ending_;
};

// The message, and what the child's driver printed last.
std::string with_last_words(std::string message, const Child& child);

}  // namespace nibble::conformance
