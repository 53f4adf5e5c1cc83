#include "bench/attention_problem.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "bench/kv_values.h"
#include "bench/workload.h"
#include "host/checkpoint/inventory.h"
#include "host/layers/layers.h"
#include "host/synthetic/released_shapes.h"
#include "runtime/core/arena.h"
#include "shaders/common/spec_util.h"

namespace nibble::bench {
namespace {

constexpr size_t kPieceBytes = size_t{16} << 20;

void fill_rows(KvArray& array, uint64_t rows, KvValues& values, void (KvValues::*draw)(std::span<uint32_t>)) {
  const uint64_t row_words = array.row_bytes() / 4;
  const uint64_t most = std::max<uint64_t>(1, kPieceBytes / array.row_bytes());
  std::vector<uint32_t> piece;
  for (uint64_t first = 0; first < rows; first += most) {
    piece.resize(std::min(most, rows - first) * row_words);
    (values.*draw)(piece);
    array.write(first, std::as_bytes(std::span(piece)));
  }
}

template <typename T>
void append_bytes(std::vector<std::byte>& to, const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

}  // namespace

ModelConfig attention_config(std::string_view shape) {
  nlohmann::json config = released_config(shape, 0);
  config.update({{"num_hidden_layers", 3},
                 {"compress_ratios", {0, 4, 128}},
                 {"num_nextn_predict_layers", 0},
                 {"num_hash_layers", 0},
                 {"n_routed_experts", 8},
                 {"moe_intermediate_size", 128},
                 {"vocab_size", 256}});
  return ModelConfig::parse(config.dump(), "config.json of one layer of each kind");
}

AttentionProblem::AttentionProblem(Device& device, const ModelConfig& config, const DeviceWeights& weights,
                                   const SessionOptions& options, uint32_t tokens, Temporaries temporaries)
    : device_(device),
      config_(config),
      weights_(weights),
      options_(options),
      temporaries_(temporaries),
      kv_(device, config, options.kv()),
      layout_(config, tokens),
      writer_(config),
      x_(device.allocate(uint64_t{tokens} * config.hidden_size * sizeof(float), "x")) {}

void AttentionProblem::fill(uint32_t tokens, uint64_t seed) {
  if (tokens == 0) return;
  kv_.prepare(0, tokens);
  program_ = nullptr;  // it binds the slabs there were
  Rng rng(seed);
  KvValues values(config_, kv_.format(), rng.next_u64());
  std::vector<std::byte> state;
  for (size_t i = 0; i < kv_.layers().size(); ++i) {
    const LayerKv& layer = kv_.layers()[i];
    std::vector<uint32_t> ring(layer.ring.bytes / 4);
    values.draw_entries(ring);
    append_bytes(state, ring);
    for (const CompressorState* open : {&layer.compressor, &layer.indexer}) {
      if (open->slots != 0) append_bytes(state, spec::normal_floats(rng, open->rows.bytes / 4));
    }
    if (!layer.plan.compresses()) continue;
    fill_rows(kv_.entries(i), tokens / layer.plan.ratio, values, &KvValues::draw_entries);
    if (layer.plan.indexed) fill_rows(kv_.keys(i), tokens / layer.plan.ratio, values, &KvValues::draw_keys);
  }
  kv_.restore(state);
}

void AttentionProblem::draw_input(uint64_t seed) {
  Rng rng(seed);
  device_.upload(BufferView(x_), std::as_bytes(std::span<const float>(spec::normal_floats(rng, x_->bytes() / 4))));
}

std::vector<uint32_t> AttentionProblem::prepare(uint32_t position, uint32_t count) {
  if (kv_.prepare(position, count) || program_ == nullptr) build();
  return writer_.write(layout_, std::vector<uint32_t>(count, 0), position, 0);
}

void AttentionProblem::build() {
  program_ = nullptr;
  list_ = {};
  const ProgramOptions program_options = options_.program();
  Builder b(list_, config_, device_.info(), layout_, program_options, 1);
  BufferView x(x_);
  for (size_t i = 0; i < weights_.layers.size(); ++i) {
    const DeviceLayer& layer = weights_.layers[i];
    b.set_scope(std::string(attention_kind_name(layer.plan.attention())));
    const AttentionContext context{
        .weights = layer.attn, .kv = kv_.layers()[i], .format = kv_.format(), .ratio = layer.plan.ratio};
    LayerTaps taps;
    x = append_attention(b, context, x, taps);
  }
  list_.set_step_words(layout_.words);
  if (temporaries_ == Temporaries::kKept) {
    scratch_bytes_ = place_temporaries(device_, list_);
  } else {
    const DeviceLimits& limits = device_.info().limits;
    scratch_bytes_ =
        plan_temporaries(list_,
                         {.max_buffer = std::min(limits.max_range, limits.max_allocation),
                          .alignment = std::max<uint64_t>(limits.offset_alignment, 64)},
                         [&](uint64_t bytes, std::string label) { return device_.allocate(bytes, std::move(label)); });
  }
  program_ = device_.record(list_);
}

}  // namespace nibble::bench
