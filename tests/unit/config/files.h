/* An environment with nothing but readable files, for the tests of config. */
#ifndef TEST_CONFIG_FILES_H
#define TEST_CONFIG_FILES_H

#include "base/env.h"

struct otd_env *test_env(void);
/* A fresh folder under /tmp; removed by test_folder_remove(). */
void test_folder(char path[64]);
void test_folder_remove(const char *path);
void test_write(const char *folder, const char *name, const char *text);

#endif
