add_dependencies(${test_target} plugin_hw_cpu plugin_algo_sha256d)
