// Norms, rotation, attention and hyper-connections against their known answers. Floats: 1e-5 of the array's RMS.
#include <algorithm>
#include <bit>
#include <cmath>

#include "host/layers/rope.h"
#include "shaders/attention/attention_f32/attention_f32.h"
#include "shaders/attention/encode_kv_f32/encode_kv_f32.h"
#include "shaders/common/kv_format.h"
#include "shaders/common/spec_util.h"
#include "shaders/hyper/hc_head_f32/hc_head_f32.h"
#include "shaders/hyper/hc_post_f32/hc_post_f32.h"
#include "shaders/hyper/hc_pre_f32/hc_pre_f32.h"
#include "shaders/norm/rms_norm_rope_f32/rms_norm_rope_f32.h"
#include "tests/kernels/golden_ops.h"

namespace nibble {
namespace {

constexpr double kEps = 1e-5;
constexpr uint32_t kTableAt = kStepHeaderWords;

class AttentionOpsTest : public GoldenOpsTest {};

std::vector<uint32_t> step_of(uint32_t n_tokens, const std::vector<uint32_t>& extra = {}) {
  return spec::step_words({.n_tokens = n_tokens, .n_logits = n_tokens}, extra);
}

// RMSNorm without weight, in double: the kernels that collapse streams normalise them as well.
std::vector<float> normalised(const std::vector<float>& rows, size_t cols, double eps) {
  std::vector<float> result;
  for (size_t r = 0; r < rows.size() / cols; ++r) {
    double squares = 0;
    for (size_t c = 0; c < cols; ++c) squares += double{rows[r * cols + c]} * rows[r * cols + c];
    const double scale = 1 / std::sqrt(squares / static_cast<double>(cols) + eps);
    for (size_t c = 0; c < cols; ++c) result.push_back(static_cast<float>(rows[r * cols + c] * scale));
  }
  return result;
}

TEST_P(AttentionOpsTest, RmsNorm) {
  const auto y = blank(5 * 256);
  run(kernels::rms_norm_rope_f32(), RmsNormRopeParams{.cols = 256, .norm_mode = kNormWeighted, .eps = 1e-6f},
      {put(golden("rms_norm", "x")), put(golden("rms_norm", "weight")), y}, step_of(5));
  expect_close(get(y), golden("rms_norm", "y"), kEps, "y");

  const auto q = blank(5 * 4 * 128);
  run(kernels::rms_norm_rope_f32(),
      RmsNormRopeParams{.cols = 128, .norm_mode = kNormPlain, .rows_per_token = 4, .eps = 1e-6f},
      {put(golden("rms_norm", "q")), blank(1), q}, step_of(5));
  expect_close(get(q), golden("rms_norm", "q_head_norm"), kEps, "q_head_norm");
}

// Rows of the Flash table with YaRN at the golden positions, each `repeat` times.
std::vector<uint32_t> flash_table(size_t repeat) {
  const RopeTable table(64, 160000, Yarn{.factor = 16, .original_length = 65536, .beta_fast = 32, .beta_slow = 1});
  std::vector<uint32_t> words;
  for (const int64_t position : golden<int64_t>("rope_tables_flash", "positions")) {
    float row[64];
    table.row(static_cast<uint32_t>(position), row);
    for (size_t i = 0; i < repeat; ++i) {
      for (const float value : row) words.push_back(std::bit_cast<uint32_t>(value));
    }
  }
  return words;
}

TEST_P(AttentionOpsTest, RopeApply) {
  const auto x = golden("rope_apply", "x");
  const auto y = blank(x.size());
  run(kernels::rms_norm_rope_f32(),
      RmsNormRopeParams{.cols = 96, .rope = 64, .rope_at = kTableAt, .norm_mode = kNormNone, .rows_per_token = 3},
      {put(x), blank(1), y}, step_of(14, flash_table(1)));
  expect_close(get(y), golden("rope_apply", "rotated"), kEps, "rotated");

  // A query that attends to its own entry alone, with a sink that weighs nothing, gives that entry turned back.
  const auto o = blank(x.size());
  run(kernels::attention_f32(),
      AttentionParams{.heads = 1, .dim = 96, .rope = 64, .rope_at = kTableAt, .window = 1, .entry_words = 96},
      {put(std::vector<float>(x.size())), put(x), blank(96), slab(blank(96)), blank(1), put(std::vector<float>{-1e30f}),
       o},
      step_of(42, flash_table(3)));
  expect_close(get(o), golden("rope_apply", "rotated_inverse"), kEps, "rotated_inverse");
}

TEST_P(AttentionOpsTest, EntryCodes) {
  const auto words = kv_entry_words(256, 0, kEntryFp8);
  const auto out = blank(12 * words);
  run(kernels::encode_kv_f32(),
      EncodeKvParams{.dim = 256, .format = kEntryFp8, .entry_words = words, .entry_capacity = 12},
      {put(golden("act_quant_fp8_block64", "x")), slab(out)}, step_of(12));
  const auto bytes = get<uint8_t>(out);
  const auto codes = golden<uint8_t>("act_quant_fp8_block64", "codes");
  const auto scales = golden<uint8_t>("act_quant_fp8_block64", "scale_bytes");
  for (size_t row = 0; row < 12; ++row) {
    for (size_t i = 0; i < 256; ++i) {
      const uint8_t got = bytes[row * words * 4 + i];
      ASSERT_EQ(got == 0x80 ? 0 : got, codes[row * 256 + i] == 0x80 ? 0 : codes[row * 256 + i]) << row << ", " << i;
    }
    for (size_t b = 0; b < 4; ++b) ASSERT_EQ(bytes[row * words * 4 + 256 + b], scales[row * 4 + b]) << row << ", " << b;
  }
}

// The vectors gather entries by index, -1 = none: here all of them are compressed entries and the window is empty.
TEST_P(AttentionOpsTest, SparseAttention) {
  for (const std::string op : {"sparse_attn_small", "sparse_attn_d512"}) {
    const auto q = golden(op, "q");
    const auto indices = golden<int32_t>(op, "topk_idxs");
    const uint32_t tokens = op == "sparse_attn_small" ? 12 : 3;
    const uint32_t dim = op == "sparse_attn_small" ? 64 : 512;
    const auto k = static_cast<uint32_t>(indices.size() / tokens);
    std::vector<uint32_t> ids;
    for (uint32_t t = 0; t < tokens; ++t) {
      ids.push_back(0);
      for (uint32_t i = 0; i < k; ++i) {
        const int32_t index = indices[t * k + i];
        if (index < 0) continue;
        ids.push_back(static_cast<uint32_t>(index));
        ++ids[t * (k + 1)];
      }
      ids.resize((t + 1) * (k + 1), 0xffffffffu);
    }
    const auto o = blank(q.size());
    run(kernels::attention_f32(),
        AttentionParams{.heads = 4, .dim = dim, .entry_words = dim, .mode = kAttendIds, .ratio = 4, .k = k},
        {put(q), blank(tokens * dim), blank(dim), slab(put(golden(op, "kv"))), put(ids), put(golden(op, "attn_sink")),
         o},
        step_of(tokens));
    expect_close(get(o), golden(op, "out_f32"), kEps, op);
  }
}

TEST_P(AttentionOpsTest, HyperConnections) {
  for (const uint32_t copies : {2u, 4u}) {
    const std::string op = fmt::format("hyper_connection_hc{}", copies);
    const auto x = golden(op, "x");
    const auto collapsed = blank(9 * 64);
    const auto post = blank(9 * copies);
    const auto comb = blank(9 * copies * copies);
    const auto ones = put(std::vector<float>(64, 1.0f));
    run(kernels::hc_pre_f32(),
        HcPreParams{
            .cols = 64, .copies = copies, .sinkhorn_iters = copies == 2 ? 7u : 20u, .norm_eps = 1e-6f, .hc_eps = 1e-6f},
        {put(x), put(golden(op, "fn")), put(golden(op, "base")), put(golden(op, "scale")), ones, collapsed, post, comb},
        step_of(9));
    expect_close(get(collapsed), normalised(golden(op, "collapsed"), 64, 1e-6), kEps, op + " collapsed");
    expect_close(get(post), golden(op, "post"), kEps, op + " post");
    expect_close(get(comb), golden(op, "comb"), kEps, op + " comb");

    const auto streams = put(x);
    run(kernels::hc_post_f32(), HcPostParams{.cols = 64, .copies = copies},
        {put(golden(op, "sublayer_output")), post, comb, streams}, step_of(9));
    expect_close(get(streams), golden(op, "expanded"), kEps, op + " expanded");

    const std::string head = fmt::format("hyper_connection_head_hc{}", copies);
    const auto y = blank(9 * 64);
    run(kernels::hc_head_f32(), HcHeadParams{.cols = 64, .copies = copies, .norm_eps = 1e-6f, .hc_eps = 1e-6f},
        {put(golden(head, "x")), put(golden(head, "fn")), put(golden(head, "base")), put(golden(head, "scale")), ones,
         y},
        step_of(9));
    expect_close(get(y), normalised(golden(head, "y"), 64, 1e-6), kEps, head);
  }
}

// Mixes are given: fn picks them from the first 24 of 64 stream values, the last value makes the mean square 1. They
// are divided by 64 there and the scales multiplied by 64, since the extreme ones are in the hundreds.
TEST_P(AttentionOpsTest, SplitSinkhorn) {
  const auto mixes = golden("hc_split_sinkhorn", "mixes");
  std::vector<float> streams(16 * 64);
  std::vector<float> fn(24 * 64);
  for (size_t m = 0; m < 24; ++m) fn[m * 64 + m] = 1;
  for (size_t t = 0; t < 16; ++t) {
    double squares = 0;
    for (size_t m = 0; m < 24; ++m) {
      streams[t * 64 + m] = mixes[t * 24 + m] / 64;
      squares += double{streams[t * 64 + m]} * streams[t * 64 + m];
    }
    ASSERT_LT(squares, 64);
    streams[t * 64 + 63] = static_cast<float>(std::sqrt(64 - squares));
  }
  auto scale = golden("hc_split_sinkhorn", "scale");
  for (float& value : scale) value *= 64;
  const auto x = blank(16 * 16);
  const auto post = blank(16 * 4);
  const auto comb = blank(16 * 16);
  run(kernels::hc_pre_f32(), HcPreParams{.cols = 16, .copies = 4, .sinkhorn_iters = 20, .hc_eps = 1e-6f},
      {put(streams), put(fn), put(golden("hc_split_sinkhorn", "base")), put(scale), put(std::vector<float>(16, 1.0f)),
       x, post, comb},
      step_of(16));
  // The mean square is 1 to a few 2^-24 only: that is what mixes of 400 carry into the logits.
  expect_close(get(post), golden("hc_split_sinkhorn", "post"), 1e-4, "post");
  expect_close(get(comb), golden("hc_split_sinkhorn", "comb"), 1e-4, "comb");
}

INSTANTIATE_TEST_SUITE_P(Devices, AttentionOpsTest, testing::ValuesIn(test_devices()), name_of_device);

}  // namespace
}  // namespace nibble
