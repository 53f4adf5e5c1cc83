// What stands between the matrices: hyper-connections, gating, rounding, copies, embedding.
#include "bench/kernel_problem.h"
#include "shaders/attention/ring_commit_u32/ring_commit_u32.h"
#include "shaders/common/spec_util.h"
#include "shaders/experts/swiglu_f32/swiglu_f32.h"
#include "shaders/head/argmax_f32/argmax_f32.h"
#include "shaders/head/copy_rows_u32/copy_rows_u32.h"
#include "shaders/head/embed/embed.h"
#include "shaders/hyper/add_broadcast_f32/add_broadcast_f32.h"
#include "shaders/hyper/hc_head_f32/hc_head_f32.h"
#include "shaders/hyper/hc_post_f32/hc_post_f32.h"
#include "shaders/hyper/hc_pre_f32/hc_pre_f32.h"
#include "shaders/hyper/hc_pre_join_f32/hc_pre_join_f32.h"
#include "shaders/norm/quant_fp8_f32/quant_fp8_f32.h"
#include "shaders/routing/gate_topk_f32/gate_topk_f32.h"

namespace nibble::bench {
namespace {

constexpr uint32_t kHidden = 4096;
constexpr uint32_t kCopies = 4;

// The elements of each binding but the step, in order.
template <typename P>
using Sizes = std::vector<size_t> (*)(const P& params, size_t tokens);

// All bindings are floats or plain words.
template <typename P>
ProblemShape shape(std::string name, const P& defaults, Sizes<P> sizes) {
  return {std::move(name), [=](const KernelSpec& kernel, const ProblemRequest& request, Rng& rng) {
            const auto params = overridden(pack_params(defaults), kernel, request);
            CaseData data{.params = params,
                          .step = spec::step_words(
                              {.n_tokens = request.tokens, .position = request.position, .n_logits = request.tokens})};
            for (const size_t count : sizes(unpack_params<P>(params), request.tokens)) {
              data.bindings.push_back({.content = random_floats(rng, count)});
            }
            data.bindings.emplace_back();
            return data;
          }};
}

// Token ids behind the header, one row of the table per item.
ProblemShape embed_shape(uint32_t words_per_pair) {
  return {"embed", [=](const KernelSpec& kernel, const ProblemRequest& request, Rng& rng) {
            EmbedParams p = {.cols = kHidden, .copies = kCopies, .tokens_at = kStepHeaderWords, .vocab_end = 16160};
            if (words_per_pair == 2) p.vocab_end /= 2;
            p = unpack_params<EmbedParams>(overridden(pack_params(p), kernel, request));
            std::vector<uint32_t> ids(request.tokens);
            for (uint32_t& id : ids) id = p.vocab_begin + rng.below(p.vocab_end - p.vocab_begin);
            CaseData data{.params = pack_params(p),
                          .step = spec::step_words({.n_tokens = request.tokens, .position = request.position}, ids)};
            const size_t row_words = size_t{p.cols} / 2 * words_per_pair;
            const size_t rows = p.vocab_end - p.vocab_begin;
            data.bindings.push_back(
                {.content = words_per_pair == 1 ? random_bf16(rng, rows * p.cols) : random_floats(rng, rows * p.cols),
                 .item_bytes = row_words * 4});
            data.bindings.push_back(spec::blank(size_t{request.tokens} * p.copies * p.cols));
            data.bindings.emplace_back();
            return data;
          }};
}

}  // namespace

void add_small_problems(ProblemTable& table) {
  table["quant_fp8_f32"] = {
      shape<QuantParams>(
          "x", {.cols = kHidden},
          [](const QuantParams& p, size_t t) { return std::vector<size_t>(2, t * p.rows_per_token * p.cols); }),
      shape<QuantParams>("experts.h", {.cols = 2048, .rows_per_token = 6}, [](const QuantParams& p, size_t t) {
        return std::vector<size_t>(2, t * p.rows_per_token * p.cols);
      })};
  table["swiglu_f32"] = {
      shape<SwigluParams>("shared", {.cols = 2048, .limit = 10},
                          [](const SwigluParams& p, size_t t) { return std::vector<size_t>(3, t * p.cols); })};
  table["add_broadcast_f32"] = {
      shape<AddParams>("mtp", {.cols = kHidden, .copies = kCopies}, [](const AddParams& p, size_t t) {
        return std::vector<size_t>{t * p.copies * p.cols, t * p.cols, t * p.copies * p.cols};
      })};
  table["copy_rows_u32"] = {
      shape<CopyRowsParams>("stream", {.row_words = kCopies * kHidden},
                            [](const CopyRowsParams& p, size_t t) { return std::vector<size_t>(2, t * p.row_words); })};
  table["ring_commit_u32"] = {
      shape<RingParams>("window", {.row_words = 146, .slots = 128}, [](const RingParams& p, size_t t) {
        return std::vector<size_t>{t * p.row_words, size_t{p.slots} * p.row_words};
      })};
  table["argmax_f32"] = {shape<ArgmaxParams>("vocab", {.cols = 129280}, [](const ArgmaxParams& p, size_t t) {
    return std::vector<size_t>{t * p.cols, t};
  })};
  table["gate_topk_f32"] = {
      shape<GateParams>("scores", {.experts = 256, .k = 6, .scale = 1.5f}, [](const GateParams& p, size_t t) {
        return std::vector<size_t>{t * p.experts, p.experts, p.experts, t * p.k, t * p.k};
      })};
  table["hc_pre_f32"] = {shape<HcPreParams>(
      "layer", {.cols = kHidden, .copies = kCopies, .sinkhorn_iters = 20, .norm_eps = 1e-6f, .hc_eps = 1e-6f},
      [](const HcPreParams& p, size_t t) {
        const size_t c = p.copies;
        const size_t mixes = 2 * c + c * c;
        return std::vector<size_t>{t * c * p.cols, mixes * c * p.cols, mixes, 3, p.cols, t * p.cols, t * c, t * c * c};
      })};
  table["hc_mix_parts_f32"] = {shape<HcMixPartsParams>(
      "layer", {.width = kCopies * kHidden, .rows = 24, .parts = 32}, [](const HcMixPartsParams& p, size_t t) {
        return std::vector<size_t>{t * p.width, size_t{p.rows} * p.width, t * p.parts * (p.rows + 1)};
      })};
  // The random sums are no squares: a large eps keeps the root real.
  table["hc_pre_join_f32"] = {shape<HcPreJoinParams>(
      "layer",
      {.pre = {.cols = kHidden, .copies = kCopies, .sinkhorn_iters = 20, .norm_eps = 1, .hc_eps = 1e-6f}, .parts = 32},
      [](const HcPreJoinParams& p, size_t t) {
        const size_t c = p.pre.copies;
        const size_t mixes = 2 * c + c * c;
        return std::vector<size_t>{
            t * c * p.pre.cols, t * p.parts * (mixes + 1), mixes, 3, p.pre.cols, t * p.pre.cols, t * c, t * c * c};
      })};
  table["hc_post_f32"] = {
      shape<HcPostParams>("layer", {.cols = kHidden, .copies = kCopies}, [](const HcPostParams& p, size_t t) {
        const size_t c = p.copies;
        return std::vector<size_t>{t * p.cols, t * c, t * c * c, t * c * p.cols};
      })};
  table["hc_head_f32"] = {
      shape<HcHeadParams>("head", {.cols = kHidden, .copies = kCopies, .norm_eps = 1e-6f, .hc_eps = 1e-6f},
                          [](const HcHeadParams& p, size_t t) {
                            const size_t c = p.copies;
                            return std::vector<size_t>{t * c * p.cols, c * c * p.cols, c, 1, p.cols, t * p.cols};
                          })};
  table["embed_bf16"] = {embed_shape(1)};
  table["embed_f32"] = {embed_shape(2)};
}

}  // namespace nibble::bench
