#include "shaders/indexer/topk_f32/topk_spec.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "shaders/common/spec_util.h"

namespace nibble {

std::vector<float> spec::topk_scores(Rng& rng, size_t count, Scores kind) {
  std::vector<float> scores = normal_floats(rng, count);
  for (float& score : scores) {
    if (kind == Scores::kTies) score = static_cast<float>(static_cast<int>(rng.below(5)) - 2);
    if (kind == Scores::kTies && score == 0 && rng.below(2) == 0) score = -0.0f;
    if (kind != Scores::kHostile || rng.below(3) != 0) continue;
    constexpr float kOdd[] = {std::numeric_limits<float>::infinity(),
                              -std::numeric_limits<float>::infinity(),
                              std::numeric_limits<float>::quiet_NaN(),
                              0.0f,
                              -0.0f,
                              3e38f};
    score = kOdd[rng.below(std::size(kOdd))];
  }
  return scores;
}

std::vector<uint32_t> spec::topk_order(const float* scores, uint32_t begin, uint32_t end, uint32_t n) {
  std::vector<uint32_t> order(end - begin);
  std::iota(order.begin(), order.end(), begin);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    if (std::isnan(scores[a]) || std::isnan(scores[b])) return std::isnan(scores[a]) && !std::isnan(scores[b]);
    return scores[a] > scores[b];
  });
  order.resize(std::min<size_t>(order.size(), n));
  return order;
}

std::vector<Variant> spec::topk_variants(bool parts, bool joined) {
  const auto variant = [&](std::string_view name, uint32_t workgroup, bool for_wide_cpu) {
    return Variant{.name = name,
                   .text = "indexer/topk_f32/topk_f32.kernel",
                   .workgroup = workgroup,
                   .constants = {{"PARTS", parts ? 1u : 0u}, {"JOINED", joined ? 1u : 0u}},
                   .shared = {{"histogram", ElementType::kU32, "2048"},
                              {"counts", ElementType::kU32, "2 * WG"},
                              {"sums", ElementType::kU32, "136"}},
                   .requires_ = {},
                   .for_wide_cpu = for_wide_cpu};
  };
  // llvmpipe ends all loops of an invocation after 65535 iterations together: 262,144 scores read five times by 8
  // invocations would exceed that, by 32 they take 41,000.
  return {variant("portable", 128, false), variant("wg1024", 1024, false), variant("wide", 32, true)};
}

}  // namespace nibble
