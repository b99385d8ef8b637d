// Which addresses of this process hold pages of shared files, for all its threads. Knows nothing of JavaScript: its mutex is never
// held while JavaScript, and so a finalizer that takes it again, can run.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>

namespace airlock {

/// Pages of a shared file, as arguments give them.
struct FilePages {
  int fd;
  uint64_t offset;
  uint64_t size;
};

/// How a call ended: `call` is null when all is well, else what failed; `error` 0 means that `call` is the whole message.
struct Outcome {
  const char* call;
  int error;
};

class PageRegistry {
 public:
  /// The one of this process. Never destroyed: threads may outlive static destructors.
  static PageRegistry& Get();

  /// A number that was never given before.
  uint64_t CreateGrant();

  /// Whether pages of the grant still lie over a memory of the owner.
  bool HasPages(uint64_t grant, const void* owner);

  /// Maps pages somewhere, under a grant or (0) under none. The id is for `Unmap`.
  Outcome Map(uint64_t grant, const void* owner, const FilePages& pages, bool writable, void** address, uint64_t* id);

  /// Gives the addresses of a mapping back; nothing when that was done before.
  void Unmap(uint64_t id);

  /// The id of the mapping that starts there; 0 when there is none.
  uint64_t FindMapping(const void* address);

  /// Lays pages over addresses that belong to the caller and stay its own until the grant is revoked or `EndOwner`.
  Outcome Lay(uint64_t grant, const void* owner, void* address, const FilePages& pages);

  /// Lays anonymous pages over everything under the grant and refuses it from then on. What could not be taken back stays registered:
  /// the next call tries it again.
  Outcome Revoke(uint64_t grant, uint32_t* count);

  /// A thread ends: takes back what was given to it, before its memories go.
  void EndOwner(const void* owner);

 private:
  struct Range {
    size_t size;
    uint64_t grant;
    const void* owner;
    /// For pages at addresses of their own (`Map`); 0 for pages laid over somebody's memory.
    uint64_t mapping;
  };
  using Ranges = std::map<uintptr_t, Range>;

  Outcome CheckRoom(uint64_t grant);
  bool Overlaps(uintptr_t address, size_t size) const;
  void Add(uintptr_t address, const Range& range);
  bool TakeBack(Ranges::iterator at);

  std::mutex mutex_;
  uint64_t last_grant_ = 0;
  uint64_t last_mapping_ = 0;
  Ranges ranges_;
  std::map<uint64_t, uintptr_t> mappings_;
  /// The addresses under each grant that was not revoked, or not fully.
  std::map<uint64_t, std::set<uintptr_t>> granted_;
  std::set<uint64_t> live_;
};

/// Whether the pages are whole, lie within the file, and the file is one with contents that can be mapped.
Outcome CheckFilePages(const FilePages& pages);

/// Size of a page in bytes.
size_t PageSize();

}  // namespace airlock
