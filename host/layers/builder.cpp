#include "host/layers/builder.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "runtime/core/kernel_table.h"
#include "runtime/core/variant.h"
#include "shaders/attention/attention_parts_f32/attention_parts_f32.h"
#include "shaders/attention/ring_commit_u32/ring_commit_u32.h"
#include "shaders/experts/moe/moe.h"
#include "shaders/head/embed/embed.h"
#include "shaders/hyper/hc_mix_parts_f32/hc_mix_parts_f32.h"
#include "shaders/linear/gemm/gemm.h"
#include "shaders/norm/quant_fp8_f32/quant_fp8_f32.h"
#include "shaders/norm/rms_norm_rope_f32/rms_norm_rope_f32.h"

namespace nibble {
namespace {

// Chains of comparisons grow with the number of slabs; past this many a second dispatch is cheaper. llvmpipe reads
// every slab of a chain (4 made moe_up 4 to 5 times slower), so drivers on the host's processor get one at a time.
constexpr uint32_t kMaxSlabs = 8;
constexpr uint32_t kFp8Block = 128;
// Parts times heads times tokens that fill a large GPU: 512 workgroups of 8 heads.
constexpr uint64_t kAttentionPartRows = 4096;
// Of the columns of a hyper-connection: 128 workgroups a token, four for each part.
constexpr uint32_t kHcMostParts = 32;

}  // namespace

Builder::Builder(DispatchList& list, const ModelConfig& config, const DeviceInfo& device, const StepLayout& step,
                 const ProgramOptions& options, uint32_t max_logits)
    : list_(list), config_(config), device_(device), step_(step), options_(options), max_logits_(max_logits) {}

uint32_t Builder::most_rows(const Rows& rows) const {
  const uint32_t most = rows.count_at == kStepLogits ? max_logits_ : max_tokens();
  return std::min(most, rows.most_tokens) * rows.rows_per_token;
}

const KernelSpec& Builder::kernel_of(std::string_view operation, WeightFormat format, const std::string& name) const {
  const KernelSpec* kernel = kernel_for(operation, format);
  if (kernel == nullptr) {
    fail(ErrorCode::kUnsupported, "'{}.{}': there is no {} for weights stored as {}", scope_, name, operation,
         format_info(format).name);
  }
  return *kernel;
}

BufferView Builder::temporary(const Rows& rows, uint64_t cols, const std::string& name) {
  return BufferView(
      list_.temporary((uint64_t{most_rows(rows)} * cols * sizeof(float) + 15) / 16 * 16, scope_ + "." + name));
}

BufferView Builder::words(uint64_t rows_per_token, uint64_t words, const std::string& name) {
  return temporary({.rows_per_token = static_cast<uint32_t>(rows_per_token)}, words, name);
}

BufferView Builder::words_once(uint64_t words, const std::string& name) {
  return BufferView(list_.temporary((words * sizeof(uint32_t) + 15) / 16 * 16, scope_ + "." + name));
}

void Builder::add(const KernelSpec& kernel, std::vector<std::byte> params, std::vector<Binding> bindings,
                  const std::string& name, const Rows& rows) {
  list_.add({.kernel = &kernel,
             .params = std::move(params),
             .bindings = std::move(bindings),
             .label = scope_ + "." + name,
             .rows = most_rows(rows)});
}

void Builder::linear(const DeviceMatrix& w, const Activations& x, const BufferView& y, const std::string& name,
                     const LinearOptions& options) {
  const uint32_t groups = options.group_rows == 0 ? 1 : w.rows / options.group_rows;
  for (const MatrixPiece& piece : w.pieces) {
    const GemmParams params{.rows = static_cast<uint32_t>(piece.rows),
                            .cols = w.cols,
                            .x_stride = w.cols * groups,
                            .y_stride = options.y_stride == 0 ? w.rows : options.y_stride,
                            .y_offset = options.y_offset + static_cast<uint32_t>(piece.row_begin),
                            .row_begin = static_cast<uint32_t>(piece.row_begin),
                            .group_rows = options.group_rows,
                            .accumulate = options.accumulate ? 1u : 0u,
                            .count_at = options.rows.count_at,
                            .rows_per_token = options.rows.rows_per_token,
                            .x_kind = static_cast<uint32_t>(x.kind)};
    std::vector<Binding> bindings = {x.view, piece.view};
    if (has_scales(w.format)) bindings.emplace_back(w.scale);
    bindings.emplace_back(y);
    add(kernel_of("gemm", w.format, name), pack_params(params), std::move(bindings), name, options.rows);
  }
}

BufferView Builder::linear(const DeviceMatrix& w, const Activations& x, const std::string& name,
                           const LinearOptions& options) {
  BufferView y = temporary(options.rows, w.rows, name);
  linear(w, x, y, name, options);
  return y;
}

Activations Builder::quantised(const BufferView& x, uint32_t cols, const std::string& name, const Rows& rows) {
  if (!rounds_activations()) return {x, options_.numerics == Numerics::kFast ? XKind::kCoarse : XKind::kFloat};
  BufferView y = temporary(rows, cols, name + ".fp8");
  const QuantParams params{
      .cols = cols, .block = kFp8Block, .count_at = rows.count_at, .rows_per_token = rows.rows_per_token};
  add(kernels::quant_fp8_f32(), pack_params(params), {x, y}, name + ".fp8");
  return {y, XKind::kFp8};
}

BufferView Builder::norm_rope(const BufferView& x, const NormRope& options, const std::string& name) {
  const bool weighted = options.weight.buffer != nullptr;
  Rows rows = options.rows;
  // A chunk of T tokens completes at most T / ratio + 1 entries, never more than T.
  BufferView y = temporary(rows, options.cols, name);
  const RmsNormRopeParams params{.cols = options.cols,
                                 .rope = options.rope,
                                 .rope_at = options.rope_at,
                                 .norm_mode = !options.norm ? 0u
                                              : weighted    ? 2u
                                                            : 1u,
                                 .rows_per_token = rows.rows_per_token,
                                 .ratio = options.ratio,
                                 .eps = config_.rms_norm_eps,
                                 .count_at = rows.count_at};
  add(kernels::rms_norm_rope_f32(), pack_params(params), {x, weighted ? options.weight : x, y}, name);
  return y;
}

void Builder::commit(const BufferView& rows, const BufferView& ring, uint32_t row_words, uint32_t slots,
                     const std::string& name) {
  add(kernels::ring_commit_u32(), pack_params(RingParams{.row_words = row_words, .slots = slots}), {rows, ring}, name);
}

void Builder::embed(const DeviceTable& table, uint32_t ids_at, uint32_t copies, const BufferView& x) {
  const KernelSpec& kernel = kernel_of("embed", table.format, "embed");
  const size_t at_once = slabs_per_dispatch(1, 2);
  const std::vector<BufferView>& views = table.slabs.views;
  for (size_t first = 0; first < views.size(); first += at_once) {
    const size_t last = std::min(views.size(), first + at_once);
    const uint64_t per_slab = table.slabs.items_per_slab;
    const EmbedParams params{.cols = table.cols,
                             .copies = copies,
                             .tokens_at = ids_at,
                             .vocab_begin = static_cast<uint32_t>(first * per_slab),
                             .vocab_end = static_cast<uint32_t>(std::min<uint64_t>(table.rows, last * per_slab))};
    const std::vector<BufferView> slabs(views.begin() + static_cast<ptrdiff_t>(first),
                                        views.begin() + static_cast<ptrdiff_t>(last));
    add(kernel, pack_params(params), {Binding(slabs, per_slab), x}, "embed");
  }
}

bool Builder::tiles_experts() const {
  return max_tokens() >= kMoeTiledFrom && !device_.capabilities.has(Capability::kHostMemory);
}

bool Builder::fills_gpu_by_parts() const {
  const bool is_gpu = !device_.is_wide_cpu() && !device_.capabilities.has(Capability::kHostMemory);
  return is_gpu && max_tokens() <= kAttentionPartsTokens;
}

uint32_t Builder::hyper_connection_parts(uint32_t sums) const {
  return fills_gpu_by_parts() ? std::clamp(kHcMostSums / sums, 1u, kHcMostParts) : 1;
}

uint32_t Builder::attention_parts(uint64_t most_entries) const {
  // Its tiles need more workgroup memory than Vulkan promises.
  const bool fits = is_supported(kernels::attention_parts_f32().variants.front(), device_);
  if (!fits || !fills_gpu_by_parts()) return 1;
  const uint64_t fitting = (most_entries + kAttentionPartEntries - 1) / kAttentionPartEntries;
  const uint64_t rows = uint64_t{max_tokens()} * config_.num_attention_heads;
  const uint64_t wanted = std::max<uint64_t>(kAttentionPartRows / rows, 1);
  return static_cast<uint32_t>(std::clamp<uint64_t>(std::min(fitting, wanted), 1, kAttentionMaxParts));
}

uint32_t Builder::slabs_per_dispatch(uint32_t slab_bindings, uint32_t others) const {
  const uint32_t most = device_.limits.max_storage_bindings;
  // One at least: recording then says what the kernel needs and what the device has.
  const uint32_t room = most < others + slab_bindings ? 1 : (most - others) / slab_bindings;
  // Pointers on the host cost nothing: there every expert is a slab of its own.
  if (device_.capabilities.has(Capability::kHostMemory)) return room;
  return std::min(room, device_.is_wide_cpu() ? 1 : kMaxSlabs);
}

}  // namespace nibble
