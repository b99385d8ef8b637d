// Poll: tells JavaScript when a descriptor is readable or writable, on the event loop of its thread (uv_poll_t). It occupies
// no thread of libuv's pool, which a blocking read of a descriptor that stays silent would do for ever.
#include <uv.h>

#include "addon.h"

namespace airlock {
namespace {

class Poll;

/// The handle outlives the JavaScript object: libuv wants it until the callback of uv_close has run.
struct Handle {
  uv_poll_t poll;
  Poll* owner;
  napi_async_cleanup_hook_handle cleanup;
};

class Poll : public Napi::ObjectWrap<Poll> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Poll",
                       {InstanceMethod<&Poll::Watch>("watch"), InstanceMethod<&Poll::Close>("close"),
                        StaticValue("readable", Napi::Number::New(env, UV_READABLE)),
                        StaticValue("writable", Napi::Number::New(env, UV_WRITABLE))});
  }

  /// new Poll(fd, callback): callback(events) runs in later turns, for what was asked for with `watch`.
  explicit Poll(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Poll>(info) {
    Napi::Env env = info.Env();
    const int fd = FdArgument(info, 0);
    if (fd < 0) return;
    if (info.Length() < 2 || !info[1].IsFunction()) {
      Napi::TypeError::New(env, "the second argument is a function").ThrowAsJavaScriptException();
      return;
    }
    uv_loop_t* loop = nullptr;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
      Napi::Error::New(env, "there is no event loop").ThrowAsJavaScriptException();
      return;
    }
    Handle* handle = new Handle{};
    const int result = uv_poll_init(loop, &handle->poll, fd);
    if (result != 0) {
      delete handle;
      ThrowErrno(env, "poll", -result);
      return;
    }
    handle->owner = this;
    handle->poll.data = handle;
    handle_ = handle;
    callback_ = Napi::Persistent(info[1].As<Napi::Function>());
    // A worker thread that is terminated closes its loop: the handle has to be gone by then.
    napi_add_async_cleanup_hook(env, &Poll::OnCleanup, handle, &handle->cleanup);
  }

  ~Poll() override { Release(); }

 private:
  /// watch(events): from now on exactly these; 0 stops. Keeps the process alive only while it watches something.
  void Watch(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (handle_ == nullptr) return;
    const int events = info.Length() > 0 && info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : -1;
    if (events < 0 || (events & ~(UV_READABLE | UV_WRITABLE)) != 0) {
      Napi::TypeError::New(env, "events are 0 or a sum of Poll.readable and Poll.writable").ThrowAsJavaScriptException();
      return;
    }
    const int result = events == 0 ? uv_poll_stop(&handle_->poll) : uv_poll_start(&handle_->poll, events, &Poll::OnEvents);
    if (result != 0) return ThrowErrno(env, "poll", -result);
    if (events != 0 && !watching_) Ref();
    if (events == 0 && watching_) Unref();
    watching_ = events != 0;
  }

  /// close(): stops for good; to be called before the descriptor is closed. Idempotent.
  void Close(const Napi::CallbackInfo&) {
    Release();
    if (watching_) Unref();
    watching_ = false;
  }

  void Release() {
    if (handle_ == nullptr) return;
    Handle* handle = handle_;
    handle_ = nullptr;
    handle->owner = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(&handle->poll), &Poll::OnClosed);
  }

  static void OnClosed(uv_handle_t* closed) {
    Handle* handle = static_cast<Handle*>(closed->data);
    if (handle->cleanup != nullptr) napi_remove_async_cleanup_hook(handle->cleanup);
    delete handle;
  }

  static void OnCleanup(napi_async_cleanup_hook_handle, void* data) {
    Handle* handle = static_cast<Handle*>(data);
    if (handle->owner != nullptr) handle->owner->Release();
  }

  static void OnEvents(uv_poll_t* poll, int status, int events) {
    Poll* self = static_cast<Handle*>(poll->data)->owner;
    if (self == nullptr) return;
    Napi::Env env = self->Env();
    Napi::HandleScope scope(env);
    // An error of the descriptor is reported as readiness: the read or write that follows names it.
    const int ready = status < 0 ? UV_READABLE | UV_WRITABLE : events;
    self->callback_.MakeCallback(self->Value(), {Napi::Number::New(env, ready)});
    if (env.IsExceptionPending()) napi_fatal_exception(env, env.GetAndClearPendingException().Value());
  }

  Handle* handle_ = nullptr;
  bool watching_ = false;
  Napi::FunctionReference callback_;
};

}  // namespace

void RegisterPoll(Napi::Env env, Napi::Object exports) {
  exports.Set("Poll", Poll::Define(env));
}

}  // namespace airlock
