// What changes from one replay of a program to the next: a block of u32 words that the host writes before each submit.
// The first kStepHeaderWords are the header below; what follows (token ids, rope tables, …) is laid out by the host,
// and kernels are told by a param at which word to find it.
#pragma once

#include <cstdint>
#include <span>

namespace nibble {

struct StepHeader {
  uint32_t n_tokens = 0;      // word 0: tokens in this chunk
  uint32_t position = 0;      // word 1: position of the first of them
  uint32_t n_logits = 0;      // word 2: rows of logits wanted; 0 skips the head
  uint32_t logits_first = 0;  // word 3: index in the chunk of the first of those rows
};

inline constexpr uint32_t kStepHeaderWords = 8;
inline constexpr uint32_t kStepTokens = 0;
inline constexpr uint32_t kStepPosition = 1;
inline constexpr uint32_t kStepLogits = 2;
inline constexpr uint32_t kStepLogitsFirst = 3;

StepHeader read_step_header(std::span<const uint32_t> step);

// One dimension of a grid, a pure function of the step header.
struct GridDim {
  enum class Kind : uint8_t {
    kConstant,     // scale
    kTokens,       // ceil(n · scale / tile), n = the tokens from `first` on, at most `most`
    kLogits,       // ceil(n_logits · scale / tile)
    kEntries,      // compressed entries that this chunk completes: (position + n_tokens)/ratio − position/ratio
    kVisible,      // ceil(entries the chunk's last token sees / tile): (position + n_tokens)/ratio
    kSortedTiles,  // most tiles that n_tokens · scale items of `ratio` kinds fill, each tile with items of one kind
  };
  Kind kind = Kind::kConstant;
  uint32_t scale = 1;
  uint32_t tile = 1;
  uint32_t ratio = 1;
  uint32_t first = 0;  // tokens only
  uint32_t most = UINT32_MAX;

  static GridDim constant(uint32_t n) { return {.kind = Kind::kConstant, .scale = n}; }
  static GridDim tokens(uint32_t scale = 1, uint32_t tile = 1) { return {Kind::kTokens, scale, tile, 1}; }
  // One per token of the chunk from `first` on, at most `most`.
  static GridDim tokens_from(uint32_t first, uint32_t most) {
    return {.kind = Kind::kTokens, .first = first, .most = most};
  }
  static GridDim logits(uint32_t scale = 1, uint32_t tile = 1) { return {Kind::kLogits, scale, tile, 1}; }
  static GridDim entries(uint32_t ratio) { return {Kind::kEntries, 1, 1, ratio}; }
  static GridDim visible(uint32_t ratio, uint32_t tile) { return {Kind::kVisible, 1, tile, ratio}; }

  static GridDim sorted_tiles(uint32_t scale, uint32_t tile, uint32_t kinds) {
    return {Kind::kSortedTiles, scale, tile, kinds};
  }

  bool is_constant() const { return kind == Kind::kConstant; }
  uint32_t evaluate(const StepHeader& step) const;
};

// Workgroups in x, y, z; a dispatch with any 0 is skipped.
struct Grid {
  GridDim x, y, z;
  bool is_constant() const { return x.is_constant() && y.is_constant() && z.is_constant(); }
};

}  // namespace nibble
