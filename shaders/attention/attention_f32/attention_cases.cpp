#include "shaders/attention/attention_f32/attention_cases.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "shaders/common/kv_entry_reference.h"
#include "shaders/common/kv_format.h"

namespace nibble::spec {
namespace {

// For each token up to k distinct visible entries, ascending.
std::vector<uint32_t> choose_ids(Rng& rng, const AttentionParams& p, const StepHeader& step) {
  std::vector<uint32_t> ids;
  for (uint32_t t = 0; t < step.n_tokens; ++t) {
    const uint32_t visible = (step.position + t + 1) / p.ratio;
    std::set<uint32_t> chosen;
    while (chosen.size() < std::min(p.k, visible)) chosen.insert(rng.below(visible));
    ids.push_back(static_cast<uint32_t>(chosen.size()));
    ids.insert(ids.end(), chosen.begin(), chosen.end());
    ids.resize(size_t{t + 1} * (p.k + 1), 0xffffffffu);
  }
  return ids;
}

}  // namespace

CaseData random_attention(Rng& rng, AttentionParams& p, const StepHeader& step) {
  p.entry_words = kv_entry_words(p.dim, p.rope, p.format);
  p.rope_at = kStepHeaderWords + 1;
  const EntryShape shape = {.dim = p.dim, .rope = p.rope, .format = p.format};
  const uint32_t visible = p.mode == kAttendWindow ? 0 : (step.position + step.n_tokens) / p.ratio;
  std::vector<uint32_t> extra(1, 0xffffffffu);
  for (uint32_t i = 0; i < step.n_tokens * p.rope / 2; ++i) {
    const double angle = rng.uniform(-3.2, 3.2);
    extra.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::cos(angle))));
    extra.push_back(std::bit_cast<uint32_t>(static_cast<float>(std::sin(angle))));
  }
  CaseData data;
  data.step = step_words(step, extra);
  const auto entries = [&](size_t count) {
    return slabs(random_entries(rng, std::max<size_t>(count, 1), shape), p.entry_words);
  };
  data.bindings.push_back({.content = to_bytes(normal_floats(rng, size_t{step.n_tokens} * p.heads * p.dim))});
  data.bindings.push_back({.content = entries(step.n_tokens).content});
  data.bindings.push_back({.content = entries(p.window).content});
  data.bindings.push_back(entries(visible));
  data.bindings.push_back(p.mode == kAttendIds ? CaseBinding{.content = to_bytes(choose_ids(rng, p, step))} : blank(1));
  return data;
}

void put_every_code(CaseData& data, const AttentionParams& p) {
  std::fill(data.bindings[0].content.begin(), data.bindings[0].content.end(), std::byte{0});
  std::vector<std::byte>& entries = data.bindings[1].content;
  const uint32_t plain = p.dim - p.rope;
  const size_t scales = size_t{kv_scale_word(p.dim, p.rope, p.format)} * 4;
  for (size_t entry = 0, pair = 0; entry < entries.size(); entry += size_t{p.entry_words} * 4) {
    for (uint32_t i = 0; i < plain; ++i, ++pair) {
      const auto scale = static_cast<uint8_t>(pair / 256);
      const auto code = static_cast<uint8_t>(is_f32(e4m3(static_cast<uint8_t>(pair)) * e8m0(scale)) ? pair : 0);
      entries[entry + i] = std::byte{code};
      entries[entry + scales + i / kEntryBlock] = std::byte{scale};
    }
  }
}

std::vector<std::vector<double>> attended_entries(const CaseData& data, const AttentionParams& p, uint32_t t) {
  const StepHeader step = read_step_header(data.step);
  std::vector<std::vector<uint32_t>> in;
  for (size_t b = 0; b < 5; ++b) in.push_back(from_bytes<uint32_t>(data.bindings[b].content));
  std::vector<std::vector<double>> list;
  const auto add = [&](size_t binding, size_t row) {
    list.push_back(entry_values(std::span(in[binding]).subspan(row * p.entry_words, p.entry_words),
                                {.dim = p.dim, .rope = p.rope, .format = p.format}));
  };
  const uint32_t query = step.position + t;
  for (uint32_t position = 0; position <= query; ++position) {
    if (position + p.window <= query) continue;
    if (position >= step.position) {
      add(1, position - step.position);
    } else {
      add(2, position % p.window);
    }
  }
  for (uint32_t j = 0; p.mode == kAttendVisible && (j + 1) * p.ratio <= query + 1; ++j) add(3, j);
  const uint32_t* ids = in[4].data() + size_t{t} * (p.k + 1);
  for (uint32_t i = 0; p.mode == kAttendIds && i < ids[0]; ++i) add(3, ids[1 + i]);
  return list;
}

uint64_t attended_count(const AttentionParams& p, uint64_t position) {
  const uint64_t seen = position + 1;
  const uint64_t window = std::min<uint64_t>(seen, p.window);
  if (p.mode == kAttendWindow) return window;
  return window + (p.mode == kAttendIds ? std::min<uint64_t>(p.k, seen / p.ratio) : seen / p.ratio);
}

}  // namespace nibble::spec
