/* Messages and mailboxes, see pool/msg.h. */
#include "pool/msg.h"

#include "base/log.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What stands before a message in memory; none of it travels. */
struct envelope {
	struct envelope *next;
	size_t cap; /* bytes from the message's start */
	struct otd_msg msg;
};

struct otd_mailbox {
	struct otd_loop *loop;
	otd_msg_fn fn;
	void *arg;
	_Atomic(struct envelope *) inbox; /* newest first */
	atomic_bool woken;                /* a post that will empty inbox is under way */
	bool copy;
};

static struct envelope *envelope_of(const struct otd_msg *m)
{
	return (struct envelope *)((uintptr_t)m - offsetof(struct envelope, msg));
}

struct otd_msg *otd_msg_create(enum otd_msg_type type, uint32_t reactor, size_t fixed, size_t extra)
{
	if (fixed < sizeof(struct otd_msg) || fixed > UINT32_MAX / 4 || extra > UINT32_MAX / 4)
		return NULL;
	struct envelope *e = calloc(1, offsetof(struct envelope, msg) + fixed + extra);
	if (!e)
		return NULL;
	e->cap = fixed + extra;
	e->msg.size = (uint32_t)fixed;
	e->msg.type = (uint16_t)type;
	e->msg.version = 1;
	e->msg.reactor = reactor;
	e->msg.fixed = (uint32_t)fixed;
	return &e->msg;
}

struct otd_ref otd_msg_put(struct otd_msg *m, const void *p, size_t n)
{
	struct otd_ref r = {m->size, (uint32_t)n};
	OTD_ASSERT(n <= envelope_of(m)->cap - m->size);
	if (n)
		memcpy((uint8_t *)m + m->size, p, n);
	m->size += (uint32_t)n;
	return r;
}

void otd_msg_destroy(struct otd_msg *m)
{
	if (m)
		free(envelope_of(m));
}

/* The refs of each type, by their places in its struct. */
struct shape {
	uint16_t type;
	uint16_t n_refs;
	uint32_t fixed;
	uint32_t refs[4];
};

static const struct shape shapes[] = {
	{OTD_MSG_JOB,
	 3,
	 sizeof(struct otd_msg_job),
	 {offsetof(struct otd_msg_job, coinbase1), offsetof(struct otd_msg_job, coinbase2),
	  offsetof(struct otd_msg_job, branches)}},
	{OTD_MSG_AUTH_ANSWER,
	 2,
	 sizeof(struct otd_msg_auth_answer),
	 {offsetof(struct otd_msg_auth_answer, account),
	  offsetof(struct otd_msg_auth_answer, reason)}},
	{OTD_MSG_DRAIN, 0, sizeof(struct otd_msg), {0}},
	{OTD_MSG_FREEZE, 0, sizeof(struct otd_msg), {0}},
	{OTD_MSG_THAW, 0, sizeof(struct otd_msg), {0}},
	{OTD_MSG_RELEASE, 0, sizeof(struct otd_msg_position), {0}},
	{OTD_MSG_BAN,
	 2,
	 sizeof(struct otd_msg_ban),
	 {offsetof(struct otd_msg_ban, what), offsetof(struct otd_msg_ban, reason)}},
	{OTD_MSG_SWAP, 1, sizeof(struct otd_msg_text), {offsetof(struct otd_msg_text, text)}},
	{OTD_MSG_SWAP_COMMIT, 0, sizeof(struct otd_msg), {0}},
	{OTD_MSG_SWAP_DROP, 0, sizeof(struct otd_msg), {0}},
	{OTD_MSG_SWAP_READY, 1, sizeof(struct otd_msg_text), {offsetof(struct otd_msg_text, text)}},
	{OTD_MSG_SWAP_TAKEN, 0, sizeof(struct otd_msg), {0}},
	{OTD_MSG_BUDGET,
	 2,
	 sizeof(struct otd_msg_budget),
	 {offsetof(struct otd_msg_budget, key), offsetof(struct otd_msg_budget, host)}},
	{OTD_MSG_BUDGET_HEARD,
	 2,
	 sizeof(struct otd_msg_budget),
	 {offsetof(struct otd_msg_budget, key), offsetof(struct otd_msg_budget, host)}},
	{OTD_MSG_BAN_WISH,
	 3,
	 sizeof(struct otd_msg_ban_wish),
	 {offsetof(struct otd_msg_ban_wish, by), offsetof(struct otd_msg_ban_wish, what),
	  offsetof(struct otd_msg_ban_wish, reason)}},
	{OTD_MSG_AUTH, 1, sizeof(struct otd_msg_auth), {offsetof(struct otd_msg_auth, account)}},
	{OTD_MSG_BLOCK,
	 4,
	 sizeof(struct otd_msg_block),
	 {offsetof(struct otd_msg_block, account), offsetof(struct otd_msg_block, worker),
	  offsetof(struct otd_msg_block, header), offsetof(struct otd_msg_block, coinbase)}},
	{OTD_MSG_SYNCED, 0, sizeof(struct otd_msg_position), {0}},
	{OTD_MSG_DRAINED, 0, sizeof(struct otd_msg_position), {0}},
	{OTD_MSG_POOL_GONE, 0, sizeof(struct otd_msg_pool_gone), {0}},
	{OTD_MSG_CLIENT,
	 2,
	 sizeof(struct otd_msg_client),
	 {offsetof(struct otd_msg_client, proxy), offsetof(struct otd_msg_client, early)}},
	{OTD_MSG_SAY, 1, sizeof(struct otd_msg_say), {offsetof(struct otd_msg_say, text)}},
	{OTD_MSG_CHANGE, 1, sizeof(struct otd_msg_text), {offsetof(struct otd_msg_text, text)}},
	{OTD_MSG_TICKETS, 1, sizeof(struct otd_msg_text), {offsetof(struct otd_msg_text, text)}},
	{OTD_MSG_ARRIVE,
	 2,
	 sizeof(struct otd_msg_move),
	 {offsetof(struct otd_msg_move, moved), offsetof(struct otd_msg_move, early)}},
	{OTD_MSG_MOVE,
	 2,
	 sizeof(struct otd_msg_move),
	 {offsetof(struct otd_msg_move, moved), offsetof(struct otd_msg_move, early)}},
	{OTD_MSG_RENEW, 0, sizeof(struct otd_msg), {0}},
	{OTD_MSG_READY, 0, sizeof(struct otd_msg), {0}},
	{OTD_MSG_ENDED,
	 2,
	 sizeof(struct otd_msg_client),
	 {offsetof(struct otd_msg_client, proxy), offsetof(struct otd_msg_client, early)}},
	{OTD_MSG_METRICS, 1, sizeof(struct otd_msg_text), {offsetof(struct otd_msg_text, text)}},
	{OTD_MSG_CHANGED, 0, sizeof(struct otd_msg), {0}},
};

bool otd_msg_check(const void *bytes, size_t len)
{
	struct otd_msg head;
	const struct shape *shape = NULL;

	if (!bytes || len < sizeof(head))
		return false;
	memcpy(&head, bytes, sizeof(head));
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (shapes[i].type == head.type)
			shape = &shapes[i];
	}
	if (!shape || head.version != 1 || head.size != len || head.fixed < shape->fixed ||
	    head.fixed > len)
		return false;
	for (size_t i = 0; i < shape->n_refs; i++) {
		struct otd_ref r;
		memcpy(&r, (const uint8_t *)bytes + shape->refs[i], sizeof(r));
		if (r.len && (r.at < head.fixed || r.at > len || r.len > len - r.at))
			return false;
		if (!r.len && r.at > len)
			return false;
	}
	return true;
}

struct otd_msg *otd_msg_copy(const void *bytes, size_t len)
{
	struct otd_msg head;

	if (!otd_msg_check(bytes, len))
		return NULL;
	memcpy(&head, bytes, sizeof(head));
	struct otd_msg *m = otd_msg_create((enum otd_msg_type)head.type, head.reactor, len, 0);
	if (m)
		memcpy(m, bytes, len);
	return m;
}

static struct envelope *take_all(struct otd_mailbox *b)
{
	struct envelope *list = atomic_exchange_explicit(&b->inbox, NULL, memory_order_acquire);
	struct envelope *in_order = NULL;

	while (list) {
		struct envelope *next = list->next;
		list->next = in_order;
		in_order = list;
		list = next;
	}
	return in_order;
}

static void deliver(struct otd_mailbox *b, const struct envelope *e)
{
	void *copy = NULL;
	const struct otd_msg *m = &e->msg;

	if (b->copy) {
		/* Only what travels: a pointer into the rest of the allocation would show. */
		copy = malloc(m->size);
		if (copy) {
			memcpy(copy, m, m->size);
			m = copy;
		}
	}
	if (otd_msg_check(m, m->size))
		b->fn(b->arg, m);
	else
		otd_log(OTD_LOG_ERROR, "pool", "message.malformed", "type=%u size=%u", m->type,
			m->size);
	free(copy);
}

static void mailbox_wake(void *arg)
{
	struct otd_mailbox *b = arg;

	/* First the flag: what is pushed after the exchange below posts again. */
	atomic_store_explicit(&b->woken, false, memory_order_seq_cst);
	for (struct envelope *e = take_all(b), *next; e; e = next) {
		next = e->next;
		deliver(b, e);
		free(e);
	}
}

otd_rc otd_mailbox_create(struct otd_mailbox **out, struct otd_loop *l, otd_msg_fn fn, void *arg)
{
	struct otd_mailbox *b = calloc(1, sizeof(*b));

	*out = b;
	if (!b)
		return OTD_E_NOMEM;
	b->loop = l;
	b->fn = fn;
	b->arg = arg;
#ifdef NDEBUG
	b->copy = getenv("OTEDAMA_MSG_COPY") != NULL;
#else
	b->copy = true;
#endif
	atomic_init(&b->inbox, NULL);
	atomic_init(&b->woken, false);
	return OTD_OK;
}

void otd_mailbox_destroy(struct otd_mailbox *b)
{
	if (!b)
		return;
	for (struct envelope *e = take_all(b), *next; e; e = next) {
		next = e->next;
		free(e);
	}
	free(b);
}

otd_rc otd_mailbox_send(struct otd_mailbox *b, struct otd_msg *m)
{
	otd_rc rc = OTD_OK;

	if (!m)
		return OTD_E_NOMEM;
	struct envelope *e = envelope_of(m), *head;
	if (!otd_msg_check(m, m->size)) {
		free(e);
		return OTD_E_INVALID;
	}
	head = atomic_load_explicit(&b->inbox, memory_order_relaxed);
	do
		e->next = head;
	while (!atomic_compare_exchange_weak_explicit(&b->inbox, &head, e, memory_order_seq_cst,
						      memory_order_relaxed));
	if (!atomic_exchange_explicit(&b->woken, true, memory_order_seq_cst)) {
		rc = otd_loop_post(b->loop, mailbox_wake, b);
		/* The message stays; the next one's post delivers both. */
		if (rc)
			atomic_store_explicit(&b->woken, false, memory_order_seq_cst);
	}
	return rc;
}
