// The three standard streams. stdout carries results only, stderr everything a person reads meanwhile.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace nibble {

// Thrown when the reader of stdout went away (`nibble run … | head -1`): not an error, but the end of the work.
struct OutputClosed {};

// Makes sure descriptors 0 to 2 are taken, so that no file that is opened later (a cache, say) becomes stdout; keeps
// standard output for results, so that what a driver prints there goes to stderr instead; and ignores SIGPIPE and
// SIGXFSZ, so that a vanished reader and a file above the user's limit are errors of the call that writes. Ctrl-C ends
// the program with kExitInterrupted where no InterruptGuard is. Call once, first thing in main.
void prepare_standard_streams();

// Writes all of `text` to stdout and flushes. Throws OutputClosed or Error(kIo).
void write_stdout(std::string_view text);

inline constexpr int kExitInterrupted = 128 + 2;  // what a shell reports for a program that SIGINT ended

// One line of stdin without its end, which may be CR LF. kInterrupted: a signal came first (see InterruptGuard); the
// line is lost. kTooLong: one above kMaxLineBytes, read to its end and dropped. Reads ahead: nothing else may read
// stdin.
inline constexpr size_t kMaxLineBytes = size_t{64} << 20;
enum class LineResult { kLine, kEnd, kInterrupted, kTooLong };
LineResult read_line(std::string& line);

bool stderr_is_terminal();

// One line on stderr that is redrawn in place, at most ten times a second; silent when stderr is not a terminal.
// The line is erased when the bar goes out of scope. Not thread-safe.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(uint64_t done, uint64_t total);

 private:
  std::string label_;
  bool visible_;
  std::chrono::steady_clock::time_point last_drawn_{};
};

// Thrown by throw_if_interrupted(): the user wants the work to end. What is done of it is the catcher's to keep.
struct Interrupted {};

// How long work may take to notice a Ctrl-C before another one ends the program: a chunk of a prompt takes some seconds
// where the processor is slow.
inline constexpr std::chrono::seconds kInterruptPatience{10};

// While one exists, Ctrl-C raises a flag instead of ending the program with exit code 130. Further ones end it when the
// flag was up for `patience` and nobody had looked: until then they are an impatient user's, who would lose what the
// first one keeps. At most one exists at a time.
class InterruptGuard {
 public:
  explicit InterruptGuard(std::chrono::seconds patience = kInterruptPatience);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  bool interrupted() const;
  void reset();
  // From now on throw_if_interrupted() lets work go on: what is being saved is what the first Ctrl-C should not lose.
  void hold();
};

// Throws Interrupted where a guard's flag is up.
void throw_if_interrupted();

}  // namespace nibble
