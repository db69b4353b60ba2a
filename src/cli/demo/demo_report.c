/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "cli/demo/demo.h"
#include "cli/output.h"

/* Sums over all migrations. */
struct sums {
    uint64_t downtime, worst, predicted, ram_precopy, ram_stop, device_precopy,
        device_stop;
};

static void add_devices(struct json_object *report, uint64_t *precopy, uint64_t *stop)
{
    struct json_object *devices = NULL;

    *precopy = *stop = 0;
    if (!json_object_object_get_ex(report, "devices", &devices)) {
        return;
    }
    for (size_t i = 0; i < json_object_array_length(devices); i++) {
        struct json_object *device = json_object_array_get_idx(devices, i);

        *precopy += json_get_u64(device, "precopy_bytes");
        *stop += json_get_u64(device, "stop_bytes");
    }
}

static void add_move(struct sums *sums, struct json_object *report)
{
    uint64_t downtime = json_get_u64(report, "downtime_ns"), precopy, stop;

    add_devices(report, &precopy, &stop);
    sums->downtime += downtime;
    sums->worst = downtime > sums->worst ? downtime : sums->worst;
    sums->predicted += json_get_u64(report, "predicted_downtime_ns");
    sums->ram_precopy += json_get_u64(report, "ram_precopy_bytes");
    sums->ram_stop += json_get_u64(report, "ram_stop_bytes");
    sums->device_precopy += precopy;
    sums->device_stop += stop;
}

static void print_move(const struct demo *demo, uint32_t i)
{
    const struct demo_move *one = &demo->move[i];
    char text[7][TEXT_BYTES];
    uint64_t precopy, stop;

    add_devices(one->report, &precopy, &stop);
    printf("%2u  %c -> %c  %6llu  %10s  %10s  %10s  %10s  %10s  %10s  %10s\n", i + 1,
           i % 2 ? 'B' : 'A', i % 2 ? 'A' : 'B', (unsigned long long)one->in_flight,
           text_time(json_get_u64(one->report, "downtime_ns"), text[0]),
           text_time(json_get_u64(one->report, "predicted_downtime_ns"), text[1]),
           text_time(json_get_u64(one->report, "total_ns"), text[2]),
           text_bytes(json_get_u64(one->report, "ram_precopy_bytes"), text[3]),
           text_bytes(precopy, text[4]),
           text_bytes(json_get_u64(one->report, "ram_stop_bytes"), text[5]),
           text_bytes(stop, text[6]));
}

/* What the guest uses, not what it was offered. */
static int is_packed(struct json_object *work)
{
    struct json_object *packed = NULL;

    return json_object_object_get_ex(work, "packed", &packed) &&
           json_object_get_boolean(packed);
}

static void print_frames(struct json_object *work)
{
    struct json_object *frames = NULL;

    if (json_object_object_get_ex(work, "frames", &frames)) {
        printf("frames %llu sent over the nic and %llu back: %llu lost, %llu twice, %llu "
               "changed\n",
               (unsigned long long)json_get_u64(frames, "sent"),
               (unsigned long long)json_get_u64(frames, "received"),
               (unsigned long long)json_get_u64(frames, "lost"),
               (unsigned long long)json_get_u64(frames, "twice"),
               (unsigned long long)json_get_u64(frames, "wrong"));
    }
}

static void print_work(const struct demo *demo, const struct sums *sums)
{
    char text[3][TEXT_BYTES];
    double seconds = (double)(demo_now_ns() - demo->start_ns) / 1e9;

    printf("migrations %u, downtime %s in all, %s at worst (predicted %s in all)\n",
           demo->moves, text_time(sums->downtime, text[0]),
           text_time(sums->worst, text[1]), text_time(sums->predicted, text[2]));
    if (demo->work != NULL) {
        printf("requests %llu through three devices (%s rings), %llu completions: %llu "
               "lost, %llu twice, %llu interrupts lost\n",
               (unsigned long long)json_get_u64(demo->work, "requests"),
               is_packed(demo->work) ? "packed" : "split",
               (unsigned long long)json_get_u64(demo->work, "completed"),
               (unsigned long long)json_get_u64(demo->work, "lost"),
               (unsigned long long)json_get_u64(demo->work, "twice"),
               (unsigned long long)json_get_u64(demo->work, "interrupts_lost"));
        print_frames(demo->work);
        printf("results: %llu passes over %s, %u lanes each, %llu lanes decrypted with "
               "openssl\n",
               (unsigned long long)json_get_u64(demo->work, "passes"),
               text_bytes(demo->input_bytes, text[0]), demo->args.work.lanes,
               (unsigned long long)demo->lanes_verified);
    }
    printf("%.1f s in all\n", seconds);
}

static void print_table(const struct demo *demo, const struct sums *sums)
{
    char text[4][TEXT_BYTES];

    printf("\n%2s  %6s  %6s  %10s  %10s  %10s  %10s  %10s  %10s  %10s\n", "", "", "in",
           "", "", "", "memory", "devices", "memory", "devices");
    printf("%2s  %6s  %6s  %10s  %10s  %10s  %10s  %10s  %10s  %10s\n", "#", "way",
           "flight", "downtime", "predicted", "total", "running", "running", "stopped",
           "stopped");
    for (uint32_t i = 0; i < demo->moves; i++) {
        print_move(demo, i);
    }
    printf("%58s  %10s  %10s  %10s  %10s\n\n",
           "bytes in all:", text_bytes(sums->ram_precopy, text[0]),
           text_bytes(sums->device_precopy, text[1]), text_bytes(sums->ram_stop, text[2]),
           text_bytes(sums->device_stop, text[3]));
    print_work(demo, sums);
}

static void print_all_json(const struct demo *demo, const struct sums *sums, int ok)
{
    struct json_object *object = json_object_new_object();
    struct json_object *moves = json_object_new_array();

    for (uint32_t i = 0; i < demo->moves; i++) {
        struct json_object *one = json_object_new_object();

        json_object_object_add(one, "from", json_object_new_string(i % 2 ? "B" : "A"));
        json_object_object_add(one, "to", json_object_new_string(i % 2 ? "A" : "B"));
        json_object_object_add(one, "in_flight", json_u64(demo->move[i].in_flight));
        json_object_object_add(one, "unfinished", json_u64(demo->move[i].unfinished));
        json_object_object_add(one, "report", json_object_get(demo->move[i].report));
        json_object_array_add(moves, one);
    }
    json_object_object_add(object, "ok", json_object_new_boolean(ok));
    json_object_object_add(object, "identical", json_object_new_boolean(demo->identical));
    json_object_object_add(object, "input", json_object_new_string(demo->input));
    json_object_object_add(object, "input_bytes", json_u64(demo->input_bytes));
    json_object_object_add(object, "lanes", json_u64(demo->args.work.lanes));
    json_object_object_add(object, "lanes_verified", json_u64(demo->lanes_verified));
    json_object_object_add(object, "migrations", moves);
    json_object_object_add(object, "downtime_ns", json_u64(sums->downtime));
    json_object_object_add(object, "worst_downtime_ns", json_u64(sums->worst));
    json_object_object_add(object, "predicted_downtime_ns", json_u64(sums->predicted));
    json_object_object_add(object, "ram_precopy_bytes", json_u64(sums->ram_precopy));
    json_object_object_add(object, "ram_stop_bytes", json_u64(sums->ram_stop));
    json_object_object_add(object, "device_precopy_bytes",
                           json_u64(sums->device_precopy));
    json_object_object_add(object, "device_stop_bytes", json_u64(sums->device_stop));
    json_object_object_add(object, "total_ns", json_u64(demo_now_ns() - demo->start_ns));
    if (demo->work != NULL) {
        json_object_object_add(object, "work", json_object_get(demo->work));
    }
    print_json(object, 1);
    json_object_put(object);
}

void demo_report(struct demo *demo, int ok)
{
    struct sums sums = { .downtime = 0 };

    for (uint32_t i = 0; i < demo->moves; i++) {
        add_move(&sums, demo->move[i].report);
    }
    if (demo->args.json) {
        print_all_json(demo, &sums, ok);
        return;
    }
    print_table(demo, &sums);
    if (demo->identical) {
        puts("every result is identical to the input");
    }
    fflush(stdout);
}
