// Shared memory as files: made with memfd_create, mapped by each thread for itself as an ArrayBuffer.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "addon.h"
#include "descriptor.h"
#include "shared_memory.h"

namespace airlock {
namespace {

/// As for one mapping: what cannot be mapped in one piece is not made.
constexpr uint64_t kMaxSharedMemory = uint64_t{1} << 30;

/// memfd_create(2) takes names of up to 249 bytes; they are seen in /proc/self/maps only.
constexpr size_t kMaxName = 200;

/// createSharedMemory(name, sizeBytes): a descriptor of zeroed memory whose size can never change.
Napi::Value CreateSharedMemory(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint64_t size = 0;
  if (info.Length() < 1 || !info[0].IsString()) {
    Napi::TypeError::New(env, "the name is a string").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const std::string name = info[0].As<Napi::String>().Utf8Value();
  if (!IntegerArgument(info, 1, "the size", &size)) return env.Undefined();
  if (name.size() > kMaxName || name.find('\0') != std::string::npos || size == 0 || size > kMaxSharedMemory || size % PageSize() != 0) {
    Napi::RangeError::New(env, "shared memory has a name of up to 200 bytes, and whole pages of up to 1 GiB").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto fail = [env](const char* call) {
    ThrowErrno(env, call, errno);
    return env.Undefined();
  };
  Descriptor memory(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (memory.get() < 0) return fail("memfd_create");
  if (::ftruncate(memory.get(), static_cast<off_t>(size)) != 0) return fail("ftruncate");
  // A mapping behind a file's new end would end the process that touches it (SIGBUS).
  if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return fail("fcntl(F_ADD_SEALS)");
  return Napi::Number::New(env, memory.release());
}

/// Runs some time after the buffer was collected or detached, or when the thread ends.
void OnBufferGone(napi_env, void*, void* id) {
  PageRegistry::Get().Unmap(reinterpret_cast<uintptr_t>(id));
}

/// mapShared(fd, offset, sizeBytes, writable): an ArrayBuffer. Writing to one that is not writable ends the process.
Napi::Value MapShared(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  FilePages pages = {-1, 0, 0};
  if (!FilePagesArguments(info, 0, &pages)) return env.Undefined();
  if (info.Length() < 4 || !info[3].IsBoolean()) {
    Napi::TypeError::New(env, "whether the mapping is writable is a boolean").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return MapPages(env, 0, nullptr, pages, info[3].As<Napi::Boolean>().Value());
}

/// unmapShared(buffer): detaches a buffer of mapShared or mapGranted and unmaps its pages at once; nothing when it is detached already.
Napi::Value UnmapShared(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsArrayBuffer()) {
    Napi::TypeError::New(env, "only an ArrayBuffer can be unmapped").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::ArrayBuffer buffer = info[0].As<Napi::ArrayBuffer>();
  if (buffer.IsDetached()) return env.Undefined();
  const uint64_t id = buffer.ByteLength() == 0 ? 0 : PageRegistry::Get().FindMapping(buffer.Data());
  if (id == 0) {
    Napi::TypeError::New(env, "the buffer is not one of mapShared or mapGranted").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  buffer.Detach();
  if (!buffer.IsDetached()) {
    if (!env.IsExceptionPending()) Napi::Error::New(env, "the buffer cannot be detached").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  PageRegistry::Get().Unmap(id);
  return env.Undefined();
}

}  // namespace

bool FilePagesArguments(const Napi::CallbackInfo& info, size_t first, FilePages* pages) {
  pages->fd = FdArgument(info, first);
  return pages->fd >= 0 && IntegerArgument(info, first + 1, "the offset in a shared file", &pages->offset) &&
         IntegerArgument(info, first + 2, "the size of a piece of a shared file", &pages->size);
}

void ThrowOutcome(Napi::Env env, const Outcome& outcome) {
  if (outcome.error != 0) ThrowErrno(env, outcome.call, outcome.error);
  else Napi::RangeError::New(env, outcome.call).ThrowAsJavaScriptException();
}

Napi::Value MapPages(Napi::Env env, uint64_t grant, const void* owner, const FilePages& pages, bool writable) {
  void* address = nullptr;
  uint64_t id = 0;
  const Outcome outcome = PageRegistry::Get().Map(grant, owner, pages, writable, &address, &id);
  if (outcome.call != nullptr) {
    ThrowOutcome(env, outcome);
    return env.Undefined();
  }
  napi_value buffer = nullptr;
  void* const hint = reinterpret_cast<void*>(static_cast<uintptr_t>(id));
  const napi_status status = napi_create_external_arraybuffer(env, address, pages.size, &OnBufferGone, hint, &buffer);
  if (status != napi_ok) {
    // Whether the finalizer ran by then does not matter: an id is unmapped once.
    PageRegistry::Get().Unmap(id);
    if (!env.IsExceptionPending()) Napi::Error::New(env, "the pages cannot be made an ArrayBuffer").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Value(env, buffer);
}

void RegisterSharedMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("createSharedMemory", Napi::Function::New<CreateSharedMemory>(env, "createSharedMemory"));
  exports.Set("mapShared", Napi::Function::New<MapShared>(env, "mapShared"));
  exports.Set("unmapShared", Napi::Function::New<UnmapShared>(env, "unmapShared"));
}

}  // namespace airlock
