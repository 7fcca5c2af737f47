target_link_libraries(${plugin_target} PRIVATE PkgConfig::jansson)
