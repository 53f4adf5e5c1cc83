#include "runtime/core/dispatch_list.h"

#include <gtest/gtest.h>

#include "tests/support/dispatch_lists.h"
#include "tests/support/expect_error.h"

namespace nibble {
namespace {

std::shared_ptr<Buffer> buffer_of(uint64_t bytes) { return std::make_shared<Buffer>(bytes, "buffer"); }

TEST(BufferView, StaysInsideItsBuffer) {
  const auto buffer = buffer_of(100);
  EXPECT_EQ(BufferView(buffer).bytes, 100u);
  EXPECT_NO_THROW(BufferView(buffer, 100, 0));
  EXPECT_NO_THROW(BufferView(buffer, 40, 60));
  expect_error([&] { BufferView(buffer, 40, 61); }, "outside buffer 'buffer' of 100 bytes");
  expect_error([&] { BufferView(buffer, 101, 0); }, "outside");
  expect_error([&] { BufferView(buffer, 8, UINT64_MAX); }, "outside");
  expect_error([&] { BufferView(std::shared_ptr<Buffer>()); }, "no buffer");
}

TEST(DispatchList, WantsTheBindingsAndParamsOfTheKernel) {
  const auto a = buffer_of(4);
  const auto b = buffer_of(4);
  DispatchList list;
  expect_error([&] { list.add({.label = "layers.0"}); }, "layers.0", "without a kernel");
  expect_error(
      [&] {
        list.add(dispatch_of({Access::kRead, Access::kWrite}, {a}, "layers.0"));
      },
      "layers.0", "misses binding 'b'");
  expect_error([&] { list.add(dispatch_of({Access::kRead}, {a, b}, "layers.0")); }, "takes 1 bindings, 2 given");
  expect_error([&] { list.add(dispatch_of({Access::kRead}, {BufferView(a, 0, 0)}, "layers.0")); }, "is empty");
  Dispatch with_params = dispatch_of({Access::kRead}, {a}, "layers.0");
  with_params.params.resize(4);
  expect_error([&] { list.add(with_params); }, "takes 0 params, 4 bytes given");
  EXPECT_TRUE(list.dispatches().empty()) << "what is refused is not kept";
  EXPECT_NO_THROW(list.add(dispatch_of({Access::kRead, Access::kWrite}, {a, b})));
  EXPECT_EQ(list.dispatches().size(), 1u);
}

TEST(DispatchList, ChecksTheShapeOfSlabs) {
  KernelSpec spec;
  spec.name = "slabs";
  spec.bindings = {{.name = "w", .kind = BindingKind::kSlabs},
                   {.name = "step", .type = ElementType::kU32, .kind = BindingKind::kStep},
                   {.name = "y", .access = Access::kWrite}};
  const auto a = buffer_of(4);
  const auto b = buffer_of(4);
  const auto c = buffer_of(4);
  const auto add = [&](Binding w) {
    DispatchList list;
    list.add({.kernel = &spec, .bindings = {std::move(w), Binding(c)}, .label = "x"});
    size_t views = 0;
    for_each_view(list.dispatches()[0], [&](const BufferView&, Access) { ++views; });
    return views;
  };
  EXPECT_EQ(add(Binding({a, b}, 7)), 3u);
  expect_error([&] { add(Binding({a, b}, 0)); }, "no items per slab");
  expect_error([&] { add(Binding(std::vector<BufferView>{}, 7)); }, "has 0 views");
}

TEST(DispatchList, RefusesToWriteWhatAnotherBindingSees) {
  const auto a = buffer_of(64);
  DispatchList list;
  const auto add = [&](Access first, Access second, uint64_t offset) {
    list.add(dispatch_of({first, second}, {BufferView(a, 0, 32), BufferView(a, offset, 16)}));
  };
  expect_error([&] { add(Access::kRead, Access::kWrite, 16); }, "overlaps");
  expect_error([&] { add(Access::kReadWrite, Access::kRead, 31); }, "overlaps");
  EXPECT_NO_THROW(add(Access::kRead, Access::kRead, 16));
  EXPECT_NO_THROW(add(Access::kRead, Access::kWrite, 32));
}

}  // namespace
}  // namespace nibble
