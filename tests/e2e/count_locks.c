/*
 * LD_PRELOAD: counts, a thread, what its program locks and allocates. COUNT_LOCKS=FILE: an array of struct slot, which
 * another process may read at any time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct slot {
	int64_t tid, locks, allocations, syncs;
};

enum { SLOTS = 128 };
static struct slot *table, spare;
static atomic_int used;
static __thread struct slot *mine;

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t k);
extern void *__libc_realloc(void *p, size_t n);

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("COUNT_LOCKS");
	int fd = path ? open(path, O_RDWR | O_CREAT, 0600) : -1;
	if (fd < 0 || ftruncate(fd, SLOTS * sizeof(struct slot)) != 0)
		return;
	void *p =
		mmap(NULL, SLOTS * sizeof(struct slot), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		table = p;
}

static struct slot *slot(void)
{
	if (mine)
		return mine;
	if (!table)
		return &spare;
	int n = atomic_fetch_add(&used, 1);
	if (n >= SLOTS)
		return &spare;
	mine = &table[n];
	mine->tid = syscall(SYS_gettid);
	return mine;
}

#define WRAP(name, args, pass, what)                                 \
	int name args                                                \
	{                                                            \
		static int(*real) args;                              \
		if (!real)                                           \
			real = (int(*) args)dlsym(RTLD_NEXT, #name); \
		slot()->what++;                                      \
		return real pass;                                    \
	}

WRAP(pthread_mutex_lock, (pthread_mutex_t * m), (m), locks)
WRAP(pthread_mutex_trylock, (pthread_mutex_t * m), (m), locks)
WRAP(pthread_rwlock_rdlock, (pthread_rwlock_t * l), (l), locks)
WRAP(pthread_rwlock_wrlock, (pthread_rwlock_t * l), (l), locks)
WRAP(pthread_spin_lock, (pthread_spinlock_t * l), (l), locks)
WRAP(fdatasync, (int fd), (fd), syncs)

void *malloc(size_t n)
{
	slot()->allocations++;
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t k)
{
	slot()->allocations++;
	return __libc_calloc(n, k);
}

void *realloc(void *p, size_t n)
{
	slot()->allocations++;
	return __libc_realloc(p, n);
}
