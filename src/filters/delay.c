/* SPDX-License-Identifier: BSD-3-Clause */
#include "filters/filter.h"
#include "os/clock.h"

/*
 * delay=OPERATION:TIME: the device hears of a request that much later. What came after it
 * waits as well, for a read must not overtake a write before it; only a change of state
 * is held alone, since the protocol lets other requests go on while one is under way.
 * Who the device is is no request of the protocol: VERSION tells it, and does not wait.
 */

#define DELAY_MAX_NS (3600ull * FERRY_NS_PER_S)
#define DELAY_DMA_MAX_NS (10ull * FERRY_NS_PER_S) /* the device's thread sleeps */
#define DELAY_HELD_MAX 256u
#define DELAY_SLICE 32u

static void nothing_more(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    (void)timer; /* it woke the user's loop, whose work() looks at the clock */
    (void)now_ns;
}

static void device_ready(struct ferry_watch *watch, uint32_t events)
{
    (void)watch; /* work() of the endpoint below clears it */
    (void)events;
}

/* "200ms", "2s", "500us". */
static int parse_time(struct filter_text *text, const struct filter_token *value,
                      uint64_t *ret_ns)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = { { "us", 1000 }, { "ms", FERRY_NS_PER_MS }, { "s", FERRY_NS_PER_S } };
    struct filter_token number = { .text = value->text }, unit;
    uint64_t count;

    while (number.length < value->length && value->text[number.length] >= '0' &&
           value->text[number.length] <= '9') {
        number.length++;
    }
    unit.text = value->text + number.length;
    unit.length = value->length - number.length;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (filter_token_is(&unit, units[i].unit) &&
            filter_token_number(&number, &count)) {
            if (count > DELAY_MAX_NS / units[i].ns) {
                return filter_text_error(text, value, "a delay is an hour at most");
            }
            *ret_ns = count * units[i].ns;
            return FERRY_OK;
        }
    }
    return filter_text_error(text, value, "a time is a number with us, ms or s");
}

static int delay_open(struct ferry_filter *filter, struct filter_text *text,
                      const struct filter_token *value)
{
    int status;

    filter->u.delay.below.fd = -1;
    if (value->text == NULL) {
        return filter_text_error(text, value, "a time is needed after the operation");
    }
    status = parse_time(text, value, &filter->u.delay.ns);
    if (status != FERRY_OK) {
        return status;
    }
    if (filter->rule.operation >= FERRY_RQ_COUNT &&
        filter->u.delay.ns > DELAY_DMA_MAX_NS) {
        return filter_text_error(text, value, "a delay of DMA is 10 s at most");
    }
    status = ferry_loop_create(&filter->u.delay.loop);
    filter->u.delay.below.fd = filter_below_fd(filter);
    if (status == FERRY_OK && filter->u.delay.below.fd >= 0) {
        filter->u.delay.below.events = FERRY_LOOP_READ;
        filter->u.delay.below.fn = device_ready;
        status = ferry_loop_add(filter->u.delay.loop, &filter->u.delay.below);
    }
    filter->u.delay.timer.fn = nothing_more;
    if (status != FERRY_OK) {
        filter->u.delay.below.fd = -1;
        return ferry_error_set(text->reterr, status, "filter", NULL, 0,
                               "delay: no timer: %s", ferry_status_text(status));
    }
    return FERRY_OK;
}

static void delay_close(struct ferry_filter *filter)
{
    if (filter->u.delay.loop == NULL) {
        return;
    }
    if (filter->u.delay.below.fd >= 0) {
        ferry_loop_remove(filter->u.delay.loop, &filter->u.delay.below);
    }
    ferry_loop_timer_cancel(filter->u.delay.loop, &filter->u.delay.timer);
    ferry_loop_destroy(filter->u.delay.loop);
}

static int is_arc(const struct ferry_request *request)
{
    return request->kind == FERRY_RQ_SET_STATE || request->kind == FERRY_RQ_LEAVE_STATE;
}

/* The timer stands at what is due first. */
static void arm(struct ferry_filter *filter)
{
    const struct ferry_request *first = filter->u.delay.first;
    const struct ferry_request *arc = filter->u.delay.arc;
    uint64_t due = first != NULL ? first->tag : 0;

    if (arc != NULL && (due == 0 || arc->tag < due)) {
        due = arc->tag;
    }
    if (due != 0) {
        ferry_loop_timer_set(filter->u.delay.loop, &filter->u.delay.timer, due);
    } else {
        ferry_loop_timer_cancel(filter->u.delay.loop, &filter->u.delay.timer);
    }
}

/* Behind all that are held. A request that was not asked for is due at once, in turn. */
static int hold(struct ferry_filter *filter, struct ferry_request *request,
                uint64_t due_ns)
{
    if (filter->u.delay.count == DELAY_HELD_MAX) {
        request->status =
            ferry_error_set(request->reterr, FERRY_E_LIMIT, "filter", NULL, 0,
                            "a delay filter holds %u requests already", DELAY_HELD_MAX);
        return request->status;
    }
    request->tag = due_ns;
    request->next = NULL;
    if (filter->u.delay.last != NULL) {
        filter->u.delay.last->next = request;
    } else {
        filter->u.delay.first = request;
    }
    filter->u.delay.last = request;
    filter->u.delay.count++;
    arm(filter);
    return FERRY_PENDING;
}

/* A reset takes a change of state back that the device has not heard of. */
static void cancel_arc(struct ferry_filter *filter)
{
    struct ferry_request *arc = filter->u.delay.arc;

    if (arc != NULL) {
        filter->u.delay.arc = NULL;
        arc->status = FERRY_E_CANCELLED;
        arc->next = filter->u.delay.over;
        filter->u.delay.over = arc;
    }
}

static int delay_submit(struct ferry_filter *filter, struct ferry_request *request,
                        int matched)
{
    const uint64_t due_ns = ferry_os_now_ns() + (matched ? filter->u.delay.ns : 0);

    if (request->kind == FERRY_RQ_IDENTITY) {
        return filter_forward(filter, request);
    }
    if (filter->u.delay.first != NULL) {
        return hold(filter, request, due_ns);
    }
    if (filter->u.delay.arc != NULL && is_arc(request)) {
        request->status = ferry_error_set(request->reterr, FERRY_E_BUSY, "filter", NULL,
                                          0, "a change of state is being delayed");
        return FERRY_E_BUSY;
    }
    if (request->kind == FERRY_RQ_RESET) {
        cancel_arc(filter);
        arm(filter);
    }
    if (!matched) {
        return filter_forward(filter, request);
    }
    if (!is_arc(request)) {
        return hold(filter, request, due_ns);
    }
    request->tag = due_ns;
    request->next = NULL;
    filter->u.delay.arc = request;
    arm(filter);
    return FERRY_PENDING;
}

/* A request that was held goes its way. */
static void release(struct ferry_filter *filter, struct ferry_request *request)
{
    int status;

    request->next = NULL;
    status = filter_forward(filter, request);
    if (status != FERRY_PENDING) {
        filter_end(request, status);
    }
}

static struct ferry_request *take_first(struct ferry_filter *filter)
{
    struct ferry_request *request = filter->u.delay.first;

    filter->u.delay.first = request->next;
    if (request->next == NULL) {
        filter->u.delay.last = NULL;
    }
    filter->u.delay.count--;
    return request;
}

static void tell_over(struct ferry_filter *filter)
{
    while (filter->u.delay.over != NULL) {
        struct ferry_request *request = filter->u.delay.over;

        filter->u.delay.over = request->next;
        filter_end(request, request->status);
    }
}

/* One held request that is due. Return: 1 when there was one. */
static int release_next(struct ferry_filter *filter, uint64_t now_ns)
{
    struct ferry_request *request = filter->u.delay.arc;

    if (request != NULL && request->tag <= now_ns) {
        filter->u.delay.arc = NULL;
        release(filter, request);
        return 1;
    }
    if (filter->u.delay.first == NULL || filter->u.delay.first->tag > now_ns) {
        return 0;
    }
    request = take_first(filter);
    if (request->kind == FERRY_RQ_RESET) {
        cancel_arc(filter);
        tell_over(filter);
    } else if (is_arc(request) && filter->u.delay.arc != NULL) {
        filter_end(request, FERRY_E_BUSY);
        return 1;
    }
    release(filter, request);
    return 1;
}

static int delay_work(struct ferry_filter *filter)
{
    const uint64_t now_ns = ferry_os_now_ns();
    uint32_t slice = DELAY_SLICE;

    (void)ferry_loop_dispatch(filter->u.delay.loop, 0);
    tell_over(filter);
    while (slice > 0 && release_next(filter, now_ns)) {
        slice--;
    }
    arm(filter);
    return slice == 0;
}

static void delay_detach(struct ferry_filter *filter)
{
    tell_over(filter);
    while (filter->u.delay.first != NULL) {
        filter_end(take_first(filter), FERRY_E_CLOSED);
    }
    if (filter->u.delay.arc != NULL) {
        struct ferry_request *arc = filter->u.delay.arc;

        filter->u.delay.arc = NULL;
        filter_end(arc, FERRY_E_CLOSED);
    }
    arm(filter);
}

static int delay_wake_fd(struct ferry_filter *filter)
{
    return ferry_loop_fd(filter->u.delay.loop);
}

static int delay_dma(struct ferry_filter *filter, int write, uint64_t iova, void *data,
                     size_t size)
{
    ferry_os_sleep_ns(filter->u.delay.ns);
    return filter_port(filter, write, iova, data, size);
}

const struct filter_kind filter_delay = {
    .name = "delay",
    .example = "delay=stop_copy:200ms",
    .open = delay_open,
    .close = delay_close,
    .detach = delay_detach,
    .submit = delay_submit,
    .work = delay_work,
    .wake_fd = delay_wake_fd,
    .dma = delay_dma,
    .operations = FILTER_TAKES_ALL,
};
