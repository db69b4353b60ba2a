/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"

#define INDEX_COUNT 5
#define REGION_COUNT 9
#define HINDRANCES_MAX 4
#define CONFIG_REGION 7
/* PCI's extended capabilities, and the one with the device's serial number. */
#define EXT_CAP_FIRST 0x100u
#define EXT_CAP_SERIAL 0x0003u
#define EXT_CAPS_MAX 96

enum info_key { KEY_JSON = 'j', KEY_TO = 't' };

struct info_args {
    const char *uri, *to;
    int json;
};

static const struct {
    uint32_t flag;
    const char *name;
} extensions[] = {
    { FERRY_VIEW_TWIN_SOCKET, "twin_socket" },
    { FERRY_VIEW_WRITE_MULTI, "write_multiple" },
    { FERRY_VIEW_NOTICES, "notices" },
    { FERRY_VIEW_PRECOPY_INFO, "precopy_info" },
    { FERRY_VIEW_DIRTY_RUNS, "dirty_runs" },
    { FERRY_VIEW_DATA_FD, "data_fd" },
    { FERRY_VIEW_COUNTERS, "counters" },
};
#define EXTENSION_COUNT (sizeof(extensions) / sizeof(extensions[0]))

/* What a person wants to know about one device. */
struct hindrances {
    const char *text[HINDRANCES_MAX];
    size_t count;
};

static const char *const irq_name[INDEX_COUNT] = { "INTx", "MSI", "MSI-X", "ERR", "REQ" };
static const char *const region_name[REGION_COUNT] = { "BAR0", "BAR1",   "BAR2",
                                                       "BAR3", "BAR4",   "BAR5",
                                                       "ROM",  "config", "VGA" };

static const struct argp_option info_options[] = {
    { "to", KEY_TO, "URI", 0, "also ask whether its state could move to this device", 0 },
    { "json", KEY_JSON, NULL, 0, "print JSON", 0 },
    { NULL, 0, NULL, 0, NULL, 0 },
};

static error_t parse_info(int key, char *text, struct argp_state *state)
{
    struct info_args *args = state->input;

    switch (key) {
    case KEY_TO:
        args->to = text;
        return 0;
    case KEY_JSON:
        args->json = 1;
        return 0;
    case ARGP_KEY_ARG:
        args->uri = parse_one(state, args->uri, text, "URI");
        return 0;
    case ARGP_KEY_END:
        if (args->uri == NULL) {
            argp_error(state,
                       "the URI of a device is needed, such as vfio-user:/run/acc.sock");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp info_argp = {
    .options = info_options,
    .parser = parse_info,
    .args_doc = "URI",
    .doc =
        "Shows a device: identity, regions, interrupts, what it offers for migration and "
        "what would keep it from migrating. The device must not be in use: this command "
        "becomes its user for a moment.",
};

/* Return: FERRY_OK with the view; the error has been printed else. */
static int look_at(struct ferry_context *context, const char *name, const char *uri,
                   struct ferry_device_view *ret_view)
{
    struct ferry_error error = { .code = FERRY_OK };
    int index = ferry_context_add_device(context, name, uri, &error);
    int status = index;

    if (index >= 0) {
        status = ferry_context_device(context, (uint32_t)index, ret_view, &error);
    }
    if (status < 0) {
        print_open_error("info", &error);
    }
    return status;
}

/* The Device Serial Number of the one device in the context; 0: it has none. */
static uint64_t find_serial(struct ferry_context *context,
                            const struct ferry_device_view *view)
{
    uint64_t size = view->region[CONFIG_REGION].size;
    uint32_t off = EXT_CAP_FIRST, head[3];

    /* The device's list may have a loop. */
    for (int i = 0;
         i < EXT_CAPS_MAX && off >= EXT_CAP_FIRST && off + sizeof(head) <= size; i++) {
        if (ferry_context_region_read(context, 0, CONFIG_REGION, off, head,
                                      sizeof(head)) < 0) {
            return 0;
        }
        if ((head[0] & 0xffffu) == EXT_CAP_SERIAL) {
            return (uint64_t)head[2] << 32 | head[1];
        }
        off = head[0] >> 20;
    }
    return 0;
}

static void add(struct hindrances *list, int applies, const char *text)
{
    if (applies && list->count < HINDRANCES_MAX) {
        list->text[list->count++] = text;
    }
}

static struct hindrances find_hindrances(const struct ferry_device_view *view)
{
    uint32_t flags = view->migration_flags;
    struct hindrances list = { .count = 0 };

    add(&list, (flags & FERRY_MIG_STOP_COPY) == 0,
        "it has no migration support at all; of the kernel's devices `ferry list` tells "
        "which driver has it");
    add(&list, view->state == FERRY_STATE_ERROR, "it is in ERROR and has to be reset");
    return list;
}

static int is_v1(const struct ferry_device_view *view)
{
    return (view->extensions & FERRY_VIEW_UAPI_V1) != 0;
}

/* MIG-V1-11: only the transactions in which a device of uAPI v1 was saved. */
static int wants_its_transactions(const struct ferry_device_view *view)
{
    return is_v1(view) && view->identity.any_chunks == 0;
}

/* Not hindrances, but limits that its user should know. */
static struct hindrances find_limits(const struct ferry_device_view *view)
{
    uint32_t flags = view->migration_flags;
    struct hindrances list = { .count = 0 };

    if ((flags & FERRY_MIG_STOP_COPY) == 0) {
        return list;
    }
    add(&list, (flags & FERRY_MIG_P2P) == 0 && view->identity.implicit_quiesce == 0,
        "no P2P states: it cannot move while another device's memory is in its DMA map");
    add(&list, wants_its_transactions(view),
        "uAPI v1: it takes the state of devices of uAPI v1 only");
    add(&list, (flags & FERRY_MIG_PRE_COPY) == 0,
        "no PRE_COPY: all of its state is sent during the downtime");
    add(&list, view->can_log == 0,
        "no dirty log: all memory counts as written after each round");
    return list;
}

static struct json_object *json_list(const struct hindrances *list)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; i < list->count; i++) {
        json_object_array_add(array, json_object_new_string(list->text[i]));
    }
    return array;
}

static struct json_object *json_region(const struct ferry_device_view *view, uint32_t i)
{
    struct json_object *object = json_object_new_object();
    struct json_object *areas = json_object_new_array();
    uint32_t flags = view->region[i].flags;

    json_object_object_add(object, "name", json_object_new_string(region_name[i]));
    json_object_object_add(object, "index", json_u64(i));
    json_object_object_add(object, "size", json_u64(view->region[i].size));
    json_object_object_add(object, "read", json_object_new_boolean((flags & 1) != 0));
    json_object_object_add(object, "write", json_object_new_boolean((flags & 2) != 0));
    json_object_object_add(object, "mmap", json_object_new_boolean((flags & 4) != 0));
    for (uint32_t j = 0; j < view->region[i].area_count && j < 16; j++) {
        struct json_object *area = json_object_new_object();

        json_object_object_add(area, "off", json_u64(view->region[i].area_off[j]));
        json_object_object_add(area, "size", json_u64(view->region[i].area_size[j]));
        json_object_array_add(areas, area);
    }
    json_object_object_add(object, "areas", areas);
    return object;
}

static struct json_object *json_migration(const struct ferry_device_view *view)
{
    struct json_object *object = json_object_new_object();
    struct hindrances hindrances = find_hindrances(view), limits = find_limits(view);
    uint32_t flags = view->migration_flags;

    json_object_object_add(object, "uapi", json_u64(is_v1(view) ? 1 : 2));
    if (is_v1(view)) {
        json_object_object_add(
            object, "implicit_quiesce",
            json_object_new_boolean(view->identity.implicit_quiesce != 0));
        json_object_object_add(object, "any_chunks",
                               json_object_new_boolean(view->identity.any_chunks != 0));
    }
    json_object_object_add(object, "stop_copy",
                           json_object_new_boolean((flags & FERRY_MIG_STOP_COPY) != 0));
    json_object_object_add(object, "p2p",
                           json_object_new_boolean((flags & FERRY_MIG_P2P) != 0));
    json_object_object_add(object, "pre_copy",
                           json_object_new_boolean((flags & FERRY_MIG_PRE_COPY) != 0));
    json_object_object_add(object, "dirty_log",
                           json_object_new_boolean(view->can_log != 0));
    json_object_object_add(object, "precopy_info",
                           json_object_new_boolean(view->has_precopy_info != 0));
    json_object_object_add(object, "doorbell_latch",
                           json_object_new_boolean(view->identity.doorbell_latch != 0));
    json_object_object_add(object, "data_bytes", json_u64(view->data_size));
    json_object_object_add(object, "hindrances", json_list(&hindrances));
    json_object_object_add(object, "limits", json_list(&limits));
    return object;
}

static struct json_object *json_special(const struct ferry_device_view *view)
{
    struct json_object *list = json_object_new_array();

    for (uint32_t i = 0; i < view->special_count; i++) {
        struct json_object *one = json_object_new_object();
        uint32_t flags = view->special[i].flags;

        json_object_object_add(one, "index", json_u64(view->special[i].index));
        json_object_object_add(one, "size", json_u64(view->special[i].size));
        json_object_object_add(one, "type", json_u64(view->special[i].type));
        json_object_object_add(one, "subtype", json_u64(view->special[i].subtype));
        json_object_object_add(one, "read", json_object_new_boolean((flags & 1) != 0));
        json_object_object_add(one, "write", json_object_new_boolean((flags & 2) != 0));
        json_object_object_add(one, "mmap", json_object_new_boolean((flags & 4) != 0));
        json_object_array_add(list, one);
    }
    return list;
}

static struct json_object *json_extensions(const struct ferry_device_view *view)
{
    struct json_object *object = json_object_new_object();

    for (size_t i = 0; i < EXTENSION_COUNT; i++) {
        int agreed = (view->extensions & extensions[i].flag) != 0;

        json_object_object_add(object, extensions[i].name,
                               json_object_new_boolean(agreed));
    }
    return object;
}

static struct json_object *json_view(const struct info_args *args,
                                     const struct ferry_device_view *view,
                                     uint64_t serial)
{
    struct json_object *object = json_object_new_object();
    struct json_object *regions = json_object_new_array();
    struct json_object *irqs = json_object_new_object();

    json_object_object_add(object, "uri", json_object_new_string(args->uri));
    json_object_object_add(object, "identity", json_identity(&view->identity));
    json_object_object_add(object, "state",
                           json_object_new_string(ferry_state_name(view->state)));
    for (uint32_t i = 0; i < REGION_COUNT; i++) {
        if (view->region[i].size > 0) {
            json_object_array_add(regions, json_region(view, i));
        }
    }
    json_object_object_add(object, "regions", regions);
    json_object_object_add(object, "special_regions", json_special(view));
    json_object_object_add(object, "extensions", json_extensions(view));
    if (serial != 0) {
        json_object_object_add(object, "serial", json_u64(serial));
    }
    for (uint32_t i = 0; i < INDEX_COUNT; i++) {
        json_object_object_add(irqs, irq_name[i], json_u64(view->irq[i]));
    }
    json_object_object_add(object, "irqs", irqs);
    json_object_object_add(object, "migration", json_migration(view));
    return object;
}

static void print_identity(const struct ferry_identity *identity)
{
    static const char *const relation[] = { "?", "=", ">=", "has" };

    printf("model        %s\n",
           identity->model[0] != '\0' ? identity->model : "(not said)");
    printf("PCI          %04x:%04x (sub %04x:%04x) class %06x\n", identity->pci_vendor,
           identity->pci_device, identity->pci_subvendor, identity->pci_subdevice,
           identity->pci_class >> 8);
    printf("state        version %u, reads from %u\n", identity->state_version,
           identity->state_version_min);
    for (uint32_t i = 0; i < identity->key_count && i < FERRY_KEYS_MAX; i++) {
        const struct ferry_compat_key *key = &identity->key[i];

        printf("  key        %s %s %llu\n", key->name,
               relation[key->relation <= 3 ? key->relation : 0],
               (unsigned long long)key->value);
    }
}

/* What some devices have and most have not. */
static void print_more(const struct ferry_device_view *view, uint64_t serial)
{
    char text[TEXT_BYTES];

    if (serial != 0) {
        printf("serial       %016llx\n", (unsigned long long)serial);
    }
    for (uint32_t i = 0; i < view->special_count; i++) {
        printf("region %-5u %s, device-specific, type %08x subtype %08x%s\n",
               view->special[i].index, text_bytes(view->special[i].size, text),
               view->special[i].type, view->special[i].subtype,
               (view->special[i].flags & 4) != 0 ? ", can be mapped" : "");
    }
    printf("extensions  %s",
           (view->extensions & ~FERRY_VIEW_UAPI_V1) == 0 ? " none" : "");
    for (size_t i = 0; i < EXTENSION_COUNT; i++) {
        if ((view->extensions & extensions[i].flag) != 0) {
            printf(" %s", extensions[i].name);
        }
    }
    putchar('\n');
}

static void print_view(const struct ferry_device_view *view, uint64_t serial)
{
    struct hindrances hindrances = find_hindrances(view), limits = find_limits(view);
    uint32_t flags = view->migration_flags;
    char text[TEXT_BYTES];

    print_identity(&view->identity);
    printf("now          %s\n", ferry_state_name(view->state));
    for (uint32_t i = 0; i < REGION_COUNT; i++) {
        if (view->region[i].size > 0) {
            printf("%-12s %s%s\n", region_name[i], text_bytes(view->region[i].size, text),
                   (view->region[i].flags & 4) != 0 ? ", can be mapped" : "");
        }
    }
    for (uint32_t i = 0; i < INDEX_COUNT; i++) {
        if (view->irq[i] > 0) {
            printf("%-12s %u\n", irq_name[i], view->irq[i]);
        }
    }
    print_more(view, serial);
    printf("migration   %s%s%s%s%s\n",
           (flags & FERRY_MIG_STOP_COPY) ? " STOP_COPY" : " none",
           (flags & FERRY_MIG_P2P) ? " P2P" : "",
           (flags & FERRY_MIG_PRE_COPY) ? " PRE_COPY" : "",
           view->can_log ? " dirty-log" : "",
           (view->extensions & FERRY_VIEW_UAPI_V1) != 0 ? " (uAPI v1)" : "");
    printf("data         %s\n",
           view->data_size > 0 ? text_bytes(view->data_size, text) : "not known");
    for (size_t i = 0; i < limits.count; i++) {
        printf("limit        %s\n", limits.text[i]);
    }
    for (size_t i = 0; i < hindrances.count; i++) {
        printf("CANNOT MOVE  %s\n", hindrances.text[i]);
    }
    if (hindrances.count == 0) {
        puts("nothing keeps it from migrating");
    }
}

/* What it counts; an empty list when it does not tell. The caller's. */
static struct json_object *find_counters(struct ferry_context *context)
{
    struct ferry_counter counter[FERRY_COUNTERS_MAX];
    const int count =
        ferry_context_counters(context, 0, counter, FERRY_COUNTERS_MAX, NULL);

    return json_counters(counter, count > 0 ? (uint32_t)count : 0);
}

static int compare(struct ferry_context *context, const struct info_args *args,
                   const struct ferry_device_view *view, struct json_object *json)
{
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_device_view other;
    struct json_object *answer;
    int status;

    status = look_at(context, "to", args->to, &other);
    if (status < 0) {
        return status == FERRY_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
    }
    status = ferry_compat_check(&view->identity, &other.identity, &error);
    if (status >= 0 && wants_its_transactions(&other) && !is_v1(view)) {
        /* As a target says it in a migration. */
        status = ferry_error_set(&error, FERRY_E_INCOMPATIBLE, "host", "MIG-V1-14", 0,
                                 "it migrates by uAPI v1 and takes its state only in the "
                                 "transactions in which such a device was saved; the "
                                 "source's has none (uAPI v2)");
    }
    if (json == NULL) {
        if (status < 0) {
            printf("to           %s: no: %s\n", args->to, error.text);
        } else {
            printf("to           %s: yes\n", args->to);
        }
    } else {
        answer = json_object_new_object();
        json_object_object_add(answer, "uri", json_object_new_string(args->to));
        json_object_object_add(answer, "compatible",
                               json_object_new_boolean(status >= 0));
        if (status < 0) {
            json_object_object_add(answer, "error", json_error(&error));
        }
        json_object_object_add(json, "to", answer);
    }
    return status < 0 ? EXIT_REFUSED : EXIT_OK;
}

int command_info(int argc, char **argv)
{
    struct info_args args = { .json = 0 };
    struct ferry_context_options options = { .struct_size = sizeof(options) };
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_context *context = NULL;
    struct ferry_device_view view;
    struct json_object *json = NULL;
    int result, status;

    argp_parse(&info_argp, argc, argv, 0, NULL, &args);
    if (ferry_context_create(&options, &context, &error) < 0) {
        print_error("info", &error, "cannot make a context");
        return EXIT_FAILED;
    }
    status = look_at(context, "device", args.uri, &view);
    result = status == FERRY_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
    if (status >= 0) {
        result = EXIT_OK;
        if (args.json) {
            json = json_view(&args, &view, find_serial(context, &view));
            json_object_object_add(json, "counters", find_counters(context));
        } else {
            struct json_object *counters = find_counters(context);

            print_view(&view, find_serial(context, &view));
            print_counters("counted     ", counters);
            json_object_put(counters);
        }
        if (args.to != NULL) {
            result = compare(context, &args, &view, json);
        }
    }
    if (json != NULL) {
        print_json(json, 1);
        json_object_put(json);
    }
    ferry_context_destroy(context);
    return result;
}
