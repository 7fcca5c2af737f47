pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)
target_link_libraries(${plugin_target} PRIVATE PkgConfig::sqlite3)
