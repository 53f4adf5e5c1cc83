#include "shaders/common/kv_entry_reference.h"

#include <bit>
#include <cmath>

#include "shaders/common/kv_format.h"

namespace nibble::spec {
namespace {

uint32_t float_bits(double value) { return std::bit_cast<uint32_t>(static_cast<float>(value)); }

uint8_t byte_at(std::span<const uint32_t> words, size_t index) {
  return static_cast<uint8_t>(words[index / 4] >> (8 * (index % 4)));
}
void put_byte(std::span<uint32_t> words, size_t index, uint32_t byte) { words[index / 4] |= byte << (8 * (index % 4)); }

}  // namespace

std::vector<uint32_t> random_entries(Rng& rng, size_t count, const EntryShape& shape) {
  const uint32_t words = kv_entry_words(shape.dim, shape.rope, shape.format);
  const uint32_t plain = shape.dim - shape.rope;
  std::vector<uint32_t> all(count * words);
  for (size_t e = 0; e < count; ++e) {
    const std::span<uint32_t> entry = std::span(all).subspan(e * words, words);
    if (shape.format == kEntryF32) {
      for (uint32_t& word : entry) word = float_bits(rng.normal());
      continue;
    }
    for (uint32_t i = 0; i < plain; ++i) put_byte(entry, i, rng.below(0x7f) | (rng.below(2) << 7));
    for (uint32_t i = 0; i < shape.rope; ++i) {
      const uint32_t bits = float_bits(rng.normal());
      if (shape.format == kEntryFp8) {
        entry[plain / 4 + i / 2] |= (bits >> 16) << (16 * (i % 2));
      } else {
        entry[plain / 4 + i] = bits;
      }
    }
    const size_t scales = size_t{kv_scale_word(shape.dim, shape.rope, shape.format)} * 4;
    for (uint32_t b = 0; b * kEntryBlock < plain; ++b) put_byte(entry, scales + b, 117 + rng.below(5));
  }
  return all;
}

std::vector<double> entry_values(std::span<const uint32_t> entry, const EntryShape& shape) {
  const uint32_t plain = shape.format == kEntryF32 ? 0 : shape.dim - shape.rope;
  std::vector<double> values(shape.dim);
  const size_t scales = size_t{kv_scale_word(shape.dim, shape.rope, shape.format)} * 4;
  for (uint32_t i = 0; i < shape.dim; ++i) {
    if (i < plain) {
      values[i] = e4m3(byte_at(entry, i)) * e8m0(byte_at(entry, scales + i / kEntryBlock));
    } else if (shape.format == kEntryFp8) {
      const uint32_t pair = entry[plain / 4 + (i - plain) / 2];
      values[i] = bf16(static_cast<uint16_t>(pair >> (16 * (i % 2))));
    } else {
      values[i] = double{std::bit_cast<float>(entry[plain / 4 + i - plain])};
    }
  }
  return values;
}

std::vector<uint32_t> random_keys(Rng& rng, size_t count, uint32_t dim, uint32_t format) {
  const uint32_t words = indexer_key_words(dim, format);
  std::vector<uint32_t> all(count * words);
  for (size_t e = 0; e < count; ++e) {
    const std::span<uint32_t> key = std::span(all).subspan(e * words, words);
    for (uint32_t i = 0; i < dim; ++i) {
      if (format == kKeyF32) {
        key[i] = float_bits(rng.normal());
      } else {
        key[i / 8] |= rng.below(16) << (4 * (i % 8));
      }
    }
    if (format == kKeyF32) continue;
    for (uint32_t b = 0; b < dim / kKeyBlock; ++b) put_byte(key, size_t{dim} / 2 + b, 123 + rng.below(6));
  }
  return all;
}

std::vector<double> key_values(std::span<const uint32_t> key, uint32_t dim, uint32_t format) {
  std::vector<double> values(dim);
  for (uint32_t i = 0; i < dim; ++i) {
    values[i] = format == kKeyF32 ? double{std::bit_cast<float>(key[i])}
                                  : e2m1(key[i / 8] >> (4 * (i % 8))) * e8m0(byte_at(key, dim / 2 + i / kKeyBlock));
  }
  return values;
}

uint32_t scale_code(double value) {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);  // in [0.5, 1)
  return static_cast<uint32_t>((mantissa == 0.5 ? exponent - 1 : exponent) + 127);
}

uint32_t nearest_code(double value, uint32_t codes, double (*value_of)(uint32_t)) {
  const double magnitude = std::fabs(value);
  uint32_t best = 0;
  for (uint32_t code = 1; code < codes; ++code) {
    const double error = std::fabs(value_of(code) - magnitude);
    const double best_error = std::fabs(value_of(best) - magnitude);
    if (error < best_error || (error == best_error && code % 2 == 0)) best = code;
  }
  const uint32_t sign = codes > 8 ? 0x80 : 8;
  return best | (std::signbit(value) ? sign : 0);
}

}  // namespace nibble::spec
