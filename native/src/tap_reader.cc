// TapReader: reads frames of a TAP interface on a thread of its own and hands them to JavaScript in batches. A read through libuv's
// pool would occupy one of its four threads for as long as the interface is silent.
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <vector>

#include "addon.h"
#include "tap.h"

namespace airlock {
namespace {

/// A batch ends with the first of these: enough to pay for one crossing into JavaScript, little enough not to delay the first frame.
constexpr size_t kBatchFrames = 64;
constexpr size_t kBatchBytes = 65536;

/// What the thread and JavaScript share. The batch belongs to the thread until it is handed over, and again after `resume`.
class Reader {
 public:
  Reader(int fd, int wake) : fd_(fd), wake_(wake), bytes_(kBatchBytes + kMaxFrame) { sizes_.reserve(kBatchFrames); }
  ~Reader() {
    ::close(fd_);
    ::close(wake_);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// The thread's function.
  void Run(napi_threadsafe_function deliver) {
    while (!stopped_) {
      if (handed_over_) {
        Wait(false);
        continue;
      }
      int failure = Fill();
      if (sizes_.empty() && failure == EAGAIN) {
        failure = Wait(true);
        if (failure == 0) continue;
      }
      // What was read before a failure comes first; the next turn finds the failure again.
      ended_ = sizes_.empty();
      failure_ = ended_ ? failure : 0;
      handed_over_ = true;
      if (stopped_ || napi_call_threadsafe_function(deliver, nullptr, napi_tsfn_nonblocking) != napi_ok || ended_) return;
    }
  }

  void Stop() {
    stopped_ = true;
    Wake();
  }

  void Resume() {
    handed_over_ = false;
    Wake();
  }

  bool ended() const { return ended_; }
  int failure() const { return failure_; }
  size_t size() const { return size_; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  const std::vector<uint32_t>& sizes() const { return sizes_; }

 private:
  /// Reads what is there, up to a batch. Returns EAGAIN, another errno, 0 at the end, or EAGAIN with a full batch.
  int Fill() {
    size_ = 0;
    sizes_.clear();
    while (sizes_.size() < kBatchFrames && size_ < kBatchBytes) {
      const ssize_t got = ::read(fd_, bytes_.data() + size_, kMaxFrame);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno;
      if (got == 0) return 0;
      size_ += static_cast<size_t>(got);
      sizes_.push_back(static_cast<uint32_t>(got));
    }
    return EAGAIN;
  }

  /// Sleeps until JavaScript says something or, if wanted, frames come. Returns the errno of a descriptor that will have none, or 0.
  int Wait(bool for_frames) {
    pollfd watched[2] = {{wake_, POLLIN, 0}, {fd_, POLLIN, 0}};
    if (::poll(watched, for_frames ? 2 : 1, -1) < 0) return errno == EINTR ? 0 : errno;
    uint64_t count = 0;
    if ((watched[0].revents & POLLIN) != 0 && ::read(wake_, &count, sizeof(count)) < 0) return errno == EAGAIN ? 0 : errno;
    if ((watched[1].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0) return 0;
    // Reading tells which error. An interface that is gone would otherwise be polled for ever.
    if (::read(fd_, bytes_.data(), kMaxFrame) < 0 && errno != EAGAIN && errno != EINTR) return errno;
    return EIO;
  }

  void Wake() const {
    const uint64_t one = 1;
    // It can fail only when the counter is full, and then the thread has something to wake up for.
    const ssize_t written = ::write(wake_, &one, sizeof(one));
    static_cast<void>(written);
  }

  const int fd_;
  const int wake_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> handed_over_{false};
  std::atomic<bool> ended_{false};
  int failure_ = 0;
  size_t size_ = 0;
  std::vector<uint8_t> bytes_;
  std::vector<uint32_t> sizes_;
};

class TapReader;

/// What the thread starts with, and what JavaScript's side of the delivery finds; freed when the delivery is finalized.
struct Delivery {
  std::shared_ptr<Reader> reader;
  napi_threadsafe_function deliver;
  /// Null once closed.
  TapReader* owner;
};

class TapReader : public Napi::ObjectWrap<TapReader> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "TapReader", {InstanceMethod<&TapReader::Resume>("resume"), InstanceMethod<&TapReader::Close>("close")});
  }

  /// new TapReader(fd, callback): callback(bytes, sizes, 0) for a batch, callback(undefined, none, errno) at the end.
  explicit TapReader(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TapReader>(info) {
    Napi::Env env = info.Env();
    const int fd = FdArgument(info, 0);
    if (fd < 0) return;
    if (info.Length() < 2 || !info[1].IsFunction()) {
      Napi::TypeError::New(env, "the second argument is a function").ThrowAsJavaScriptException();
      return;
    }
    const char* call = nullptr;
    int error = 0;
    if (!IsTap(fd, &call, &error)) {
      if (error != 0) ThrowErrno(env, call, error);
      else Napi::TypeError::New(env, call).ThrowAsJavaScriptException();
      return;
    }
    Start(env, fd, info[1]);
  }

  ~TapReader() override {
    referenced_ = false;
    End();
  }

 private:
  /// resume(): the next batch is made. Nothing when none was handed over.
  void Resume(const Napi::CallbackInfo&) {
    if (delivery_ == nullptr || !delivered_) return;
    delivered_ = false;
    delivery_->reader->Resume();
  }

  /// close(): ends the thread; nothing is called any more. Idempotent.
  void Close(const Napi::CallbackInfo&) { End(); }

  void Start(Napi::Env env, int fd, napi_value callback) {
    // A copy of the descriptor: one that JavaScript closes too early is not somebody else's while the thread still has it.
    const int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) return ThrowErrno(env, "fcntl(F_DUPFD_CLOEXEC)", errno);
    const int wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake < 0) {
      const int error = errno;
      ::close(own);
      return ThrowErrno(env, "eventfd", error);
    }
    auto delivery = std::make_unique<Delivery>();
    delivery->reader = std::make_shared<Reader>(own, wake);
    delivery->owner = this;
    const napi_status made =
        napi_create_threadsafe_function(env, callback, nullptr, Napi::String::New(env, "TapReader"), 0, 1, delivery.get(),
                                        &TapReader::OnFinalize, delivery.get(), &TapReader::OnBatch, &delivery->deliver);
    if (made != napi_ok) {
      Napi::Error::New(env, "there is no way to call back from a thread").ThrowAsJavaScriptException();
      return;
    }
    delivery_ = delivery.release();
    const int started = StartThread();
    if (started != 0) {
      delivery_->owner = nullptr;
      napi_release_threadsafe_function(delivery_->deliver, napi_tsfn_abort);
      delivery_ = nullptr;
      return ThrowErrno(env, "pthread_create", started);
    }
    Ref();
    referenced_ = true;
    // A worker thread that is terminated frees what the thread uses: it has ended by then.
    napi_add_env_cleanup_hook(env, &TapReader::OnCleanup, this);
  }

  /// Signals of the process are for Node's threads.
  int StartThread() {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int started = pthread_create(&thread_, nullptr, &TapReader::OnThread, delivery_);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (started == 0) pthread_setname_np(thread_, "airlock-tap");
    return started;
  }

  void End() {
    if (delivery_ == nullptr) return;
    Delivery* const delivery = delivery_;
    delivery_ = nullptr;
    delivery->owner = nullptr;
    delivery->reader->Stop();
    pthread_join(thread_, nullptr);
    napi_remove_env_cleanup_hook(Env(), &TapReader::OnCleanup, this);
    napi_release_threadsafe_function(delivery->deliver, napi_tsfn_abort);
    // Only now may JavaScript collect the object.
    if (referenced_) Unref();
    referenced_ = false;
  }

  static void* OnThread(void* data) {
    const Delivery* const delivery = static_cast<Delivery*>(data);
    const std::shared_ptr<Reader> reader = delivery->reader;
    reader->Run(delivery->deliver);
    return nullptr;
  }

  static void OnCleanup(void* data) { static_cast<TapReader*>(data)->End(); }

  static void OnFinalize(napi_env, void* data, void*) { delete static_cast<Delivery*>(data); }

  /// On JavaScript's thread; without an environment when it is too late to call anything.
  static void OnBatch(napi_env raw, napi_value callback, void* context, void*) {
    Delivery* const delivery = static_cast<Delivery*>(context);
    if (raw == nullptr || delivery->owner == nullptr) return;
    Napi::Env env(raw);
    Napi::HandleScope scope(env);
    const std::shared_ptr<Reader> reader = delivery->reader;
    TapReader* const self = delivery->owner;
    const std::vector<uint32_t>& sizes = reader->sizes();
    Napi::Uint32Array frame_sizes = Napi::Uint32Array::New(env, sizes.size());
    Napi::Uint8Array bytes = Napi::Uint8Array::New(env, reader->ended() ? 0 : reader->size());
    // A worker thread that is being terminated still gets here, and gets no new objects.
    if (frame_sizes.IsEmpty() || bytes.IsEmpty()) return;
    std::copy(sizes.begin(), sizes.end(), frame_sizes.Data());
    std::copy_n(reader->bytes().begin(), bytes.ByteLength(), bytes.Data());
    self->delivered_ = !reader->ended();
    const Napi::Value batch = reader->ended() ? env.Undefined() : bytes;
    const Napi::Value receiver = self->Value();
    if (reader->ended()) self->End();
    Napi::Function(env, callback).Call(receiver, {batch, frame_sizes, Napi::Number::New(env, reader->failure())});
    if (env.IsExceptionPending()) napi_fatal_exception(env, env.GetAndClearPendingException().Value());
  }

  Delivery* delivery_ = nullptr;
  pthread_t thread_ = {};
  bool delivered_ = false;
  bool referenced_ = false;
};

}  // namespace

void RegisterTapReader(Napi::Env env, Napi::Object exports) {
  exports.Set("TapReader", TapReader::Define(env));
}

}  // namespace airlock
