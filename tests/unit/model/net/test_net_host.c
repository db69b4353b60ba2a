/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test_net_rig.h"

/* The wires that lead into the host's own network: TAP and passt. Both are skipped where
 * the machine does not let them be tried. */

#define ARP_BYTES 60u
#define MAC "\x52\x54\x00\x12\x34\x56"

static void refuse(const char *text, int status, const char *word)
{
    struct ferry_error error = { 0 };
    struct nic_net *net = NULL;

    assert_int_equal(nic_net_open(text, &net, &error), status);
    assert_non_null(strstr(error.text, word));
    assert_null(net);
}

static void names_that_no_interface_has_are_refused(void **state)
{
    (void)state;
    refuse("tap:", FERRY_E_ARGUMENT, "needs a name");
    refuse("tap:.", FERRY_E_ARGUMENT, "interface");
    refuse("tap:..", FERRY_E_ARGUMENT, "interface");
    refuse("tap:a/b", FERRY_E_ARGUMENT, "interface");
    refuse("tap:tap%d", FERRY_E_ARGUMENT, "interface");
    refuse("tap:0123456789abcdef", FERRY_E_ARGUMENT, "15");
}

static void ports_that_are_none_are_refused(void **state)
{
    (void)state;
    refuse("user:tcp=", FERRY_E_ARGUMENT, "tcp=PORT");
    refuse("user:tcp=22;reboot", FERRY_E_ARGUMENT, "tcp=PORT");
    refuse("user:udp=22", FERRY_E_ARGUMENT, "tcp=PORT");
}

static void without_passt_its_package_is_named(void **state)
{
    char *path = strdup(getenv("PATH"));

    (void)state;
    assert_int_equal(setenv("PATH", "/nonexistent:/etc", 1), 0);
    refuse("user", FERRY_E_UNSUPPORTED, "package passt");
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(path);
}

/* Sets the interface's flags. Return: 0. */
static int raise_interface(const char *name)
{
    struct ifreq request = { .ifr_flags = IFF_UP };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    int result;

    memcpy(request.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
    result = ioctl(fd, SIOCSIFFLAGS, &request);
    (void)close(fd);
    return result;
}

static void a_tap_is_an_interface_of_the_host(void **state)
{
    const struct nic_offloads all = { 1, 1, 1, 1 };
    struct ferry_error error = { 0 };
    struct net_rig_frames frames;
    struct nic_net *net = NULL;
    struct nic_net *second = NULL;
    char text[32];
    int status;

    (void)state;
    (void)snprintf(text, sizeof(text), "tap:fy%d", (int)getpid());
    status = nic_net_open(text, &net, &error);
    if (status == FERRY_E_PERMISSION || status == FERRY_E_NOT_FOUND) {
        assert_true(strstr(error.text, "ip tuntap") || strstr(error.text, "TUN/TAP"));
        skip();
    }
    assert_int_equal(status, FERRY_OK);
    net_rig_make(&frames);
    assert_int_equal(net->gives.tso4, 1);
    net->ops->set_offloads(net, &all);
    assert_int_equal(nic_net_open(text, &second, &error), FERRY_E_EXISTS);
    assert_non_null(strstr(error.text, "another process"));
    net_rig_fill(&frames, 0, 60, 1, 20);
    /* It takes nothing while the interface is down. */
    assert_int_equal(net->ops->send(net, frames.frame, 1), 1);
    assert_int_equal(net->dropped, 1);
    assert_int_equal(raise_interface(text + 4), 0);
    assert_int_equal(net->ops->send(net, frames.frame, 1), 1);
    assert_int_equal(net->dropped, 1);
    nic_net_close(net);
    net_rig_free(&frames);
}

static void passt_answers_who_asks_for_its_address(void **state)
{
    static const uint8_t arp[] =
        "\xff\xff\xff\xff\xff\xff" MAC "\x08\x06\0\1\x08\0\6\4\0\1" MAC
        "\x0a\0\2\x0f\0\0\0\0\0\0\x0a\0\2\2";
    struct net_rig_frames frames;
    struct nic_net *net = NULL;
    int answered = 0;

    (void)state;
    if (nic_net_open("user", &net, NULL) != FERRY_OK) {
        skip();
    }
    net_rig_make(&frames);
    net_rig_fill(&frames, 0, ARP_BYTES, 0, 60);
    memset(frames.bytes[0], 0, ARP_BYTES);
    memcpy(frames.bytes[0], arp, sizeof(arp) - 1);
    assert_int_equal(net->link_up, 1);
    assert_int_equal(net->ops->send(net, frames.frame, 1), 1);
    while (!answered && net->link_up != 0) {
        int came;

        assert_int_equal(net_rig_ready(net, 5000), 1);
        net_rig_empty(&frames, 2000);
        came = net->ops->receive(net, frames.frame, NET_RIG_FRAMES);
        for (int i = 0; i < came; i++) {
            answered |=
                memcmp(frames.bytes[i], MAC, 6) == 0 &&
                memcmp(frames.bytes[i] + 12, "\x08\x06\0\1\x08\0\6\4\0\2", 10) == 0;
        }
    }
    nic_net_close(net);
    net_rig_free(&frames);
    if (!answered) {
        skip(); /* passt may not confine itself here, and went */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_no_interface_has_are_refused),
        cmocka_unit_test(ports_that_are_none_are_refused),
        cmocka_unit_test(without_passt_its_package_is_named),
        cmocka_unit_test(a_tap_is_an_interface_of_the_host),
        cmocka_unit_test(passt_answers_who_asks_for_its_address),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
