/*
 * Connections between the pool and machines outside of it, in virtual time. Bytes take their time, come
 * in pieces, and stay in order; a connection may be reset, or be lost without a word (half open: both
 * ends think it stands). The machine outside lives on when the pool dies; what the pool had written
 * before may still arrive.
 */
#ifndef OTD_SIM_NET_H
#define OTD_SIM_NET_H

#include "sim.h"

struct sim_peer; /* the end of a connection that is not the pool's */

struct sim_peer_ops {
	void (*open)(void *arg);
	void (*data)(void *arg, const uint8_t *p, size_t n);
	/* Nobody took it, the pool closed it, or it was reset; the peer is gone after it. */
	void (*closed)(void *arg);
};

/* From this numeric address to the pool's port. Callbacks come later, none from within a call here. */
struct sim_peer *sim_peer_connect(struct sim *s, const char *from, uint16_t port,
				  const struct sim_peer_ops *ops, void *arg);
void sim_peer_send(struct sim_peer *p, const void *bytes, size_t n);
/* Whether it takes what comes; while not, the pool's writes pile up and stand. */
void sim_peer_read(struct sim_peer *p, bool on);
enum sim_bye {
	SIM_BYE_CLOSE, /* what was sent arrives */
	SIM_BYE_RESET,
	SIM_BYE_VANISH /* power off, cable out: the pool hears nothing, ever */
};
/* The peer is gone; no callback. */
void sim_peer_close(struct sim_peer *p, enum sim_bye how);

enum sim_net_fault {
	SIM_NET_REFUSED,  /* nobody listened */
	SIM_NET_SHORT_IN, /* a read gave less than there was */
	SIM_NET_SHORT_OUT,
	SIM_NET_FULL,    /* a write found no room */
	SIM_NET_RESET,   /* by something on the way */
	SIM_NET_LOST,    /* half open from here on */
	SIM_NET_DELAYED, /* some seconds */
	SIM_NET_LATE     /* bytes arrived though the pool had died */
};
#define SIM_NET_FAULTS 8
/* In parts per million: of reads and writes that are short, and of pieces that are reset, lost, late. */
struct sim_net_conf {
	uint32_t short_ppm, reset_ppm, lost_ppm, delay_ppm;
};
void sim_net_faults(struct sim *s, const struct sim_net_conf *f);
uint64_t sim_net_fired(struct sim *s, enum sim_net_fault f);
const char *sim_net_fault_name(enum sim_net_fault f);
/* Connections that the pool holds open. */
size_t sim_net_open(struct sim *s);

#endif
