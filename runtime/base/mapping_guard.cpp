#include "runtime/base/mapping_guard.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <utility>

#include "runtime/base/error.h"

namespace nibble {
namespace {

// A signal handler may only read what is always there: a table, its ranges in atomics, no locks. The largest released
// model has 100 shards; mappings beyond the table are not guarded.
struct Slot {
  std::atomic<uintptr_t> begin{0};  // 0: free
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> writable{false};
  std::atomic<bool> lost{false};
  std::string name;  // under the mutex
};

constexpr size_t kSlots = 1024;
std::array<Slot, kSlots> slots;
std::mutex slots_mutex;
std::atomic<int> lost_count{0};
struct sigaction previous_action;
uintptr_t page_bytes = 0;

// Puts zeros in the place of `address` and all that follows it in its mapping: the file is lost, one signal is enough.
bool replace_lost_pages(uintptr_t address) {
  for (Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    const uintptr_t end = slot.end.load(std::memory_order_relaxed);
    if (begin == 0 || address < begin || address >= end) continue;
    const uintptr_t page = address / page_bytes * page_bytes;
    const int protection = PROT_READ | (slot.writable.load(std::memory_order_relaxed) ? PROT_WRITE : 0);
    void* const mapped = ::mmap(reinterpret_cast<void*>(page), end - page, protection,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) return false;
    if (!slot.lost.exchange(true)) lost_count.fetch_add(1);
    return true;
  }
  return false;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const bool replaced = replace_lost_pages(reinterpret_cast<uintptr_t>(info->si_addr));
  errno = saved_errno;
  if (replaced) return;
  if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr) {
    previous_action.sa_sigaction(signal, info, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
  } else {
    // The read is tried again and ends the process as it would have without a handler.
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGBUS, &action, nullptr);
  }
}

}  // namespace

void guard_mappings() {
  const std::lock_guard lock(slots_mutex);
  if (page_bytes != 0) return;
  page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGBUS, &action, &previous_action);
}

namespace {

void check_slots(bool writable_only) {
  if (lost_count.load() == 0) return;
  const std::lock_guard lock(slots_mutex);
  for (const Slot& slot : slots) {
    if (!slot.lost.load() || (writable_only && !slot.writable.load())) continue;
    fail(ErrorCode::kIo,
         "{}: a part of it was lost while it was in use: it was cut short or its disk fails; what was computed from it "
         "is"
         " thrown away",
         slot.name);
  }
}

}  // namespace

void check_mappings() { check_slots(false); }
void check_writable_mappings() { check_slots(true); }

GuardedMapping::GuardedMapping(const void* data, size_t bytes, const std::string& name, bool writable) {
  if (bytes == 0) return;
  const std::lock_guard lock(slots_mutex);
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = slots[i];
    if (slot.begin.load() != 0) continue;
    slot.name = name;
    slot.writable.store(writable);
    slot.end.store(reinterpret_cast<uintptr_t>(data) + bytes);
    slot.begin.store(reinterpret_cast<uintptr_t>(data), std::memory_order_release);
    slot_ = static_cast<int>(i);
    return;
  }
}

GuardedMapping::GuardedMapping(GuardedMapping&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}

GuardedMapping& GuardedMapping::operator=(GuardedMapping&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

GuardedMapping::~GuardedMapping() {
  if (slot_ < 0) return;
  const std::lock_guard lock(slots_mutex);
  Slot& slot = slots[static_cast<size_t>(slot_)];
  slot.begin.store(0);
  if (slot.lost.exchange(false)) lost_count.fetch_sub(1);
}

}  // namespace nibble
