// The compressor and the indexer against their known answers, whole and cut into chunks.
#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "host/layers/rope.h"
#include "runtime/base/format.h"
#include "shaders/attention/encode_kv_f32/encode_kv_f32.h"
#include "shaders/common/kv_format.h"
#include "shaders/common/spec_util.h"
#include "shaders/compressor/compress_pool_f32/compress_pool_f32.h"
#include "shaders/indexer/encode_index_f32/encode_index_f32.h"
#include "shaders/indexer/indexer_scores_f32/indexer_scores_f32.h"
#include "shaders/indexer/topk_f32/topk_f32.h"
#include "shaders/norm/rms_norm_rope_f32/rms_norm_rope_f32.h"
#include "tests/kernels/golden_ops.h"

namespace nibble {
namespace {

constexpr uint32_t kRope = 32;
constexpr uint32_t kTableAt = kStepHeaderWords;

const RopeTable& rope_table() {
  static const RopeTable table(kRope, 160000,
                               Yarn{.factor = 16, .original_length = 64, .beta_fast = 32, .beta_slow = 1});
  return table;
}

// Step words of a chunk with the table rows of positions first, first + stride, …
std::vector<uint32_t> step_with_table(const StepHeader& header, uint32_t first, uint32_t stride, uint32_t rows) {
  std::vector<uint32_t> extra;
  for (uint32_t r = 0; r < rows; ++r) {
    float row[kRope];
    rope_table().row(first + r * stride, row);
    for (const float value : row) extra.push_back(std::bit_cast<uint32_t>(value));
  }
  return spec::step_words(header, extra);
}

struct Compressor {
  std::vector<float> az;  // [tokens, 2·cw]
  std::vector<float> ape;
  std::vector<float> norm;
  uint32_t width = 0;
  uint32_t ratio = 0;
  uint32_t overlap = 0;
  uint32_t slots = 0;
  size_t row() const { return size_t{width} * (overlap != 0 ? 4 : 2); }
  uint32_t tokens() const { return static_cast<uint32_t>(az.size() / row()); }
};

std::vector<float> side_by_side(const std::vector<float>& a, const std::vector<float>& z, size_t cols) {
  std::vector<float> rows;
  for (size_t at = 0; at < a.size(); at += cols) {
    rows.insert(rows.end(), a.begin() + static_cast<ptrdiff_t>(at), a.begin() + static_cast<ptrdiff_t>(at + cols));
    rows.insert(rows.end(), z.begin() + static_cast<ptrdiff_t>(at), z.begin() + static_cast<ptrdiff_t>(at + cols));
  }
  return rows;
}

Compressor load_compressor(const std::string& op, const std::string& prefix, uint32_t ratio) {
  const std::string weight = prefix.empty() ? "_weight" : "";
  const auto x = golden(op, "x");
  Compressor c{
      .az = {}, .ape = golden(op, prefix + "ape"), .norm = golden(op, prefix + "norm" + weight), .ratio = ratio};
  c.width = static_cast<uint32_t>(c.norm.size());
  c.overlap = ratio == 4 ? 1 : 0;
  c.slots = ratio * (1 + c.overlap);
  c.az = side_by_side(matmul(x, golden(op, prefix + "wkv" + weight), 64),
                      matmul(x, golden(op, prefix + "wgate" + weight), 64), c.row() / 2);
  return c;
}

class CompressorOpsTest : public GoldenOpsTest {
 protected:
  // Pooled, normalised and rotated entries of a prompt cut at `cuts` (ascending, the last is the number of tokens).
  std::vector<float> compress(const Compressor& c, const std::vector<uint32_t>& cuts) {
    std::vector<float> state(c.slots * c.row(), std::nanf(""));
    std::vector<float> entries;
    uint32_t begin = 0;
    for (const uint32_t end : cuts) {
      const auto first = c.az.begin() + static_cast<ptrdiff_t>(begin * c.row());
      const std::vector<float> az(first, first + static_cast<ptrdiff_t>((end - begin) * c.row()));
      const std::vector<float> rows = compress_chunk(c, az, state, begin, end);
      entries.insert(entries.end(), rows.begin(), rows.end());
      for (uint32_t t = begin; t < end; ++t) {
        std::copy_n(az.begin() + static_cast<ptrdiff_t>((t - begin) * c.row()), c.row(),
                    state.begin() + static_cast<ptrdiff_t>(t % c.slots * c.row()));
      }
      begin = end;
    }
    return entries;
  }

 private:
  std::vector<float> compress_chunk(const Compressor& c, const std::vector<float>& az, const std::vector<float>& state,
                                    uint32_t begin, uint32_t end) {
    const uint32_t rows = end / c.ratio - begin / c.ratio;
    if (rows == 0) return {};
    const auto step =
        step_with_table({.n_tokens = end - begin, .position = begin}, begin / c.ratio * c.ratio, c.ratio, rows);
    const auto pooled = blank(rows * c.width);
    run(kernels::compress_pool_f32(),
        CompressPoolParams{.width = c.width, .ratio = c.ratio, .overlap = c.overlap, .slots = c.slots},
        {put(az), put(c.ape), put(state), pooled}, step);
    const auto turned = blank(rows * c.width);
    run(kernels::rms_norm_rope_f32(),
        RmsNormRopeParams{.cols = c.width,
                          .rope = kRope,
                          .rope_at = kTableAt,
                          .norm_mode = kNormWeighted,
                          .ratio = c.ratio,
                          .eps = 1e-6f},
        {pooled, put(c.norm), turned}, step);
    return get(turned);
  }
};

struct EntryCase {
  std::string op;
  uint32_t ratio;
  std::vector<uint32_t> cuts;
};

TEST_P(CompressorOpsTest, Entries) {
  for (const EntryCase& test :
       {EntryCase{"compressor_ratio4_overlap", 4, {33, 34, 39, 62}}, EntryCase{"compressor_ratio32", 32, {50, 101}},
        EntryCase{"compressor_ratio128", 128, {128, 255, 256, 258}}}) {
    Compressor c = load_compressor(test.op, "", test.ratio);
    const auto want = golden(test.op, "compressed_no_rounding");
    const auto whole = compress(c, {c.tokens()});
    expect_close(whole, want, 1e-5, test.op);
    EXPECT_EQ(whole, compress(c, test.cuts)) << test.op << ": cut into chunks";

    const uint32_t words = kv_entry_words(c.width, kRope, kEntryFp8F32);
    const auto rows = static_cast<uint32_t>(want.size() / c.width);
    const auto out = blank(rows * words);
    run(kernels::encode_kv_f32(),
        EncodeKvParams{
            .dim = c.width, .rope = kRope, .format = kEntryFp8F32, .entry_words = words, .entry_capacity = rows},
        {put(whole), slab(out)}, spec::step_words({.n_tokens = rows}));
    const auto bytes = get<uint8_t>(out);
    std::vector<float> decoded;
    for (uint32_t r = 0; r < rows; ++r) {
      const uint8_t* entry = bytes.data() + size_t{r} * words * 4;
      const uint8_t* scales = entry + size_t{kv_scale_word(c.width, kRope, kEntryFp8F32)} * 4;
      for (uint32_t i = 0; i < c.width - kRope; ++i) {
        decoded.push_back(e4m3_to_f32(entry[i]) * e8m0_to_f32(scales[i / kEntryBlock]));
      }
      for (uint32_t i = 0; i < kRope; ++i) {
        float value = 0;
        std::memcpy(&value, entry + (c.width - kRope) + size_t{i} * 4, 4);
        decoded.push_back(value);
      }
    }
    expect_close(decoded, golden(test.op, "compressed"), 1e-5, test.op + " rounded");
  }
}

TEST_P(CompressorOpsTest, Hadamard) {
  for (const uint32_t dim : {32u, 64u, 128u}) {
    const auto out = blank(4 * dim);
    run(kernels::encode_index_f32(), EncodeIndexParams{.dim = dim, .format = kKeyF32, .key_words = dim},
        {put(golden("hadamard", fmt::format("x_{}", dim))), slab(out)}, spec::step_words({.n_tokens = 4}));
    expect_close(get(out), golden("hadamard", fmt::format("y_{}", dim)), 1e-5, fmt::format("y_{}", dim));
  }
}

std::vector<float> decode_keys(const std::vector<uint32_t>& words, uint32_t dim) {
  std::vector<float> values;
  const uint32_t key_words = indexer_key_words(dim, kKeyFp4);
  for (size_t key = 0; key < words.size(); key += key_words) {
    for (uint32_t i = 0; i < dim; ++i) {
      const uint32_t scale = words[key + dim / 8 + i / 128] >> (8 * (i / 32 % 4)) & 0xff;
      const uint32_t code = words[key + i / 8] >> (4 * (i % 8)) & 15;
      values.push_back(e2m1_to_f32(static_cast<uint8_t>(code)) * e8m0_to_f32(static_cast<uint8_t>(scale)));
    }
  }
  return values;
}

TEST_P(CompressorOpsTest, IndexerKeys) {
  const Compressor c = load_compressor("compressor_indexer", "", 4);
  const auto whole = compress(c, {c.tokens()});
  EXPECT_EQ(whole, compress(c, {33, 34, 39, 62}));
  const uint32_t words = indexer_key_words(64, kKeyFp4);
  const auto out = blank(15 * words);
  run(kernels::encode_index_f32(), EncodeIndexParams{.dim = 64, .format = kKeyFp4, .key_words = words},
      {put(whole), slab(out)}, spec::step_words({.n_tokens = 15}));
  expect_close(decode_keys(get<uint32_t>(out), 64), golden("compressor_indexer", "compressed"), 1e-5, "keys");
}

// q = wq_b·qr, the activations rounded to FP8 first unless `plain`; 128-blocks, f64 sums.
std::vector<float> indexer_queries(bool plain) {
  auto qr = golden("indexer", "qr");
  for (size_t row = 0; row < qr.size() && !plain; row += 128) {
    float amax = 0;
    for (size_t i = 0; i < 128; ++i) amax = std::max(amax, std::fabs(qr[row + i]));
    const float scale = e8m0_to_f32(fp8_block_scale(amax));
    for (size_t i = 0; i < 128; ++i) qr[row + i] = e4m3_to_f32(f32_to_e4m3(qr[row + i] / scale)) * scale;
  }
  const auto codes = golden<uint8_t>("indexer", "wq_b_codes");
  const auto scales = golden<uint8_t>("indexer", "wq_b_scale_bytes");
  std::vector<float> weights;
  for (size_t i = 0; i < codes.size(); ++i) {
    weights.push_back(e4m3_to_f32(codes[i]) * e8m0_to_f32(scales[i / 128 / 128]));
  }
  return matmul(qr, weights, 128);
}

TEST_P(CompressorOpsTest, Indexer) {
  constexpr uint32_t kTokens = 90, kHeads = 6, kDim = 64, kEntries = 22, kBest = 8;
  const Compressor c = load_compressor("indexer", "compressor_", 4);
  const auto entries = compress(c, {kTokens});
  const auto g = put(matmul(golden("indexer", "x"), golden("indexer", "weights_proj"), 64));
  for (const bool plain : {false, true}) {
    const uint32_t format = plain ? kKeyF32 : kKeyFp4;
    const uint32_t words = indexer_key_words(kDim, format);
    const auto step = step_with_table({.n_tokens = kTokens}, 0, 1, kTokens);
    const auto turned = blank(kTokens * kHeads * kDim);
    run(kernels::rms_norm_rope_f32(),
        RmsNormRopeParams{.cols = kDim, .rope = kRope, .rope_at = kTableAt, .rows_per_token = kHeads},
        {put(indexer_queries(plain)), blank(1), turned}, step);
    const auto q = blank(kTokens * kHeads * words);
    run(kernels::encode_index_f32(),
        EncodeIndexParams{.dim = kDim, .format = format, .key_words = words, .rows_per_token = kHeads},
        {turned, slab(q)}, step);
    const auto keys = blank(kEntries * words);
    run(kernels::encode_index_f32(), EncodeIndexParams{.dim = kDim, .format = format, .key_words = words, .ratio = 4},
        {put(entries), slab(keys)}, step);
    const auto scores = blank(kTokens * kEntries);
    run(kernels::indexer_scores_f32(),
        IndexerScoresParams{.heads = kHeads,
                            .dim = kDim,
                            .format = format,
                            .key_words = words,
                            .ratio = 4,
                            .stride = kEntries,
                            .g_scale = static_cast<float>(1 / std::sqrt(64.0) / std::sqrt(6.0))},
        {q, slab(keys), g, scores}, step);
    const auto ids = blank(kTokens * (kBest + 1));
    run(kernels::topk_f32(), TopkParams{.k = kBest, .stride = kEntries, .ratio = 4}, {scores, ids}, step);

    auto want = golden("indexer", plain ? "scores_plain" : "scores");
    auto got = get(scores);
    const auto best = golden<int32_t>("indexer", plain ? "topk_ids_plain" : "topk_ids");
    const auto found = get<uint32_t>(ids);
    for (size_t i = 0; i < want.size(); ++i) {
      if (std::isinf(want[i])) want[i] = got[i] = 0;  // not visible
    }
    expect_close(got, want, 1e-5, plain ? "scores_plain" : "scores");
    for (size_t t = 0; t < kTokens; ++t) {
      const auto row = found.begin() + static_cast<ptrdiff_t>(t * (kBest + 1));
      const std::set<int32_t> chosen(row + 1, row + 1 + *row);
      std::set<int32_t> expected(best.begin() + static_cast<ptrdiff_t>(t * kBest),
                                 best.begin() + static_cast<ptrdiff_t>((t + 1) * kBest));
      expected.erase(-1);
      EXPECT_EQ(chosen, expected) << "query " << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, CompressorOpsTest, testing::ValuesIn(test_devices()), name_of_device);

}  // namespace
}  // namespace nibble
