/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "models/nic/net/pcap/pcap_file.h"

/*
 * pcap:IN[:OUT]: the frames of IN come at the times that it has, counted from the first
 * receive(); what is sent goes into OUT, or nowhere, with what was received. IN may be
 * empty: then only what is sent is written.
 */
#define PATH_BYTES 4096u
#define NS_PER_S 1000000000ull

struct pcap {
    struct nic_net net;
    struct nic_pcap_reader in;
    struct nic_pcap_writer out;
    struct nic_pcap_record next;
    uint64_t origin_ns; /* the clock's time at the file's time 0; wraps */
    uint32_t begun;
    uint32_t has_next;
};

static uint64_t now_ns(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* fd is ready at a time of the clock's; 0: never. */
static void set_timer(const struct pcap *pcap, uint64_t at_ns)
{
    const struct itimerspec at = { .it_value = {
                                       .tv_sec = (time_t)(at_ns / NS_PER_S),
                                       .tv_nsec = (long)(at_ns % NS_PER_S),
                                   } };

    (void)timerfd_settime(pcap->net.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

/* A file that changed under our hands ends the replay. */
static void read_next(struct pcap *pcap)
{
    const int status = nic_pcap_next(&pcap->in, &pcap->next, NULL);

    pcap->has_next = status > 0;
    pcap->net.broken += status < 0;
}

static void begin(struct pcap *pcap)
{
    pcap->begun = 1;
    if (pcap->in.fd >= 0) {
        read_next(pcap);
    }
    if (pcap->has_next != 0) {
        pcap->origin_ns = now_ns() - pcap->next.time_ns;
    }
}

/* Into the capture; once it is full, or cannot be written, nothing more. */
static void capture(struct pcap *pcap, const struct nic_frame *frame)
{
    if (pcap->out.fd >= 0 && nic_pcap_put(&pcap->out, frame) < 0) {
        (void)nic_pcap_flush(&pcap->out);
        nic_pcap_close_out(&pcap->out);
        pcap->net.broken++;
    }
}

static void end_call(struct pcap *pcap)
{
    if (pcap->out.fd >= 0 && pcap->out.end > 0 && nic_pcap_flush(&pcap->out) < 0) {
        nic_pcap_close_out(&pcap->out);
        pcap->net.broken++;
    }
}

static int pcap_send(struct nic_net *net, const struct nic_frame *frame, uint32_t count)
{
    struct pcap *pcap = (struct pcap *)net;

    for (uint32_t i = 0; i < count; i++) {
        if (nic_frame_can_send(net, &frame[i])) {
            capture(pcap, &frame[i]);
        } else {
            net->dropped++;
        }
    }
    end_call(pcap);
    return (int)count;
}

static int pcap_receive(struct nic_net *net, struct nic_frame *frame, uint32_t count)
{
    struct pcap *pcap = (struct pcap *)net;
    uint64_t times;
    uint64_t now;
    uint32_t came = 0;

    (void)!read(net->fd, &times, sizeof(times));
    if (pcap->begun == 0) {
        begin(pcap);
    }
    now = now_ns() - pcap->origin_ns;
    for (uint32_t looked = 0;
         looked < count && pcap->has_next != 0 && pcap->next.time_ns <= now; looked++) {
        if (pcap->next.bytes >= NIC_FRAME_MIN &&
            nic_frame_scatter(&frame[came], pcap->next.data, pcap->next.bytes)) {
            capture(pcap, &frame[came++]);
        } else {
            net->dropped++;
        }
        read_next(pcap);
    }
    end_call(pcap);
    net->pending = pcap->has_next != 0 && pcap->next.time_ns <= now;
    if (net->pending == 0) {
        set_timer(pcap, pcap->has_next != 0 ? pcap->next.time_ns + pcap->origin_ns : 0);
    }
    return (int)came;
}

static void pcap_close(struct nic_net *net)
{
    struct pcap *pcap = (struct pcap *)net;

    nic_pcap_close_in(&pcap->in);
    nic_pcap_close_out(&pcap->out);
    nic_net_close_fd(&net->fd);
    free(pcap);
}

static const struct nic_net_ops pcap_ops = {
    .name = "pcap",
    .send = pcap_send,
    .receive = pcap_receive,
    .close = pcap_close,
};

static int open_files(struct pcap *pcap, const char *rest, struct ferry_error *reterr)
{
    const size_t bytes = strcspn(rest, ":");
    const char *out = rest[bytes] == ':' ? rest + bytes + 1 : "";
    char path[PATH_BYTES];
    int status = FERRY_OK;

    if (bytes >= sizeof(path)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "nic", NULL, 0,
                               "pcap: the path has more than %u bytes", PATH_BYTES - 1);
    }
    if (bytes > 0) {
        memcpy(path, rest, bytes);
        path[bytes] = '\0';
        status = nic_pcap_open_in(path, &pcap->in, reterr);
    }
    if (status == FERRY_OK && *out != '\0') {
        status = nic_pcap_open_out(out, &pcap->out, reterr);
    }
    return status;
}

int nic_pcap_open(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr)
{
    struct pcap *pcap = calloc(1, sizeof(*pcap));
    int status;

    if (pcap == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "nic", NULL, 0, "no memory");
    }
    pcap->net.ops = &pcap_ops;
    pcap->net.link_up = 1;
    pcap->in.fd = -1;
    pcap->out.fd = -1;
    pcap->net.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    status = pcap->net.fd < 0 ? nic_net_errno(reterr, errno, "timerfd")
                              : open_files(pcap, rest, reterr);
    if (status < 0) {
        pcap_close(&pcap->net);
        return status;
    }
    set_timer(pcap, 1);
    *ret_net = &pcap->net;
    return FERRY_OK;
}
