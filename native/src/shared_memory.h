// What mapping pages for a thread and granting pages to a sandbox have in common.
#pragma once

#include "addon.h"
#include "page_registry.h"

namespace airlock {

/// Arguments (fd, offset, size) from `first` on; throws a TypeError and returns false when they are none.
bool FilePagesArguments(const Napi::CallbackInfo& info, size_t first, FilePages* pages);

/// Throws an Error for what the registry refused or the system failed to do.
void ThrowOutcome(Napi::Env env, const Outcome& outcome);

/// An ArrayBuffer of the pages, which unmaps them when it is collected; throws and returns undefined when that fails.
Napi::Value MapPages(Napi::Env env, uint64_t grant, const void* owner, const FilePages& pages, bool writable);

}  // namespace airlock
