# These tests load, and break copies of, plugins that are really built.
add_dependencies(${test_target} plugin_hw_cpu)
