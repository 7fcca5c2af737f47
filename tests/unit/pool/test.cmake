# The payer's tests run in virtual time, over the real database, on the chain that is its own node.
if(name MATCHES "^payer(_doubt|_policy)?$")
  pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)
  file(GLOB sqlite_plugin CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/plugins/store/sqlite/*.c)
  list(FILTER sqlite_plugin EXCLUDE REGEX "/(test|bench)_[^/]*\\.c$")
  file(GLOB devnet_plugin CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/plugins/chain/devnet/*.c
    ${CMAKE_SOURCE_DIR}/plugins/chain/common/*.c)
  list(FILTER devnet_plugin EXCLUDE REGEX "/(test|bench)_[^/]*\\.c$")
  if(NOT TARGET payer_devnet)
    add_library(payer_devnet OBJECT ${devnet_plugin})
    target_include_directories(payer_devnet PRIVATE ${CMAKE_SOURCE_DIR}/core/include
      ${CMAKE_SOURCE_DIR}/plugins/chain)
    target_compile_definitions(payer_devnet PRIVATE otd_plugin_v1=payer_devnet_plugin)
    target_compile_options(payer_devnet PRIVATE -Wno-missing-prototypes)
  endif()
  target_sources(${test_target} PRIVATE ${sqlite_plugin}
    ${CMAKE_SOURCE_DIR}/tests/sim/sim_env.c ${CMAKE_SOURCE_DIR}/tests/sim/sim_net.c ${CMAKE_SOURCE_DIR}/tests/sim/sim_disk.c
    ${CMAKE_SOURCE_DIR}/tests/sim/sim_http.c)
  target_include_directories(${test_target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/sim)
  pkg_check_modules(jansson_test REQUIRED IMPORTED_TARGET jansson)
  target_link_libraries(${test_target} PRIVATE payer_devnet PkgConfig::sqlite3
    PkgConfig::jansson_test)
endif()
