#include "runtime/vulkan/submission_pacer.h"

#include <algorithm>
#include <numeric>

namespace nibble::vulkan {

SubmissionPacer::SubmissionPacer(size_t segments, double budget_seconds)
    : budget_seconds_(budget_seconds), seconds_(segments, 0.0) {
  ends_.reserve(segments);  // cut() runs in replays, which allocate nothing
}

void SubmissionPacer::end_calibration(uint32_t n_tokens) {
  tokens_ = std::max(n_tokens, 1u);
  ++calibrations_;
}

std::span<const size_t> SubmissionPacer::cut(uint32_t n_tokens) {
  // More tokens than measured: at worst all work grows with them. Fewer: reading the weights stays, so assume no gain.
  const double growth = std::max(1.0, static_cast<double>(n_tokens) / tokens_);
  ends_.clear();
  double sum = 0;
  for (size_t i = 0; i < seconds_.size(); ++i) {
    const double estimate = seconds_[i] * growth;
    const bool is_first = ends_.empty() ? i == 0 : ends_.back() == i;
    if (!is_first && sum + estimate > budget_seconds_) {
      ends_.push_back(i);
      sum = 0;
    }
    sum += estimate;
  }
  if (!seconds_.empty()) ends_.push_back(seconds_.size());
  return ends_;
}

void SubmissionPacer::measured_replay(double seconds, uint32_t n_tokens) {
  const double estimated = std::accumulate(seconds_.begin(), seconds_.end(), 0.0);
  if (!(estimated > 0) || !(seconds > 0)) return;
  for (double& s : seconds_) s *= seconds / estimated;
  tokens_ = std::max(n_tokens, 1u);
}

}  // namespace nibble::vulkan
