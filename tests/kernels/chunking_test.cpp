// A token's result must not depend on the chunk it comes in: prefill and decode agree to the last bit on a device.
#include <bit>
#include <cmath>

#include "shaders/attention/attention_f32/attention_f32.h"
#include "shaders/common/kv_entry_reference.h"
#include "shaders/common/kv_format.h"
#include "shaders/hyper/hc_pre_f32/hc_pre_f32.h"
#include "tests/kernels/golden_ops.h"

namespace nibble {
namespace {

class ChunkingTest : public GoldenOpsTest {};

template <typename T>
std::vector<T> slice(const std::vector<T>& all, size_t begin, size_t count) {
  return {all.begin() + static_cast<ptrdiff_t>(begin), all.begin() + static_cast<ptrdiff_t>(begin + count)};
}

TEST_P(ChunkingTest, AttentionOfAChunkEqualsTokenByToken) {
  constexpr uint32_t kTokens = 23, kWindow = 6, kDim = 96, kRope = 32, kHeads = 5;
  const uint32_t words = kv_entry_words(kDim, kRope, kEntryFp8);
  const AttentionParams params = {.heads = kHeads,
                                  .dim = kDim,
                                  .rope = kRope,
                                  .rope_at = kStepHeaderWords,
                                  .window = kWindow,
                                  .format = kEntryFp8,
                                  .entry_words = words,
                                  .mode = kAttendVisible,
                                  .ratio = 3};
  Rng rng(7);
  const spec::EntryShape shape = {.dim = kDim, .rope = kRope, .format = kEntryFp8};
  const auto kv = spec::random_entries(rng, kTokens, shape);
  const auto entries = slab(put(spec::random_entries(rng, kTokens / 3 + 1, shape)));
  const auto q = spec::normal_floats(rng, kTokens * kHeads * kDim);
  const auto sinks = put(spec::normal_floats(rng, kHeads));
  std::vector<uint32_t> table;
  for (uint32_t i = 0; i < kTokens * kRope / 2; ++i) {
    const double angle = rng.uniform(-3.2, 3.2);
    table.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::cos(angle))));
    table.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::sin(angle))));
  }
  const auto whole = blank(q.size());
  run(kernels::attention_f32(), params,
      {put(q), put(kv), blank(kWindow * words), entries, blank(kTokens), sinks, whole},
      spec::step_words({.n_tokens = kTokens}, table));

  std::vector<float> pieces;
  std::vector<uint32_t> ring(kWindow * words);
  for (uint32_t t = 0; t < kTokens; ++t) {
    const auto entry = slice(kv, size_t{t} * words, words);
    const auto o = blank(kHeads * kDim);
    run(kernels::attention_f32(), params,
        {put(slice(q, size_t{t} * kHeads * kDim, kHeads * kDim)), put(entry), put(ring), entries, blank(1), sinks, o},
        spec::step_words({.n_tokens = 1, .position = t}, slice(table, size_t{t} * kRope, kRope)));
    const auto row = get(o);
    pieces.insert(pieces.end(), row.begin(), row.end());
    std::copy(entry.begin(), entry.end(), ring.begin() + static_cast<ptrdiff_t>(size_t{t % kWindow} * words));
  }
  for (const float value : pieces) ASSERT_TRUE(std::isfinite(value));
  EXPECT_EQ(get(whole), pieces);
}

TEST_P(ChunkingTest, HyperConnectionsOfAChunkEqualTokenByToken) {
  constexpr uint32_t kTokens = 5, kCols = 200, kCopies = 4;
  const HcPreParams params = {
      .cols = kCols, .copies = kCopies, .sinkhorn_iters = 20, .norm_eps = 1e-6f, .hc_eps = 1e-6f};
  Rng rng(8);
  const auto streams = spec::normal_floats(rng, kTokens * kCopies * kCols);
  const auto fn = put(spec::normal_floats(rng, 24 * kCopies * kCols, 0.05));
  const auto base = put(spec::normal_floats(rng, 24));
  const auto scale = put(spec::normal_floats(rng, 3));
  const auto norm = put(spec::normal_floats(rng, kCols));
  const auto collapse = [&](const std::vector<float>& x, uint32_t tokens) {
    const auto out = blank(tokens * kCols);
    const auto comb = blank(tokens * kCopies * kCopies);
    run(kernels::hc_pre_f32(), params, {put(x), fn, base, scale, norm, out, blank(tokens * kCopies), comb},
        spec::step_words({.n_tokens = tokens}));
    auto result = get(out);
    const auto matrix = get(comb);
    result.insert(result.end(), matrix.begin(), matrix.end());
    return result;
  };
  const auto whole = collapse(streams, kTokens);
  for (uint32_t t = 0; t < kTokens; ++t) {
    const auto one = collapse(slice(streams, size_t{t} * kCopies * kCols, kCopies * kCols), 1);
    for (const float value : one) ASSERT_TRUE(std::isfinite(value));
    EXPECT_EQ(slice(one, 0, kCols), slice(whole, size_t{t} * kCols, kCols)) << "token " << t;
    EXPECT_EQ(slice(one, kCols, 16), slice(whole, size_t{kTokens} * kCols + size_t{t} * 16, 16)) << "token " << t;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, ChunkingTest, testing::ValuesIn(test_devices()), name_of_device);

}  // namespace
}  // namespace nibble
