{
  "targets": [
    {
      "target_name": "airlock",
      "sources": ["src/addon.cc", "src/errors.cc", "src/file.cc", "src/poll.cc", "src/pty.cc", "src/line_settings.cc", "src/process.cc"],
      "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": [
        "-std=c++17", "-fno-exceptions", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror",
        "-isystem", "<!(node -p \"path.resolve(require('node-addon-api').include_dir)\")"
      ],
      "defines": [
        "NAPI_VERSION=8",
        "NAPI_DISABLE_CPP_EXCEPTIONS",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "conditions": [
        ["OS!='linux'", { "type": "none" }]
      ]
    }
  ]
}
