/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/doctor/doctor.h"
#include "ferry/host.h"

/* vfio-user devices and contexts were tried from this kernel on. */
#define KERNEL_MAJOR 5u
#define KERNEL_MINOR 10u

static void check_kernel(struct doctor *doctor)
{
    char release[96] = "";
    unsigned major = 0, minor = 0;
    int good;

    doctor_read(doctor, "/proc/sys/kernel/osrelease", release, sizeof(release));
    good = sscanf(release, "%u.%u", &major, &minor) == 2 &&
           (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR));
    doctor_note(doctor, "kernel", good ? DOCTOR_GOOD : DOCTOR_LESS,
                "Ferry is tested on Linux 5.10 and later", "update the kernel", "%s",
                release[0] != '\0' ? release : "unknown");
}

static void check_memory(struct doctor *doctor)
{
    struct ferry_error error = { .code = FERRY_OK };
    void *address = NULL;
    int fd = -1, status;

    if (doctor->root[0] != '\0') {
        return; /* a folder says nothing of what the kernel does */
    }
    status = ferry_memory_create(FERRY_PAGE_BYTES, &fd, &address, &error);
    doctor_note(doctor, "memfd", status == FERRY_OK ? DOCTOR_GOOD : DOCTOR_BAD,
                "a context's memory is a memfd, which its devices map",
                "allow memfd_create and mmap to this process", "%s",
                status == FERRY_OK ? "works" : error.text);
    if (status == FERRY_OK) {
        munmap(address, FERRY_PAGE_BYTES);
        close(fd);
    }
}

static void check_hugepages(struct doctor *doctor)
{
    char text[4096];
    unsigned long long total = 0, kib = 0;
    char *at;

    doctor_read(doctor, "/proc/meminfo", text, sizeof(text));
    at = strstr(text, "HugePages_Total:");
    if (at != NULL && sscanf(at, "HugePages_Total: %llu", &total) != 1) {
        total = 0;
    }
    at = strstr(text, "Hugepagesize:");
    if (at != NULL && sscanf(at, "Hugepagesize: %llu", &kib) != 1) {
        kib = 0;
    }
    doctor_note(doctor, "huge pages", total > 0 ? DOCTOR_GOOD : DOCTOR_LESS,
                "memory of a VMM in huge pages is faster to reach",
                "only if your VMM wants them: sysctl vm.nr_hugepages", "%llu of %llu KiB",
                total, kib);
}

static void check_cores(struct doctor *doctor)
{
    char text[256] = "";
    size_t count = 0;
    const char *at = text;
    int length = 0;
    unsigned first, last;

    doctor_read(doctor, "/sys/devices/system/cpu/online", text, sizeof(text));
    /* "0-3,5" */
    while (sscanf(at, "%u%n", &first, &length) == 1) {
        at += length;
        last = first;
        if (*at == '-' && sscanf(at, "-%u%n", &last, &length) == 1) {
            at += length;
        }
        count += last >= first ? last - first + 1 : 0;
        if (*at++ != ',') {
            break;
        }
    }
    doctor_note(doctor, "cores", count >= 2 ? DOCTOR_GOOD : DOCTOR_LESS,
                "device and user work at the same time on cores of their own",
                "give it two cores; downtime is longer with one", "%zu", count);
}

static void check_loopback(struct doctor *doctor)
{
    char text[32] = "";
    unsigned flags = 0;
    int up = doctor_read(doctor, "/sys/class/net/lo/flags", text, sizeof(text)) &&
             sscanf(text, "%x", &flags) == 1 && (flags & 1u) != 0;

    doctor_note(doctor, "loopback", up ? DOCTOR_GOOD : DOCTOR_LESS,
                "contexts move over TCP on this machine, and the demo and tests do",
                "ip link set lo up; or move over unix:PATH", "%s",
                up ? "up" : "down or not there");
}

static void check_kvm(struct doctor *doctor)
{
    int there = doctor_exists(doctor, "/dev/kvm");

    doctor_note(doctor, "KVM", there ? DOCTOR_GOOD : DOCTOR_LESS,
                "a guest in QEMU runs at full speed; Ferry itself does without",
                "load kvm_intel or kvm_amd, or allow nested virtualization", "%s",
                there ? "/dev/kvm" : "no /dev/kvm");
}

static void check_vfio(struct doctor *doctor)
{
    static const char means[] =
        "devices of the kernel; those that Ferry serves over vfio-user do without";
    int vfio = doctor_exists(doctor, "/dev/vfio/vfio");
    int iommufd = doctor_exists(doctor, "/dev/iommu");
    size_t cdevs = doctor_entries(doctor, "/dev/vfio/devices");
    size_t groups = doctor_entries(doctor, "/sys/kernel/iommu_groups");

    doctor_note(doctor, "VFIO", vfio ? DOCTOR_GOOD : DOCTOR_LESS, means,
                "modprobe vfio-pci", "%s", vfio ? "/dev/vfio/vfio" : "no /dev/vfio/vfio");
    doctor_note(doctor, "iommufd", iommufd ? DOCTOR_GOOD : DOCTOR_LESS, means,
                "Linux 6.2 or later with iommufd; modprobe iommufd",
                "%s, %zu devices in /dev/vfio/devices",
                iommufd ? "/dev/iommu" : "no /dev/iommu", cdevs);
    doctor_note(doctor, "IOMMU groups", groups > 0 ? DOCTOR_GOOD : DOCTOR_LESS, means,
                "turn the IOMMU on in the firmware, and with intel_iommu=on", "%zu",
                groups);
}

static void check_confinement(struct doctor *doctor)
{
    char text[256] = "";
    int seccomp = doctor_exists(doctor, "/proc/sys/kernel/seccomp/actions_avail");
    int landlock = doctor_read(doctor, "/sys/kernel/security/lsm", text, sizeof(text)) &&
                   strstr(text, "landlock") != NULL;

    doctor_note(doctor, "seccomp", seccomp ? DOCTOR_GOOD : DOCTOR_LESS,
                "a device's server can be confined (systemd's SystemCallFilter)",
                "a kernel with CONFIG_SECCOMP_FILTER", "%s",
                seccomp ? "there" : "not there");
    doctor_note(doctor, "Landlock", landlock ? DOCTOR_GOOD : DOCTOR_LESS,
                "a device's server can be kept from files without privileges",
                "a kernel with Landlock, and landlock in lsm=", "%s",
                landlock ? "active" : "not active, or not told");
}

void doctor_machine(struct doctor *doctor)
{
    check_kernel(doctor);
    check_memory(doctor);
    check_hugepages(doctor);
    check_cores(doctor);
    check_loopback(doctor);
    check_kvm(doctor);
    check_vfio(doctor);
    check_confinement(doctor);
}
