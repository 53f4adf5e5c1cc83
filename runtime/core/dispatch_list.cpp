#include "runtime/core/dispatch_list.h"

#include "runtime/base/error.h"

namespace nibble {
namespace {

void check_binding(const Dispatch& dispatch, const BindingSpec& spec, const Binding& binding) {
  const bool slabs = spec.kind == BindingKind::kSlabs;
  check(slabs ? !binding.views.empty() : binding.views.size() == 1, "{}: binding '{}' of kernel '{}' has {} views",
        dispatch.label, spec.name, dispatch.kernel->name, binding.views.size());
  check(!slabs || binding.items_per_slab > 0, "{}: binding '{}' of kernel '{}' has no items per slab", dispatch.label,
        spec.name, dispatch.kernel->name);
  for (const BufferView& view : binding.views) {
    check(view.buffer != nullptr && view.bytes > 0, "{}: binding '{}' of kernel '{}' is empty", dispatch.label,
          spec.name, dispatch.kernel->name);
  }
}

void check_no_alias(const Dispatch& dispatch) {
  std::vector<std::pair<const BufferView*, Access>> views;
  for_each_view(dispatch, [&](const BufferView& view, Access access) { views.emplace_back(&view, access); });
  for (size_t i = 0; i < views.size(); ++i) {
    for (size_t j = i + 1; j < views.size(); ++j) {
      const bool written = views[i].second != Access::kRead || views[j].second != Access::kRead;
      check(!written || !views[i].first->overlaps(*views[j].first),
            "{}: kernel '{}' writes a view that overlaps another of its bindings ('{}')", dispatch.label,
            dispatch.kernel->name, views[i].first->buffer->label());
    }
  }
}

}  // namespace

void DispatchList::add(Dispatch dispatch) {
  check(dispatch.kernel != nullptr, "{}: a dispatch without a kernel", dispatch.label);
  const KernelSpec& kernel = *dispatch.kernel;
  check(dispatch.params.size() == kernel.params.size() * 4, "{}: kernel '{}' takes {} params, {} bytes given",
        dispatch.label, kernel.name, kernel.params.size(), dispatch.params.size());
  size_t next = 0;
  for (const BindingSpec& spec : kernel.bindings) {
    if (spec.kind == BindingKind::kStep) continue;
    check(next < dispatch.bindings.size(), "{}: kernel '{}' misses binding '{}'", dispatch.label, kernel.name,
          spec.name);
    check_binding(dispatch, spec, dispatch.bindings[next++]);
  }
  check(next == dispatch.bindings.size(), "{}: kernel '{}' takes {} bindings, {} given", dispatch.label, kernel.name,
        next, dispatch.bindings.size());
  check_no_alias(dispatch);
  dispatches_.push_back(std::move(dispatch));
}

std::shared_ptr<Buffer> DispatchList::temporary(uint64_t bytes, std::string label) {
  return std::make_shared<TemporaryBuffer>(bytes, std::move(label));
}

}  // namespace nibble
