#include "bench/kernel_bench.h"

#include <algorithm>
#include <optional>

#include "bench/clblast_baseline.h"
#include "bench/moe_problem.h"
#include "runtime/base/error.h"
#include "runtime/base/shell_pattern.h"
#include "runtime/core/kernel_table.h"
#include "runtime/core/variant.h"
#include "runtime/core/x_kind.h"
#include "runtime/cpu/cpu_features.h"
#include "shaders/common/kv_format.h"

namespace nibble::bench {
namespace {

bool is_moe(const KernelSpec& kernel) { return kernel.name.starts_with("moe_"); }

// The param of that name, nothing where the kernel has none.
std::optional<uint32_t> param_of(const KernelSpec& kernel, std::span<const std::byte> params, std::string_view name) {
  for (size_t i = 0; i < kernel.params.size(); ++i) {
    if (kernel.params[i].name == name) return unpack_params<uint32_t>(params.subspan(i * 4, 4));
  }
  return std::nullopt;
}

MathCeiling math_of(const KernelSpec& kernel, std::span<const std::byte> params) {
  if (const auto kind = param_of(kernel, params, "x_kind")) {
    if (*kind == static_cast<uint32_t>(XKind::kFp8)) return MathCeiling::kBf16;
    if (*kind == static_cast<uint32_t>(XKind::kCoarse)) return MathCeiling::kInt8;
  }
  if (param_of(kernel, params, "coarse") == 1u) return MathCeiling::kBf16;  // attention in 16 bits
  // Keys and queries of e2m1 are small integers.
  if (kernel.name == "indexer_scores_f32" && param_of(kernel, params, "format") == kKeyFp4) return MathCeiling::kInt8;
  return MathCeiling::kF32;
}

class KernelBench {
 public:
  KernelBench(const OpenForced& open, Ceilings& ceilings, const DeviceInfo& info, const KernelBenchOptions& options,
              const KernelBenchSinks& sinks)
      : open_(open), ceilings_(ceilings), info_(info), options_(options), sinks_(sinks) {}

  std::vector<Row> run() {
    const auto kernels = select_kernels(options_.kernels);
    check_overrides(kernels, options_.request);
    for (const KernelSpec* kernel : kernels) {
      if (!is_moe(*kernel) && problem_shapes(kernel->name).empty()) skip(fmt::format("{}: no shapes", kernel->name));
      for (const std::string& variant : variants_on(*kernel, info_)) {
        const auto& wanted = options_.variants;
        if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), variant) == wanted.end()) continue;
        is_moe(*kernel) ? run_moe(*kernel, variant) : run_shapes(*kernel, variant);
      }
      const bool has_baseline = info_.backend == BackendKind::kOpenCl && kernel->name.starts_with("gemm_");
      if (has_baseline && options_.baseline) run_clblast(*kernel);
    }
    return std::move(rows_);
  }

 private:
  void skip(const std::string& why) const {
    if (sinks_.skipped) sinks_.skipped(why);
  }

  Device& device(const std::string& variant) {
    std::unique_ptr<Device>& device = devices_[variant];
    if (device == nullptr) {
      device = open_(variant);
      empty_[variant] = empty_seconds(*device);
    }
    return *device;
  }

  void run_shapes(const KernelSpec& kernel, const std::string& variant) {
    for (const ProblemShape& shape : problem_shapes(kernel.name)) {
      for (const uint32_t tokens : options_.tokens) {
        ProblemRequest request = options_.request;
        request.tokens = tokens;
        Rng rng(tokens);
        const CaseData data = shape.make(kernel, request, rng);
        const std::string text = fmt::format("{} {}", shape.name, describe_params(kernel, data.params));
        guarded(kernel, variant, text, tokens, [&] {
          const Workload workload = place_problem(device(variant), kernel, data, options_.cold_bytes);
          measure(kernel, variant, text, tokens, workload, math_of(kernel, data.params));
        });
      }
    }
  }

  // The shapes of a dense product by CLBlast.
  void run_clblast(const KernelSpec& kernel) {
    const std::string variant(kClblastVariant);
    for (const ProblemShape& shape : problem_shapes(kernel.name)) {
      for (const uint32_t tokens : options_.tokens) {
        ProblemRequest request = options_.request;
        request.tokens = tokens;
        Rng rng(tokens);
        const std::vector<std::byte> params = shape.make(kernel, request, rng).params;
        const std::string text = fmt::format("{} {}", shape.name, describe_params(kernel, params));
        guarded(kernel, variant, text, tokens, [&] {
          const ClblastWork work =
              clblast_gemm(device(""), unpack_params<GemmParams>(params), tokens, options_.cold_bytes);
          for (const bool warm : {false, true}) {
            if (!warm && work.work.count == 1) continue;
            Row row = row_of(kernel, variant, text, warm, tokens);
            row.bytes = work.bytes;
            row.flops = work.flops;
            add(row, measure_pairs(work.work, warm, ceilings_, options_.measure), MathCeiling::kF32, "");
          }
        });
      }
    }
  }

  void run_moe(const KernelSpec& kernel, const std::string& variant) {
    const MoeShape shape{.experts = options_.experts, .fp8 = kernel.name.find("fp8") != std::string_view::npos};
    guarded(kernel, variant, "experts", 0, [&] {
      const MoeProblem problem(device(variant), shape);
      const std::string text = fmt::format("experts={},active={},hidden={},width={}", shape.experts, shape.active,
                                           shape.hidden, shape.width);
      for (const uint32_t tokens : options_.tokens) {
        guarded(kernel, variant, text, tokens, [&] {
          const Workload workload = problem.workload(kernel, tokens, Numerics::kReference);
          if (workload.programs.empty()) {
            skip(fmt::format("{}: a step of {} tokens does not use it", kernel.name, tokens));
            return;
          }
          measure(kernel, variant, text, tokens, workload, MathCeiling::kBf16);
        });
      }
    });
  }

  // A problem that a device cannot hold is left out, not the end of the run.
  template <typename F>
  void guarded(const KernelSpec& kernel, const std::string& variant, const std::string& shape, uint32_t tokens, F&& f) {
    try {
      f();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported && error.code() != ErrorCode::kOutOfMemory) throw;
      skip(fmt::format("{}__{} {} of {} tokens: {}", kernel.name, variant, shape, tokens, error.what()));
    }
  }

  void measure(const KernelSpec& kernel, const std::string& variant, const std::string& shape, uint32_t tokens,
               const Workload& workload, MathCeiling math) {
    Device& on = device(variant);
    const std::string ran = workload.variant();
    if (ran != variant) {
      skip(fmt::format("{}: the device runs {} of {} tokens with {} instead of {}", kernel.name, shape, tokens, ran,
                       variant));
      return;
    }
    check_outputs(on, workload, fmt::format("{}__{} {}, {} tokens", kernel.name, variant, shape, tokens), true);
    const bool rotates = workload.programs.size() > 1;
    for (const bool warm : {false, true}) {
      if (!warm && !rotates) continue;
      Row row = row_of(kernel, variant, shape, warm, tokens);
      row.bytes = workload.bytes;
      row.flops = workload.flops;
      add(row, measure_pairs(on, workload, warm, ceilings_, options_.measure), math, variant);
    }
  }

  Row row_of(const KernelSpec& kernel, const std::string& variant, const std::string& shape, bool warm,
             uint32_t tokens) const {
    return {.device = info_.name,
            .driver = driver_text(info_),
            .kernel = std::string(kernel.name),
            .variant = variant,
            .shape = shape,
            .data = warm ? "warm" : "cold",
            .tokens = tokens};
  }

  // `forced`: the variant of the device that ran it.
  void add(Row row, const PairedTimes& times, MathCeiling math, const std::string& forced) {
    fill_row(row, times, math, empty_[forced]);
    rows_.push_back(row);
    if (sinks_.row) sinks_.row(row);
  }

  const OpenForced& open_;
  Ceilings& ceilings_;
  const DeviceInfo& info_;
  const KernelBenchOptions& options_;
  const KernelBenchSinks& sinks_;
  std::map<std::string, std::unique_ptr<Device>> devices_;  // by forced variant
  std::map<std::string, double> empty_;                     // seconds of an empty dispatch there
  std::vector<Row> rows_;
};

}  // namespace

std::vector<const KernelSpec*> select_kernels(const std::vector<std::string>& names) {
  const auto is_meant = [](const KernelSpec& kernel, const std::string& name) {
    return kernel.name.starts_with(name) || matches_pattern(kernel.name, name);
  };
  for (const std::string& name : names) {
    if (std::ranges::none_of(kernel_table(), [&](const KernelSpec* kernel) { return is_meant(*kernel, name); })) {
      fail(ErrorCode::kUsage, "no kernel's name matches '{}' ('nibble devices --kernels' lists them)", name);
    }
  }
  std::vector<const KernelSpec*> selected;
  for (const KernelSpec* kernel : kernel_table()) {
    const auto means_it = [&](const std::string& name) { return is_meant(*kernel, name); };
    if (names.empty() || std::ranges::any_of(names, means_it)) selected.push_back(kernel);
  }
  return selected;
}

void check_overrides(const std::vector<const KernelSpec*>& kernels, const ProblemRequest& request) {
  for (const auto& change : request.overrides) {
    const std::string& name = change.first;  // clang 14 captures no structured binding
    const bool known = std::any_of(kernels.begin(), kernels.end(), [&](const KernelSpec* kernel) {
      return std::any_of(kernel->params.begin(), kernel->params.end(),
                         [&](const ParamSpec& param) { return param.name == name; });
    });
    if (!known) fail(ErrorCode::kUsage, "--shape {}: none of the kernels has a param of that name", name);
  }
}

std::vector<std::string> variants_on(const KernelSpec& kernel, const DeviceInfo& info) {
  std::vector<std::string> names;
  if (info.backend == BackendKind::kCpu) {
    for (const CpuKernel& implementation : cpu_kernels_of(kernel.name)) {
      if (implementation.isa <= cpu_isa_of(info.capabilities)) names.emplace_back(implementation.variant);
    }
    return names;
  }
  for (const Variant& variant : kernel.variants) {
    if (is_supported(variant, info)) names.emplace_back(variant.name);
  }
  return names;
}

std::vector<Row> run_kernel_bench(const OpenForced& open, Ceilings& ceilings, const DeviceInfo& info,
                                  const KernelBenchOptions& options, const KernelBenchSinks& sinks) {
  return KernelBench(open, ceilings, info, options, sinks).run();
}

}  // namespace nibble::bench
