# These tests load, and break copies of, plugins that are really built.
add_dependencies(${test_target} plugin_hw_cpu)

# bad/KIND/ID.c -> tests/bad/KIND/ID.so below the build folder: plugins that misbehave. They are built
# without sanitizers even where the host has them: what they do wrong must not be seen by those.
if(NOT TARGET bad_plugins)
  add_custom_target(bad_plugins)
  file(GLOB bad_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/plugin/bad/*/*.c)
  foreach(f IN LISTS bad_sources)
    get_filename_component(bad_id ${f} NAME_WE)
    get_filename_component(bad_kind ${f} DIRECTORY)
    get_filename_component(bad_kind ${bad_kind} NAME)
    set(bad_target bad_${bad_kind}_${bad_id})
    add_library(${bad_target} MODULE ${f})
    set_target_properties(${bad_target} PROPERTIES PREFIX "" OUTPUT_NAME ${bad_id}
      LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/bad/${bad_kind})
    target_include_directories(${bad_target} PRIVATE ${CMAKE_SOURCE_DIR}/core/include)
    target_compile_definitions(${bad_target} PRIVATE BAD_ID="${bad_id}"
      BAD_MARKER="${CMAKE_BINARY_DIR}/tests/bad/a-constructor-ran")
    target_compile_options(${bad_target} PRIVATE -O2 -fno-stack-protector -Wno-array-bounds
      -Wno-stringop-overflow)
    target_link_options(${bad_target} PRIVATE -Wl,-z,now)
    if(OTEDAMA_SANITIZE)
      target_compile_options(${bad_target} PRIVATE -fno-sanitize=all)
      target_link_options(${bad_target} PRIVATE -fno-sanitize=all)
    endif()
    add_dependencies(bad_plugins ${bad_target})
  endforeach()
  target_link_options(bad_algo_run-path PRIVATE -Wl,-rpath,/opt/toy/lib)
  target_link_options(bad_algo_exec-stack PRIVATE -Wl,-z,execstack)
  target_link_options(bad_algo_library PRIVATE -Wl,--no-as-needed -ljansson)
  if(NOT CMAKE_CROSSCOMPILING)
    find_package(Python3 COMPONENTS Interpreter REQUIRED)
    set(sanitized "")
    if(OTEDAMA_SANITIZE OR CMAKE_C_FLAGS MATCHES "--coverage")
      set(sanitized --sanitized)
    endif()
    add_test(NAME plugin.check COMMAND ${Python3_EXECUTABLE}
      ${CMAKE_SOURCE_DIR}/tests/plugin/test_plugin_check.py ${CMAKE_BINARY_DIR} ${sanitized})
    set_tests_properties(plugin.check PROPERTIES LABELS plugin TIMEOUT 900)
  endif()
endif()
if(CMAKE_CROSSCOMPILING)
  # The system cannot start the trial's program, which is for another machine.
  target_compile_definitions(${test_target} PRIVATE TEST_WITHOUT_CHILDREN)
endif()
# The trial of a file is this program's.
add_dependencies(${test_target} bad_plugins otedama)
