/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/common.h"

void bench_open(struct bench_output *ret_output, const char *name, const char *about,
                int argc, char **argv)
{
    memset(ret_output, 0, sizeof(*ret_output));
    ret_output->name = name;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            ret_output->json = 1;
        } else if (strcmp(argv[i], "--quick") == 0) {
            ret_output->quick = 1;
        } else if (strcmp(argv[i], "--about") == 0) {
            puts(about);
            exit(0);
        } else if (strcmp(argv[i], "--help") == 0) {
            printf("usage: bench_%s [--json] [--quick] [--about]\n%s\n", name, about);
            exit(0);
        } else {
            fprintf(stderr, "bench_%s: no option '%s'; see --help\n", name, argv[i]);
            exit(2);
        }
    }
}

/* Small figures with what counts of them, large ones without a fraction. */
static int decimals(double value)
{
    double size = fabs(value);

    return size >= 1000 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
}

static void print_value(double value, const char *unit)
{
    printf("%.*f%s%s", decimals(value), value, unit ? " " : "", unit ? unit : "");
}

static void print_row(const struct bench_row *row)
{
    printf("%s: ", row->subject);
    print_value(row->figure, row->unit);
    if (row->floor_is) {
        printf("; %s: ", row->floor_is);
        print_value(row->floor, row->unit);
    }
    if (row->ratio > 0) {
        printf("; ratio %.3f", row->ratio);
    }
    if (row->best > 0) {
        printf(", best %.3f", row->best);
    }
    if (row->aim > 0) {
        printf(" (aim: at %s ", row->aim_is_most ? "most" : "least");
        print_value(row->aim, row->ratio > 0 ? NULL : row->unit);
        putchar(')');
    }
    putchar('\n');
    for (size_t i = 0; i < BENCH_MORE_MAX && row->more[i].name; i++) {
        printf("%s%s ", i ? ", " : "    ", row->more[i].name);
        print_value(row->more[i].value, NULL);
    }
    if (row->more[0].name) {
        putchar('\n');
    }
    fflush(stdout);
}

void bench_row(struct bench_output *output, const struct bench_row *row)
{
    if (output->rows == BENCH_ROWS_MAX) {
        bench_die("more rows than BENCH_ROWS_MAX");
    }
    output->row[output->rows++] = *row;
    if (!output->json) {
        print_row(row);
    }
}

static void put_text(const char *name, const char *text)
{
    printf("\"%s\":\"", name);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') {
            printf("\\%c", *text);
        } else if ((unsigned char)*text < 0x20) {
            printf("\\u%04x", (unsigned)*text);
        } else {
            putchar(*text);
        }
    }
    putchar('"');
}

/* JSON knows no infinity. */
static void put_value(const char *name, double value)
{
    if (isfinite(value)) {
        printf("\"%s\":%.6g", name, value);
    } else {
        printf("\"%s\":null", name);
    }
}

static void put_next(const char *name, double value)
{
    putchar(',');
    put_value(name, value);
}

static void put_machine(void)
{
    char line[256], model[128] = "unknown";
    struct utsname name = { .release = "unknown" };
    FILE *file = fopen("/proc/cpuinfo", "re");

    while (file && fgets(line, sizeof(line), file)) {
        if (sscanf(line, "model name : %127[^\n]", model) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    uname(&name);
    printf("\"machine\":{");
    put_text("cpu", model);
    printf(",\"cpus\":%ld,", sysconf(_SC_NPROCESSORS_ONLN));
    put_text("kernel", name.release);
    putchar('}');
}

static void put_row(const struct bench_row *row)
{
    double judged = row->ratio > 0 ? row->ratio : row->figure;

    putchar('{');
    put_text("subject", row->subject);
    putchar(',');
    put_text("unit", row->unit);
    put_next("figure", row->figure);
    if (row->floor_is) {
        putchar(',');
        put_text("floor_is", row->floor_is);
        put_next("floor", row->floor);
    }
    if (row->ratio > 0) {
        put_next("ratio", row->ratio);
    }
    if (row->best > 0) {
        put_next("best", row->best);
    }
    if (row->aim > 0) {
        int met = row->aim_is_most ? judged <= row->aim : judged >= row->aim;

        put_next("aim", row->aim);
        printf(",\"aim_is\":\"%s\",\"met\":%s", row->aim_is_most ? "most" : "least",
               met ? "true" : "false");
    }
    if (row->more[0].name) {
        printf(",\"more\":{");
        for (size_t i = 0; i < BENCH_MORE_MAX && row->more[i].name; i++) {
            fputs(i ? "," : "", stdout);
            put_value(row->more[i].name, row->more[i].value);
        }
        putchar('}');
    }
    putchar('}');
}

int bench_close(const struct bench_output *output)
{
    if (output->json) {
        putchar('{');
        put_text("bench", output->name);
        printf(",\"quick\":%s,", output->quick ? "true" : "false");
        put_machine();
        printf(",\"rows\":[");
        for (size_t i = 0; i < output->rows; i++) {
            fputs(i ? "," : "", stdout);
            put_row(&output->row[i]);
        }
        printf("]}\n");
    }
    /* A full disk or a closed pipe must not pass for figures. */
    return fflush(stdout) == 0 && !ferror(stdout) && output->rows > 0 ? 0 : 1;
}
