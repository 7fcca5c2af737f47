include(${CMAKE_SOURCE_DIR}/tests/unit/store/test.cmake)
