#include "runtime/base/driver_call.h"

#include <atomic>

namespace nibble {
namespace {

std::atomic<const char*> innermost{nullptr};

}  // namespace

DriverCall::DriverCall(std::string doing) : doing_(std::move(doing)), outer_(innermost.exchange(doing_.c_str())) {}

DriverCall::~DriverCall() { innermost.store(outer_); }

const char* DriverCall::current() noexcept { return innermost.load(); }

}  // namespace nibble
