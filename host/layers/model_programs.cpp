#include "host/layers/model_programs.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/core/arena.h"
#include "runtime/core/kernel_table.h"
#include "shaders/head/copy_rows_u32/copy_rows_u32.h"

namespace nibble {
namespace {

class ProgramBuilder {
 public:
  ProgramBuilder(const ProgramParts& parts, uint32_t max_tokens, uint32_t max_logits)
      : device_(parts.device),
        config_(parts.config),
        weights_(parts.weights),
        kv_(parts.kv),
        options_(parts.options),
        program_(new ModelProgram{.layout = StepLayout(config_, max_tokens), .max_logits = max_logits}) {
    program_->stream = persistent(stream_bytes(), "stream");
    program_->logits = persistent(uint64_t{max_logits} * config_.vocab_size * sizeof(float), "logits");
  }

  std::unique_ptr<ModelProgram> build_trunk() {
    DispatchList list;
    Builder b = builder(list);
    const Stream& stream = program_->stream;
    b.set_scope("model");
    b.embed(weights_.embed, program_->layout.tokens_at, config_.hc_mult, stream);
    for (size_t i = 0; i < weights_.layers.size(); ++i) {
      const LayerTaps taps =
          append_layer(b, weights_.layers[i], kv_.layers()[i], kv_.format(), stream, fmt::format("layers.{}", i));
      if (options_.capture) append_capture(b, stream, taps);
    }
    b.set_scope("model");
    append_head(b, weights_.hc_head, weights_.norm);
    if (options_.mtp) b.commit(stream, kv_.mtp_waiting(), config_.hc_mult * config_.hidden_size, 1, "mtp_waiting");
    return record(list);
  }

  std::unique_ptr<ModelProgram> build_mtp(const Stream& trunk) {
    DispatchList list;
    Builder b = builder(list);
    append_mtp_input(b, *weights_.mtp, weights_.embed, trunk, program_->stream);
    append_layer(b, weights_.mtp->layer, kv_.layers().back(), kv_.format(), program_->stream, "mtp.0");
    b.set_scope("mtp.0");
    append_head(b, weights_.mtp->hc_head, weights_.mtp->norm);
    return record(list);
  }

 private:
  uint64_t stream_bytes() const {
    return uint64_t{program_->layout.max_tokens} * config_.hc_mult * config_.hidden_size * sizeof(float);
  }

  BufferView persistent(uint64_t bytes, const std::string& label) {
    program_->scratch_bytes += bytes;
    return BufferView(device_.allocate((bytes + 15) / 16 * 16, label));
  }

  Builder builder(DispatchList& list) const {
    return {list, config_, device_.info(), program_->layout, options_, program_->max_logits};
  }

  std::unique_ptr<ModelProgram> record(DispatchList& list) {
    const DeviceLimits& limits = device_.info().limits;
    list.set_step_words(program_->layout.words);
    program_->scratch_bytes +=
        plan_temporaries(list,
                         {.max_buffer = std::min(limits.max_range, limits.max_allocation),
                          .alignment = std::max<uint64_t>(limits.offset_alignment, 64)},
                         [&](uint64_t bytes, std::string label) { return device_.allocate(bytes, std::move(label)); });
    program_->program = device_.record(list);
    for (const Dispatch& dispatch : list.dispatches())
      program_->dispatches.push_back({dispatch.kernel, dispatch.params});
    return std::move(program_);
  }

  void append_head(Builder& b, const DeviceHyperConnection& hc, const BufferView& norm) {
    const BufferView x = append_hc_head(b, hc, norm, program_->stream);
    b.linear(weights_.head, x, program_->logits, "head", {.rows = {.count_at = kStepLogits}});
  }

  BufferView copy_row(Builder& b, const BufferView& from, uint32_t words, const std::string& name) {
    BufferView to = BufferView(device_.allocate((uint64_t{program_->max_logits} * words * 4 + 15) / 16 * 16, name));
    b.add(kernels::copy_rows_u32(), pack_params(CopyRowsParams{.row_words = words}), {from, to}, name);
    return to;
  }

  void append_capture(Builder& b, const Stream& stream, const LayerTaps& taps) {
    CaptureViews views;
    views.hidden = copy_row(b, stream, config_.hc_mult * config_.hidden_size, "capture.hidden");
    views.experts = copy_row(b, taps.experts, config_.num_experts_per_tok, "capture.experts");
    views.expert_weights = copy_row(b, taps.expert_weights, config_.num_experts_per_tok, "capture.expert_weights");
    if (taps.index_ids.buffer != nullptr) {
      views.index_ids = copy_row(b, taps.index_ids, config_.index_topk + 1, "capture.index_ids");
    }
    program_->captures.push_back(views);
  }

  Device& device_;
  const ModelConfig& config_;
  const DeviceWeights& weights_;
  const KvCache& kv_;
  ProgramOptions options_;
  std::unique_ptr<ModelProgram> program_;
};

}  // namespace

std::unique_ptr<ModelProgram> build_trunk_program(const ProgramParts& parts, uint32_t max_tokens) {
  require_step_length(parts.config, parts.options, max_tokens);
  return ProgramBuilder(parts, max_tokens, parts.options.all_logits ? max_tokens : 1).build_trunk();
}

std::unique_ptr<ModelProgram> build_mtp_program(const ProgramParts& parts, const Stream& trunk, uint32_t max_tokens) {
  return ProgramBuilder(parts, max_tokens, 1).build_mtp(trunk);
}

}  // namespace nibble
