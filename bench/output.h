/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BENCH_OUTPUT_H
#define FERRY_BENCH_OUTPUT_H

#include <stddef.h>

/*
 * How a benchmark tells its figures, so that `ferry bench` can run any of them. A
 * benchmark is one program bench_NAME.c and does:
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct bench_output out;
 *
 *         bench_open(&out, "dma_log", "what the dirty log costs DMA", argc, argv);
 *         ... measure with out.quick ? 3 : 21 bursts ...
 *         bench_row(&out, &(struct bench_row){ .subject = "4 KiB DMA write, log on",
 *                       .unit = "ns", .figure = on, .floor_is = "log off",
 *                       .floor = off, .ratio = ratio, .aim = 0.95 });
 *         return bench_close(&out);
 *     }
 *
 * bench_open() takes --json (one JSON object on one line at the end), --quick (out.quick:
 * end within about two seconds, figures need not be steady), --about (prints the one line
 * and ends) and --help. Texts are borrowed until bench_close().
 */

#define BENCH_ROWS_MAX 32
#define BENCH_MORE_MAX 8

struct bench_row {
    const char *subject;  /* what was measured, one line */
    const char *unit;     /* of figure and floor: "ns", "1/s", "MiB/s", "KiB" */
    double figure;        /* median */
    const char *floor_is; /* what the floor is; NULL: there is none */
    double floor;         /* median, of the same run, interleaved */
    double ratio;         /* the median of the ratios of pairs; 0: no ratio */
    double best;          /* ratio of the best bursts; 0: not measured */
    double aim;           /* for the ratio, or without one for the figure; 0: no aim */
    int aim_is_most;      /* 0: at least the aim is wanted; 1: at most */
    struct {
        const char *name; /* what else is worth telling; NULL ends the list */
        double value;
    } more[BENCH_MORE_MAX];
};

struct bench_output {
    const char *name;
    int json, quick;
    size_t rows;
    struct bench_row row[BENCH_ROWS_MAX];
};

/* Takes the options; ends the process after --about, --help and wrong ones (status 2). */
void bench_open(struct bench_output *ret_output, const char *name, const char *about,
                int argc, char **argv);

/* Notes a row, and prints it at once when people read. Ends the process on one too many.
 */
void bench_row(struct bench_output *output, const struct bench_row *row);

/* Prints the JSON object. Return: the process's exit status. */
int bench_close(const struct bench_output *output);

#endif
