// Random experts for the cases of this family, and how a reference reads them.
#pragma once

#include <algorithm>

#include "shaders/common/spec_util.h"
#include "shaders/experts/moe/moe.h"

namespace nibble {

// One expert's stored matrix: codes, then as another binding scales, padded to whole words.
struct ExpertMatrix {
  WeightFormat format = WeightFormat::kFp4;
  uint32_t rows = 0;
  uint32_t cols = 0;
  size_t item_bytes() const { return rows * weight_row_bytes(format, cols); }
  size_t scale_item_bytes() const { return bound_scale_bytes(format, rows, cols); }
};

// Appends the bindings of codes and scales for `experts` matrices. `extreme_scales` mixes in codes 0 and 1.
inline void add_matrices(CaseData& data, const ExpertMatrix& matrix, uint32_t experts, bool extreme_scales, Rng& rng) {
  const bool fp4 = matrix.format == WeightFormat::kFp4;
  std::vector<uint8_t> codes = spec::random_bytes(rng, matrix.item_bytes() * experts);
  if (!fp4) {
    for (uint8_t& code : codes) {
      if ((code & 0x7f) == 0x7f) --code;  // NaN is never stored
    }
  }
  std::vector<uint8_t> scales(matrix.scale_item_bytes() * experts);
  for (uint8_t& scale : scales) {
    scale = static_cast<uint8_t>((fp4 ? 120 : 114) + rng.below(6));
    if (extreme_scales && rng.below(2) == 0) scale = static_cast<uint8_t>(rng.below(2));
  }
  data.bindings.push_back({.content = spec::to_bytes(codes), .item_bytes = matrix.item_bytes()});
  data.bindings.push_back({.content = spec::to_bytes(scales), .item_bytes = matrix.scale_item_bytes()});
}

// The matrices of one expert in which every code meets every scale, row by row the scales and along a row or two the
// codes. Tokens of one_hot_rows() see one weight each, so that every product stands alone in an output.
struct EveryCode {
  static constexpr uint32_t kCols = 32;
  bool fp4 = true;
  uint32_t scale_step = 1;  // greater: not all scales, but 0 and 1 of every so many
  uint32_t rows_of_scale() const { return fp4 ? 1 : 128; }
  uint32_t tokens() const { return fp4 ? 16 : 2; }
  uint32_t rows() const { return 256 / scale_step * (scale_step == 1 ? 1 : 2) * rows_of_scale(); }
  uint32_t scale_of(uint32_t row) const {
    const uint32_t i = row / rows_of_scale();
    return scale_step == 1 ? i : (i / 2 + 1) * scale_step - 1 - i % 2 * (scale_step - 1);
  }
  uint32_t code_of(uint32_t row, uint32_t col) const { return fp4 ? col % 16 : 2 * (row % 128) + col % 2; }
};

// As that, or all of them 1, for the matrix whose codes are binding `at` and whose scales are binding `at` + 1.
inline void put_codes(CaseData& data, size_t at, const EveryCode& every, bool ones) {
  std::vector<std::byte>& codes = data.bindings[at].content;
  std::vector<std::byte>& scales = data.bindings[at + 1].content;
  for (uint32_t row = 0; row < every.rows(); ++row) {
    const auto scale = static_cast<uint8_t>(ones ? 127 : every.scale_of(row));
    scales[row / every.rows_of_scale()] = std::byte{scale};
    for (uint32_t col = 0; col < every.kCols; ++col) {
      auto code = static_cast<uint8_t>(ones ? (every.fp4 ? 2 : 0x38) : every.code_of(row, col));
      if (!spec::is_f32((every.fp4 ? spec::e2m1(code) : spec::e4m3(code)) * spec::e8m0(scale))) code = 0;
      const size_t i = size_t{row} * every.kCols + col;
      if (!every.fp4) codes[i] = std::byte{code};
      if (every.fp4 && col % 2 == 0) codes[i / 2] = std::byte{code};
      if (every.fp4 && col % 2 == 1) codes[i / 2] |= static_cast<std::byte>(code << 4);
    }
  }
}

// The sizes of a case of this family; Shape has the params and n_tokens.
template <typename Shape>
std::vector<spec::SizeOf<Shape>> moe_sizes() {
  return {{"rows", [](Shape& s) -> uint32_t& { return s.params.rows; }},
          {"cols", [](Shape& s) -> uint32_t& { return s.params.cols; }, 32},
          {"k", [](Shape& s) -> uint32_t& { return s.params.k; }},
          {"n_tokens", [](Shape& s) -> uint32_t& { return s.n_tokens; }}};
}

// What moe_tiles_u32 leaves for these ids.
inline CaseBinding tiled_pairs(const std::vector<uint32_t>& ids, uint32_t experts) {
  const auto pairs = static_cast<uint32_t>(ids.size());
  std::vector<uint32_t> words(moe_tiles_words(pairs, experts));
  uint32_t next = 0;
  for (uint32_t expert = 0; expert < experts; ++expert) {
    uint32_t in_tile = kMoeTilePairs;
    for (uint32_t pair = 0; pair < pairs; ++pair) {
      if (ids[pair] != expert) continue;
      if (in_tile == kMoeTilePairs) {
        const uint32_t tile = 4 + 4 * words[0]++;
        words[tile] = expert;
        words[tile + 1] = next;
        in_tile = 0;
      }
      words[4 * words[0] + 2] = ++in_tile;
      words[moe_order_at(pairs, experts) + next++] = pair;
    }
  }
  // Behind the tiles lies what an earlier step with more of them left.
  for (uint32_t tile = 4 + 4 * words[0]; tile + 4 <= moe_order_at(pairs, experts); tile += 4) {
    words[tile] = experts - 1;
    words[tile + 2] = std::min(pairs, kMoeTilePairs);
  }
  return {.content = spec::to_bytes(words)};
}

// The matrix `item` whose codes are binding `at` and whose scales are binding `at` + 1.
inline spec::StoredMatrix stored_matrix(const CaseData& data, size_t at, const ExpertMatrix& matrix, uint32_t item) {
  const auto item_of = [&](size_t binding, size_t bytes) {
    return std::span(data.bindings[binding].content).subspan(item * bytes, bytes);
  };
  return {.format = matrix.format,
          .codes = item_of(at, matrix.item_bytes()),
          .scales = item_of(at + 1, matrix.scale_item_bytes()),
          .cols = matrix.cols};
}

}  // namespace nibble
