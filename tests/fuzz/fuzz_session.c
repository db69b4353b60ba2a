/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the sessions. The first bytes of an input choose side, arbiter and devices;
 * after them each byte, with up to three more, is an event or several:
 *
 *   00..3f           1 to 64 times what comes next in a migration that goes well: the end
 *                    of what is under way, else the peer's word, else a timer
 *   40..7f HOW       ends one of the actions that are under way, well or not
 *   80..bf DEV ARG S any event at all: early, late, twice, of a device that is not there
 *   c0..ff           any message of the peer
 *
 * session_rules.h says what holds whatever happens.
 */
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "core/session/source.h"
#include "core/session/target.h"
#include "session_rules.h"

#define UNDER_WAY_MAX 256u
#define EVENTS_MAX 2048u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz {
    struct ferry_source source;
    struct ferry_target target;
    struct ferry_session_config config;
    struct session_rules rules;
    int check_capacity;
    uint32_t events;
    uint64_t now_ns;
    uint64_t timer[FERRY_TIMER_COUNT]; /* 0: not set */
    struct ferry_action under_way[UNDER_WAY_MAX];
    uint32_t under_way_count;
    uint32_t decision; /* written down */
    /* the natural peer */
    uint32_t initial_sent, loaded, words; /* bit per device, bit per message said */
    int memory_complete;
};

static const int32_t failures[] = { FERRY_OK,       FERRY_E_IO,       FERRY_E_HUNG,
                                    FERRY_E_CLOSED, FERRY_E_REFUSED,  FERRY_E_TIMEOUT,
                                    FERRY_E_DEVICE, FERRY_E_CANCELLED };

static void must(int holds)
{
    if (!holds) {
        abort();
    }
}

/* The event that ends an action of the kind; 0: nothing ends it. */
static uint32_t end_of(uint32_t action)
{
    static const uint32_t end[FERRY_ACT_COUNT] = {
        [FERRY_ACT_SET_STATE] = FERRY_EV_STATE_DONE,
        [FERRY_ACT_RESET] = FERRY_EV_RESET_DONE,
        [FERRY_ACT_RESTORE_CONFIG] = FERRY_EV_CONFIG_DONE,
        [FERRY_ACT_LOG_START] = FERRY_EV_LOG_DONE,
        [FERRY_ACT_LOG_STOP] = FERRY_EV_LOG_DONE,
        [FERRY_ACT_RAM_ROUND] = FERRY_EV_ROUND_DONE,
        [FERRY_ACT_DATA_READ] = FERRY_EV_DATA_DRY,
        [FERRY_ACT_FINAL_ROUND] = FERRY_EV_FINAL_DONE,
        [FERRY_ACT_PAUSE_CPUS] = FERRY_EV_CPUS_PAUSED,
        [FERRY_ACT_RESUME_CPUS] = FERRY_EV_CPUS_RESUMED,
        [FERRY_ACT_QUIET_FOREIGN] = FERRY_EV_FOREIGN_QUIET,
        [FERRY_ACT_DECIDE] = FERRY_EV_DECISION,
        [FERRY_ACT_CHECK] = FERRY_EV_CHECKED,
        [FERRY_ACT_LOAD_VMM] = FERRY_EV_VMM_LOADED,
    };

    return action < FERRY_ACT_COUNT ? end[action] : 0;
}

static void keep(struct fuzz *fuzz, const struct ferry_action *action)
{
    if (action->kind == FERRY_ACT_TIMER_SET) {
        must(action->arg < FERRY_TIMER_COUNT && action->a > fuzz->now_ns);
        fuzz->timer[action->arg] = action->a;
    } else if (action->kind == FERRY_ACT_TIMER_CANCEL) {
        must(action->arg < FERRY_TIMER_COUNT);
        fuzz->timer[action->arg] = 0;
    } else if (action->kind == FERRY_ACT_SEND) {
        must(action->arg < FERRY_MSG_COUNT);
        fuzz->words |= 1u << action->arg;
        if (action->arg == FERRY_MSG_INITIAL_SENT) {
            must(action->device < fuzz->config.device_count);
            fuzz->initial_sent |= 1u << action->device;
        }
    } else if (end_of(action->kind) != 0 && fuzz->under_way_count < UNDER_WAY_MAX) {
        fuzz->under_way[fuzz->under_way_count++] = *action;
    }
}

static int step_once(struct fuzz *fuzz, const struct ferry_event *event,
                     struct ferry_action *action, size_t cap)
{
    return fuzz->rules.is_target ? ferry_target_step(&fuzz->target, event, action, cap)
                                 : ferry_source_step(&fuzz->source, event, action, cap);
}

/* With too little room nothing has happened. */
static void step_without_room(struct fuzz *fuzz, const struct ferry_event *event)
{
    static struct fuzz before;
    struct ferry_action action[1];

    before = *fuzz;
    if (step_once(fuzz, event, action, 1) < 0) {
        must(memcmp(&before.source, &fuzz->source, sizeof(before.source)) == 0);
        must(memcmp(&before.target, &fuzz->target, sizeof(before.target)) == 0);
    } else {
        fuzz->source = before.source;
        fuzz->target = before.target;
    }
}

static void check_figures(struct fuzz *fuzz)
{
    struct ferry_progress progress;
    uint32_t outcome;

    if (fuzz->rules.is_target) {
        outcome = ferry_target_outcome(&fuzz->target);
        must(strcmp(ferry_target_phase_name(ferry_target_phase(&fuzz->target)), "?") !=
             0);
    } else {
        outcome = ferry_source_outcome(&fuzz->source);
        ferry_source_progress(&fuzz->source, &progress);
        must(progress.phase == ferry_source_phase(&fuzz->source));
        must(strcmp(ferry_source_phase_name(progress.phase), "?") != 0);
    }
    must((outcome != FERRY_OUTCOME_BUSY) == fuzz->rules.finished);
    must(strcmp(ferry_outcome_name(outcome), "?") != 0);
}

static void step(struct fuzz *fuzz, struct ferry_event *event)
{
    struct ferry_action action[FERRY_SESSION_ACTIONS_MAX];
    int was_over = fuzz->rules.finished, count;

    fuzz->events++;
    event->now_ns = fuzz->now_ns;
    session_rules_hear(&fuzz->rules, event);
    if (fuzz->check_capacity) {
        step_without_room(fuzz, event);
    }
    count = step_once(fuzz, event, action, FERRY_SESSION_ACTIONS_MAX);
    must(count >= 0 && count <= FERRY_SESSION_ACTIONS_MAX);
    must(!was_over || count == 0);
    session_rules_check(&fuzz->rules, action, count);
    for (int i = 0; i < count; i++) {
        keep(fuzz, &action[i]);
    }
    check_figures(fuzz);
}

/* Ends an action as who performs it would; how: 3 bits of status, 5 bits of answer. */
static void end_action(struct fuzz *fuzz, uint32_t index, uint8_t how)
{
    struct ferry_action action = fuzz->under_way[index];
    struct ferry_event event = { .kind = end_of(action.kind),
                                 .device = action.device,
                                 .arg = action.arg,
                                 .status = failures[how & 7],
                                 .a = 1u << 20,
                                 .b = (uint64_t)(how >> 3) << 24 };

    fuzz->under_way_count--;
    memmove(&fuzz->under_way[index], &fuzz->under_way[index + 1],
            (fuzz->under_way_count - index) * sizeof(action));
    if (action.kind == FERRY_ACT_SET_STATE && event.status < 0) {
        event.arg = how >> 3;
    } else if (action.kind == FERRY_ACT_DATA_READ && fuzz->rules.drained) {
        event.kind = FERRY_EV_DATA_END;
    } else if (action.kind == FERRY_ACT_DECIDE) {
        /* The first writer wins: the other side may have been it. */
        if (fuzz->decision == FERRY_DECISION_NONE || action.device != 0) {
            fuzz->decision = (how >> 3) != 0 ? (how >> 3) & 3u : action.arg;
        }
        event.arg = fuzz->decision;
    }
    fuzz->now_ns += 1000000;
    step(fuzz, &event);
}

/* The timer that is due first. Return: 0 when none is set. */
static int next_timer(struct fuzz *fuzz, struct ferry_event *event)
{
    uint32_t due = FERRY_TIMER_COUNT;

    for (uint32_t i = 0; i < FERRY_TIMER_COUNT; i++) {
        if (fuzz->timer[i] != 0 &&
            (due == FERRY_TIMER_COUNT || fuzz->timer[i] < fuzz->timer[due])) {
            due = i;
        }
    }
    if (due == FERRY_TIMER_COUNT) {
        return 0;
    }
    event->kind = FERRY_EV_TIMER;
    event->arg = due;
    fuzz->now_ns = fuzz->timer[due] > fuzz->now_ns ? fuzz->timer[due] : fuzz->now_ns;
    fuzz->timer[due] = 0;
    return 1;
}

/* The target's word that a source would wait for. Return: 0 for none. */
static uint32_t target_word(struct fuzz *fuzz, struct ferry_event *event)
{
    static const uint8_t answer[][2] = { { FERRY_MSG_HELLO, FERRY_MSG_ACCEPT },
                                         { FERRY_MSG_ALL_SENT, FERRY_MSG_PREPARED },
                                         { FERRY_MSG_COMMIT, FERRY_MSG_RUNNING } };

    for (uint32_t i = 0; i < fuzz->config.device_count; i++) {
        if ((fuzz->initial_sent & 1u << i) != 0) {
            fuzz->initial_sent &= ~(1u << i);
            event->device = i;
            return FERRY_MSG_INITIAL_DONE;
        }
    }
    for (size_t i = 0; i < sizeof(answer) / sizeof(answer[0]); i++) {
        if ((fuzz->words & 1u << answer[i][0]) != 0) {
            fuzz->words &= ~(1u << answer[i][0]);
            return answer[i][1];
        }
    }
    return 0;
}

/* What a target that loads gets. Return: 0 when that is all. */
static int next_load(struct fuzz *fuzz, struct ferry_event *event)
{
    for (uint32_t i = 0; i < 2 * fuzz->config.device_count; i++) {
        uint32_t device = i / 2;

        event->device = device;
        if (i % 2 == 0 && (fuzz->initial_sent & 1u << device) == 0) {
            fuzz->initial_sent |= 1u << device;
            event->kind = FERRY_EV_INITIAL_LOADED;
            return 1;
        }
        if (i % 2 == 1 && (fuzz->loaded & 1u << device) == 0) {
            fuzz->loaded |= 1u << device;
            event->kind = FERRY_EV_LOADED;
            return 1;
        }
    }
    event->device = FERRY_NO_DEVICE;
    event->kind =
        fuzz->memory_complete ? (uint32_t)FERRY_EV_MESSAGE : FERRY_EV_MEMORY_COMPLETE;
    event->arg = FERRY_MSG_ALL_SENT;
    fuzz->memory_complete++;
    return fuzz->memory_complete <= 2;
}

/* The step of a migration that goes well. */
static void natural(struct fuzz *fuzz)
{
    struct ferry_event event = { .kind = FERRY_EV_MESSAGE, .device = FERRY_NO_DEVICE };
    uint32_t word = 0;

    if (fuzz->under_way_count > 0) {
        end_action(fuzz, 0, 0);
        return;
    }
    if (!fuzz->rules.is_target) {
        if (ferry_source_phase(&fuzz->source) == FERRY_SRC_IDLE) {
            event.kind = FERRY_EV_START;
        } else if ((word = target_word(fuzz, &event)) != 0) {
            event.arg = word;
        } else if (!next_timer(fuzz, &event)) {
            event.kind = FERRY_EV_OPERATOR;
        }
    } else {
        uint32_t phase = ferry_target_phase(&fuzz->target);

        if (phase == FERRY_TGT_IDLE) {
            event.arg = FERRY_MSG_HELLO;
        } else if (phase == FERRY_TGT_PREPARED) {
            event.arg = FERRY_MSG_COMMIT;
        } else if (!(phase == FERRY_TGT_LOADING && next_load(fuzz, &event)) &&
                   !next_timer(fuzz, &event)) {
            event.kind = FERRY_EV_OPERATOR;
        }
    }
    step(fuzz, &event);
}

static void any_event(struct fuzz *fuzz, uint8_t op, struct ferry_reader *reader)
{
    uint8_t device = ferry_reader_u8(reader), arg = ferry_reader_u8(reader);
    uint8_t status = ferry_reader_u8(reader);
    struct ferry_event event = { .kind = op & 0x1f,
                                 .device = device == 0xff ? FERRY_NO_DEVICE : device,
                                 .arg = arg,
                                 .status = failures[status & 7],
                                 .a = (uint64_t)arg << (status >> 3),
                                 .b = (uint64_t)device << (status >> 3),
                                 .c = (uint64_t)status << 10 };

    if ((op & 0x20) != 0 && !fuzz->rules.is_target) {
        ferry_source_set_load_rate(&fuzz->source, event.a);
        ferry_source_set_target_times(&fuzz->source, event.device, event.a, event.b);
    }
    step(fuzz, &event);
}

static void message(struct fuzz *fuzz, uint8_t op)
{
    struct ferry_event event = { .kind = FERRY_EV_MESSAGE,
                                 .device = (op >> 4) & 3u,
                                 .arg = op & 0xfu };

    step(fuzz, &event);
}

static int begin(struct fuzz *fuzz, struct ferry_reader *reader)
{
    static const uint8_t counts[8] = { 1, 2, 3, 4, 0, 5, 8, FERRY_SESSION_DEVICES_MAX };
    struct ferry_session_config *config = &fuzz->config;
    uint8_t choice = ferry_reader_u8(reader);

    fuzz->rules.is_target = choice & 1;
    fuzz->rules.arbiter = config->arbiter =
        (choice & 2) != 0 ? FERRY_ARBITER_SHARED : FERRY_ARBITER_NONE;
    fuzz->rules.device_count = config->device_count = counts[(choice >> 2) & 7];
    fuzz->rules.device = config->device;
    fuzz->check_capacity = (choice >> 7) & 1;
    for (uint32_t i = 0; i < config->device_count; i++) {
        uint8_t one = i < 5 ? ferry_reader_u8(reader) : (uint8_t)(i & 15);

        /* STOP_COPY unless bit 0 is set: a device without it is refused. */
        config->device[i].features = (one & 7u) ^ 1u;
        config->device[i].can_log = (one >> 3) & 1;
        config->device[i].reaches_peer = (one >> 4) & 1;
        config->device[i].peer = (one >> 5) & 3;
        fuzz->rules.at[i].known = FERRY_STATE_RUNNING;
    }
    return fuzz->rules.is_target ? ferry_target_init(&fuzz->target, config) == FERRY_OK
                                 : ferry_source_init(&fuzz->source, config) == FERRY_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz fuzz;
    struct ferry_reader reader;

    memset(&fuzz, 0, sizeof(fuzz));
    fuzz.now_ns = 1;
    ferry_reader_init(&reader, data, size);
    if (!begin(&fuzz, &reader)) {
        return 0;
    }
    while (fuzz.events < EVENTS_MAX && ferry_reader_remaining(&reader) > 0) {
        uint8_t op = ferry_reader_u8(&reader);

        if (op < 0x40) {
            for (uint32_t i = 0; i <= op; i++) {
                natural(&fuzz);
            }
        } else if (op < 0x80) {
            uint8_t how = ferry_reader_u8(&reader);

            if (fuzz.under_way_count > 0) {
                end_action(&fuzz, (op & 0x3fu) % fuzz.under_way_count, how);
            }
        } else if (op < 0xc0) {
            any_event(&fuzz, op, &reader);
        } else {
            message(&fuzz, op);
        }
    }
    return 0;
}
