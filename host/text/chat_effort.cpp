#include "host/text/chat_effort.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "host/text/json_text.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

constexpr size_t kMaxFileBytes = size_t{1} << 20;

constexpr std::string_view kAbsoluteMaximum =
    "Reasoning Effort: Absolute maximum with no shortcuts permitted.\n"
    "You MUST be very thorough in your thinking and comprehensively decompose the problem to resolve the root cause, "
    "rigorously stress-testing your logic against all potential paths, edge cases, and adversarial scenarios.\n"
    "Explicitly write out your entire deliberation process, documenting every intermediate step, considered "
    "alternative, and rejected hypothesis to ensure absolutely no assumption is left unchecked.\n\n";

constexpr std::string_view kBeyondMaximum =
    "Reasoning Effort: Beyond maximum — exhaustive, relentless, and uncompromising.\n"
    "You MUST reason with the utmost depth and rigor, leaving absolutely nothing to chance: exhaustively decompose the "
    "problem into its most fundamental components, trace every causal chain to its root, and resolve the underlying "
    "cause rather than any surface symptom.\n"
    "Do not stop reasoning until you have independently verified the solution from multiple angles and are certain "
    "that no assumption remains unchecked and no error remains undiscovered.\n\n";

constexpr EffortLevel kPreviewLevels[] = {{"high", ""}, {"max", kAbsoluteMaximum}};
constexpr EffortLevel kLaterLevels[] = {{"low", ""}, {"high", kAbsoluteMaximum}, {"max", kBeyondMaximum}};

// The table and the single text that the two generations of the encoder define.
constexpr std::string_view kLaterName = "REASONING_EFFORT_PROMPTS";
constexpr std::string_view kPreviewName = "REASONING_EFFORT_MAX";

bool has_draft_head(const nlohmann::json& config) {
  return std::any_of(config.items().begin(), config.items().end(),
                     [](const auto& field) { return field.key().starts_with("dspark_"); });
}

}  // namespace

std::span<const EffortLevel> effort_levels(const std::filesystem::path& directory) {
  // V4-Flash-DSpark has the draft head and the previews' encoder: where the encoder is there, it is the better witness.
  const std::filesystem::path encoder = directory / "encoding" / "encoding_dsv4.py";
  std::error_code error;
  if (std::filesystem::is_regular_file(encoder, error)) {
    const std::string text = read_text_file(encoder.string(), kMaxFileBytes);
    if (text.find(kLaterName) != std::string::npos) return kLaterLevels;
    if (text.find(kPreviewName) != std::string::npos) return kPreviewLevels;
  }
  const std::string path = (directory / "config.json").string();
  const nlohmann::json config = parse_json(read_text_file(path, kMaxFileBytes), path);
  if (!config.is_object()) fail(ErrorCode::kInvalidFile, "{}: {}, expected an object", path, config.type_name());
  return has_draft_head(config) ? std::span<const EffortLevel>(kLaterLevels) : kPreviewLevels;
}

std::string_view effort_instruction(std::span<const EffortLevel> levels, std::string_view name) {
  if (name.empty()) return levels.front().instruction;
  std::string names;
  for (const EffortLevel& level : levels) {
    if (level.name == name) return level.instruction;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", level.name);
  }
  fail(ErrorCode::kUsage, "reasoning effort '{}': this checkpoint has {}", printable(name), names);
}

}  // namespace nibble
