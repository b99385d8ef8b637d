// Mapping, laying and revoking pages, each under one mutex together with the entry that says so: a revocation never comes between a
// check and the mapping it allowed, and never touches an address that was given back.
#include "page_registry.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

namespace airlock {
namespace {

/// Longest single piece: more than any machine's RAM here, and far from what makes sums of offsets overflow.
constexpr uint64_t kMaxPiece = uint64_t{1} << 30;

/// Pieces under one grant. A driver's DMA regions and windows are some ten.
constexpr size_t kMaxRangesPerGrant = 1024;

/// Pieces in the process. Each can cost up to two entries more in the kernel's table, which holds 65,530 (vm.max_map_count).
constexpr size_t kMaxRanges = 16384;

/// Grants that are not revoked. One per driver instance is usual.
constexpr size_t kMaxGrants = 65536;

constexpr Outcome kDone = {nullptr, 0};

/// Replaces whatever is mapped there by zeroed private pages, in one step: no thread ever finds the addresses without pages. Without
/// a reservation of swap, as V8 maps its WebAssembly memories, so that the kernel joins them again.
bool LayAnonymous(uintptr_t address, size_t size) {
  void* const wanted = reinterpret_cast<void*>(address);
  return ::mmap(wanted, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

}  // namespace

size_t PageSize() {
  static const size_t size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

Outcome CheckFilePages(const FilePages& pages) {
  if (pages.size == 0 || pages.size > kMaxPiece) return {"a piece of a shared file has one page to 1 GiB", 0};
  if (pages.offset % PageSize() != 0 || pages.size % PageSize() != 0) return {"offset and size in a shared file are whole pages", 0};
  struct stat status = {};
  if (::fstat(pages.fd, &status) != 0) return {"fstat", errno};
  if (!S_ISREG(status.st_mode)) return {"the descriptor is not one of a shared file", 0};
  const uint64_t file_size = static_cast<uint64_t>(status.st_size);
  // Behind the end there is no page, and touching what is mapped there ends the process (SIGBUS).
  if (pages.offset > file_size || pages.size > file_size - pages.offset) return {"the pages reach beyond the end of the shared file", 0};
  return kDone;
}

PageRegistry& PageRegistry::Get() {
  static PageRegistry& registry = *new PageRegistry();
  return registry;
}

uint64_t PageRegistry::CreateGrant() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (live_.size() >= kMaxGrants) return 0;
  live_.insert(++last_grant_);
  return last_grant_;
}

bool PageRegistry::HasPages(uint64_t grant, const void* owner) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto granted = granted_.find(grant);
  if (granted == granted_.end()) return false;
  return std::any_of(granted->second.begin(), granted->second.end(), [this, owner](uintptr_t address) {
    const auto at = ranges_.find(address);
    return at != ranges_.end() && at->second.mapping == 0 && at->second.owner == owner;
  });
}

Outcome PageRegistry::Map(uint64_t grant, const void* owner, const FilePages& pages, bool writable, void** address, uint64_t* id) {
  const Outcome fits = CheckFilePages(pages);
  if (fits.call != nullptr) return fits;
  const std::lock_guard<std::mutex> lock(mutex_);
  const Outcome room = CheckRoom(grant);
  if (room.call != nullptr) return room;
  const int rights = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  void* const mapped = ::mmap(nullptr, pages.size, rights, MAP_SHARED, pages.fd, static_cast<off_t>(pages.offset));
  if (mapped == MAP_FAILED) return {"mmap", errno};
  const uintptr_t at = reinterpret_cast<uintptr_t>(mapped);
  *address = mapped;
  *id = ++last_mapping_;
  mappings_[*id] = at;
  Add(at, {pages.size, grant, owner, *id});
  return kDone;
}

void PageRegistry::Unmap(uint64_t id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto mapping = mappings_.find(id);
  if (mapping == mappings_.end()) return;
  const auto at = ranges_.find(mapping->second);
  const auto granted = granted_.find(at->second.grant);
  if (granted != granted_.end()) granted->second.erase(at->first);
  ::munmap(reinterpret_cast<void*>(at->first), at->second.size);
  ranges_.erase(at);
  mappings_.erase(mapping);
}

uint64_t PageRegistry::FindMapping(const void* address) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto at = ranges_.find(reinterpret_cast<uintptr_t>(address));
  return at == ranges_.end() ? 0 : at->second.mapping;
}

Outcome PageRegistry::Lay(uint64_t grant, const void* owner, void* address, const FilePages& pages) {
  const Outcome fits = CheckFilePages(pages);
  if (fits.call != nullptr) return fits;
  const uintptr_t at = reinterpret_cast<uintptr_t>(address);
  if (at % PageSize() != 0) return {"pages are laid over whole pages", 0};
  const std::lock_guard<std::mutex> lock(mutex_);
  const Outcome room = CheckRoom(grant);
  if (room.call != nullptr) return room;
  if (Overlaps(at, pages.size)) return {"there are granted pages already", 0};
  void* const laid =
      ::mmap(address, pages.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, pages.fd, static_cast<off_t>(pages.offset));
  if (laid == MAP_FAILED) {
    const int error = errno;
    // The kernel may have removed the old pages before it failed.
    LayAnonymous(at, pages.size);
    return {"mmap", error};
  }
  Add(at, {pages.size, grant, owner, 0});
  return kDone;
}

Outcome PageRegistry::Revoke(uint64_t grant, uint32_t* count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  *count = 0;
  if (grant == 0 || grant > last_grant_) return {"there was never such a grant", 0};
  live_.erase(grant);
  const auto granted = granted_.find(grant);
  if (granted == granted_.end()) return kDone;
  Outcome outcome = kDone;
  for (auto each = granted->second.begin(); each != granted->second.end();) {
    if (TakeBack(ranges_.find(*each))) {
      each = granted->second.erase(each);
      ++*count;
    } else {
      outcome = {"mmap", errno};
      ++each;
    }
  }
  if (granted->second.empty()) granted_.erase(granted);
  return outcome;
}

void PageRegistry::EndOwner(const void* owner) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto at = ranges_.begin(); at != ranges_.end();) {
    const auto each = at++;
    if (each->second.owner != owner) continue;
    const auto granted = granted_.find(each->second.grant);
    if (granted != granted_.end()) granted->second.erase(each->first);
    const bool laid = each->second.mapping == 0;
    // A memory's own pages go with the memory, also when there is no room for anonymous ones.
    if (!TakeBack(each) && laid) ranges_.erase(each);
  }
}

/// Called with the mutex held, as all that follows.
Outcome PageRegistry::CheckRoom(uint64_t grant) {
  if (ranges_.size() >= kMaxRanges) return {"there are too many pieces of shared files", 0};
  if (grant == 0) return kDone;
  if (live_.count(grant) == 0) return {"the page grant is revoked", 0};
  const auto granted = granted_.find(grant);
  if (granted != granted_.end() && granted->second.size() >= kMaxRangesPerGrant) return {"there are too many pieces under the page grant", 0};
  return kDone;
}

bool PageRegistry::Overlaps(uintptr_t address, size_t size) const {
  const auto next = ranges_.lower_bound(address);
  if (next != ranges_.end() && next->first - address < size) return true;
  if (next == ranges_.begin()) return false;
  const auto before = std::prev(next);
  return address - before->first < before->second.size;
}

void PageRegistry::Add(uintptr_t address, const Range& range) {
  ranges_[address] = range;
  if (range.grant != 0) granted_[range.grant].insert(address);
}

/// Pages of a memory leave the registry; a mapping stays, with pages that are nobody's, until it is unmapped.
bool PageRegistry::TakeBack(Ranges::iterator at) {
  if (!LayAnonymous(at->first, at->second.size)) return false;
  if (at->second.mapping == 0) ranges_.erase(at);
  else at->second.grant = 0;
  return true;
}

}  // namespace airlock
