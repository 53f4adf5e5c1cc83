#include "runtime/core/buffer.h"

#include "runtime/base/error.h"

namespace nibble {

BufferView::BufferView(std::shared_ptr<Buffer> whole) : buffer(std::move(whole)) {
  check(buffer != nullptr, "a view of no buffer");
  bytes = buffer->bytes();
}

BufferView::BufferView(std::shared_ptr<Buffer> of, uint64_t from, uint64_t size)
    : buffer(std::move(of)), offset(from), bytes(size) {
  check(buffer != nullptr, "a view of no buffer");
  check(from <= buffer->bytes() && size <= buffer->bytes() - from,
        "view [{}, {}+{}) is outside buffer '{}' of {} bytes", from, from, size, buffer->label(), buffer->bytes());
}

}  // namespace nibble
