/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small VMM for test_bridge_preload.py: it knows nothing of the bridge but the tokens
 * that it makes for itself, and is run with the bridge in front of its C library.
 *
 * usage: preloaded SCENARIO SOCKET
 * Exit: 0; 1 with the line of what did not hold on standard error.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ferry/bridge.h"

#define CONFIG 7u     /* VFIO's number of the configuration space */
#define VENDOR 0xfe44 /* of the copy model */
#define RACES 20
#define LIMIT_S 30u

#define CHECK(condition) check((condition) != 0, __LINE__)

static void check(int holds, int line)
{
    if (!holds) {
        fprintf(stderr, "preloaded.c:%d: does not hold (errno %d)\n", line, errno);
        _exit(1);
    }
}

/* What fortified programs call; as QEMU 10.0 does. */
ssize_t __read_chk(int fd, void *data, size_t count, size_t room);
ssize_t __pread_chk(int fd, void *data, size_t count, off_t off, size_t room);
ssize_t __pread64_chk(int fd, void *data, size_t count, off64_t off, size_t room);

struct bind {
    uint32_t argsz, flags;
    int32_t iommufd;
    uint32_t out_devid;
};

struct ioas_alloc {
    uint32_t size, flags, out_ioas_id;
};

#define BIND _IO(VFIO_TYPE, VFIO_BASE + 18)
#define IOAS_ALLOC _IO(VFIO_TYPE, 0x81)

struct vm {
    int iommu, device;
    off_t config;
};

static int device_token(const char *path)
{
    const struct ferry_bridge_device device = {
        .struct_size = sizeof(device), .name = "dev", .path = path, .timeout_ms = 5000
    };
    int fd = -1;

    CHECK(ferry_bridge_device_token(&device, &fd, NULL) == FERRY_OK);
    return fd;
}

static int iommu_token(void)
{
    int fd = -1;

    CHECK(ferry_bridge_iommu_token(&fd, NULL) == FERRY_OK);
    return fd;
}

static int is_iommu(int fd)
{
    struct ioas_alloc alloc = { .size = sizeof(alloc) };

    return ioctl(fd, IOAS_ALLOC, &alloc) == 0 && alloc.out_ioas_id != 0;
}

static void bind_device(struct vm *vm)
{
    struct bind bind = { .argsz = sizeof(bind), .iommufd = vm->iommu };
    struct vfio_region_info region = { .argsz = sizeof(region), .index = CONFIG };

    CHECK(ioctl(vm->device, BIND, &bind) == 0);
    CHECK(ioctl(vm->device, VFIO_DEVICE_GET_REGION_INFO, &region) == 0);
    vm->config = (off_t)region.offset;
}

static struct vm make_vm(const char *path)
{
    struct vm vm = { .iommu = iommu_token(), .device = device_token(path) };

    bind_device(&vm);
    return vm;
}

static int answers(const struct vm *vm, int fd)
{
    uint16_t vendor = 0;

    return pread(fd, &vendor, 2, vm->config) == 2 && vendor == VENDOR;
}

static int exit_of(pid_t child)
{
    int status = -1;

    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* Sends a descriptor to itself, as QMP's getfd would. */
static int send_and_receive(int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { { 0 } };
    char byte = 0;
    struct iovec iov = { &byte, 1 };
    struct msghdr message = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control.bytes) };
    int pair[2];
    int fresh = -1;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
    CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
    CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
    CHECK(sendmsg(pair[0], &message, 0) == 1);
    CHECK(recvmsg(pair[1], &message, 0) == 1);
    memcpy(&fresh, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fresh));
    close(pair[0]);
    close(pair[1]);
    return fresh;
}

/* Each way to another number leads to the same device, as long as one is left. */
static void copies(const char *path)
{
    struct vm vm = make_vm(path);
    struct bind bind = { .argsz = sizeof(bind), .iommufd = vm.iommu };
    int fd[8];
    size_t count = 0;
    size_t i;

    fd[count++] = dup(vm.device);
    fd[count++] = fcntl(vm.device, F_DUPFD, 100);
    fd[count++] = fcntl(vm.device, F_DUPFD_CLOEXEC, 2000);
    fd[count] = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(dup2(vm.device, fd[count]) == fd[count]);
    count++;
    fd[count] = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(dup3(vm.device, fd[count], O_CLOEXEC) == fd[count]);
    count++;
    fd[count] = send_and_receive(vm.device);
    /* Nobody saw it come: the first request finds out, and it is bound already. */
    CHECK(ioctl(fd[count], BIND, &bind) < 0 && errno == EINVAL);
    count++;
    close(vm.device);
    for (i = 0; i < count; i++) {
        CHECK(answers(&vm, fd[i]));
    }
    /* What takes a copy's place is that other file. */
    vm.device = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(dup2(vm.device, fd[0]) == fd[0] && !answers(&vm, fd[0]));
    for (i = 0; i + 1 < count; i++) {
        close(fd[i]);
    }
    CHECK(answers(&vm, fd[count - 1]));
    CHECK(close_range((unsigned)fd[count - 1], (unsigned)fd[count - 1], 0) == 0);
    CHECK(!answers(&vm, fd[count - 1]));
}

/* Every function leads to the device, and keeps errno when it succeeds. */
static void functions(const char *path)
{
    struct vm vm = make_vm(path);
    struct vfio_device_info info = { .argsz = sizeof(info) };
    unsigned char want[4];
    unsigned char got[4] = { 0 };
    struct iovec iov[2] = { { got, 1 }, { got + 1, 3 } };

    errno = E2BIG;
    CHECK(pread(vm.device, want, 4, vm.config) == 4 && errno == E2BIG);
    CHECK(want[0] == (VENDOR & 0xff) && want[1] == VENDOR >> 8);
    CHECK(pread64(vm.device, got, 4, vm.config) == 4 && memcmp(want, got, 4) == 0);
    memset(got, 0, 4);
    CHECK(__pread64_chk(vm.device, got, 4, vm.config, 4) == 4);
    CHECK(memcmp(want, got, 4) == 0);
    memset(got, 0, 4);
    CHECK(__pread_chk(vm.device, got, 4, vm.config, 4) == 4);
    CHECK(memcmp(want, got, 4) == 0);
    memset(got, 0, 4);
    CHECK(preadv(vm.device, iov, 2, vm.config) == 4 && memcmp(want, got, 4) == 0);
    memset(got, 0, 2); /* COMMAND */
    CHECK(pwrite(vm.device, got, 2, vm.config + 4) == 2);
    CHECK(pwrite64(vm.device, got, 2, vm.config + 4) == 2);
    CHECK(pwritev(vm.device, &(struct iovec){ got, 2 }, 1, vm.config + 4) == 2);
    CHECK(ioctl(vm.device, VFIO_DEVICE_GET_INFO, &info) == 0);
    CHECK(info.flags & VFIO_DEVICE_FLAGS_PCI && errno == E2BIG);

    CHECK(read(vm.device, got, 4) == -1 && errno == EINVAL);
    CHECK(__read_chk(vm.device, got, 4, 4) == -1 && errno == EINVAL);
    CHECK(readv(vm.device, iov, 2) == -1 && errno == EINVAL);
    CHECK(write(vm.device, got, 4) == -1 && errno == EINVAL);
    CHECK(writev(vm.device, iov, 2) == -1 && errno == EINVAL);
    CHECK(pread(vm.device, got, 4, -1) == -1 && errno == EINVAL);
    CHECK(pread(vm.iommu, got, 4, 0) == -1 && errno == EINVAL);
    CHECK(ioctl(vm.device, _IO(VFIO_TYPE, 99), 0) == -1 && errno == ENOTTY);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.iommu, 0) == MAP_FAILED);
    CHECK(errno == ENODEV);
}

/* The device's memory lies behind a BAR, and is the same in each mapping of it. */
static void maps(const char *path)
{
    struct vm vm = make_vm(path);
    struct vfio_region_info region = { .argsz = sizeof(region) };
    volatile uint32_t *one;
    volatile uint32_t *two;
    void *place;

    while (region.index < 6) {
        CHECK(ioctl(vm.device, VFIO_DEVICE_GET_REGION_INFO, &region) == 0);
        /* One that can be mapped whole: what is said of areas needs more room. */
        if (region.flags & VFIO_REGION_INFO_FLAG_MMAP &&
            !(region.flags & VFIO_REGION_INFO_FLAG_CAPS)) {
            break;
        }
        region = (struct vfio_region_info){ .argsz = sizeof(region),
                                            .index = region.index + 1 };
    }
    CHECK(region.index < 6 && region.size >= 8192);
    place = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    one = mmap(place, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, vm.device,
               (off_t)region.offset + 4096);
    CHECK(one == place);
    two = mmap64(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, vm.device,
                 (off_t)region.offset);
    CHECK(two != MAP_FAILED);
    one[3] = 0x12345678;
    CHECK(two[1024 + 3] == 0x12345678);
    CHECK(munmap(place, 8192) == 0);
    two[1024 + 3]++;
    CHECK(two[1024 + 3] == 0x12345679);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.device,
               (off_t)(region.offset + region.size)) == MAP_FAILED);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.device, vm.config) == MAP_FAILED);
}

/* What a shell sees of the bridge. */
static void children(const char *path)
{
    static const char look[] = "grep -c libferry-bridge /proc/self/maps; :";
    char line[16] = "";
    struct vm vm;
    FILE *shell;

    /* A wrapper that executes the VMM must hand the bridge on. */
    shell = popen(look, "re");
    CHECK(shell && fgets(line, sizeof(line), shell) && atoi(line) > 0);
    pclose(shell);
    CHECK(strstr(getenv("LD_PRELOAD"), "libferry-bridge") != NULL);
    vm = make_vm(path);
    CHECK(strstr(getenv("LD_PRELOAD"), "libferry-bridge") == NULL);
    shell = popen(look, "re");
    CHECK(shell && fgets(line, sizeof(line), shell) && atoi(line) == 0);
    pclose(shell);
    CHECK(answers(&vm, vm.device));
}

static void in_child(int kind)
{
    int fd;

    switch (kind) {
    case 0:
        for (fd = 3; fd < 4096; fd++) {
            close(fd);
        }
        break;
    case 1:
        CHECK(close_range(3, UINT32_MAX, 0) == 0);
        break;
    default:
        closefrom(3);
        break;
    }
}

/* Children that tidy up, as before an exec, do not speak for their parent. */
static void forks(const char *path)
{
    struct vm vm = make_vm(path);
    int kind;

    for (kind = 0; kind < 3; kind++) {
        pid_t child = fork();

        if (child == 0) {
            /* Its parent's connection is not one of its own. */
            CHECK(!answers(&vm, vm.device));
            in_child(kind);
            _exit(0);
        }
        CHECK(exit_of(child) == 0);
        CHECK(answers(&vm, vm.device));
        child = vfork();
        if (child == 0) {
            in_child(kind);
            _exit(0);
        }
        CHECK(exit_of(child) == 0);
        CHECK(answers(&vm, vm.device));
    }
}

static int count_of(const char *folder)
{
    DIR *entries = opendir(folder);
    int count = 0;

    CHECK(entries != NULL);
    while (readdir(entries) != NULL) {
        count++;
    }
    closedir(entries);
    return count - 2;
}

/* QEMU's -daemonize: two forks between the start and the first request. */
static void daemon_of(const char *path)
{
    int fds = count_of("/proc/self/fd");
    struct vm vm = { .iommu = iommu_token(), .device = device_token(path) };
    int pipes[2];
    char done = 'n';

    CHECK(count_of("/proc/self/task") == 1);
    CHECK(count_of("/proc/self/fd") ==
          fds + 2); /* the tokens: the bridge has opened nothing */
    CHECK(pipe2(pipes, O_CLOEXEC) == 0);
    if (fork() == 0) {
        CHECK(setsid() > 0);
        if (fork() == 0) {
            bind_device(&vm);
            CHECK(answers(&vm, vm.device));
            CHECK(write(pipes[1], "y", 1) == 1);
        }
        _exit(0);
    }
    close(pipes[1]);
    CHECK(read(pipes[0], &done, 1) == 1 && done == 'y');
}

/* A token that was used before a fork is a fresh device in the child. */
static void second_life(const char *path)
{
    struct vm vm = { .iommu = iommu_token(), .device = device_token(path) };
    pid_t child;

    CHECK(is_iommu(vm.iommu));
    child = fork();
    if (child == 0) {
        bind_device(&vm);
        CHECK(answers(&vm, vm.device));
        _exit(0);
    }
    CHECK(exit_of(child) == 0);
    bind_device(&vm);
    CHECK(answers(&vm, vm.device));
}

/* Other people's descriptors and requests are as they were. */
static void others(const char *path)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int file = memfd_create("other", MFD_CLOEXEC);
    int bytes = -1;
    int pipes[2];
    char *mapping;
    char text[8] = "";

    (void)path;
    errno = 0;
    CHECK(ioctl(null, BIND, text) == -1 && errno == ENOTTY);
    CHECK(ioctl(file, IOAS_ALLOC, text) == -1 && errno == ENOTTY);
    CHECK(ioctl(-1, IOAS_ALLOC, text) == -1 && errno == EBADF);
    CHECK(close(-1) == -1 && errno == EBADF);
    CHECK(dup(-1) == -1 && dup2(-1, null) == -1 && errno == EBADF);
    CHECK(pipe2(pipes, O_CLOEXEC) == 0 && write(pipes[1], "hello", 5) == 5);
    CHECK(ioctl(pipes[0], FIONREAD, &bytes) == 0 && bytes == 5);
    CHECK(fcntl(pipes[0], F_SETFL, O_NONBLOCK) == 0);
    CHECK(fcntl(pipes[0], F_GETFL) & O_NONBLOCK);
    CHECK(__read_chk(pipes[0], text, 5, sizeof(text)) == 5);
    CHECK(memcmp(text, "hello", 5) == 0);
    CHECK(read(pipes[0], text, 1) == -1 && errno == EAGAIN);
    CHECK(pread(pipes[0], text, 1, 0) == -1 && errno == ESPIPE);
    CHECK(pwrite(file, "ferry", 5, 1) == 5 && pread(file, text, 5, 1) == 5);
    CHECK(memcmp(text, "ferry", 5) == 0);
    CHECK(pread(file, text, 1, 77) == 0);
    CHECK(ftruncate(file, 8192) == 0);
    mapping = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK(mapping != MAP_FAILED && memcmp(mapping + 1, "ferry", 5) == 0);
    mapping = mremap(mapping, 8192, 4096, 0);
    CHECK(mapping != MAP_FAILED && mapping[1] == 'f');
    CHECK(munmap(mapping, 4096) == 0);
    CHECK(readv(file, &(struct iovec){ text, 1 }, 1) == 1);
    CHECK(close(null) == 0 && close(null) == -1 && errno == EBADF);
}

/* What QEMU tells KVM of a device of ours. Return: the pseudo device. */
static int tell_kvm(int vm, int device)
{
    struct kvm_create_device create = { .type = KVM_DEV_TYPE_VFIO,
                                        .flags = KVM_CREATE_DEVICE_TEST };
    struct kvm_device_attr attr = { .group = 1, .attr = 1, .addr = (uintptr_t)&device };

    CHECK(ioctl(vm, KVM_CREATE_DEVICE, &create) == 0);
    create.flags = 0;
    CHECK(ioctl(vm, KVM_CREATE_DEVICE, &create) == 0);
    CHECK(ioctl((int)create.fd, KVM_SET_DEVICE_ATTR, &attr) == 0);
    attr.attr = 2;
    CHECK(ioctl((int)create.fd, KVM_SET_DEVICE_ATTR, &attr) == 0);
    CHECK(ioctl((int)create.fd, KVM_HAS_DEVICE_ATTR, &attr) == 0);
    attr.group = 5;
    CHECK(ioctl((int)create.fd, KVM_SET_DEVICE_ATTR, &attr) == -1 && errno == ENXIO);
    return (int)create.fd;
}

/* KVM would refuse the device; a kernel without VFIO has no such pseudo device. */
static void kvm(const char *path)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC); /* refuses like such a kernel */
    int device = device_token(path);
    struct kvm_create_device create = { .type = KVM_DEV_TYPE_FSL_MPIC_20 };
    struct kvm_device_attr attr = { .group = 1, .attr = 1, .addr = (uintptr_t)&device };
    int real = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = real < 0 ? -1 : ioctl(real, KVM_CREATE_VM, 0);

    CHECK(close(tell_kvm(nothing, device)) == 0);
    if (vm >= 0) {
        CHECK(close(tell_kvm(vm, device)) == 0);
    }
    /* Everything else is KVM's own answer. */
    CHECK(ioctl(nothing, KVM_SET_DEVICE_ATTR, &attr) == -1 && errno == ENOTTY);
    CHECK(ioctl(nothing, KVM_CREATE_DEVICE, &create) == -1 && errno == ENOTTY);
    CHECK(ioctl(-1, KVM_CREATE_DEVICE, &create) == -1 && errno == EBADF);
    create.type = KVM_DEV_TYPE_VFIO;
    CHECK(ioctl(-1, KVM_CREATE_DEVICE, &create) == -1 && errno == EBADF);
}

/* A token that cannot be used is as good as any file, and said. */
static void refused(const char *path)
{
    static const char *const text[] = { "ferry-bridge 1\nkind=iommu\n",
                                        "ferry-bridge 2\nkind=iommu\n" };
    const int seals[] = { F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK,
                          F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL };
    struct vm vm = { .iommu = -1, .device = device_token("/no/such/server.sock") };
    struct bind bind = { .argsz = sizeof(bind), .iommufd = iommu_token() };
    size_t i;

    (void)path;
    for (i = 0; i < 2; i++) {
        int fd = memfd_create("ferry-iommu", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        CHECK(write(fd, text[i], strlen(text[i])) == (ssize_t)strlen(text[i]));
        CHECK(fcntl(fd, F_ADD_SEALS, seals[i]) == 0);
        CHECK(!is_iommu(fd) && errno == ENOTTY);
        close(fd);
    }
    CHECK(ioctl(vm.device, BIND, &bind) == -1);
}

struct busy {
    struct vm vm;
    atomic_int is_over;
    atomic_int count;
};

static void *keep_reading(void *arg)
{
    struct busy *busy = arg;

    while (!atomic_load(&busy->is_over)) {
        /* EBADF or EINVAL after the close, but never memory that is gone. */
        atomic_fetch_add(&busy->count, answers(&busy->vm, busy->vm.device));
    }
    return NULL;
}

/* A close while other threads are in a call, again and again. */
static void races(const char *path)
{
    int i;

    for (i = 0; i < RACES; i++) {
        struct busy busy = { .vm = make_vm(path) };
        pthread_t thread[2];

        CHECK(pthread_create(&thread[0], NULL, keep_reading, &busy) == 0);
        CHECK(pthread_create(&thread[1], NULL, keep_reading, &busy) == 0);
        while (atomic_load(&busy.count) < 20) {
            sched_yield();
        }
        CHECK(close(busy.vm.device) == 0);
        atomic_store(&busy.is_over, 1);
        pthread_join(thread[0], NULL);
        pthread_join(thread[1], NULL);
        close(busy.vm.iommu);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(const char *path);
    } scenario[] = {
        { "copies", copies },   { "functions", functions },
        { "maps", maps },       { "children", children },
        { "forks", forks },     { "daemon", daemon_of },
        { "others", others },   { "second_life", second_life },
        { "kvm", kvm },         { "races", races },
        { "refused", refused },
    };
    size_t i;

    alarm(LIMIT_S); /* rather dead than hanging */
    for (i = 0; argc > 2 && i < sizeof(scenario) / sizeof(scenario[0]); i++) {
        if (strcmp(argv[1], scenario[i].name) == 0) {
            scenario[i].run(argv[2]);
            return 0;
        }
    }
    fprintf(stderr, "usage: preloaded SCENARIO SOCKET\n");
    return 2;
}
