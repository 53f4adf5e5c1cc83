#include "runtime/base/driver_call.h"

#include <atomic>

namespace nibble {
namespace {

thread_local const char* innermost = nullptr;
// Of the thread that entered a driver first and is still in one, which `owner` stands for.
std::atomic<const char*> first_thread_s{nullptr};
std::atomic<const void*> owner{nullptr};

std::atomic<void (*)()> at_beginning{nullptr};

}  // namespace

DriverCall::DriverCall(std::string doing) : doing_(std::move(doing)), outer_(innermost) {
  innermost = doing_.c_str();
  const void* nobody = nullptr;
  if (owner.load() == &innermost || owner.compare_exchange_strong(nobody, &innermost)) first_thread_s.store(innermost);
  if (void (*const action)() = at_beginning.load()) action();
}

void DriverCall::set_beginning(void (*action)()) { at_beginning.store(action); }

DriverCall::~DriverCall() {
  innermost = outer_;
  if (owner.load() != &innermost) return;
  first_thread_s.store(outer_);
  if (outer_ == nullptr) owner.store(nullptr);
}

const char* DriverCall::current() noexcept { return innermost != nullptr ? innermost : first_thread_s.load(); }

}  // namespace nibble
