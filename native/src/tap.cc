// TAP interfaces: opening one, and writing frames into it. See Linux' Documentation/networking/tuntap.rst and netdevice(7).
#include "tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "addon.h"
#include "descriptor.h"

namespace airlock {
namespace {

/// What Linux takes for an Ethernet interface: ETH_MIN_MTU, and 65,535 less Ethernet's header.
constexpr uint64_t kMinMtu = 68;
constexpr uint64_t kMaxMtu = 65521;
constexpr size_t kMacBytes = 6;

/// Frames of one writeFrames: more than any batch a driver makes.
constexpr size_t kMaxFrames = 4096;

struct TapArguments {
  std::string name;
  int mtu;
  bool has_mac;
  uint8_t mac[kMacBytes];
  bool up;
};

/// 1 to 15 of the characters that need no quotes anywhere; "%d" once, which the kernel replaces by a number.
bool IsInterfaceName(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
  const bool plain = std::all_of(name.begin(), name.end(), [](char each) {
    const bool is_letter = (each >= 'A' && each <= 'Z') || (each >= 'a' && each <= 'z');
    return is_letter || (each >= '0' && each <= '9') || each == '_' || each == '.' || each == '%' || each == '-';
  });
  const size_t percent = name.find('%');
  return plain && (percent == std::string::npos || (name.compare(percent, 2, "%d") == 0 && name.find('%', percent + 1) == std::string::npos));
}

/// The fields of TapOptions; throws a TypeError or RangeError.
bool TapArgument(const Napi::CallbackInfo& info, TapArguments* tap) {
  const auto refuse = [&info](const char* message) {
    if (!info.Env().IsExceptionPending()) Napi::TypeError::New(info.Env(), message).ThrowAsJavaScriptException();
    return false;
  };
  if (info.Length() < 1 || !info[0].IsObject()) return refuse("a TAP interface is opened with options");
  const Napi::Object options = info[0].As<Napi::Object>();
  const Napi::Value name = options.Get("name");
  if (info.Env().IsExceptionPending() || !name.IsString()) return refuse("the name is a string");
  tap->name = name.As<Napi::String>().Utf8Value();
  if (!IsInterfaceName(tap->name)) return refuse("an interface name has 1 to 15 letters, digits, or characters of _.- and at most one %d");
  uint64_t mtu = 0;
  const Napi::Value wanted_mtu = options.Get("mtu");
  if (info.Env().IsExceptionPending() || !IsInteger(wanted_mtu, &mtu) || mtu < kMinMtu || mtu > kMaxMtu) return refuse("an MTU is 68 to 65521");
  tap->mtu = static_cast<int>(mtu);
  const Napi::Value up = options.Get("up");
  if (info.Env().IsExceptionPending() || !up.IsBoolean()) return refuse("whether the interface is up is a boolean");
  tap->up = up.As<Napi::Boolean>().Value();
  const Napi::Value mac = options.Get("mac");
  tap->has_mac = !mac.IsUndefined();
  if (info.Env().IsExceptionPending()) return false;
  if (!tap->has_mac) return true;
  if (!mac.IsTypedArray() || mac.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) return refuse("a MAC address is a Uint8Array");
  Napi::Uint8Array bytes = mac.As<Napi::Uint8Array>();
  if (bytes.ByteLength() != kMacBytes) return refuse("a MAC address has 6 bytes");
  std::copy_n(bytes.Data(), kMacBytes, tap->mac);
  return true;
}

ifreq Request(const std::string& name) {
  ifreq request = {};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

/// Sets what is not so already: who may use an interface that an administrator prepared may not change it. Returns the call that
/// failed, with errno set, or a null pointer.
const char* Configure(const std::string& name, const TapArguments& tap) {
  Descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (control.get() < 0) return "socket";
  ifreq request = Request(name);
  if (::ioctl(control.get(), SIOCGIFMTU, &request) != 0) return "ioctl(SIOCGIFMTU)";
  if (request.ifr_mtu != tap.mtu) {
    request.ifr_mtu = tap.mtu;
    if (::ioctl(control.get(), SIOCSIFMTU, &request) != 0) return "ioctl(SIOCSIFMTU)";
  }
  request = Request(name);
  if (::ioctl(control.get(), SIOCGIFHWADDR, &request) != 0) return "ioctl(SIOCGIFHWADDR)";
  if (tap.has_mac && std::memcmp(request.ifr_hwaddr.sa_data, tap.mac, kMacBytes) != 0) {
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, tap.mac, kMacBytes);
    if (::ioctl(control.get(), SIOCSIFHWADDR, &request) != 0) return "ioctl(SIOCSIFHWADDR)";
  }
  request = Request(name);
  if (::ioctl(control.get(), SIOCGIFFLAGS, &request) != 0) return "ioctl(SIOCGIFFLAGS)";
  if (tap.up && (request.ifr_flags & IFF_UP) == 0) {
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    if (::ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return "ioctl(SIOCSIFFLAGS)";
  }
  return nullptr;
}

/// openTap({ name, mtu, mac?, up }): { fd, name }. The interface goes with its last descriptor, unless it was made to stay.
Napi::Value OpenTap(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  TapArguments tap = {};
  if (!TapArgument(info, &tap)) return env.Undefined();
  const auto fail = [env](const char* call) {
    ThrowErrno(env, call, errno);
    return env.Undefined();
  };
  Descriptor device(::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (device.get() < 0) return fail("open(/dev/net/tun)");
  ifreq request = Request(tap.name);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (::ioctl(device.get(), TUNSETIFF, &request) != 0) return fail("ioctl(TUNSETIFF)");
  const std::string name(request.ifr_name, ::strnlen(request.ifr_name, IFNAMSIZ));
  const char* const failed = Configure(name, tap);
  if (failed != nullptr) return fail(failed);
  Napi::Object result = Napi::Object::New(env);
  result.Set("fd", Napi::Number::New(env, device.release()));
  result.Set("name", Napi::String::New(env, name));
  return result;
}

#ifndef TUNSETCARRIER
#define TUNSETCARRIER _IOW('T', 226, int)
#endif

/// setTapCarrier(fd, up): shows the interface's programs a cable that is plugged in, or pulled; wherever the interface is by now.
Napi::Value SetTapCarrier(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = FdArgument(info, 0);
  if (fd < 0) return env.Undefined();
  if (info.Length() < 2 || !info[1].IsBoolean()) {
    Napi::TypeError::New(env, "whether there is a carrier is a boolean").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const int carrier = info[1].As<Napi::Boolean>().Value() ? 1 : 0;
  if (::ioctl(fd, TUNSETCARRIER, &carrier) != 0) ThrowErrno(env, "ioctl(TUNSETCARRIER)", errno);
  return env.Undefined();
}

/// The sizes of frames as numbers of our own: whoever shares their buffer cannot change them after the check.
bool SizesArgument(const Napi::CallbackInfo& info, size_t total, std::vector<uint32_t>* sizes) {
  Napi::Env env = info.Env();
  if (info.Length() < 3 || !info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_uint32_array) {
    Napi::TypeError::New(env, "sizes of frames are a Uint32Array").ThrowAsJavaScriptException();
    return false;
  }
  Napi::Uint32Array array = info[2].As<Napi::Uint32Array>();
  const size_t count = array.ElementLength();
  if (count > kMaxFrames) {
    Napi::RangeError::New(env, "at most 4096 frames are written at once").ThrowAsJavaScriptException();
    return false;
  }
  sizes->assign(array.Data(), array.Data() + count);
  size_t sum = 0;
  for (const uint32_t size : *sizes) {
    sum += size;
    if (size > 0 && size <= kMaxFrame && sum <= total) continue;
    Napi::RangeError::New(env, "a frame is empty, longer than any interface takes, or beyond the end of its bytes").ThrowAsJavaScriptException();
    return false;
  }
  return true;
}

/// writeFrames(fd, bytes, sizes): how many were written before one would block or failed; throws when the first one fails. Wrong sizes
/// are refused before anything is written.
Napi::Value WriteFrames(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = FdArgument(info, 0);
  if (fd < 0) return env.Undefined();
  if (info.Length() < 2 || !info[1].IsTypedArray() || info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    Napi::TypeError::New(env, "frames are a Uint8Array").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  std::vector<uint32_t> sizes;
  if (!SizesArgument(info, bytes.ByteLength(), &sizes)) return env.Undefined();
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_NONBLOCK) == 0) {
    if (flags < 0) ThrowErrno(env, "fcntl(F_GETFL)", errno);
    else Napi::TypeError::New(env, "frames are written to a non-blocking descriptor").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const uint8_t* next = bytes.Data();
  uint32_t written = 0;
  for (const uint32_t size : sizes) {
    ssize_t done;
    do {
      done = ::write(fd, next, size);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
      if (written == 0 && errno != EAGAIN) {
        ThrowErrno(env, "write", errno);
        return env.Undefined();
      }
      break;
    }
    next += size;
    written++;
  }
  return Napi::Number::New(env, written);
}

}  // namespace

bool IsTap(int fd, const char** call, int* error) {
  ifreq request = {};
  *error = 0;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) {
    *call = "fcntl(F_GETFL)";
    *error = errno;
    return false;
  }
  *call = "the descriptor is not one of a non-blocking TAP interface";
  return (flags & O_NONBLOCK) != 0 && ::ioctl(fd, TUNGETIFF, &request) == 0 && (request.ifr_flags & (IFF_TAP | IFF_NO_PI)) == (IFF_TAP | IFF_NO_PI);
}

void RegisterTap(Napi::Env env, Napi::Object exports) {
  exports.Set("openTap", Napi::Function::New<OpenTap>(env, "openTap"));
  exports.Set("setTapCarrier", Napi::Function::New<SetTapCarrier>(env, "setTapCarrier"));
  exports.Set("writeFrames", Napi::Function::New<WriteFrames>(env, "writeFrames"));
}

}  // namespace airlock
