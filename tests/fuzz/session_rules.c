/* SPDX-License-Identifier: BSD-3-Clause */
#include "session_rules.h"

#include <stdlib.h>
#include <string.h>

static void must(int holds)
{
    if (!holds) {
        abort();
    }
}

static void hear_message(struct session_rules *rules, uint32_t message)
{
    int running = rules->run_word;

    switch (message) {
    case FERRY_MSG_PREPARED:
        rules->prepared = 1;
        break;
    case FERRY_MSG_RETURN:
        rules->back_word = 1;
        break;
    case FERRY_MSG_RUNNING:
        rules->target_runs = 1;
        break;
    case FERRY_MSG_ALL_SENT:
        rules->all_sent_heard = 1;
        break;
    case FERRY_MSG_ABORT:
        /* An owner hears it only where it cannot run and has asked around. */
        rules->drop_word |= !running || rules->asked_around;
        break;
    case FERRY_MSG_COMMIT:
        /* Once it has asked around, a COMMIT may be an old one. */
        rules->run_word |= rules->prepared_sent && !rules->asked_around;
        break;
    default:
        break;
    }
}

static void hear_state(struct session_rules *rules, const struct ferry_event *event)
{
    if (event->device >= rules->device_count) {
        return;
    }
    if (!rules->at[event->device].asked) {
        /* One that was given up and now answers something that nobody asked. */
        rules->void_states = 1;
        return;
    }
    rules->at[event->device].asked = 0;
    rules->at[event->device].known =
        event->arg < FERRY_STATE_COUNT ? event->arg : rules->at[event->device].known;
    rules->void_states |=
        event->status >= 0 && event->arg != rules->at[event->device].wanted;
}

static void hear_decision(struct session_rules *rules, const struct ferry_event *event)
{
    if (event->status < 0 || event->device > 1) {
        return;
    }
    rules->decided_commit |= event->arg == FERRY_DECISION_COMMIT && event->device == 0;
    rules->decided_abort |= event->arg == FERRY_DECISION_ABORT;
    rules->back_word |= event->arg == FERRY_DECISION_ABORT;
    rules->drop_word |= event->arg == FERRY_DECISION_ABORT;
    rules->run_word |= rules->asked_around && event->arg == FERRY_DECISION_COMMIT;
}

static void hear_device(struct session_rules *rules, const struct ferry_event *event)
{
    uint32_t i = event->device;

    if (i >= rules->device_count || event->status < 0) {
        return;
    }
    switch (event->kind) {
    case FERRY_EV_RESET_DONE:
        if (rules->at[i].reset_asked) {
            rules->at[i].reset_asked = 0;
            rules->at[i].known = FERRY_STATE_RUNNING;
        }
        break;
    case FERRY_EV_LOG_DONE:
        rules->at[i].log_started = 1;
        break;
    case FERRY_EV_DATA_END:
        rules->at[i].data_ended = 1;
        break;
    case FERRY_EV_LOADED:
        rules->at[i].loaded = 1;
        break;
    case FERRY_EV_CONFIG_DONE:
        rules->at[i].configured = 1;
        break;
    default:
        break;
    }
}

void session_rules_hear(struct session_rules *rules, const struct ferry_event *event)
{
    int well = event->status >= 0;

    switch (event->kind) {
    case FERRY_EV_MESSAGE:
        hear_message(rules, event->arg);
        break;
    case FERRY_EV_STATE_DONE:
        hear_state(rules, event);
        break;
    case FERRY_EV_DECISION:
        hear_decision(rules, event);
        break;
    case FERRY_EV_OPERATOR:
        rules->back_word |= event->arg != FERRY_OPERATOR_DISCARD &&
                            (event->arg != FERRY_OPERATOR_RUN || !rules->arbiter ||
                             !rules->decided_commit);
        rules->dropped |= event->arg == FERRY_OPERATOR_DISCARD;
        rules->run_word |= rules->asked_around && event->arg != FERRY_OPERATOR_DISCARD;
        rules->drop_word |= event->arg == FERRY_OPERATOR_DISCARD;
        break;
    case FERRY_EV_CPUS_PAUSED:
        rules->paused |= well;
        break;
    case FERRY_EV_FOREIGN_QUIET:
        rules->quiet |= well;
        break;
    case FERRY_EV_FINAL_DONE:
        rules->final_done |= well;
        break;
    case FERRY_EV_CHECKED:
        rules->checked |= well;
        break;
    case FERRY_EV_MEMORY_COMPLETE:
        rules->memory |= well;
        break;
    case FERRY_EV_VMM_LOADED:
        rules->vmm |= well;
        break;
    case FERRY_EV_CPUS_RESUMED:
        rules->resumed |= well;
        break;
    default:
        hear_device(rules, event);
        break;
    }
}

static int all_in(const struct session_rules *rules, uint32_t state)
{
    for (uint32_t i = 0; i < rules->device_count; i++) {
        if (rules->at[i].known != state) {
            return rules->void_states;
        }
    }
    return 1;
}

/* MIG-ORD-3: whoever can be quieted is. */
static int all_quiet(const struct session_rules *rules)
{
    for (uint32_t i = 0; i < rules->device_count; i++) {
        if ((rules->device[i].features & FERRY_MIG_P2P) != 0 &&
            (rules->at[i].known == FERRY_STATE_RUNNING ||
             rules->at[i].known == FERRY_STATE_PRE_COPY)) {
            return rules->void_states;
        }
    }
    return 1;
}

static int nothing_ran(const struct session_rules *rules)
{
    for (uint32_t i = 0; i < rules->device_count; i++) {
        if (rules->at[i].known == FERRY_STATE_RUNNING ||
            (rules->at[i].asked && rules->at[i].wanted == FERRY_STATE_RUNNING)) {
            return rules->void_states;
        }
    }
    return 1;
}

static int runs(const struct ferry_action *action)
{
    return action->kind == FERRY_ACT_RESUME_CPUS ||
           (action->kind == FERRY_ACT_SET_STATE &&
            (action->arg == FERRY_STATE_RUNNING ||
             action->arg == FERRY_STATE_RUNNING_P2P));
}

static void source_says(struct session_rules *rules, uint32_t message)
{
    if (message == FERRY_MSG_ALL_SENT) {
        must(rules->final_done && rules->paused && rules->quiet);
        must(all_in(rules, FERRY_STATE_STOP_COPY));
        for (uint32_t i = 0; i < rules->device_count; i++) {
            must(rules->at[i].data_ended);
        }
    } else if (message == FERRY_MSG_COMMIT) {
        must(rules->arbiter ? rules->decided_commit : rules->prepared);
        rules->commit_sent = 1;
        rules->back_word = 0;
    }
}

/* A source that ends without having moved is as it was before. */
static void source_is_back(const struct session_rules *rules)
{
    must(!rules->cpus_paused && !rules->foreign_quiet && !rules->drained);
    must(all_in(rules, FERRY_STATE_RUNNING));
    for (uint32_t i = 0; i < rules->device_count; i++) {
        must(!rules->at[i].log_on);
    }
}

static void check_source(struct session_rules *rules, const struct ferry_action *action)
{
    must(!runs(action) || !rules->commit_sent || rules->back_word);
    switch (action->kind) {
    case FERRY_ACT_SEND:
        source_says(rules, action->arg);
        break;
    case FERRY_ACT_SET_STATE:
        if (action->arg == FERRY_STATE_STOP_COPY) {
            must(rules->paused && rules->quiet && all_quiet(rules));
        }
        must(action->arg != FERRY_STATE_PRE_COPY_P2P || (rules->paused && rules->quiet));
        break;
    case FERRY_ACT_LOG_START:
    case FERRY_ACT_LOG_STOP:
        rules->at[action->device].log_on = action->kind == FERRY_ACT_LOG_START;
        rules->at[action->device].log_started = 0;
        break;
    case FERRY_ACT_RAM_ROUND:
        for (uint32_t i = 0; i < rules->device_count; i++) {
            must(!rules->at[i].log_on || rules->at[i].log_started);
        }
        break;
    case FERRY_ACT_PAUSE_CPUS:
        rules->cpus_paused = 1;
        rules->paused = 0;
        break;
    case FERRY_ACT_RESUME_CPUS:
        rules->cpus_paused = 0;
        break;
    case FERRY_ACT_QUIET_FOREIGN:
        must(rules->paused);
        rules->foreign_quiet = 1;
        rules->quiet = 0;
        break;
    case FERRY_ACT_RELEASE_FOREIGN:
        rules->foreign_quiet = 0;
        break;
    case FERRY_ACT_FINAL_ROUND:
        must(all_in(rules, FERRY_STATE_STOP_COPY));
        rules->drained = 1;
        rules->final_done = 0;
        break;
    case FERRY_ACT_RAISE_IRQS:
        rules->drained = 0;
        break;
    case FERRY_ACT_RELEASE:
        must(rules->target_runs || rules->dropped);
        break;
    case FERRY_ACT_FINISHED:
        if (action->arg == FERRY_OUTCOME_MOVED) {
            must(rules->target_runs);
        } else if (action->arg == FERRY_OUTCOME_ROLLED_BACK) {
            source_is_back(rules);
        }
        break;
    default:
        break;
    }
}

static void target_says(struct session_rules *rules, const struct ferry_action *action)
{
    switch (action->arg) {
    case FERRY_MSG_ACCEPT:
        must(rules->checked && all_in(rules, FERRY_STATE_RESUMING));
        break;
    case FERRY_MSG_PREPARED:
        must(rules->memory && rules->vmm && rules->all_sent_heard);
        must(all_in(rules, FERRY_STATE_STOP));
        for (uint32_t i = 0; i < rules->device_count; i++) {
            must(rules->at[i].loaded && rules->at[i].configured);
        }
        rules->prepared_sent = 1;
        rules->drop_word = 0;
        break;
    case FERRY_MSG_RETURN:
        must(rules->run_word && nothing_ran(rules) && rules->discarded);
        must(!rules->arbiter || rules->asked_around);
        rules->returned = 1;
        break;
    case FERRY_MSG_RUNNING:
        must(rules->run_word && rules->resumed && !rules->returned);
        must(action->status < 0 || all_in(rules, FERRY_STATE_RUNNING));
        break;
    default:
        break;
    }
}

static void check_target(struct session_rules *rules, const struct ferry_action *action)
{
    must(!runs(action) || (rules->run_word && !rules->discarded));
    switch (action->kind) {
    case FERRY_ACT_SEND:
        target_says(rules, action);
        break;
    case FERRY_ACT_SET_STATE:
        must(action->arg != FERRY_STATE_STOP || rules->at[action->device].loaded);
        must(action->arg != FERRY_STATE_RESUMING || rules->checked);
        break;
    case FERRY_ACT_RESTORE_CONFIG:
        rules->at[action->device].configured = 0;
        break;
    case FERRY_ACT_RESUME_CPUS:
        rules->resumed = 0;
        break;
    case FERRY_ACT_DECIDE:
    case FERRY_ACT_UNDECIDED:
        rules->asked_around = 1;
        break;
    case FERRY_ACT_DISCARD:
        must(!rules->prepared_sent || rules->drop_word || rules->run_word);
        rules->discarded = 1;
        break;
    case FERRY_ACT_FINISHED:
        must(
            action->arg != FERRY_OUTCOME_MOVED ||
            (rules->run_word && !rules->discarded && all_in(rules, FERRY_STATE_RUNNING)));
        /* An owner that drops everything has told the source before. */
        must(!rules->discarded || !rules->run_word || rules->returned ||
             rules->drop_word);
        break;
    default:
        break;
    }
}

static void check_one(struct session_rules *rules, const struct ferry_action *action)
{
    int of_device =
        action->kind == FERRY_ACT_SET_STATE || action->kind == FERRY_ACT_RESET ||
        action->kind == FERRY_ACT_RESTORE_CONFIG || action->kind == FERRY_ACT_LOG_START ||
        action->kind == FERRY_ACT_LOG_STOP || action->kind == FERRY_ACT_DATA_READ;

    must(action->kind > 0 && action->kind < FERRY_ACT_COUNT);
    must(strcmp(ferry_action_name(action->kind), "?") != 0);
    must(!of_device || action->device < rules->device_count);
    must(!rules->finished); /* nothing comes behind FINISHED */
    must(action->kind != FERRY_ACT_RESET || rules->void_states ||
         rules->at[action->device].known == FERRY_STATE_ERROR);
    if (action->kind == FERRY_ACT_SET_STATE) {
        must(action->arg > FERRY_STATE_ERROR && action->arg < FERRY_STATE_COUNT);
        must(!rules->at[action->device].asked || rules->void_states);
    }
    if (rules->is_target) {
        check_target(rules, action);
    } else {
        check_source(rules, action);
    }
    if (action->kind == FERRY_ACT_RESET) {
        rules->at[action->device].reset_asked = 1;
    } else if (action->kind == FERRY_ACT_SET_STATE) {
        rules->at[action->device].asked = 1;
        rules->at[action->device].wanted = action->arg;
    }
    rules->finished = action->kind == FERRY_ACT_FINISHED;
}

void session_rules_check(struct session_rules *rules, const struct ferry_action *action,
                         int count)
{
    for (int i = 0; i < count; i++) {
        check_one(rules, &action[i]);
    }
}
