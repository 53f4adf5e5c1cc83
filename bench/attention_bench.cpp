#include "bench/attention_bench.h"

#include <algorithm>
#include <fstream>
#include <map>

#include "bench/clock.h"
#include "host/checkpoint/weights.h"
#include "host/placement/place_weights.h"
#include "host/synthetic/memory_checkpoint.h"
#include "runtime/base/error.h"

namespace nibble::bench {
namespace {

constexpr uint32_t kProgressReports = 8;
// A GPU lowers its clocks while the host checks what it computed, and takes this long to raise them again.
constexpr double kWarmSeconds = 0.3;

uint64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

// The kernels that move no bytes to speak of are put beside f32.
MathCeiling math_of(std::string_view kernel) {
  if (kernel == "indexer_scores_f32") return MathCeiling::kInt8;
  if (kernel == "attention_f32" || kernel == "attention_parts_f32" || kernel.starts_with("gemm_"))
    return MathCeiling::kBf16;
  return MathCeiling::kF32;
}

// What one kernel does in one kind of layer.
struct Share {
  std::string kernel;
  std::string variant;
  Cost cost;
  PairedTimes times;
};

class DecodeRun {
 public:
  DecodeRun(Device& device, AttentionProblem& problem, std::vector<uint32_t> step)
      : device_(device), problem_(problem), step_(std::move(step)) {}

  void sample(const CeilingSample& ceilings) {
    const double whole = seconds_of([&] { device_.wait(device_.submit(problem_.program(), step_)); });
    add(whole_, ceilings, whole);
    const std::vector<DispatchTiming> timings = device_.time_dispatches(problem_.program(), step_);
    const auto dispatches = problem_.list().dispatches();
    check(timings.size() == dispatches.size(), "{} dispatches timed of {}", timings.size(), dispatches.size());
    const StepHeader header = read_step_header(step_);
    std::map<std::string, double> seconds;
    for (size_t i = 0; i < timings.size(); ++i) {
      const Dispatch& dispatch = dispatches[i];
      const std::string name =
          fmt::format("{} {}", dispatch.label.substr(0, dispatch.label.find('.')), dispatch.kernel->name);
      Share& share = shares_[name];
      share.kernel = dispatch.kernel->name;
      share.variant = timings[i].kernel.substr(timings[i].kernel.find("__") + 2);
      seconds[name] += timings[i].seconds;
      if (whole_.best.size() > 1 || dispatch.kernel->cost == nullptr) continue;
      const Cost cost = dispatch.kernel->cost(dispatch.params, header);
      share.cost.bytes += cost.bytes;
      share.cost.flops += cost.flops;
    }
    for (const auto& [name, value] : seconds) add(shares_[name].times, ceilings, value);
  }

  void finish(AttentionBenchResult& result, const Row& like) const {
    result.step = like;
    result.step.kernel = "attention step";
    for (const auto& [name, share] : shares_) {
      Row row = like;
      row.kernel = name;
      row.variant = share.variant;
      row.bytes = share.cost.bytes;
      row.flops = share.cost.flops;
      result.step.bytes += row.bytes;
      result.step.flops += row.flops;
      fill_row(row, share.times, math_of(share.kernel), 0);
      result.rows.push_back(std::move(row));
    }
    fill_row(result.step, whole_, MathCeiling::kBf16, 0);
    std::stable_sort(result.rows.begin(), result.rows.end(),
                     [](const Row& a, const Row& b) { return a.seconds.median > b.seconds.median; });
  }

 private:
  static void add(PairedTimes& times, const CeilingSample& ceilings, double seconds) {
    times.ceilings.push_back(ceilings);
    times.best.push_back(seconds);
    times.all.push_back(seconds);
  }

  Device& device_;
  AttentionProblem& problem_;
  const std::vector<uint32_t> step_;
  PairedTimes whole_;
  std::map<std::string, Share> shares_;  // by kind and kernel
};

}  // namespace

AttentionBench::AttentionBench(Device& device, const AttentionBenchOptions& options)
    : device_(device),
      options_(options),
      config_(attention_config(options.shape)),
      checkpoint_(std::make_shared<const Checkpoint>(synthetic_checkpoint(config_, {.seed = options.seed}))),
      weights_(place_weights(device, load_weights(*checkpoint_, config_), checkpoint_, {})) {}

SessionOptions AttentionBench::session(uint32_t context) const {
  if (context > config_.max_position_embeddings) {
    fail(ErrorCode::kUsage, "a context of {} positions exceeds the model's maximum of {} (max_position_embeddings)",
         context, config_.max_position_embeddings);
  }
  return {.numerics = options_.numerics, .context = context, .chunk = std::min(options_.chunk, context)};
}

AttentionBenchResult AttentionBench::decode(uint32_t context, Ceilings& ceilings) {
  const SessionOptions session_options = session(context);
  AttentionProblem problem(device_, config_, weights_, session_options, 1, Temporaries::kKept);
  problem.fill(context - 1, options_.seed + context);
  problem.draw_input(options_.seed);
  const std::vector<uint32_t> step = problem.prepare(context - 1, 1);
  const auto one_step = [&] { device_.wait(device_.submit(problem.program(), step)); };
  one_step();
  AttentionBenchResult result{.context = context, .checked = check_attention(device_, problem, step)};
  DecodeRun run(device_, problem, step);
  double window = 0;
  for (double warm = 0; warm < kWarmSeconds; warm += window) window = seconds_of(one_step);
  for (uint32_t i = 0; i < options_.measure.pairs; ++i) run.sample(ceilings.sample(window));
  run.finish(result, {.device = device_.info().name,
                      .driver = driver_text(device_.info()),
                      .shape = fmt::format("{},context={}", options_.shape, context),
                      .numerics = std::string(name_of(options_.numerics)),
                      .tokens = 1});
  result.kv_bytes = problem.kv_bytes();
  result.scratch_bytes = problem.scratch_bytes();
  return result;
}

PrefillResult AttentionBench::prefill(const std::function<void(const PrefillProgress&)>& on_progress) {
  const uint32_t tokens = options_.prefill;
  const SessionOptions session_options = session(tokens);
  AttentionProblem problem(device_, config_, weights_, session_options, session_options.chunk, Temporaries::kShared);
  PrefillResult result{.weight_bytes = weights_.device_bytes};
  PrefillProgress progress;
  uint32_t reported = 0;
  double since = 0;
  for (uint32_t position = 0; position < tokens;) {
    const uint32_t count = std::min(session_options.chunk, tokens - position);
    problem.draw_input(options_.seed + position);  // the same input again and again would fill the cache with ties
    const double seconds = seconds_of([&] {
      const std::vector<uint32_t> step = problem.prepare(position, count);
      device_.wait(device_.submit(problem.program(), step));
    });
    position += count;
    progress.seconds += seconds;
    since += seconds;
    const bool due = uint64_t{position} * kProgressReports / tokens > uint64_t{reported} * kProgressReports / tokens;
    if (!due && position != tokens) continue;
    progress.tokens = position;
    progress.per_second = (position - reported) / since;
    result.progress.push_back(progress);
    if (on_progress) on_progress(progress);
    reported = position;
    since = 0;
  }
  result.kv_bytes = problem.kv_bytes();
  result.scratch_bytes = problem.scratch_bytes();
  result.peak_resident = peak_resident_bytes();
  return result;
}

}  // namespace nibble::bench
