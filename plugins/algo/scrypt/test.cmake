target_sources(${test_target} PRIVATE ${folder}/hash.c ${folder}/romix_portable.c
  ${folder}/romix_avx2.c)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(${folder}/romix_avx2.c PROPERTIES COMPILE_OPTIONS -mavx2)
endif()
