/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "ferry/show.h"

#define LINE_COLUMNS 90
#define INDENT 8

enum show_key { KEY_JSON = 'j', KEY_SUMMARY = 's', KEY_DATA = 0x100 };

struct show_args {
    const char *file;
    int json, summary, data;
};

static const struct argp_option show_options[] = {
    { "summary", KEY_SUMMARY, NULL, 0, "only the summary, and what is damaged", 0 },
    { "data", KEY_DATA, NULL, 0,
      "also the bytes of device data, memory and VMM state, which may hold keys", 0 },
    { "json", KEY_JSON, NULL, 0, "a line of JSON for each record, then one in all", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_show(int key, char *text, struct argp_state *state)
{
    struct show_args *args = state->input;

    switch (key) {
    case KEY_JSON:
        args->json = 1;
        return 0;
    case KEY_SUMMARY:
        args->summary = 1;
        return 0;
    case KEY_DATA:
        args->data = 1;
        return 0;
    case ARGP_KEY_ARG:
        args->file = parse_one(state, args->file, text, "file");
        return 0;
    case ARGP_KEY_END:
        if (args->file == NULL) {
            argp_error(state, "a file is needed, or - for standard input");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp show_argp = {
    .options = show_options,
    .parser = parse_show,
    .args_doc = "FILE",
    .doc = "Explains a saved file, or one direction of a captured migration, record by "
           "record. Device data and memory are opaque: their bytes are not shown.",
};

/* --- text --- */

static void field_text(const struct ferry_show_field *field, char *ret_text, size_t cap)
{
    char text[TEXT_BYTES];

    switch ((enum ferry_show_kind)field->kind) {
    case FERRY_SHOW_TEXT:
        snprintf(ret_text, cap, "%s=%s", field->name, field->text);
        return;
    case FERRY_SHOW_NUMBER:
        snprintf(ret_text, cap, "%s=%llu", field->name,
                 (unsigned long long)field->number);
        return;
    case FERRY_SHOW_HEX:
        snprintf(ret_text, cap, "%s=0x%llx", field->name,
                 (unsigned long long)field->number);
        return;
    case FERRY_SHOW_BYTES:
        snprintf(ret_text, cap, "%s=%llu", field->name,
                 (unsigned long long)field->number);
        return;
    case FERRY_SHOW_NS:
        snprintf(ret_text, cap, "%s=%s", field->name, text_time(field->number, text));
        return;
    }
}

static void print_fields(const struct ferry_show_record *record)
{
    size_t column = 0;

    for (uint32_t i = 0; i < record->field_count; i++) {
        char text[400];
        size_t length;

        field_text(&record->field[i], text, sizeof(text));
        length = strlen(text);
        if (column > 0 && column + 2 + length > LINE_COLUMNS) {
            putchar('\n');
            column = 0;
        }
        column += (size_t)printf("%*s%s", column == 0 ? INDENT : 2, "", text);
    }
    if (column > 0) {
        putchar('\n');
    }
}

static void print_data(const struct ferry_show_record *record)
{
    for (size_t at = 0; at < record->data_bytes; at += 16) {
        printf("%*s%08zx ", INDENT, "", at);
        for (size_t i = at; i < at + 16 && i < record->data_bytes; i++) {
            printf(" %02x", record->data[i]);
        }
        putchar('\n');
    }
}

static void print_bad(const struct ferry_error *error)
{
    printf("%*s! %s%s%s%s\n", INDENT, "", error->text, error->rule[0] ? " [" : "",
           error->rule, error->rule[0] ? "]" : "");
}

static void text_record(const struct show_args *args,
                        const struct ferry_show_record *record)
{
    char device[48] = "-";

    if (args->summary && record->error == NULL) {
        return;
    }
    if (record->device != FERRY_NO_DEVICE) {
        snprintf(device, sizeof(device), "%u %s", record->device, record->device_name);
    }
    printf("%6llu %10llu  %-14s %-12s %10llu  %016llx %s%s%s%s\n",
           (unsigned long long)record->number, (unsigned long long)record->stream_off,
           ferry_record_name(record->tag), device,
           (unsigned long long)record->payload_bytes,
           (unsigned long long)record->checksum, record->checksum_ok ? "ok" : "DAMAGED",
           record->packed ? " packed" : "",
           record->flags & FERRY_RECORD_OPTIONAL ? " optional" : "",
           record->flags & FERRY_RECORD_CHUNK ? " chunk" : "");
    if (!args->summary) {
        print_fields(record);
    }
    if (args->data) {
        print_data(record);
    }
    if (record->error != NULL) {
        print_bad(record->error);
    }
}

static void print_total(const char *name, const struct ferry_show_total *total)
{
    char text[TEXT_BYTES];

    if (total->records > 0) {
        printf("  %-24s %10llu records %12s\n", name, (unsigned long long)total->records,
               text_bytes(total->bytes, text));
    }
}

static void text_summary(const struct ferry_show_summary *summary)
{
    char text[2][TEXT_BYTES];

    printf("\n%s of version %u: %llu records, %s",
           summary->is_file       ? "a file"
           : summary->from_target ? "a target's stream"
                                  : "a source's stream",
           summary->version, (unsigned long long)summary->records,
           text_bytes(summary->stream_bytes, text[0]));
    if (summary->blocks > 0) {
        printf(", packed to %s in %llu blocks", text_bytes(summary->file_bytes, text[1]),
               (unsigned long long)summary->blocks);
    }
    putchar('\n');
    for (uint32_t i = 1; i < FERRY_REC_TAG_END; i++) {
        print_total(ferry_record_name(i), &summary->tag[i]);
    }
    print_total("unknown, optional", &summary->tag[0]);
    for (uint32_t i = 0; i < summary->device_count; i++) {
        char name[64];

        snprintf(name, sizeof(name), "device %u %s", i, summary->device_name[i]);
        print_total(name, &summary->device[i]);
    }
    if (summary->bad > 0 || summary->skipped_bytes > 0) {
        printf("  %llu records break a rule, %llu bytes belong to no record\n",
               (unsigned long long)summary->bad,
               (unsigned long long)summary->skipped_bytes);
    }
}

/* --- JSON --- */

static struct json_object *json_fields(const struct ferry_show_record *record)
{
    struct json_object *object = json_object_new_object();

    for (uint32_t i = 0; i < record->field_count; i++) {
        const struct ferry_show_field *field = &record->field[i];
        struct json_object *value = field->kind == FERRY_SHOW_TEXT
                                        ? json_object_new_string(field->text)
                                        : json_u64(field->number);
        struct json_object *before = NULL;
        char name[64];

        snprintf(name, sizeof(name), "%s%s", field->name,
                 field->kind == FERRY_SHOW_NS ? "_ns" : "");
        /* What comes several times is an array from the second time on. */
        if (!json_object_object_get_ex(object, name, &before)) {
            json_object_object_add(object, name, value);
        } else if (json_object_is_type(before, json_type_array)) {
            json_object_array_add(before, value);
        } else {
            struct json_object *both = json_object_new_array();

            json_object_array_add(both, json_object_get(before));
            json_object_array_add(both, value);
            json_object_object_add(object, name, both);
        }
    }
    return object;
}

static void add_data(struct json_object *object, const struct ferry_show_record *record)
{
    static const char digits[] = "0123456789abcdef";
    static char text[2 * FERRY_RECORD_DATA_MAX + 1];

    for (size_t i = 0; i < record->data_bytes && i < FERRY_RECORD_DATA_MAX; i++) {
        text[2 * i] = digits[record->data[i] >> 4];
        text[2 * i + 1] = digits[record->data[i] & 15];
        text[2 * i + 2] = '\0';
    }
    json_object_object_add(object, "data",
                           json_object_new_string(record->data_bytes > 0 ? text : ""));
}

static void json_record(const struct show_args *args,
                        const struct ferry_show_record *record)
{
    struct json_object *object = json_object_new_object();
    char checksum[17];

    snprintf(checksum, sizeof(checksum), "%016llx", (unsigned long long)record->checksum);
    json_object_object_add(object, "record", json_u64(record->number));
    json_object_object_add(object, "offset", json_u64(record->stream_off));
    json_object_object_add(object, "file_offset", json_u64(record->file_off));
    json_object_object_add(object, "tag",
                           json_object_new_string(ferry_record_name(record->tag)));
    json_object_object_add(object, "tag_number", json_u64(record->tag));
    if (record->device != FERRY_NO_DEVICE) {
        json_object_object_add(object, "device", json_u64(record->device));
        json_object_object_add(object, "name",
                               json_object_new_string(record->device_name));
    }
    json_object_object_add(object, "channel", json_u64(record->channel));
    json_object_object_add(object, "flags", json_u64(record->flags));
    json_object_object_add(object, "bytes", json_u64(record->payload_bytes));
    json_object_object_add(object, "checksum", json_object_new_string(checksum));
    json_object_object_add(object, "checksum_ok",
                           json_object_new_boolean(record->checksum_ok != 0));
    json_object_object_add(object, "packed",
                           json_object_new_boolean(record->packed != 0));
    json_object_object_add(object, "fields", json_fields(record));
    if (args->data && record->data != NULL) {
        add_data(object, record);
    }
    if (record->error != NULL) {
        json_object_object_add(object, "error", json_error(record->error));
    }
    print_json(object, 0);
    json_object_put(object);
}

static struct json_object *json_total(const struct ferry_show_total *total)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "records", json_u64(total->records));
    json_object_object_add(object, "bytes", json_u64(total->bytes));
    return object;
}

static void json_summary(const struct ferry_show_summary *summary,
                         const struct ferry_error *error)
{
    struct json_object *object = json_object_new_object();
    struct json_object *outer = json_object_new_object();
    struct json_object *tags = json_object_new_object();
    struct json_object *devices = json_object_new_object();

    json_object_object_add(object, "version", json_u64(summary->version));
    json_object_object_add(object, "is_file",
                           json_object_new_boolean(summary->is_file != 0));
    json_object_object_add(object, "from_target",
                           json_object_new_boolean(summary->from_target != 0));
    json_object_object_add(object, "records", json_u64(summary->records));
    json_object_object_add(object, "stream_bytes", json_u64(summary->stream_bytes));
    json_object_object_add(object, "file_bytes", json_u64(summary->file_bytes));
    json_object_object_add(object, "blocks", json_u64(summary->blocks));
    json_object_object_add(object, "bad", json_u64(summary->bad));
    json_object_object_add(object, "skipped_bytes", json_u64(summary->skipped_bytes));
    for (uint32_t i = 0; i < FERRY_REC_TAG_END; i++) {
        if (summary->tag[i].records > 0) {
            json_object_object_add(tags, i > 0 ? ferry_record_name(i) : "unknown",
                                   json_total(&summary->tag[i]));
        }
    }
    for (uint32_t i = 0; i < summary->device_count; i++) {
        json_object_object_add(devices, summary->device_name[i],
                               json_total(&summary->device[i]));
    }
    json_object_object_add(object, "tags", tags);
    json_object_object_add(object, "devices", devices);
    if (error->code != FERRY_OK) {
        json_object_object_add(object, "error", json_error(error));
    }
    json_object_object_add(outer, "summary", object);
    print_json(outer, 0);
    json_object_put(outer);
}

/* --- both --- */

static void on_record(void *user, const struct ferry_show_record *record)
{
    const struct show_args *args = user;

    if (args->json && !(args->summary && record->error == NULL)) {
        json_record(args, record);
    } else if (!args->json) {
        text_record(args, record);
    }
}

static void on_gap(void *user, uint64_t file_off, uint64_t bytes,
                   const struct ferry_error *error)
{
    const struct show_args *args = user;
    struct json_object *object;

    if (!args->json) {
        print_bad(error);
        if (bytes > 0) {
            printf("%*s! %llu bytes from byte %llu of the file on belong to no record\n",
                   INDENT, "", (unsigned long long)bytes, (unsigned long long)file_off);
        }
        return;
    }
    object = json_object_new_object();
    json_object_object_add(object, "gap", json_u64(bytes));
    json_object_object_add(object, "file_offset", json_u64(file_off));
    json_object_object_add(object, "error", json_error(error));
    print_json(object, 0);
    json_object_put(object);
}

static const struct ferry_show_ops ops = {
    .struct_size = sizeof(ops),
    .record = on_record,
    .gap = on_gap,
};

int command_show(int argc, char **argv)
{
    static struct ferry_show_summary summary;
    struct ferry_error error = { .code = FERRY_OK };
    struct show_args args = { .file = NULL };
    int fd = STDIN_FILENO, status;

    argp_parse(&show_argp, argc, argv, 0, NULL, &args);
    if (strcmp(args.file, "-") != 0) {
        fd = open(args.file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    }
    if (fd < 0) {
        print_error("show", NULL, "%s: %s", args.file, strerror(errno));
        return EXIT_FAILED;
    }
    if (args.data) {
        print_error("show", NULL,
                    "warning: the data shown may hold keys and passwords; do not pass it "
                    "on");
    }
    if (!args.json && !args.summary) {
        printf("record     offset  %-14s %-12s %10s  %-16s\n", "kind", "device", "bytes",
               "checksum");
    }
    status = ferry_stream_show(fd, &ops, &args, &summary, &error);
    if (args.json) {
        json_summary(&summary, &error);
    } else {
        text_summary(&summary);
    }
    fflush(stdout);
    if (status < 0) {
        print_error("show", &error, "%s: not a whole, right stream", args.file);
    }
    if (fd != STDIN_FILENO) {
        close(fd);
    }
    return status < 0 ? EXIT_FAILED : EXIT_OK;
}
