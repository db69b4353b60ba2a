/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridge/device/device.h"
#include "bridge/iommu/iommu.h"
#include "bridge/preload/table.h"
#include "bridge/preload/tokens/known.h"
#include "ferry/bridge.h"

#define THREADS 3u
#define ROUNDS 3000u
#define GIVEN_UP 0xdeadu

/* Stands in for a device or an iommufd. */
struct thing {
    struct bridge_object object;
    atomic_uint alive; /* 1, GIVEN_UP after its end */
    char name[32];
};

static atomic_uint destroyed;
static atomic_uint created;

static void destroy(struct bridge_object *object)
{
    struct thing *thing = (struct thing *)object;

    assert_int_equal(atomic_exchange(&thing->alive, GIVEN_UP), 1);
    atomic_fetch_add(&destroyed, 1);
    free(thing);
}

static long is_alive(struct bridge_object *object, unsigned long request, void *arg)
{
    (void)request;
    (void)arg;
    return atomic_load(&((struct thing *)object)->alive) == 1;
}

static const struct bridge_object_ops ops = { .kind = "thing",
                                              .ioctl = is_alive,
                                              .destroy = destroy };

static struct thing *make_thing(void)
{
    struct thing *thing = calloc(1, sizeof(*thing));

    assert_non_null(thing);
    bridge_object_init(&thing->object, &ops);
    atomic_store(&thing->alive, 1);
    atomic_fetch_add(&created, 1);
    return thing;
}

/* In place of the real ones: what a token becomes is not this test's. */
int bridge_device_create(const struct bridge_token *token,
                         struct bridge_object **ret_object)
{
    struct thing *thing = make_thing();

    memcpy(thing->name, token->name, sizeof(thing->name));
    *ret_object = &thing->object;
    return 0;
}

int bridge_iommu_create(const struct bridge_token *token,
                        struct bridge_object **ret_object)
{
    return bridge_device_create(token, ret_object);
}

static int make_token(const char *path)
{
    const struct ferry_bridge_device device = { .struct_size = sizeof(device),
                                                .path = path };
    int fd = -1;

    assert_int_equal(ferry_bridge_device_token(&device, &fd, NULL), FERRY_OK);
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    atomic_store(&destroyed, 0);
    atomic_store(&created, 0);
    return 0;
}

static void an_object_lives_as_long_as_a_descriptor_stands_for_it(void **state)
{
    struct thing *thing = make_thing();
    struct bridge_object *got;

    (void)state;
    assert_int_equal(bridge_table_put(7, &thing->object), 0);
    assert_int_equal(bridge_table_put(900000, &thing->object), 0);
    bridge_object_put(&thing->object);
    got = bridge_table_get(7);
    assert_ptr_equal(got, &thing->object);
    bridge_table_drop(7);
    assert_null(bridge_table_get(7));
    bridge_table_drop(900000);
    assert_int_equal(atomic_load(&destroyed), 0); /* a call is still under way */
    errno = E2BIG;
    bridge_object_put(got);
    assert_int_equal(errno, E2BIG);
    assert_int_equal(atomic_load(&destroyed), 1);
}

static void a_number_that_cannot_be_a_descriptor_stands_for_nothing(void **state)
{
    struct thing *thing = make_thing();

    (void)state;
    assert_int_equal(bridge_table_put(-1, &thing->object), -EBADF);
    assert_int_equal(bridge_table_put((int)BRIDGE_FDS_MAX, &thing->object), -ENFILE);
    assert_null(bridge_table_get(-1));
    assert_null(bridge_table_get((int)BRIDGE_FDS_MAX));
    assert_null(bridge_table_get(INT32_MAX));
    bridge_table_drop(-1);
    bridge_table_drop(INT32_MAX);
    bridge_object_put(&thing->object);
    assert_int_equal(atomic_load(&destroyed), 1);
}

static void a_copy_takes_the_place_of_what_was_there(void **state)
{
    struct thing *one = make_thing();
    struct thing *two = make_thing();
    struct bridge_object *got;

    (void)state;
    assert_int_equal(bridge_table_put(3000, &one->object), 0);
    assert_int_equal(bridge_table_put(3001, &two->object), 0);
    bridge_object_put(&one->object);
    bridge_object_put(&two->object);
    bridge_table_copy(3000, 3001);
    assert_int_equal(atomic_load(&destroyed), 1);
    got = bridge_table_get(3001);
    assert_ptr_equal(got, &one->object);
    bridge_object_put(got);
    bridge_table_copy(3002, 3001); /* a dup2() of something else */
    assert_null(bridge_table_get(3001));
    bridge_table_copy(3000, 3000);
    bridge_table_drop_range(2999, UINT32_MAX);
    assert_null(bridge_table_get(3000));
    assert_int_equal(atomic_load(&destroyed), 2);
}

static void a_token_is_one_object_under_every_number(void **state)
{
    int fd = make_token("/run/acc.sock");
    int second = dup(fd); /* where nobody saw it */
    struct bridge_object *object;
    struct bridge_object *same;

    (void)state;
    object = bridge_table_recognise(fd);
    assert_non_null(object);
    assert_string_equal(((struct thing *)object)->name, "acc.sock");
    same = bridge_table_recognise(second);
    assert_ptr_equal(same, object);
    bridge_object_put(same);
    bridge_object_put(object);
    bridge_table_drop(fd);
    close(fd);
    assert_int_equal(atomic_load(&destroyed), 0);
    bridge_table_drop(second);
    assert_int_equal(atomic_load(&destroyed), 1);
    /* The token itself is still there: used again, it is a new device. */
    object = bridge_table_recognise(second);
    assert_non_null(object);
    assert_int_equal(atomic_load(&created), 2);
    bridge_object_put(object);
    bridge_table_drop(second);
    close(second);
    assert_int_equal(atomic_load(&destroyed), 2);
}

static void other_files_are_not_recognised(void **state)
{
    int fd[3] = { open("/dev/null", O_RDWR | O_CLOEXEC),
                  memfd_create("ferry-device", MFD_CLOEXEC), -1 };
    size_t i;

    (void)state;
    errno = E2BIG;
    for (i = 0; i < 3; i++) {
        assert_null(bridge_table_recognise(fd[i]));
        assert_int_equal(errno, E2BIG);
    }
    close(fd[0]);
    close(fd[1]);
    assert_int_equal(atomic_load(&created), 0);
}

struct race {
    atomic_uint over;
    atomic_uint found;
    atomic_uint dead_found;
};

static void *look(void *arg)
{
    struct race *race = arg;

    while (!atomic_load(&race->over)) {
        struct bridge_object *object = bridge_table_get(50);

        if (object) {
            atomic_fetch_add(&race->found, 1);
            if (object->ops->ioctl(object, 0, NULL) != 1) {
                atomic_fetch_add(&race->dead_found, 1);
            }
            bridge_object_put(object);
        }
    }
    return NULL;
}

static void a_close_cannot_destroy_what_another_thread_just_found(void **state)
{
    struct race race = { 0 };
    pthread_t thread[THREADS];
    uint32_t i;

    (void)state;
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, look, &race), 0);
    }
    for (i = 0; i < ROUNDS || (atomic_load(&race.found) < ROUNDS && i < 1000 * ROUNDS);
         i++) {
        struct thing *thing = make_thing();

        assert_int_equal(bridge_table_put(50, &thing->object), 0);
        bridge_object_put(&thing->object);
        if (i % 2 == 0) {
            bridge_table_copy(50, 51);
            bridge_table_drop(51);
        }
        if (i % 64 == 0) {
            sched_yield();
        }
        bridge_table_drop(50);
    }
    atomic_store(&race.over, 1);
    for (i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    assert_true(atomic_load(&race.found) > 0);
    assert_int_equal(atomic_load(&race.dead_found), 0);
    assert_int_equal(atomic_load(&destroyed), atomic_load(&created));
}

static void *recognise(void *arg)
{
    const int *fd = arg;
    uint32_t i;

    for (i = 0; i < ROUNDS; i++) {
        struct bridge_object *object = bridge_table_recognise(*fd);

        if (object == NULL || object->ops->ioctl(object, 0, NULL) != 1) {
            return NULL;
        }
        bridge_object_put(object);
        bridge_table_drop(*fd);
    }
    return arg;
}

/* The last reference goes while another thread looks the token up. */
static void a_token_that_is_looked_up_in_its_last_moment_is_alive(void **state)
{
    int fd[THREADS] = { make_token("/run/acc.sock") };
    pthread_t thread[THREADS];
    uint32_t i;

    (void)state;
    for (i = 1; i < THREADS; i++) {
        fd[i] = dup(fd[0]);
    }
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, recognise, &fd[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        void *result = NULL;

        pthread_join(thread[i], &result);
        assert_non_null(result);
    }
    for (i = 0; i < THREADS; i++) {
        close(fd[i]);
    }
    assert_int_equal(atomic_load(&destroyed), atomic_load(&created));
}

static int exit_of(pid_t child)
{
    int status = -1;

    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What a vfork()ed child closes are its own descriptors; the memory is the parent's. */
static void a_process_that_only_shares_the_memory_changes_nothing(void **state)
{
    struct thing *thing = make_thing();
    struct bridge_object *got;
    pid_t child;

    (void)state;
    assert_int_equal(bridge_table_put(60, &thing->object), 0);
    bridge_object_put(&thing->object);
    child = vfork();
    if (child == 0) {
        bridge_table_drop(60);
        bridge_table_drop_range(0, UINT32_MAX);
        bridge_table_copy(61, 60);
        _exit(0);
    }
    assert_int_equal(exit_of(child), 0);
    got = bridge_table_get(60);
    assert_ptr_equal(got, &thing->object);
    bridge_object_put(got);
    bridge_table_drop(60);
}

static void a_forked_child_begins_anew(void **state)
{
    int fd = make_token("/run/acc.sock");
    struct bridge_object *object = bridge_table_recognise(fd);
    pid_t child;

    (void)state;
    assert_non_null(object);
    child = fork();
    if (child == 0) {
        struct bridge_object *mine;
        int was_forgotten;

        bridge_known_fork_prepare();
        bridge_known_fork_child();
        bridge_table_fork_child();
        was_forgotten = bridge_table_get(fd) == NULL;
        mine = bridge_table_recognise(fd);
        _exit(was_forgotten && mine && mine != object && atomic_load(&destroyed) == 0
                  ? 0
                  : 1);
    }
    assert_int_equal(exit_of(child), 0);
    bridge_object_put(object);
    bridge_table_drop(fd);
    close(fd);
    assert_int_equal(atomic_load(&destroyed), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_object_lives_as_long_as_a_descriptor_stands_for_it,
                               set_up),
        cmocka_unit_test_setup(a_number_that_cannot_be_a_descriptor_stands_for_nothing,
                               set_up),
        cmocka_unit_test_setup(a_copy_takes_the_place_of_what_was_there, set_up),
        cmocka_unit_test_setup(a_token_is_one_object_under_every_number, set_up),
        cmocka_unit_test_setup(other_files_are_not_recognised, set_up),
        cmocka_unit_test_setup(a_close_cannot_destroy_what_another_thread_just_found,
                               set_up),
        cmocka_unit_test_setup(a_token_that_is_looked_up_in_its_last_moment_is_alive,
                               set_up),
        cmocka_unit_test_setup(a_process_that_only_shares_the_memory_changes_nothing,
                               set_up),
        cmocka_unit_test_setup(a_forked_child_begins_anew, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
