/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_filters_rig.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/ferry-log-XXXXXX";

static int make_file(void **state)
{
    const int fd = mkstemp(path);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

/* Lines of the log, which is emptied. */
static int read_log(char line[][512], int cap)
{
    FILE *file = fopen(path, "r");
    int count = 0;

    assert_non_null(file);
    while (count < cap && fgets(line[count], 512, file) != NULL) {
        count++;
    }
    (void)fclose(file);
    assert_int_equal(truncate(path, 0), 0);
    return count;
}

static struct toy *logged(const char *prefix, const char *suffix)
{
    char spec[256];

    (void)snprintf(spec, sizeof(spec), "%s%s%s", prefix, path, suffix);
    return filtered_new(spec);
}

static const char *word(struct json_object *object, const char *name)
{
    struct json_object *member;

    assert_true(json_object_object_get_ex(object, name, &member));
    return json_object_get_string(member);
}

static void json_lines_tell_each_request_and_its_end(void **state)
{
    static const char *const wanted[][4] = {
        { "ATTACH", "FERRY_OK", NULL, NULL },
        { "REGION_WRITE", "FERRY_OK", "off", "4" },
        { "SET_STATE", "FERRY_E_BUSY", "state", "STOP" },
        { "GET_STATE", "FERRY_OK", "state", "RUNNING" },
        { "SET_STATE", "FERRY_OK", "state", "STOP_COPY" },
        { "DATA_READ", "FERRY_OK", "got", "2" },
        { "DETACH", "FERRY_OK", NULL, NULL },
    };
    struct toy *toy = logged("log=json:", ",error=stop:EBUSY,short=read:2");
    struct ferry_request read = { .kind = FERRY_RQ_DATA_READ };
    char line[16][512], data[8];
    uint32_t value = 0xabcdef;

    (void)state;
    assert_int_equal(toy_write(toy, 0, 4, &value, 4), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_E_BUSY);
    assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    read.u.data = (struct ferry_data_io){ .data = data, .size = sizeof(data) };
    assert_int_equal(toy_ask(toy, &read), FERRY_OK);
    filtered_free(toy);
    assert_int_equal(read_log(line, 16), 7);
    for (int i = 0; i < 7; i++) {
        struct json_object *object = json_tokener_parse(line[i]);

        assert_non_null(object);
        assert_string_equal(word(object, "request"), wanted[i][0]);
        assert_string_equal(word(object, "status"), wanted[i][1]);
        assert_true(strtoull(word(object, "time_ns"), NULL, 10) > 0);
        if (wanted[i][2] != NULL) {
            assert_string_equal(word(object, wanted[i][2]), wanted[i][3]);
        }
        json_object_put(object);
    }
}

static void text_lines_tell_dma_and_no_data(void **state)
{
    struct toy *toy = logged("log=", "");
    char line[16][512];
    uint32_t value = 0x11223344;

    (void)state;
    assert_int_equal(toy_map(toy, TOY_PORT_IOVA, 4096, 0, -1, 3), FERRY_OK);
    toy_bus_master(toy);
    assert_int_equal(ferry_dma_write(toy->device, TOY_PORT_IOVA, &value, 4), FERRY_OK);
    filtered_free(toy);
    assert_true(read_log(line, 16) >= 4);
    assert_non_null(strstr(line[0], " ATTACH FERRY_OK "));
    assert_non_null(strstr(line[1], " DMA_MAP iova=0x100000000 size=0x1000 flags=0x3 "
                                    "by_message=0x1 FERRY_OK "));
    for (int i = 0; i < 16 && strstr(line[i], "DETACH") == NULL; i++) {
        if (strstr(line[i], "DMA_WRITE") != NULL) {
            assert_non_null(strstr(line[i], "iova=0x100000000 size=0x4 FERRY_OK"));
            assert_null(strstr(line[i], "11223344"));
            return;
        }
    }
    fail_msg("the DMA is not in the log");
}

static void a_log_without_a_folder_is_refused(void **state)
{
    struct toy *toy = toy_new(FILTERED_FLAGS, 1);
    struct ferry_endpoint *endpoint = NULL;
    struct ferry_error error = { 0 };

    (void)state;
    assert_int_equal(
        ferry_filter_open(toy->endpoint, "log=/none/such/log", &endpoint, &error),
        FERRY_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "/none/such/log"));
    toy_free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lines_tell_each_request_and_its_end),
        cmocka_unit_test(text_lines_tell_dma_and_no_data),
        cmocka_unit_test(a_log_without_a_folder_is_refused),
    };

    return cmocka_run_group_tests(tests, make_file, remove_file);
}
