// A child process that does a job: this program again, its replies read line by line.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "tools/conformance/job.h"
#include "tools/drivers/child_process.h"

namespace nibble::conformance {

// Owns the process: it is killed, if it still runs, when the object goes.
class Child {
 public:
  // Throws kIo if no process can be started.
  explicit Child(const Job& job);

  using Event = ChildProcess::Event;
  // The next line of replies, without its newline and without the closing line.
  Event read_line(std::string& line, std::chrono::milliseconds limit);

  // More rows for a child of a run job that said it is idle; none end it. A child that is gone is left to read_line().
  void send_rows(const std::vector<Row>& rows);

  void kill() { process_.kill(); }
  // Waits until the process has ended. "" for exit code 0 after the closing line, else "signal 11 (Segmentation
  // fault)", "exit code 1" or "exit code 0 before its job was done": a driver may end the process as if all were well.
  std::string wait();
  // Whether the job was done to its end, whatever became of the process then. After wait().
  bool is_done() const { return is_done_; }
  // After wait().
  int exit_code() const { return process_.exit_code(); }
  // The end of what the driver printed, as one line of at most 300 characters.
  std::string last_words() const { return process_.last_words(); }

 private:
  ChildProcess process_;
  bool is_done_ = false;
};

// The message, and what the child's driver printed last.
std::string with_last_words(std::string message, const Child& child);

}  // namespace nibble::conformance
