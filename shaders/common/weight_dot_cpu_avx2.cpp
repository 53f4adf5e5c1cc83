// weight_dot for AVX2 with FMA and F16C: 8 columns a step.
#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <immintrin.h>

#include <cstring>

#include "shaders/common/weight_dot_cpu.h"

namespace nibble {
namespace {

struct Simd {
  using Vec = __m256;
  static constexpr uint32_t kLanes = 8;
  static constexpr uint32_t kRows8 = 1;  // 8 accumulators, a value and a weight of 16 registers
  static constexpr uint32_t kRows4 = 2;
  static Vec zero() { return _mm256_setzero_ps(); }
  static Vec load(const float* from) { return _mm256_loadu_ps(from); }
  static Vec multiply_add(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
  static float sum(Vec v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
  }
  static void prefetch(const std::byte* from) { _mm_prefetch(reinterpret_cast<const char*>(from), _MM_HINT_T0); }
};

template <WeightFormat kFormat>
struct Rows;

template <>
struct Rows<WeightFormat::kF32> {
  void start(const WeightBlock& block, uint32_t row) { codes = block.codes + size_t{row} * block.cols * 4; }
  void start_block(uint32_t) {}
  Simd::Vec load(uint32_t c) const { return _mm256_loadu_ps(reinterpret_cast<const float*>(codes + size_t{c} * 4)); }
  float one(uint32_t c) const {
    float value;
    std::memcpy(&value, codes + size_t{c} * 4, 4);
    return value;
  }
  const std::byte* codes;
};

template <>
struct Rows<WeightFormat::kBf16> {
  void start(const WeightBlock& block, uint32_t row) { codes = block.codes + size_t{row} * block.cols * 2; }
  void start_block(uint32_t) {}
  Simd::Vec load(uint32_t c) const {
    const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + size_t{c} * 2));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
  }
  float one(uint32_t c) const {
    uint16_t code;
    std::memcpy(&code, codes + size_t{c} * 2, 2);
    const uint32_t bits = uint32_t{code} << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  const std::byte* codes;
};

constexpr uint32_t kNanBits = 0x7fc00000;

__m256 broadcast_bits(uint32_t bits) { return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(bits))); }

// An e4m3 code moved into the bits of an f16 is the value over 256, subnormals included, since f16 has a bias of 15
// for e4m3's 7 and one exponent bit more. The 256 goes into the scale, which keeps scale code 0 out of f32's
// subnormals. Neither NaN among the codes nor scales of 2^120 and more are for this: see is_usual().
template <>
struct Rows<WeightFormat::kFp8> {
  void start(const WeightBlock& block, uint32_t row) {
    cols = block.cols;
    codes = block.codes + size_t{row} * block.cols;
    scales = block.scales + size_t{block.scale_row + row} / 128 * ((block.cols + 127) / 128);
  }
  void start_block(uint32_t c) {
    const auto code = static_cast<uint32_t>(scales[c / 128]);
    factor = has_nan(c) ? broadcast_bits(kNanBits) : broadcast_bits((code + 8) << 23);
  }
  Simd::Vec load(uint32_t c) const { return decode(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + c))); }
  float one(uint32_t c) {
    start_block(c);
    return _mm256_cvtss_f32(decode(_mm_cvtsi32_si128(static_cast<int>(codes[c]))));
  }
  Simd::Vec decode(__m128i bytes) const {
    const __m128i wide = _mm_slli_epi16(_mm_cvtepi8_epi16(bytes), 7);
    const __m128i half = _mm_and_si128(wide, _mm_set1_epi16(static_cast<int16_t>(0xbfff)));
    return _mm256_mul_ps(_mm256_cvtph_ps(half), factor);
  }
  // Whether there is a NaN among the codes of the block that column c lies in: one makes the row's sums NaN, so it need
  // not be where it belongs. Codes 0x7f and 0xff are the largest of their block as signed and as unsigned bytes.
  bool has_nan(uint32_t c) const {
    const uint32_t begin = c / 128 * 128;
    const uint32_t end = begin + 128 < cols ? begin + 128 : cols;
    __m256i most = _mm256_setzero_si256();
    uint32_t i = begin;
    for (; i + 32 <= end; i += 32) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + i));
      most = _mm256_max_epu8(most, _mm256_or_si256(bytes, _mm256_set1_epi8(static_cast<char>(0x80))));
    }
    bool found = _mm256_movemask_epi8(_mm256_cmpeq_epi8(most, _mm256_set1_epi8(-1))) != 0;
    for (; i < end; ++i) found = found || (codes[i] | std::byte{0x80}) == std::byte{0xff};
    return found;
  }
  const std::byte* codes;
  const std::byte* scales;
  __m256 factor;
  uint32_t cols;
};

template <>
struct Rows<WeightFormat::kFp4> {
  void start(const WeightBlock& block, uint32_t row) {
    codes = block.codes + size_t{row} * (block.cols / 2);
    scales = block.scales + size_t{block.scale_row + row} * (block.cols / 32);
  }
  void start_block(uint32_t c) {
    const auto code = static_cast<uint32_t>(scales[c / 32]);
    const uint32_t bits = code == 0 ? 0x00400000u : code == 255 ? kNanBits : code << 23;
    const __m256 magnitudes = _mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f);
    table = _mm256_mul_ps(magnitudes, broadcast_bits(bits));
  }
  Simd::Vec load(uint32_t c) const {
    int32_t nibbles;
    std::memcpy(&nibbles, codes + c / 2, 4);
    const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i index = _mm256_srlv_epi32(_mm256_set1_epi32(nibbles), shifts);
    const __m256i sign = _mm256_and_si256(_mm256_slli_epi32(index, 28), _mm256_set1_epi32(INT32_MIN));
    return _mm256_xor_ps(_mm256_permutevar8x32_ps(table, index), _mm256_castsi256_ps(sign));  // low 3 bits only
  }
  float one(uint32_t) const { return 0.0f; }  // never called: a row is whole blocks of 32
  const std::byte* codes;
  const std::byte* scales;
  __m256 table;
};

}  // namespace
}  // namespace nibble

#include "shaders/common/weight_dot_cpu_simd.h"

namespace nibble {

namespace {

// Whether Rows can take the block's scales: with the 256 of decoded e4m3 the largest become infinite.
template <WeightFormat kFormat>
bool is_usual(const WeightBlock& block) {
  if constexpr (kFormat != WeightFormat::kFp8) return true;
  const size_t blocks = (block.cols + 127) / 128;
  const size_t first = block.scale_row / 128;
  const size_t last = (size_t{block.scale_row} + block.rows - 1) / 128;
  const auto* scales = reinterpret_cast<const uint8_t*>(block.scales);
  uint8_t most = 0;
  for (size_t i = first * blocks; i < (last + 1) * blocks; ++i) most = scales[i] > most ? scales[i] : most;
  return most < 247;
}

}  // namespace

#define NIBBLE_WEIGHT_DOT(format)                                                                               \
  template <>                                                                                                   \
  void weight_dot<format, CpuIsa::kAvx2>(const WeightBlock& b, const float* const* x, uint32_t t, float* out) { \
    if (is_usual<format>(b)) return dot_rows<format>(b, x, t, out);                                             \
    weight_dot<format, CpuIsa::kBaseline>(b, x, t, out);                                                        \
  }
NIBBLE_WEIGHT_DOT(WeightFormat::kFp4)
NIBBLE_WEIGHT_DOT(WeightFormat::kFp8)
NIBBLE_WEIGHT_DOT(WeightFormat::kBf16)
NIBBLE_WEIGHT_DOT(WeightFormat::kF32)
#undef NIBBLE_WEIGHT_DOT

}  // namespace nibble

#endif
