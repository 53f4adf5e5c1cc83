// DispatchList: what runs in which order, as plain data. Built by host code, planned (temporaries get memory), then
// recorded by a device into a Program. Order is the meaning: a dispatch sees what the ones before it wrote.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/buffer.h"
#include "runtime/core/kernel_spec.h"

namespace nibble {

// What one binding is bound to: one view, or a row of slabs.
struct Binding {
  std::vector<BufferView> views;
  uint64_t items_per_slab = 0;  // slabs only

  Binding() = default;
  Binding(BufferView view) : views{std::move(view)} {}  // NOLINT(google-explicit-constructor)
  Binding(std::shared_ptr<Buffer> whole)
      : views{BufferView(std::move(whole))} {}  // NOLINT(google-explicit-constructor)
  Binding(std::vector<BufferView> slabs, uint64_t per_slab) : views(std::move(slabs)), items_per_slab(per_slab) {}
};

struct Dispatch {
  const KernelSpec* kernel = nullptr;
  std::vector<std::byte> params;
  std::vector<Binding> bindings;  // those of the spec in order, without the kStep one
  std::string label;              // "layers.3.attn.wq_a"
  uint32_t rows = 1;              // most rows of activations that a step will bring; variants are chosen by it
};

class DispatchList {
 public:
  // Checks the dispatch against its spec: number of bindings and params, slab shapes, and that no written view overlaps
  // another binding of the same dispatch (kernels are compiled with `restrict`).
  void add(Dispatch dispatch);

  // An activation that lives from its first use to its last; memory comes from plan_temporaries().
  std::shared_ptr<Buffer> temporary(uint64_t bytes, std::string label);

  // Words of the step block (header included) that submits of this list will carry.
  void set_step_words(uint32_t words) { step_words_ = words; }
  uint32_t step_words() const { return step_words_; }

  std::span<const Dispatch> dispatches() const { return dispatches_; }
  std::span<Dispatch> dispatches() { return dispatches_; }

 private:
  std::vector<Dispatch> dispatches_;
  uint32_t step_words_ = 0;
};

// Calls f(view, access) for every view of a dispatch.
template <typename F>
void for_each_view(const Dispatch& dispatch, F&& f) {
  size_t next = 0;
  for (const BindingSpec& spec : dispatch.kernel->bindings) {
    if (spec.kind == BindingKind::kStep) continue;
    for (const BufferView& view : dispatch.bindings[next].views) f(view, spec.access);
    ++next;
  }
}

}  // namespace nibble
