# Cross-building for arm64 on Debian: gcc-aarch64-linux-gnu, libraries from build-arm64/sysroot
# (tools/arm64_sysroot.sh), tests under qemu-user.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(OTEDAMA_SYSROOT "${CMAKE_CURRENT_LIST_DIR}/../build-arm64/sysroot" CACHE PATH "arm64 libraries")
get_filename_component(OTEDAMA_SYSROOT "${OTEDAMA_SYSROOT}" ABSOLUTE)
if(NOT EXISTS "${OTEDAMA_SYSROOT}/.complete")
  message(FATAL_ERROR "${OTEDAMA_SYSROOT} is not there: run ./mk setup arm64")
endif()

set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_SYSROOT "${OTEDAMA_SYSROOT}")
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_DIR} "")
set(ENV{PKG_CONFIG_PATH} "")
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${OTEDAMA_SYSROOT}")
set(ENV{PKG_CONFIG_LIBDIR}
  "${OTEDAMA_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${OTEDAMA_SYSROOT}/usr/share/pkgconfig")
# Shared libraries that our libraries need in turn are found by the linker here.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-Wl,-rpath-link,${OTEDAMA_SYSROOT}/usr/lib/aarch64-linux-gnu")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "${CMAKE_EXE_LINKER_FLAGS_INIT}")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "${CMAKE_EXE_LINKER_FLAGS_INIT}")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L "${OTEDAMA_SYSROOT}")
