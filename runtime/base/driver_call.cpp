#include "runtime/base/driver_call.h"

#include <atomic>

namespace nibble {
namespace {

std::atomic<const char*> innermost{nullptr};
std::atomic<void (*)()> at_beginning{nullptr};

}  // namespace

DriverCall::DriverCall(std::string doing) : doing_(std::move(doing)), outer_(innermost.exchange(doing_.c_str())) {
  if (void (*const action)() = at_beginning.load()) action();
}

void DriverCall::set_beginning(void (*action)()) { at_beginning.store(action); }

DriverCall::~DriverCall() { innermost.store(outer_); }

const char* DriverCall::current() noexcept { return innermost.load(); }

}  // namespace nibble
