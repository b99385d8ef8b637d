// Page grants: pages of shared files laid over a sandbox's WebAssembly memory, and taken away again from any thread.
#include <sys/mman.h>

#include <cerrno>
#include <memory>
#include <set>
#include <vector>

#include "addon.h"
#include "page_registry.h"
#include "shared_memory.h"

namespace airlock {
namespace {

/// What V8 reserves behind a WebAssembly memory when it relies on its trap handler: all that 32 bits can address.
constexpr size_t kReservedBytes = size_t{1} << 32;

/// Whether a memory keeps its addresses when it grows. One that shares nothing is copied elsewhere when its reservation is too small,
/// which happens without the trap handler and with little address space (ulimit -v); its old addresses would be somebody else's, with
/// our pages. msync(MS_ASYNC) does nothing but tell (ENOMEM) when a part of a range is not mapped.
bool StaysInPlace(void* data, bool is_shared) {
  return is_shared || ::msync(data, kReservedBytes, MS_ASYNC) == 0;
}

/// A memory that has granted pages. It is kept alive, or its addresses could be somebody else's when the grant is revoked.
struct Host {
  Napi::ObjectReference memory;
  std::set<uint64_t> grants;
};

/// What this thread (its environment) was given. Its address is the owner's identity in the registry.
struct Owner {
  Napi::FunctionReference get_buffer;
  Napi::FunctionReference bytes;
  std::vector<std::unique_ptr<Host>> hosts;
};

/// Lets go of memories whose grants are revoked.
void DropHosts(Owner* owner) {
  for (size_t i = 0; i < owner->hosts.size();) {
    std::set<uint64_t>& grants = owner->hosts[i]->grants;
    for (auto grant = grants.begin(); grant != grants.end();) {
      if (PageRegistry::Get().HasPages(*grant, owner)) ++grant;
      else grant = grants.erase(grant);
    }
    if (grants.empty()) owner->hosts.erase(owner->hosts.begin() + static_cast<std::ptrdiff_t>(i));
    else i++;
  }
}

/// The thread ends, also one that was terminated in the middle of something: its JavaScript does not run any more, and its memories
/// are freed after this.
void OnThreadEnd(Owner* owner) {
  PageRegistry::Get().EndOwner(owner);
  owner->hosts.clear();
}

void KeepAlive(Owner* owner, Napi::Object memory, uint64_t grant) {
  for (const auto& host : owner->hosts) {
    if (!host->memory.Value().StrictEquals(memory)) continue;
    host->grants.insert(grant);
    return;
  }
  auto host = std::make_unique<Host>();
  host->memory = Napi::Persistent(memory);
  host->grants.insert(grant);
  owner->hosts.push_back(std::move(host));
}

/// Where a memory is. The getter of WebAssembly.Memory is called, not the property `buffer`: it throws for anything but a memory.
bool MemoryPlace(const Napi::CallbackInfo& info, size_t index, Owner* owner, uint8_t** data, size_t* size, bool* is_shared) {
  Napi::Env env = info.Env();
  if (info.Length() <= index || !info[index].IsObject()) {
    Napi::TypeError::New(env, "pages are laid over a WebAssembly.Memory").ThrowAsJavaScriptException();
    return false;
  }
  const Napi::Value buffer = owner->get_buffer.Value().Call(info[index], {});
  // Empty, and no exception, when the thread is being terminated.
  if (buffer.IsEmpty()) return false;
  // A SharedArrayBuffer is reached through a view only.
  const Napi::Value view = owner->bytes.Value().New({buffer});
  if (view.IsEmpty()) return false;
  Napi::Uint8Array bytes = view.As<Napi::Uint8Array>();
  *data = bytes.Data();
  *size = bytes.ByteLength();
  *is_shared = !buffer.IsArrayBuffer();
  return true;
}

/// The same, for a memory over which pages can be laid.
bool MemoryArgument(const Napi::CallbackInfo& info, size_t index, Owner* owner, uint8_t** data, size_t* size) {
  bool is_shared = false;
  if (!MemoryPlace(info, index, owner, data, size, &is_shared)) return false;
  if (*size == 0 || StaysInPlace(*data, is_shared)) return true;
  Napi::Error::New(info.Env(), "the memory could move when it grows; run Node without --disable-wasm-trap-handler").ThrowAsJavaScriptException();
  return false;
}

/// createPageGrant(): a number.
Napi::Value CreatePageGrant(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const uint64_t grant = PageRegistry::Get().CreateGrant();
  if (grant != 0) return Napi::Number::New(env, static_cast<double>(grant));
  Napi::RangeError::New(env, "there are too many page grants; revoke some").ThrowAsJavaScriptException();
  return env.Undefined();
}

/// layPages(grant, memory, byteOffset, fd, offset, sizeBytes).
Napi::Value LayPages(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Owner* const owner = env.GetInstanceData<Owner>();
  FilePages pages = {-1, 0, 0};
  uint64_t grant = 0;
  uint64_t byte_offset = 0;
  uint8_t* data = nullptr;
  size_t size = 0;
  if (!IntegerArgument(info, 0, "a page grant", &grant) || !IntegerArgument(info, 2, "the offset in a memory", &byte_offset) ||
      !FilePagesArguments(info, 3, &pages) || !MemoryArgument(info, 1, owner, &data, &size)) {
    return env.Undefined();
  }
  if (byte_offset > size || pages.size > size - byte_offset) {
    Napi::RangeError::New(env, "the pages reach beyond the end of the memory").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  if (grant == 0) {
    ThrowOutcome(env, {"there was never such a grant", 0});
    return env.Undefined();
  }
  DropHosts(owner);
  // First the reference: pages over a memory that nobody keeps must never exist.
  KeepAlive(owner, info[1].As<Napi::Object>(), grant);
  const Outcome outcome = PageRegistry::Get().Lay(grant, owner, data + byte_offset, pages);
  if (outcome.call != nullptr) {
    DropHosts(owner);
    ThrowOutcome(env, outcome);
  }
  return env.Undefined();
}

/// guardStart(memory, sizeBytes): from now on a load or store of compiled code there traps; anything else that touches these bytes ends the
/// process. False, and nothing changed, where V8 does not make faults traps: it then reserves no addresses behind the memory.
Napi::Value GuardStart(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint64_t guarded = 0;
  uint8_t* data = nullptr;
  size_t size = 0;
  bool is_shared = false;
  if (!IntegerArgument(info, 1, "the size of a guard", &guarded) ||
      !MemoryPlace(info, 0, env.GetInstanceData<Owner>(), &data, &size, &is_shared)) {
    return env.Undefined();
  }
  if (guarded > size || guarded % PageSize() != 0) {
    Napi::RangeError::New(env, "a guard is whole pages within the memory").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  // Another thread of a shared memory could grow it, which makes all of it accessible again.
  if (is_shared || !StaysInPlace(data, false)) return Napi::Boolean::New(env, false);
  if (::mprotect(data, guarded, PROT_NONE) == 0) return Napi::Boolean::New(env, true);
  ThrowErrno(env, "mprotect", errno);
  return env.Undefined();
}

/// mapGranted(grant, fd, offset, sizeBytes): an ArrayBuffer.
Napi::Value MapGranted(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  FilePages pages = {-1, 0, 0};
  uint64_t grant = 0;
  if (!IntegerArgument(info, 0, "a page grant", &grant) || !FilePagesArguments(info, 1, &pages)) return env.Undefined();
  if (grant == 0) {
    ThrowOutcome(env, {"there was never such a grant", 0});
    return env.Undefined();
  }
  return MapPages(env, grant, env.GetInstanceData<Owner>(), pages, true);
}

/// revokePages(grant): how many ranges were taken back. In a thread that has pages under it, this also lets go of its memories.
Napi::Value RevokePages(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  uint64_t grant = 0;
  if (!IntegerArgument(info, 0, "a page grant", &grant)) return env.Undefined();
  uint32_t count = 0;
  const Outcome outcome = PageRegistry::Get().Revoke(grant, &count);
  DropHosts(env.GetInstanceData<Owner>());
  if (outcome.call == nullptr) return Napi::Number::New(env, count);
  ThrowOutcome(env, outcome);
  return env.Undefined();
}

}  // namespace

void RegisterPages(Napi::Env env, Napi::Object exports) {
  const Napi::Object global = env.Global();
  const Napi::Object prototype =
      global.Get("WebAssembly").As<Napi::Object>().Get("Memory").As<Napi::Object>().Get("prototype").As<Napi::Object>();
  const Napi::Function describe = global.Get("Object").As<Napi::Object>().Get("getOwnPropertyDescriptor").As<Napi::Function>();
  const Napi::Object getter = describe.Call({prototype, Napi::String::New(env, "buffer")}).As<Napi::Object>();
  if (env.IsExceptionPending()) return;
  auto owner = std::make_unique<Owner>();
  owner->get_buffer = Napi::Persistent(getter.Get("get").As<Napi::Function>());
  owner->bytes = Napi::Persistent(global.Get("Uint8Array").As<Napi::Function>());
  // Node runs these hooks last come, first served: after those of buffers that were made later, before the environment itself ends.
  env.AddCleanupHook(&OnThreadEnd, owner.get());
  env.SetInstanceData(owner.release());
  exports.Set("createPageGrant", Napi::Function::New<CreatePageGrant>(env, "createPageGrant"));
  exports.Set("layPages", Napi::Function::New<LayPages>(env, "layPages"));
  exports.Set("guardStart", Napi::Function::New<GuardStart>(env, "guardStart"));
  exports.Set("mapGranted", Napi::Function::New<MapGranted>(env, "mapGranted"));
  exports.Set("revokePages", Napi::Function::New<RevokePages>(env, "revokePages"));
}

}  // namespace airlock
