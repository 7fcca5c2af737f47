file(GLOB chain_sources ${folder}/*.c ${folder}/../common/*.c)
list(FILTER chain_sources EXCLUDE REGEX "/(test|bench)_[^/]*\\.c$")
target_sources(${test_target} PRIVATE ${chain_sources})
target_include_directories(${test_target} PRIVATE ${folder}/..)
