/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_NET_NET_PRIVATE_H
#define FERRY_MODELS_NIC_NET_NET_PRIVATE_H

#include "models/nic/net/net.h"

/* What follows the kind and its colon; "" when there is nothing. Return: as
 * nic_net_open(). */
int nic_none_open(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr);
int nic_echo_open(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr);
int nic_connect_open(const char *rest, struct nic_net **ret_net,
                     struct ferry_error *reterr);
int nic_listen_open(const char *rest, struct nic_net **ret_net,
                    struct ferry_error *reterr);
int nic_tap_open(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr);
int nic_user_open(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr);
int nic_pcap_open(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr);

/* An errno value as a status, with its text behind `what`. Returns the status. */
int nic_net_errno(struct ferry_error *reterr, int err, const char *what);

/* 1: its length is that of an Ethernet frame, and its parts hold it. */
int nic_frame_length_ok(const struct nic_frame *frame);
/* 1: what its header leaves to do makes sense for its length, and is in `allowed`. */
int nic_frame_header_ok(const struct virtio_net_hdr_v1 *header, uint32_t bytes,
                        const struct nic_offloads *allowed);
/* 1: the back end can send it. */
int nic_frame_can_send(const struct nic_net *net, const struct nic_frame *frame);

/* The bytes of a frame to one place; ret_bytes has room for frame->bytes. */
void nic_frame_gather(const struct nic_frame *frame, uint8_t *ret_bytes);
/*
 * bytes of data become the frame, without work left to do. Return: 1; 0: its room is too
 * small, nothing changed.
 */
int nic_frame_scatter(struct nic_frame *frame, const uint8_t *data, uint32_t bytes);

/* Closes *fd when it is open, and sets it to -1. */
void nic_net_close_fd(int *fd);

#endif
