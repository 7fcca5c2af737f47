/*
 * Policy, where sessions are: what scripts are asked of a connection, and what is done about their
 * answers. Inside of core/stratum. Without conf.policy each of these does nothing. [reactor]
 *
 * Scripts are asked on events, never once a share: the difficulty where it would change, an offence at
 * its 4th, 8th, 16th.. time. All hooks of a reactor together get OTD_POLICY_SHARE_MS of each second;
 * what comes beyond that goes by the host's own rules.
 */
#ifndef OTD_STRATUM_POLICY_H
#define OTD_STRATUM_POLICY_H

#include "policy/hooks.h"
#include "stratum/session.h"

#define OTD_POLICY_SHARE_MS  250
#define OTD_POLICY_WINDOW_MS 600000 /* how far back offences are counted */
#define OTD_POLICY_FIRST     4      /* offences of a kind at which it is asked first */
#define OTD_POLICY_PAUSE_MS  3000   /* between two questions about a session's difficulty */

/* Its connection stands: it is known by its address. False: it is refused, told and closing. */
bool otd_session_policy_connect(struct otd_session *s);
/* One that came from another process: known by its address; scripts were asked there. */
void otd_session_policy_loaded(struct otd_session *s);
/* Before it is gone. */
void otd_session_policy_end(struct otd_session *s);
/* A worker that the host lets in. False: refused, why is for its miner. */
bool otd_session_policy_authorize(struct otd_session *s, struct otd_span account,
				  struct otd_span name, char why[OTD_POLICY_REASON_MAX + 1]);
/* The difficulty to begin with, once its first worker is in. */
void otd_session_policy_start(struct otd_session *s);
/* The host has moved vardiff.target away from before; suggested: by the miner's wish (zero: no). Puts
   there what holds. */
void otd_session_policy_steer(struct otd_session *s, struct otd_u256 before,
			      struct otd_u256 suggested);
/* Other scripts are in force than when it was asked last. */
void otd_session_policy_follow(struct otd_session *s);
/* A verdict on a share; w NULL: of no worker of this session. */
void otd_session_policy_verdict(struct otd_session *s, const struct otd_pool_worker *w,
				enum otd_share_verdict v);
/* Something else that was wrong. */
void otd_session_policy_offence(struct otd_session *s, enum otd_policy_offence_kind kind);

#endif
