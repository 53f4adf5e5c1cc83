// Reading the golden models (tests/golden/README.md) and comparing a run with their expected answers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "host/checkpoint/npy.h"
#include "host/engine/session.h"

namespace nibble {

struct GoldenPrompt {
  std::string name;
  std::vector<uint32_t> prompt;
  std::vector<uint32_t> continuation;
};

class GoldenModel {
 public:
  explicit GoldenModel(const std::string& name);

  const std::string& name() const { return name_; }
  std::string directory() const { return directory_.string(); }
  const std::vector<GoldenPrompt>& prompts() const { return prompts_; }
  bool has(const GoldenPrompt& prompt, const std::string& what) const;
  // expected/<prompt>.<what>.npy
  NpyArray<float> expected(const GoldenPrompt& prompt, const std::string& what) const;
  // The selections of one mode: one object per layer.
  nlohmann::json selection(const GoldenPrompt& prompt, const std::string& mode) const;
  // The larger of the two noise floors of the mode: median step RMS between equally correct programs.
  double noise_floor(const GoldenPrompt& prompt, const std::string& mode) const;

  static std::vector<std::string> names();

 private:
  std::string name_;
  std::filesystem::path directory_;
  nlohmann::json manifest_;
  std::vector<GoldenPrompt> prompts_;
};

// What one run of a prompt produced: row 0 after the prompt, then one row per continuation token.
struct GoldenRun {
  std::vector<std::vector<float>> logits;
  std::vector<std::vector<float>> mtp_logits;
  std::vector<LayerCapture> capture;  // after the prompt
};

GoldenRun run_golden(const std::shared_ptr<Model>& model, const GoldenPrompt& prompt, SessionOptions options);

// Differences of rows of logits.
struct LogitsDifference {
  double max_abs = 0;
  double median_step_rms = 0;
  double same_best = 0;          // share of steps with the same best token
  double largest_lead_lost = 0;  // largest expected lead of a best token that was not found
};
// NaN anywhere makes max_abs and median NaN.
LogitsDifference compare_logits(const std::vector<std::vector<float>>& got, const NpyArray<float>& want);

// "" when the layers' streams agree within `tolerance` relative to their RMS, else the first layer that departs.
std::string compare_hidden(const std::vector<LayerCapture>& got, const NpyArray<float>& want, double tolerance);
// "" when chosen experts and index entries are the same sets, else the first difference.
std::string compare_selection(const std::vector<LayerCapture>& got, const nlohmann::json& want);

}  // namespace nibble
