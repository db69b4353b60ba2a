/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_KVM_H
#define FERRY_BRIDGE_PRELOAD_KVM_H

#define BRIDGE_KVM_TYPE 0xaeu /* of KVM's request numbers */

/*
 * What QEMU tells KVM of VFIO devices: the kernel would refuse a descriptor that is none
 * of its own. Such requests are answered here, also where the kernel has no VFIO; all
 * others go on. As ioctl(). Thread: any.
 */
int bridge_kvm_ioctl(int fd, unsigned long request, void *arg);

/* Return: 1 when bridge_kvm_ioctl() wants to see it. KVM_RUN costs two comparisons. */
int bridge_kvm_wants(unsigned long request);

#endif
