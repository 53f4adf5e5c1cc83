// SubmissionPacer: cuts a program's segments (command buffers) into submissions that stay below a time budget, because
// systems kill long GPU jobs (Windows after 2 s) and a desktop freezes during them. Learns from measured times; pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace nibble::vulkan {

class SubmissionPacer {
 public:
  SubmissionPacer(size_t segments, double budget_seconds);

  // The first replays are measured segment by segment; drivers that compile at the first dispatch spoil the very first.
  bool is_calibrating() const { return calibrations_ < kCalibrations; }
  void measured_segment(size_t segment, double seconds) { seconds_[segment] = seconds; }
  void end_calibration(uint32_t n_tokens);

  // Ends (exclusive) of the submissions of a step with n_tokens. Valid until the next call.
  std::span<const size_t> cut(uint32_t n_tokens);

  // The time of a whole replay corrects the estimates.
  void measured_replay(double seconds, uint32_t n_tokens);

 private:
  static constexpr int kCalibrations = 2;
  double budget_seconds_;
  std::vector<double> seconds_;  // of each segment, for tokens_ tokens
  uint32_t tokens_ = 1;
  int calibrations_ = 0;
  std::vector<size_t> ends_;
};

}  // namespace nibble::vulkan
