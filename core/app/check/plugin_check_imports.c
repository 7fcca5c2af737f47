/* What a plugin may not call, and what it does instead. */
#include "app/check/plugin_check.h"

#include <string.h>

/* Names of a sort, blank-separated, and what to do. Fortified forms (__printf_chk) stand with theirs. */
struct sort {
	const char *names;
	const char *instead;
};

static const struct sort sorts[] = {
	{"printf __printf_chk vprintf __vprintf_chk puts putchar putc _IO_putc putc_unlocked "
	 "putchar_unlocked fprintf __fprintf_chk vfprintf __vfprintf_chk dprintf __dprintf_chk "
	 "vdprintf fputs fputc fwrite perror psignal write writev pwrite stdout stderr syslog "
	 "vsyslog __syslog_chk warn warnx err errx error",
	 "it prints: core->log() and core->set_error()"},
	{"abort exit _exit _Exit quick_exit __assert_fail __assert raise kill tgkill pthread_exit "
	 "pthread_kill atexit __cxa_atexit on_exit at_quick_exit longjmp __longjmp_chk siglongjmp",
	 "it ends what is not its own: return an error"},
	{"pthread_create thrd_create clone clone3", "it starts a thread: the host has those"},
	{"fork vfork _Fork posix_spawn posix_spawnp system popen execl execle execlp execv execve "
	 "execvp execvpe fexecve waitpid wait",
	 "it starts a program: none may"},
	{"time clock gettimeofday clock_gettime timespec_get times localtime gmtime localtime_r "
	 "gmtime_r mktime ftime",
	 "it reads the clock: time comes with the call, or by the service clock/1"},
	{"sleep usleep nanosleep clock_nanosleep pause select poll epoll_wait sched_yield alarm "
	 "setitimer timer_create",
	 "it waits, and a loop with it: return OTD_E_BUSY"},
	{"rand srand rand_r random srandom random_r drand48 lrand48 mrand48 getrandom getentropy "
	 "arc4random arc4random_buf arc4random_uniform",
	 "it draws at random: the same input gives the same answer"},
	{"getenv secure_getenv __secure_getenv setenv unsetenv putenv environ __environ setlocale "
	 "getcwd chdir umask sigaction signal",
	 "it reads or changes the process: options are how it is told"},
	{"open open64 openat openat64 __open_2 __open64_2 creat fopen fopen64 freopen fdopen "
	 "opendir "
	 "unlink rename mkdir rmdir tmpfile mkstemp remove",
	 "it opens files: the service files/1"},
	{"socket connect bind listen accept accept4 send sendto sendmsg recv recvfrom recvmsg "
	 "getaddrinfo gethostbyname",
	 "it speaks to the network: the host does that"},
	{"dlopen dlmopen dlsym dlvsym",
	 "it loads code that nobody has looked at: link what it needs"},
	{"malloc calloc realloc reallocarray aligned_alloc posix_memalign memalign valloc pvalloc "
	 "strdup strndup __strdup __strndup asprintf vasprintf __asprintf_chk __vasprintf_chk "
	 "getline getdelim open_memstream",
	 "its memory is counted by core->alloc()"},
	{"strcpy __strcpy_chk strcat __strcat_chk sprintf __sprintf_chk vsprintf __vsprintf_chk "
	 "gets "
	 "strtok",
	 "it does not know how long the buffer is: the forms that are told"},
};

/* Whether name stands in the blank-separated list. */
static bool listed(const char *list, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = list; n && (p = strstr(p, name)); p += n) {
		if ((p == list || p[-1] == ' ') && (p[n] == ' ' || p[n] == 0))
			return true;
	}
	return false;
}

/* Drivers of cards are found while running. */
static const char hw_may[] = "dlopen dlsym sched_yield";

const char *otd_pcheck_import(const char *symbol, const char *kind)
{
	if (strncmp(kind, "hw/", 3) == 0 && listed(hw_may, symbol))
		return NULL;
	for (size_t i = 0; i < sizeof(sorts) / sizeof(sorts[0]); i++) {
		if (listed(sorts[i].names, symbol))
			return sorts[i].instead;
	}
	return NULL;
}

bool otd_pcheck_library(const char *name)
{
	return listed("libc.so.6 libm.so.6 libgcc_s.so.1 ld-linux-x86-64.so.2 "
		      "ld-linux-aarch64.so.1 ld-linux-riscv64-lp64d.so.1",
		      name);
}
