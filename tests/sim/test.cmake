# The database that the simulation runs on, built in.
pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)
file(GLOB sqlite_plugin CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/plugins/store/sqlite/*.c)
list(FILTER sqlite_plugin EXCLUDE REGEX "/(test|bench)_[^/]*\\.c$")
target_sources(${test_target} PRIVATE ${sqlite_plugin})
target_link_libraries(${test_target} PRIVATE PkgConfig::sqlite3)
