/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_FLOWS_TIMER_H
#define FERRY_MODELS_NIC_FLOWS_TIMER_H

#include "ferry/device.h"
#include "models/nic/flows/flows.h"

/*
 * Has a table change all the time while the device runs, for tests of what pre-copy makes
 * of that: a timer schedules the device, and its slices touch what is due.
 *
 * Thread: the device's.
 */
struct nic_flow_timer;

/* flows, device: borrowed. percent: of the pages a second, 1 to NIC_FLOW_CHURN_MAX.
 * Return: FERRY_OK, FERRY_E_MEMORY, FERRY_E_IO, FERRY_E_LIMIT. */
int nic_flow_timer_create(struct nic_flows *flows, struct ferry_device *device,
                          uint32_t percent, struct nic_flow_timer **ret_timer);
/* Before the device. NULL: nothing happens. */
void nic_flow_timer_destroy(struct nic_flow_timer *timer);
/* A slice, while the device runs. NULL: nothing to do. Return: 1: more to do now. */
int nic_flow_timer_work(struct nic_flow_timer *timer);

#endif
