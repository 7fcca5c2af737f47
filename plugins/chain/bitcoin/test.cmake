file(GLOB chain_sources ${folder}/*.c ${folder}/../common/*.c)
list(FILTER chain_sources EXCLUDE REGEX "/(test|bench)_[^/]*\\.c$")
target_sources(${test_target} PRIVATE ${chain_sources})
target_include_directories(${test_target} PRIVATE ${folder}/..)
target_link_libraries(${test_target} PRIVATE PkgConfig::jansson)
# The coin files name a second algorithm; its blocks are checked with its own arithmetic.
if(test_target STREQUAL "test_bitcoin_coins")
  set(scrypt ${folder}/../../algo/scrypt)
  get_filename_component(scrypt ${scrypt} ABSOLUTE)
  target_sources(${test_target} PRIVATE ${scrypt}/hash.c ${scrypt}/romix_portable.c
    ${scrypt}/romix_avx2.c)
endif()
