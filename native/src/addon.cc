// The native addon: thin, typed wrappers of system calls that Node has no API for. No policy lives here.
#include "addon.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  airlock::RegisterFile(env, exports);
  airlock::RegisterPoll(env, exports);
  airlock::RegisterPty(env, exports);
  airlock::RegisterLineSettings(env, exports);
  airlock::RegisterProcess(env, exports);
  airlock::RegisterProcessor(env, exports);
  airlock::RegisterSharedMemory(env, exports);
  airlock::RegisterPages(env, exports);
  airlock::RegisterTap(env, exports);
  airlock::RegisterTapReader(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(airlock, Init)
