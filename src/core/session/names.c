/* SPDX-License-Identifier: BSD-3-Clause */
#include "ferry/session.h"

/* Names for traces and messages, one table per enumeration. */

static const char *const events[FERRY_EV_COUNT] = {
    [FERRY_EV_START] = "START",
    [FERRY_EV_CANCEL] = "CANCEL",
    [FERRY_EV_OPERATOR] = "OPERATOR",
    [FERRY_EV_MESSAGE] = "MESSAGE",
    [FERRY_EV_LINK_DOWN] = "LINK_DOWN",
    [FERRY_EV_TIMER] = "TIMER",
    [FERRY_EV_STATE_DONE] = "STATE_DONE",
    [FERRY_EV_RESET_DONE] = "RESET_DONE",
    [FERRY_EV_CONFIG_DONE] = "CONFIG_DONE",
    [FERRY_EV_LOG_DONE] = "LOG_DONE",
    [FERRY_EV_ROUND_DONE] = "ROUND_DONE",
    [FERRY_EV_DATA_DRY] = "DATA_DRY",
    [FERRY_EV_DATA_END] = "DATA_END",
    [FERRY_EV_FINAL_DONE] = "FINAL_DONE",
    [FERRY_EV_CPUS_PAUSED] = "CPUS_PAUSED",
    [FERRY_EV_CPUS_RESUMED] = "CPUS_RESUMED",
    [FERRY_EV_FOREIGN_QUIET] = "FOREIGN_QUIET",
    [FERRY_EV_DECISION] = "DECISION",
    [FERRY_EV_CHECKED] = "CHECKED",
    [FERRY_EV_LOADED] = "LOADED",
    [FERRY_EV_MEMORY_COMPLETE] = "MEMORY_COMPLETE",
    [FERRY_EV_VMM_LOADED] = "VMM_LOADED",
    [FERRY_EV_INITIAL_LOADED] = "INITIAL_LOADED",
};

static const char *const actions[FERRY_ACT_COUNT] = {
    [FERRY_ACT_SEND] = "SEND",
    [FERRY_ACT_SET_STATE] = "SET_STATE",
    [FERRY_ACT_RESET] = "RESET",
    [FERRY_ACT_RESTORE_CONFIG] = "RESTORE_CONFIG",
    [FERRY_ACT_LOG_START] = "LOG_START",
    [FERRY_ACT_LOG_STOP] = "LOG_STOP",
    [FERRY_ACT_RAM_ROUND] = "RAM_ROUND",
    [FERRY_ACT_DATA_READ] = "DATA_READ",
    [FERRY_ACT_FINAL_ROUND] = "FINAL_ROUND",
    [FERRY_ACT_PAUSE_CPUS] = "PAUSE_CPUS",
    [FERRY_ACT_RESUME_CPUS] = "RESUME_CPUS",
    [FERRY_ACT_QUIET_FOREIGN] = "QUIET_FOREIGN",
    [FERRY_ACT_RELEASE_FOREIGN] = "RELEASE_FOREIGN",
    [FERRY_ACT_RAISE_IRQS] = "RAISE_IRQS",
    [FERRY_ACT_CANCEL_IO] = "CANCEL_IO",
    [FERRY_ACT_DECIDE] = "DECIDE",
    [FERRY_ACT_TIMER_SET] = "TIMER_SET",
    [FERRY_ACT_TIMER_CANCEL] = "TIMER_CANCEL",
    [FERRY_ACT_CHECK] = "CHECK",
    [FERRY_ACT_LOAD_VMM] = "LOAD_VMM",
    [FERRY_ACT_RELEASE] = "RELEASE",
    [FERRY_ACT_DISCARD] = "DISCARD",
    [FERRY_ACT_UNDECIDED] = "UNDECIDED",
    [FERRY_ACT_FINISHED] = "FINISHED",
};

static const char *const messages[FERRY_MSG_COUNT] = {
    [FERRY_MSG_HELLO] = "HELLO",
    [FERRY_MSG_ACCEPT] = "ACCEPT",
    [FERRY_MSG_REFUSE] = "REFUSE",
    [FERRY_MSG_INITIAL_SENT] = "INITIAL_SENT",
    [FERRY_MSG_INITIAL_DONE] = "INITIAL_DONE",
    [FERRY_MSG_ALL_SENT] = "ALL_SENT",
    [FERRY_MSG_PREPARED] = "PREPARED",
    [FERRY_MSG_COMMIT] = "COMMIT",
    [FERRY_MSG_RUNNING] = "RUNNING",
    [FERRY_MSG_RETURN] = "RETURN",
    [FERRY_MSG_ABORT] = "ABORT",
};

static const char *const outcomes[] = {
    [FERRY_OUTCOME_BUSY] = "BUSY",         [FERRY_OUTCOME_MOVED] = "MOVED",
    [FERRY_OUTCOME_REFUSED] = "REFUSED",   [FERRY_OUTCOME_ROLLED_BACK] = "ROLLED_BACK",
    [FERRY_OUTCOME_RESOLVED] = "RESOLVED", [FERRY_OUTCOME_LOST] = "LOST",
    [FERRY_OUTCOME_SAVED] = "SAVED",
};

static const char *const decisions[] = {
    [FERRY_DECISION_NONE] = "NONE",
    [FERRY_DECISION_COMMIT] = "COMMIT",
    [FERRY_DECISION_ABORT] = "ABORT",
};

static const char *const timers[FERRY_TIMER_COUNT] = {
    [FERRY_TIMER_PHASE] = "PHASE",
    [FERRY_TIMER_DEADLINE] = "DEADLINE",
    [FERRY_TIMER_STOP] = "STOP",
};

static const char *name_of(const char *const *names, size_t count, uint32_t value)
{
    return value < count && names[value] ? names[value] : "?";
}

const char *ferry_event_name(uint32_t kind)
{
    return name_of(events, FERRY_EV_COUNT, kind);
}

const char *ferry_action_name(uint32_t kind)
{
    return name_of(actions, FERRY_ACT_COUNT, kind);
}

const char *ferry_message_name(uint32_t message)
{
    return name_of(messages, FERRY_MSG_COUNT, message);
}

const char *ferry_outcome_name(uint32_t outcome)
{
    return name_of(outcomes, sizeof(outcomes) / sizeof(outcomes[0]), outcome);
}

const char *ferry_decision_name(uint32_t decision)
{
    return name_of(decisions, sizeof(decisions) / sizeof(decisions[0]), decision);
}

const char *ferry_timer_name(uint32_t timer)
{
    return name_of(timers, FERRY_TIMER_COUNT, timer);
}
