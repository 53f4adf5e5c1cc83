#include "tests/model/golden_model.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>

#include "runtime/base/error.h"

namespace nibble {
namespace {

std::filesystem::path models_directory() { return std::filesystem::path(NIBBLE_SOURCE_DIR) / "tests/golden/models"; }

nlohmann::json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) fail(ErrorCode::kNotFound, "{} cannot be read", path.string());
  return nlohmann::json::parse(file);
}

size_t best_of(std::span<const float> row) {
  return static_cast<size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

double lead_of_best(std::span<const float> row) {
  std::vector<float> sorted(row.begin(), row.end());
  std::partial_sort(sorted.begin(), sorted.begin() + 2, sorted.end(), std::greater<>());
  return static_cast<double>(sorted[0]) - static_cast<double>(sorted[1]);
}

std::set<uint64_t> as_set(const nlohmann::json& ids) {
  std::set<uint64_t> result;
  for (const auto& id : ids) result.insert(id.get<uint64_t>());
  return result;
}

}  // namespace

GoldenModel::GoldenModel(const std::string& name)
    : name_(name), directory_(models_directory() / name), manifest_(read_json(directory_ / "manifest.json")) {
  for (const auto& entry : read_json(directory_ / "prompts.json")) {
    prompts_.push_back({.name = entry.at("name"),
                        .prompt = entry.at("prompt_ids").get<std::vector<uint32_t>>(),
                        .continuation = entry.at("continuation_ids").get<std::vector<uint32_t>>()});
  }
}

std::vector<std::string> GoldenModel::names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(models_directory())) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

bool GoldenModel::has(const GoldenPrompt& prompt, const std::string& what) const {
  return std::filesystem::exists(directory_ / "expected" / (prompt.name + "." + what + ".npy"));
}

NpyArray<float> GoldenModel::expected(const GoldenPrompt& prompt, const std::string& what) const {
  return read_npy<float>((directory_ / "expected" / (prompt.name + "." + what + ".npy")).string());
}

nlohmann::json GoldenModel::selection(const GoldenPrompt& prompt, const std::string& mode) const {
  return read_json(directory_ / "expected" / (prompt.name + ".selection.json")).at(mode);
}

double GoldenModel::noise_floor(const GoldenPrompt& prompt, const std::string& mode) const {
  for (const auto& entry : manifest_.at("prompts")) {
    if (entry.at("name") != prompt.name) continue;
    const auto& differences = entry.at("differences");
    const auto median = [&](const std::string& of) { return differences.at(of).at("median_step_rms").get<double>(); };
    // Where the other order of sums was not tried, the program that computes a sequence in one pass has one.
    const std::string other_order = mode + " noise floor (other summation order)";
    return std::max(median(mode + " noise floor (few-ulp noise)"),
                    median(differences.contains(other_order) ? other_order : mode + ": float64 one-pass program"));
  }
  fail(ErrorCode::kNotFound, "{}: no prompt '{}' in the manifest", name_, prompt.name);
}

GoldenRun run_golden(const std::shared_ptr<Model>& model, const GoldenPrompt& prompt, SessionOptions options) {
  options.context = static_cast<uint32_t>(prompt.prompt.size() + prompt.continuation.size());
  options.mtp = model->has_mtp();
  options.capture = true;
  const std::unique_ptr<Session> session = Session::create(model, options);
  GoldenRun run;
  const auto first_mtp = static_cast<uint32_t>(prompt.prompt.size() - 1);
  session->set_mtp_sink([&](uint32_t position, std::span<const float> logits) {
    if (position >= first_mtp) run.mtp_logits.emplace_back(logits.begin(), logits.end());
  });
  run.logits.push_back(session->feed(prompt.prompt));
  run.capture = session->capture();
  for (const uint32_t token : prompt.continuation) run.logits.push_back(session->feed(std::span(&token, 1)));
  return run;
}

LogitsDifference compare_logits(const std::vector<std::vector<float>>& got, const NpyArray<float>& want) {
  check(got.size() == want.shape.at(0), "{} rows of logits, expected {}", got.size(), want.shape.at(0));
  const size_t vocab = want.shape.at(1);
  LogitsDifference result;
  std::vector<double> step_rms;
  size_t same = 0;
  for (size_t step = 0; step < got.size(); ++step) {
    const std::span<const float> expected(&want.values[step * vocab], vocab);
    double sum = 0;
    for (size_t i = 0; i < vocab; ++i) {
      const double d = static_cast<double>(got[step].at(i)) - static_cast<double>(expected[i]);
      sum += d * d;
      if (!std::isnan(result.max_abs) && !(std::fabs(d) <= result.max_abs)) result.max_abs = std::fabs(d);
    }
    step_rms.push_back(std::isnan(sum) ? std::numeric_limits<double>::infinity()
                                       : std::sqrt(sum / static_cast<double>(vocab)));
    if (best_of(got[step]) == best_of(expected)) {
      ++same;
    } else {
      result.largest_lead_lost = std::max(result.largest_lead_lost, lead_of_best(expected));
    }
  }
  std::sort(step_rms.begin(), step_rms.end());
  result.median_step_rms = step_rms[step_rms.size() / 2];
  result.same_best = static_cast<double>(same) / static_cast<double>(got.size());
  return result;
}

std::string compare_hidden(const std::vector<LayerCapture>& got, const NpyArray<float>& want, double tolerance) {
  const size_t size = want.shape.at(1) * want.shape.at(2);
  for (size_t layer = 0; layer < want.shape.at(0); ++layer) {
    double difference = 0;
    double magnitude = 0;
    for (size_t i = 0; i < size; ++i) {
      const auto expected = static_cast<double>(want.values[layer * size + i]);
      const double d = static_cast<double>(got.at(layer).hidden.at(i)) - expected;
      difference += d * d;
      magnitude += expected * expected;
    }
    const double relative = std::sqrt(difference / magnitude);
    if (!(relative <= tolerance)) {
      return fmt::format("stream after layer {} is off by {:.2e} of its RMS, allowed {:.1e}", layer, relative,
                         tolerance);
    }
  }
  return "";
}

std::string compare_selection(const std::vector<LayerCapture>& got, const nlohmann::json& want) {
  for (const auto& layer : want) {
    const auto index = layer.at("layer").get<size_t>();
    const LayerCapture& capture = got.at(index);
    const std::set<uint64_t> experts(capture.experts.begin(), capture.experts.end());
    if (experts != as_set(layer.at("expert_ids"))) {
      return fmt::format("layer {} chose experts {}, expected {}", index, fmt::join(experts, " "),
                         layer.at("expert_ids").dump());
    }
    if (!layer.contains("index_topk_ids")) continue;
    const std::set<uint64_t> entries(capture.index_entries.begin(), capture.index_entries.end());
    if (entries != as_set(layer.at("index_topk_ids"))) {
      return fmt::format("layer {} chose entries {}, expected {}", index, fmt::join(entries, " "),
                         layer.at("index_topk_ids").dump());
    }
  }
  return "";
}

}  // namespace nibble
