// A binding of a tried dispatch: buffers with guard words before and after each view.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/device/device.h"

namespace nibble::conformance {

// Owns the device buffers of one binding (one view, or the slabs) and their host images.
class GuardedBinding {
 public:
  // kWrite bindings are filled with noisy NaNs of the size of `content`, others with the content itself. A slab binding
  // is cut into up to `slabs` views. With `views_overlap_guards` a view ends with the guard words behind its content:
  // drivers that clamp accesses to the view then do not hide one past the content.
  GuardedBinding(Device& device, const BindingSpec& spec, const CaseBinding& content, uint32_t slabs,
                 bool views_overlap_guards, Rng& rng);

  Binding binding() const;
  // Writes guards and initial content to the device.
  void upload(Device& device) const;
  // Reads back; returns the content without guards. Sets `damage` if a guard word changed.
  std::vector<std::byte> download(Device& device, std::optional<std::string>& damage) const;
  // What the binding holds before the dispatch.
  std::span<const std::byte> before() const { return before_; }

  struct Slab {
    BufferView view;
    uint64_t content_bytes = 0;    // from the view's offset on
    std::vector<std::byte> image;  // of the whole buffer: guard, content, guard
  };
  std::span<const Slab> slabs() const { return slabs_; }

 private:
  void add_slab(Device& device, std::span<const std::byte> content, uint64_t shift, Rng& rng);

  const BindingSpec* spec_;
  bool views_overlap_guards_;
  std::vector<std::byte> before_;
  uint64_t items_per_slab_ = 0;
  std::vector<Slab> slabs_;
};

}  // namespace nibble::conformance
