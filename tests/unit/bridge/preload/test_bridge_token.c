/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bridge/preload/tokens/environment.h"
#include "bridge/preload/tokens/token.h"

#define HEAD "ferry-bridge 1\n"
#define DEVICE HEAD "kind=device\npath=/run/acc.sock\n"

static int parse(const char *text, struct bridge_token *ret_token,
                 struct ferry_error *reterr)
{
    return bridge_token_parse(text, strlen(text), ret_token, reterr);
}

static void a_device_token_says_what_went_into_it(void **state)
{
    const struct ferry_bridge_device device = { .struct_size = sizeof(device),
                                                .name = "crypto",
                                                .path = "/run/acc.sock",
                                                .log = "/var/log/acc.log",
                                                .timeout_ms = 2500,
                                                .no_peer_maps = 1,
                                                .dirty = FERRY_BRIDGE_DIRTY_IOMMU,
                                                .trace = 1 };
    struct bridge_token token;
    struct ferry_error error = { 0 };
    int fd = -1;

    (void)state;
    assert_int_equal(ferry_bridge_device_token(&device, &fd, &error), FERRY_OK);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(bridge_token_likely(fd), 1);
    assert_int_equal(bridge_token_read(fd, &token, &error), 1);
    assert_int_equal(token.kind, BRIDGE_TOKEN_DEVICE);
    assert_string_equal(token.name, "crypto");
    assert_string_equal(token.path, "/run/acc.sock");
    assert_string_equal(token.log, "/var/log/acc.log");
    assert_int_equal(token.timeout_ms, 2500);
    assert_int_equal(token.no_peer_maps, 1);
    assert_int_equal(token.dirty, FERRY_BRIDGE_DIRTY_IOMMU);
    assert_int_equal(token.trace, 1);
    close(fd);
}

static void what_is_not_given_takes_the_default(void **state)
{
    const struct ferry_bridge_device device = {
        .struct_size = sizeof(device),
        .path = "/run/a-name-that-is-longer-than-31-characters.sock"
    };
    struct bridge_token token;
    int fd = -1;

    (void)state;
    assert_int_equal(ferry_bridge_device_token(&device, &fd, NULL), FERRY_OK);
    assert_int_equal(bridge_token_read(fd, &token, NULL), 1);
    assert_string_equal(token.name, "a-name-that-is-longer-than-31-c");
    assert_string_equal(token.log, "");
    assert_int_equal(token.timeout_ms, BRIDGE_TIMEOUT_MS);
    assert_int_equal(token.no_peer_maps, 0);
    assert_int_equal(token.dirty, FERRY_BRIDGE_DIRTY_ANY);
    close(fd);
    assert_int_equal(ferry_bridge_iommu_token(&fd, NULL), FERRY_OK);
    assert_int_equal(bridge_token_read(fd, &token, NULL), 1);
    assert_int_equal(token.kind, BRIDGE_TOKEN_IOMMU);
    assert_string_equal(token.name, "iommu");
    close(fd);
}

static void nobody_can_change_a_token(void **state)
{
    int fd = -1;

    (void)state;
    assert_int_equal(ferry_bridge_iommu_token(&fd, NULL), FERRY_OK);
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(fd, 3), -1);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
                     MAP_FAILED);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    close(fd);
}

static void a_caller_with_an_older_header_is_served(void **state)
{
    struct ferry_bridge_device device = { .struct_size =
                                              offsetof(struct ferry_bridge_device, log),
                                          .name = "x",
                                          .path = "/run/acc.sock",
                                          .trace = 77 };
    struct ferry_error error = { 0 };
    struct bridge_token token;
    int fd = -1;

    (void)state;
    assert_int_equal(ferry_bridge_device_token(&device, &fd, NULL), FERRY_OK);
    assert_int_equal(bridge_token_read(fd, &token, NULL), 1);
    assert_string_equal(token.name, "x");
    assert_int_equal(token.trace, 0);
    close(fd);
    device.struct_size = 0;
    assert_int_equal(ferry_bridge_device_token(&device, &fd, &error), FERRY_E_ARGUMENT);
}

static void a_token_that_could_not_be_read_is_not_made(void **state)
{
    char path[200];
    char log[400];
    static const struct ferry_bridge_device good = { .struct_size = sizeof(good),
                                                     .path = "/run/acc.sock" };
    struct ferry_bridge_device bad[] = { good, good, good, good, good, good,
                                         good, good, good, good, good };
    static const int want[] = {
        FERRY_E_ARGUMENT, FERRY_E_ARGUMENT, FERRY_E_ARGUMENT, FERRY_E_ARGUMENT,
        FERRY_E_LIMIT,    FERRY_E_LIMIT,    FERRY_E_LIMIT,    FERRY_E_ARGUMENT,
        FERRY_E_ARGUMENT, FERRY_E_ARGUMENT, FERRY_E_ARGUMENT,
    };
    size_t i;

    (void)state;
    memset(path, '/', sizeof(path));
    path[108] = '\0'; /* one more than a socket's name can have with its end */
    memset(log, '/', sizeof(log));
    log[256] = '\0';
    bad[0].path = NULL;
    bad[1].path = "acc.sock";
    bad[2].path = "/run/acc\n.sock";
    bad[3].name = "a\nkind=iommu";
    bad[4].path = path;
    bad[5].name = "a name of thirty-two characters!";
    bad[6].log = log;
    bad[7].log = "acc.log";
    bad[8].dirty = 3;
    bad[9].no_peer_maps = 2;
    bad[10].timeout_ms = UINT32_MAX;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ferry_error error = { 0 };
        int fd = -2;

        assert_int_equal(ferry_bridge_device_token(&bad[i], &fd, &error), want[i]);
        assert_int_equal(error.code, want[i]);
        assert_true(error.text[0] != '\0');
        assert_int_equal(fd, -2);
    }
    path[107] = '\0';
    bad[4].path = path;
    {
        struct bridge_token token;
        int fd = -1;

        assert_int_equal(ferry_bridge_device_token(&bad[4], &fd, NULL), FERRY_OK);
        assert_int_equal(bridge_token_read(fd, &token, NULL), 1);
        assert_string_equal(token.path, path);
        close(fd);
    }
}

static void each_damage_is_refused_with_its_reason(void **state)
{
    static const struct {
        const char *text;
        int status;
        const char *reason;
    } bad[] = {
        { "ferry-bridge 2\nkind=device\n", FERRY_E_VERSION, "version 2" },
        { "ferry-bridge \n", FERRY_E_VERSION, "version" },
        { "ferry-bridge 1", FERRY_E_PROTOCOL, "lines" },
        { HEAD "kind=device", FERRY_E_PROTOCOL, "lines" },
        { HEAD, FERRY_E_PROTOCOL, "what it stands for" },
        { HEAD "kind=socket\n", FERRY_E_PROTOCOL, "kind" },
        { HEAD "kind=\n", FERRY_E_PROTOCOL, "kind" },
        { HEAD "kind=device\n", FERRY_E_PROTOCOL, "absolute path" },
        { HEAD "kind=device\npath=\n", FERRY_E_PROTOCOL, "absolute path" },
        { HEAD "kind=device\npath=acc.sock\n", FERRY_E_PROTOCOL, "absolute path" },
        { DEVICE "colour=red\n", FERRY_E_PROTOCOL, "'colour'" },
        { DEVICE "\n", FERRY_E_PROTOCOL, "''" },
        { DEVICE "trace\n", FERRY_E_PROTOCOL, "'trace'" },
        { DEVICE "trac=1\n", FERRY_E_PROTOCOL, "'trac'" },
        { DEVICE "trace=2\n", FERRY_E_PROTOCOL, "trace" },
        { DEVICE "trace=01\n", FERRY_E_PROTOCOL, "trace" },
        { DEVICE "path=/x\n", FERRY_E_PROTOCOL, "path twice" },
        { DEVICE "timeout_ms=\n", FERRY_E_PROTOCOL, "timeout_ms" },
        { DEVICE "timeout_ms=-1\n", FERRY_E_PROTOCOL, "timeout_ms" },
        { DEVICE "timeout_ms=2147483648\n", FERRY_E_PROTOCOL, "timeout_ms" },
        { DEVICE "timeout_ms=99999999999999999999999\n", FERRY_E_PROTOCOL, "timeout" },
        { DEVICE "dirty=all\n", FERRY_E_PROTOCOL, "dirty" },
        { DEVICE "name=a name of thirty-two characters!\n", FERRY_E_LIMIT, "31 bytes" },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ferry_error error = { 0 };
        struct bridge_token token = { .uapi = 77 };

        assert_int_equal(parse(bad[i].text, &token, &error), bad[i].status);
        if (strstr(error.text, bad[i].reason) == NULL) {
            fail_msg("'%s' does not say %s", error.text, bad[i].reason);
        }
        assert_int_equal(token.uapi, 77);
    }
}

static void a_nul_byte_makes_no_shorter_text(void **state)
{
    static const char text[] = HEAD "kind=device\npath=/run/a\0b\n";
    struct bridge_token token;

    (void)state;
    assert_int_equal(bridge_token_parse(text, sizeof(text) - 1, &token, NULL),
                     FERRY_E_PROTOCOL);
}

static void what_is_something_else_is_passed_over_in_silence(void **state)
{
    static const char *const other[] = { "", "f", "ferry-bridge", "#!/bin/sh\n",
                                         "ferry-devicex" };
    struct ferry_error error = { 0 };
    struct bridge_token token;
    int pair[2];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        assert_int_equal(parse(other[i], &token, &error), 0);
    }
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    errno = E2BIG;
    assert_int_equal(bridge_token_likely(pair[0]), 0);
    assert_int_equal(bridge_token_read(pair[0], &token, &error), 0);
    assert_int_equal(bridge_token_read(-1, &token, &error), 0);
    assert_int_equal(errno, E2BIG);
    assert_int_equal(error.code, FERRY_OK);
    close(pair[0]);
    close(pair[1]);
}

static void a_token_that_could_change_or_is_too_long_is_refused(void **state)
{
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    int fd = memfd_create("ferry-device", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct ferry_error error = { 0 };
    struct bridge_token token;
    char long_text[BRIDGE_TOKEN_BYTES_MAX + 1];

    (void)state;
    assert_int_equal(write(fd, DEVICE, sizeof(DEVICE) - 1), sizeof(DEVICE) - 1);
    assert_int_equal(bridge_token_read(fd, &token, &error), FERRY_E_PERMISSION);
    assert_non_null(strstr(error.text, "sealed"));
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    assert_int_equal(bridge_token_read(fd, &token, &error), 1);
    close(fd);

    fd = memfd_create("ferry-device", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    memset(long_text, '\n', sizeof(long_text));
    memcpy(long_text, DEVICE, sizeof(DEVICE) - 1);
    assert_int_equal(write(fd, long_text, sizeof(long_text)), sizeof(long_text));
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    assert_int_equal(bridge_token_read(fd, &token, &error), FERRY_E_LIMIT);
    close(fd);
}

static void only_the_bridge_is_taken_out_of_ld_preload(void **state)
{
    static const struct {
        const char *before, *after;
        int removed;
    } list[] = {
        { "/usr/lib/ferry/libferry-bridge.so", "", 1 },
        { "libferry-bridge.so", "", 1 },
        { "", "", 0 },
        { "/lib/a.so:/x/libferry-bridge.so", "/lib/a.so:", 1 },
        { "/x/libferry-bridge.so /lib/a.so", "/lib/a.so", 1 },
        { "a.so:libferry-bridge.so:b.so", "a.so:b.so", 1 },
        { "x/libferry-bridge.so:a.so:/libferry-bridge.so", "a.so:", 2 },
        { "my-libferry-bridge.so:bridge.so", "my-libferry-bridge.so:bridge.so", 0 },
        { "/x/libferry-bridge.so.bak: :", "/x/libferry-bridge.so.bak: :", 0 },
    };
    char text[80];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
        strcpy(text, list[i].before);
        assert_int_equal(bridge_environment_remove(text, "libferry-bridge.so"),
                         list[i].removed);
        assert_string_equal(text, list[i].after);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_token_says_what_went_into_it),
        cmocka_unit_test(what_is_not_given_takes_the_default),
        cmocka_unit_test(nobody_can_change_a_token),
        cmocka_unit_test(a_caller_with_an_older_header_is_served),
        cmocka_unit_test(a_token_that_could_not_be_read_is_not_made),
        cmocka_unit_test(each_damage_is_refused_with_its_reason),
        cmocka_unit_test(a_nul_byte_makes_no_shorter_text),
        cmocka_unit_test(what_is_something_else_is_passed_over_in_silence),
        cmocka_unit_test(a_token_that_could_change_or_is_too_long_is_refused),
        cmocka_unit_test(only_the_bridge_is_taken_out_of_ld_preload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
