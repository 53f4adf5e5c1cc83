// How the rows of a device get to its children: lanes take variants from one queue, so that none waits for another's
// slow ones, and each lane has one child after the other.
#pragma once

#include <chrono>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "tools/conformance/child.h"
#include "tools/conformance/conformance.h"

namespace nibble::conformance {

// Opening a device or listing all of them.
inline constexpr std::chrono::milliseconds kOpenLimit{120'000};

// The report of a device whose rows several threads fill in.
class SharedReport {
 public:
  SharedReport(DeviceReport& device, const ProgressSink& progress);

  // A row as it was planned. Only who runs the row may read it.
  const Row& row(size_t index) const { return device_.rows[index]; }
  const std::string& device_id() const { return device_.id; }

  void finish(size_t row, CaseResult result);
  void add_notice(std::string notice);
  size_t hangs() const;

 private:
  DeviceReport& device_;
  const ProgressSink& progress_;
  mutable std::mutex mutex_;
  size_t done_ = 0;
  size_t hangs_ = 0;
};

// The rows that can run, as indices, by variant: those share what is compiled.
class RowQueue {
 public:
  explicit RowQueue(const std::vector<Row>& rows);
  // The rows of the next variant; empty when all are taken.
  std::vector<size_t> take();

 private:
  std::mutex mutex_;
  std::deque<std::vector<size_t>> variants_;
};

// Runs rows until the queue is empty.
class Lane {
 public:
  Lane(SharedReport& report, RowQueue& queue, const RunOptions& options, std::chrono::milliseconds limit)
      : report_(report), queue_(queue), options_(options), limit_(limit) {}
  void run();

 private:
  void run_child();
  // One line of the child's.
  void take(Child& child, const std::string& line);
  void finish(size_t row, CaseResult result);
  // The child is gone and took the row in flight with it.
  void abandon(bool is_hang, const std::string& ending);
  void give_up(Verdict verdict, const std::string& why);

  SharedReport& report_;
  RowQueue& queue_;
  const RunOptions& options_;
  std::chrono::milliseconds limit_;
  std::vector<size_t> pending_;  // of a variant
  std::vector<size_t> sent_;     // what the child's row numbers stand for
  size_t in_flight_ = 0;         // the row under way, or none
  bool has_begun_ = false;       // the child a row
  std::string last_problem_;
};

}  // namespace nibble::conformance
