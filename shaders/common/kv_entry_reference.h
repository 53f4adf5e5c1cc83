// KV entries and indexer keys as the references see them: made at random, read and written value by value in double.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "shaders/common/spec_util.h"

namespace nibble::spec {

struct EntryShape {
  uint32_t dim = 0;
  uint32_t rope = 0;
  uint32_t format = 0;
};

// `count` entries of finite values of size 1 or so.
std::vector<uint32_t> random_entries(Rng& rng, size_t count, const EntryShape& shape);
std::vector<double> entry_values(std::span<const uint32_t> entry, const EntryShape& shape);

std::vector<uint32_t> random_keys(Rng& rng, size_t count, uint32_t dim, uint32_t format);
std::vector<double> key_values(std::span<const uint32_t> key, uint32_t dim, uint32_t format);

// The e8m0 code of 2^ceil(log2(value)).
uint32_t scale_code(double value);
// The code of the nearest of the first `codes` values, ties to the even code, sign above them: brute force.
uint32_t nearest_code(double value, uint32_t codes, double (*value_of)(uint32_t));

// A slab binding over whole items.
inline CaseBinding slabs(const std::vector<uint32_t>& words, size_t item_words) {
  return {.content = to_bytes(words), .item_bytes = item_words * 4};
}

}  // namespace nibble::spec
