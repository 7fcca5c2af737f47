/*
 * Kind "hw/1": a hardware backend that searches nonces. It runs any algorithm: through the
 * functions of the algo plugin (processors), or the kernel text that the algorithm carries
 * (graphics cards), or a fixed function (ASICs). The host makes one thread for each unit that it
 * opens and calls scan() in a loop.
 */
#ifndef OTEDAMA_HW_H
#define OTEDAMA_HW_H

#include <otedama/algo.h>
#include <otedama/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

struct otd_hw_unit; /* the plugin's state of one opened unit */

struct otd_hw_device {
	uint32_t size, reserved;
	char name[64];   /* "AMD EPYC, 2 threads" */
	uint32_t units;  /* how many may be opened: threads of a processor, 1 for a card */
	uint32_t score;  /* to choose between backends: higher first */
	uint64_t memory; /* bytes of its own, 0 where it shares the host's */
};

/* The algorithm to run; the host keeps all of it alive until the unit is closed. */
struct otd_hw_algo {
	uint32_t size, reserved;
	const struct otd_algo_ops *ops;
	struct otd_instance *algo;
	const struct otd_algo_info *info;
	const char *id;
};

struct otd_hw_telemetry {
	uint32_t size, reserved;
	int32_t temperature_mc; /* thousandths of a degree Celsius; INT32_MIN: unknown */
	int32_t power_mw;       /* -1: unknown */
	int32_t fan_ppm;        /* -1: unknown */
	uint32_t errors;        /* results that the device gave and the processor did not confirm */
};

struct otd_hw_ops {
	uint32_t size, reserved;
	/* Device number index; OTD_E_NOT_FOUND past the last. No device is a normal state.
	   [coordinator] */
	otd_rc (*device)(struct otd_instance *in, uint32_t index, struct otd_hw_device *out);
	/* [device] */
	otd_rc (*open)(struct otd_instance *in, struct otd_hw_unit **out, uint32_t index,
		       uint32_t unit, const struct otd_hw_algo *algo);
	/* Searches a part of the range, for some 100 ms at most, and says in scan->done how far it
	   came. Every result has been confirmed. OTD_E_CLOSED: the device has gone. [device] */
	otd_rc (*scan)(struct otd_hw_unit *unit, struct otd_algo_scan *scan);
	otd_rc (*telemetry)(struct otd_hw_unit *unit, struct otd_hw_telemetry *out); /* [device] */
	void (*close)(struct otd_hw_unit *unit); /* takes NULL. [device] */
};

#ifdef __cplusplus
}
#endif
#endif
