target_compile_options(${plugin_target} PRIVATE -O3)
# Which path runs is decided at run time; only this file may use the instructions.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(${folder}/romix_avx2.c PROPERTIES COMPILE_OPTIONS -mavx2)
endif()
