# The database, the payout scheme and the chain that the simulation runs on, built in.
pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)
file(GLOB sqlite_plugin CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/plugins/store/sqlite/*.c)
list(FILTER sqlite_plugin EXCLUDE REGEX "/(test|bench)_[^/]*\\.c$")
if(NOT TARGET sim_pplns)
  file(GLOB pplns_plugin CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/plugins/payout/pplns/*.c
    ${CMAKE_SOURCE_DIR}/plugins/payout/common/*.c)
  list(FILTER pplns_plugin EXCLUDE REGEX "/(test|bench)_[^/]*\\.c$")
  add_library(sim_pplns OBJECT ${pplns_plugin})
  target_include_directories(sim_pplns PRIVATE ${CMAKE_SOURCE_DIR}/core/include
    ${CMAKE_SOURCE_DIR}/plugins/payout)
  target_compile_definitions(sim_pplns PRIVATE otd_plugin_v1=sim_pplns_plugin)
  target_compile_options(sim_pplns PRIVATE -Wno-missing-prototypes)
endif()
if(NOT TARGET sim_bitcoin)
  file(GLOB bitcoin_plugin CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/plugins/chain/bitcoin/*.c
    ${CMAKE_SOURCE_DIR}/plugins/chain/common/*.c)
  list(FILTER bitcoin_plugin EXCLUDE REGEX "/(test|bench)_[^/]*\\.c$")
  add_library(sim_bitcoin OBJECT ${bitcoin_plugin})
  target_include_directories(sim_bitcoin PRIVATE ${CMAKE_SOURCE_DIR}/core/include
    ${CMAKE_SOURCE_DIR}/plugins/chain)
  target_compile_definitions(sim_bitcoin PRIVATE otd_plugin_v1=sim_bitcoin_plugin)
  target_compile_options(sim_bitcoin PRIVATE -Wno-missing-prototypes)
  target_link_libraries(sim_bitcoin PRIVATE PkgConfig::jansson)
endif()
if(NOT TARGET sim_sha256d)
  add_library(sim_sha256d OBJECT ${CMAKE_SOURCE_DIR}/plugins/algo/sha256d/sha256d.c)
  target_include_directories(sim_sha256d PRIVATE ${CMAKE_SOURCE_DIR}/core/include)
  target_compile_definitions(sim_sha256d PRIVATE otd_plugin_v1=sim_sha256d_plugin)
  target_compile_options(sim_sha256d PRIVATE -Wno-missing-prototypes)
endif()
target_sources(${test_target} PRIVATE ${sqlite_plugin})
target_link_libraries(${test_target} PRIVATE sim_pplns sim_bitcoin sim_sha256d PkgConfig::sqlite3
  PkgConfig::jansson)
if(name STREQUAL "nth")
  target_link_options(${test_target} PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
    -Wl,--wrap=aligned_alloc,--wrap=strdup)
endif()
if(name STREQUAL "host")
  cmake_language(DEFER CALL set_tests_properties sim.sim.host PROPERTIES TIMEOUT 900)
endif()
# Once, and not under sanitizers: it compiles parts of the tree anew.
if(name STREQUAL "sim" AND NOT OTEDAMA_SANITIZE)
  add_test(NAME sim.mutants COMMAND ${CMAKE_SOURCE_DIR}/tests/sim/run_mutants.sh
    --build ${CMAKE_BINARY_DIR})
  set_tests_properties(sim.mutants PROPERTIES LABELS sim TIMEOUT 900 RUN_SERIAL ON)
endif()
