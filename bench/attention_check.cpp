#include "bench/attention_check.h"

#include <algorithm>
#include <cmath>

#include "runtime/base/error.h"
#include "runtime/core/kernel_table.h"
#include "shaders/common/spec_util.h"
#include "shaders/indexer/indexer_scores_f32/indexer_scores_f32.h"

namespace nibble::bench {
namespace {

constexpr size_t kMaxScores = 4096;
constexpr double kUlp = 0x1p-23;

std::vector<std::byte> content_of(Device& device, const Binding& binding) {
  std::vector<std::byte> all;
  for (const BufferView& view : binding.views) {
    uint64_t bytes = view.bytes;
    // Slabs are padded to 16 bytes; items are words.
    if (binding.views.size() > 1) {
      const uint64_t item = binding.views.front().bytes / binding.items_per_slab / 4 * 4;
      bytes = std::min(bytes, binding.items_per_slab * item);
    }
    const size_t at = all.size();
    all.resize(at + bytes);
    device.download(BufferView(view.buffer, view.offset, bytes), std::span(all).subspan(at));
  }
  return all;
}

CaseData case_of(Device& device, const Dispatch& dispatch, std::span<const uint32_t> step) {
  CaseData data{.params = dispatch.params, .step = {step.begin(), step.end()}};
  size_t next = 0;
  for (const BindingSpec& spec : dispatch.kernel->bindings) {
    data.bindings.emplace_back();
    if (spec.kind != BindingKind::kStep) data.bindings.back().content = content_of(device, dispatch.bindings[next++]);
  }
  return data;
}

double allowed(const Expected& expected, size_t i, const Tolerance& tolerance) {
  const double scale = expected.scales.empty() ? std::fabs(expected.values[i]) : expected.scales[i];
  const double slack = expected.slack.empty() ? 0 : expected.slack[i];
  return tolerance.eps * kUlp * scale + tolerance.absolute + slack;
}

// `got` holds the value of element i at got[where(i)].
template <typename F>
CheckedDispatch compare(const Dispatch& dispatch, const Expected& expected, std::span<const float> got, F&& where) {
  CheckedDispatch result{.label = dispatch.label};
  for (size_t i = 0; i < expected.values.size(); ++i) {
    if (std::isnan(expected.values[i])) continue;  // not written
    const double error = std::fabs(static_cast<double>(got[where(i)]) - expected.values[i]);
    const double share = error / allowed(expected, i, dispatch.kernel->tolerance);
    if (!(share <= 1) && error != 0) {
      fail(ErrorCode::kDevice, "'{}': element {} is {}, expected {}, {:.3g} times what the tolerance allows",
           dispatch.label, where(i), got[where(i)], expected.values[i], share);
    }
    if (error != 0) result.worst = std::max(result.worst, share);
    ++result.values;
  }
  check(result.values > 0, "'{}': nothing was compared", dispatch.label);
  return result;
}

// A reference of all scores of a million tokens would take minutes: the same formula for a choice of entries, moved
// together to the front of a cache that ends behind them.
CheckedDispatch check_scores(const Dispatch& dispatch, CaseData data) {
  auto params = unpack_params<IndexerScoresParams>(data.params);
  const uint32_t visible = (read_step_header(data.step).position + 1) / params.ratio;
  const auto keys = spec::from_bytes<uint32_t>(data.bindings[1].content);
  const auto got = spec::from_bytes<float>(data.bindings[3].content);
  std::vector<uint32_t> chosen;
  Rng rng(visible);
  const auto count = static_cast<uint32_t>(std::min<size_t>(visible, kMaxScores));
  std::vector<uint32_t> words;
  for (uint32_t i = 0; i < count; ++i) {
    chosen.push_back(count == visible ? i : rng.below(visible));
    const auto row = keys.begin() + static_cast<ptrdiff_t>(size_t{chosen[i]} * params.key_words);
    words.insert(words.end(), row, row + params.key_words);
  }
  params.stride = count;
  data.params = pack_params(params);
  data.bindings[1].content = spec::to_bytes(words);
  data.step[kStepPosition] = count * params.ratio - 1;
  const Expected expected = dispatch.kernel->reference(data).front();
  return compare(dispatch, expected, got, [&](size_t i) { return chosen[i]; });
}

// What the dispatch does not write is in `data` as it was, and therefore in what is expected.
void check_words(const Dispatch& dispatch, const CaseData& data, std::vector<CheckedDispatch>& results) {
  for (const Expected& expected : dispatch.kernel->reference(data)) {
    const auto got = spec::from_bytes<uint32_t>(data.bindings[expected.binding].content);
    for (size_t i = 0; i < got.size(); ++i) {
      if (got[i] != expected.words[i]) {
        fail(ErrorCode::kDevice, "'{}': word {} of {} is {}, expected {}", dispatch.label, i,
             dispatch.kernel->bindings[expected.binding].name, got[i], expected.words[i]);
      }
    }
    results.push_back({.label = dispatch.label, .values = got.size()});
  }
}

}  // namespace

std::vector<CheckedDispatch> check_attention(Device& device, const AttentionProblem& problem,
                                             std::span<const uint32_t> step) {
  check(read_step_header(step).n_tokens == 1, "a step of {} tokens", read_step_header(step).n_tokens);
  std::vector<CheckedDispatch> results;
  for (const Dispatch& dispatch : problem.list().dispatches()) {
    const bool scores = dispatch.kernel == &kernels::indexer_scores_f32();
    const bool topk = dispatch.kernel->name.starts_with("topk_");
    if (!scores && !topk && !dispatch.kernel->name.starts_with("attention_")) continue;
    CaseData data = case_of(device, dispatch, step);
    const StepHeader header = read_step_header(step);
    if (scores && header.position + 1 < unpack_params<IndexerScoresParams>(dispatch.params).ratio) continue;
    if (scores) {
      results.push_back(check_scores(dispatch, std::move(data)));
    } else if (topk) {
      check_words(dispatch, data, results);
    } else {
      for (const Expected& expected : dispatch.kernel->reference(data)) {
        const auto got = spec::from_bytes<float>(data.bindings[expected.binding].content);
        results.push_back(compare(dispatch, expected, got, [](size_t i) { return i; }));
      }
    }
  }
  return results;
}

}  // namespace nibble::bench
