// Pure parts of compiling and replaying through OpenCL.
#include <gtest/gtest.h>

#include "runtime/opencl/program.h"

namespace nibble::opencl {
namespace {

TEST(OpenClErrors, HaveNames) {
  EXPECT_EQ(error_name(CL_OUT_OF_RESOURCES), "CL_OUT_OF_RESOURCES");
  EXPECT_EQ(error_name(CL_INVALID_KERNEL_ARGS), "CL_INVALID_KERNEL_ARGS");
  EXPECT_EQ(error_name(-1001), "CL_PLATFORM_NOT_FOUND_KHR");
  EXPECT_EQ(error_name(-12345), "unknown OpenCL error");
  EXPECT_TRUE(loses_device(CL_OUT_OF_RESOURCES));
  EXPECT_FALSE(loses_device(CL_INVALID_KERNEL_ARGS));
  EXPECT_FALSE(loses_device(CL_SUCCESS));
  EXPECT_NO_THROW(check_cl(CL_SUCCESS, "clFinish"));
  try {
    check_cl(CL_INVALID_EVENT, "clFinish");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_STREQ(error.what(), "OpenCL: clFinish gave CL_INVALID_EVENT (-58)");
  }
}

TEST(OpenClBuildLog, BecomesOneLine) {
  EXPECT_EQ(shorten_build_log("a.cl:1:2:  error\n\t x\r\n\n"), "a.cl:1:2: error x");
  EXPECT_EQ(shorten_build_log(std::string_view("ends\0here", 9)), "ends");
  EXPECT_EQ(shorten_build_log("\n \n"), "the driver gives no log");
  EXPECT_EQ(shorten_build_log(std::string(5000, 'x')).size(), 600u);
}

TEST(OpenClLaunch, CountsWorkItemsAndSkipsEmptyGrids) {
  BoundDispatch dispatch;
  dispatch.workgroup = 32;
  dispatch.grid = {GridDim::constant(3), GridDim::tokens(2), GridDim::logits()};
  const LaunchSize size = launch_size(dispatch, {.n_tokens = 5, .n_logits = 4});
  EXPECT_FALSE(size.empty);
  EXPECT_EQ(size.global[0], 96u);
  EXPECT_EQ(size.global[1], 10u);
  EXPECT_EQ(size.global[2], 4u);
  EXPECT_EQ(size.local[0], 32u);
  EXPECT_EQ(size.local[1], 1u);
  EXPECT_EQ(size.local[2], 1u);
  EXPECT_TRUE(launch_size(dispatch, {.n_tokens = 5, .n_logits = 0}).empty);
}

TEST(OpenClFlush, KeepsBatchesBelowTheBudget) {
  EXPECT_EQ(dispatches_per_flush(0.2, 0.01), 10u) << "half the budget";
  EXPECT_EQ(dispatches_per_flush(0.2, 5.0), 1u) << "one dispatch cannot be cut";
  EXPECT_GE(dispatches_per_flush(0.2, 1e-9), 1000u);
  EXPECT_EQ(dispatches_per_flush(0.2, 0.0), 16u) << "small batches until something was measured";
}

}  // namespace
}  // namespace nibble::opencl
