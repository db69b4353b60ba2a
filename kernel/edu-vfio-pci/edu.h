/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A VFIO variant driver for QEMU's educational device, `edu`.
 *
 * Locks, outermost first:
 *   state_mutex        the state, sessions, whatever changes states. User memory is
 *                      never touched under it
 *   window_lock        a way to the buffer through page tables, and what changes those
 *   core.memory_lock   vfio_pci_core's: may the registers be reached at all. A reset comes
 *                      with it held, so that a reset only tries both of the above
 *   io_lock            the registers, and all that is known about them
 *   a session's lock   its bytes (data.c)
 * Page faults take core.memory_lock below the mmap lock, so nothing that touches user
 * memory (copies, iova_bitmap_set) runs under memory_lock or what is inside of it.
 */
#ifndef EDU_H
#define EDU_H

#include <linux/bitmap.h>
#include <linux/bits.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>
#include <linux/wait.h>

#include "defects.h"
#include "stream.h"

/* edu's BAR0 (QEMU: docs/specs/edu.rst). */
#define EDU_IDENT 0x00
#define EDU_IDENT_VALUE 0x010000ed
#define EDU_LIVE 0x04 /* reads the complement of what was written */
#define EDU_FACTORIAL 0x08
#define EDU_STATUS 0x20
#define EDU_STATUS_COMPUTING BIT(0)
#define EDU_STATUS_IRQ BIT(7)
#define EDU_IRQ_STATUS 0x24
#define EDU_IRQ_FACTORIAL BIT(0)
#define EDU_IRQ_RAISE 0x60
#define EDU_IRQ_ACK 0x64
#define EDU_DMA_SRC 0x80 /* 64 bits, as all below */
#define EDU_DMA_DST 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_COMMAND 0x98
#define EDU_DMA_RUN BIT_ULL(0)
#define EDU_DMA_TO_RAM BIT_ULL(1)
#define EDU_REGS_END 0xa0

#define EDU_BUFFER 0x40000 /* its address in DMA registers */
/*
 * It has 4096, but not every QEMU takes a transfer that reaches the last one. trap.c lets
 * none pass, so that byte is never written nor read.
 */
#define EDU_BUFFER_BYTES 4095

/* The device needs 100 ms for a transfer, however small, and seconds for a big factorial. */
#define EDU_DMA_LIMIT_MS 2000
#define EDU_IDLE_LIMIT_MS 10000

#define EDU_LOG_RANGES 256

struct edu_session;

/* What a user may do to the registers (trap.c). */
enum edu_gate {
	EDU_GATE_OPEN,
	EDU_GATE_QUIET, /* P2P states: reads only */
	EDU_GATE_CLOSED, /* refuses writes, reads give ones */
};

/* The registers as a user sees them. */
struct edu_regs {
	u32 live;
	u32 factorial;
	u32 status;
	u32 irq;
	u64 dma_src;
	u64 dma_dst;
	u64 dma_count;
	u64 dma_command;
};

/* The buffer has no register; these are its bookkeeping. io_lock. */
struct edu_buffer {
	bool written; /* this user wrote to it: it is part of the state */
	bool foreign; /* an earlier user did, and nobody could clear it */
	/* This user's bytes in a foreign buffer. */
	DECLARE_BITMAP(known, EDU_BUFFER_BYTES);
};

/* The log of what the device wrote. io_lock. */
struct edu_log {
	unsigned long *pages; /* NULL while it is off */
	unsigned int ranges;
	u64 first[EDU_LOG_RANGES];
	u64 last[EDU_LOG_RANGES];
};

struct edu_device {
	struct vfio_pci_core_device core; /* drvdata points at it: the first */
	void __iomem *bar;

	struct mutex state_mutex;
	enum vfio_device_mig_state state;
	struct edu_session *saving;
	struct edu_session *loading;
	spinlock_t reset_lock; /* deferred_reset, and state_mutex's unlock */
	bool deferred_reset;

	struct mutex window_lock;
	bool opened; /* by a user. window_lock */

	struct mutex io_lock;
	unsigned int resets; /* how many: who wants to write to the device compares */
	bool broken; /* the last one did not bring the registers back */
	bool clear_late; /* so that a reset could not clear it */
	enum edu_gate gate;
	u64 dma_command; /* the user's last, which the driver's own transfers overwrite */
	u32 held_irq; /* came with a load, raised when the device runs */
	bool computed; /* a factorial whose interrupt was not seen yet */
	bool in_flight; /* a write to memory, not logged yet */
	u64 flight_iova;
	u64 flight_bytes;
	struct edu_buffer buffer;
	struct edu_log log;
	u16 command; /* of config space, while __edu_hw_begin() changed it */

	atomic64_t changes; /* by the user, counted for increments */
	wait_queue_head_t data_wait;
};

static inline struct edu_device *edu_of(struct vfio_device *vdev)
{
	return container_of(vdev, struct edu_device, core.vdev);
}

extern unsigned int edu_dma_bits;

/* regs.c: the registers, from a driver that waits until the device is idle. */

/* memory_lock and io_lock, with memory decoding on whatever the user has set. */
int edu_hw_begin(struct edu_device *edu);
void edu_hw_end(struct edu_device *edu);
/* Where a caller of the driver may have memory_lock already: resets. Takes io_lock. */
void __edu_hw_begin(struct edu_device *edu);
void __edu_hw_end(struct edu_device *edu);
int edu_wait_idle(struct edu_device *edu);
/* These are called between begin and end. */
int edu_regs_check(struct edu_device *edu);
int edu_regs_idle(struct edu_device *edu);
int edu_regs_wait(struct edu_device *edu);
void edu_regs_read(struct edu_device *edu, struct edu_regs *regs);
int edu_regs_write(struct edu_device *edu, const struct edu_regs *regs);
/* How many resets there were; asked without the locks. */
unsigned int edu_resets(struct edu_device *edu);
int edu_regs_reset(struct edu_device *edu);
bool edu_regs_valid(const struct edu_regs *regs);
void edu_raise_held(struct edu_device *edu);

/* trap.c: BAR0. */
ssize_t edu_bar_read(struct edu_device *edu, char __user *buf, size_t count,
		     loff_t *ppos);
ssize_t edu_bar_write(struct edu_device *edu, const char __user *buf, size_t count,
		      loff_t *ppos);

/* buffer.c */
bool edu_buffer_scratch_valid(void);
void edu_buffer_warn(void);
void edu_buffer_open(struct edu_device *edu, bool opened);
int edu_attach_ioas(struct vfio_device *vdev, u32 *pt_id);
void edu_detach_ioas(struct vfio_device *vdev);
bool edu_buffer_can_move(struct edu_device *edu);
bool edu_buffer_readable(const struct edu_buffer *buffer, u32 off, u32 bytes);
void edu_buffer_note(struct edu_buffer *buffer, u32 off, u32 bytes);
int edu_buffer_save(struct edu_device *edu, u8 *data);
int edu_buffer_load(struct edu_device *edu, const u8 *data);
void edu_buffer_reset(struct edu_device *edu, bool locked);
void edu_buffer_reset_late(struct edu_device *edu);
void edu_buffer_next_user(struct edu_device *edu);
int edu_buffer_first(struct edu_device *edu);

/* log.c; mark and settle want io_lock */
extern const struct vfio_log_ops edu_log_ops;
int edu_log_stop(struct vfio_device *vdev);
void edu_log_mark(struct edu_device *edu, u64 iova, u64 bytes);
void edu_log_settle(struct edu_device *edu);

/* states.c */
extern const struct vfio_migration_ops edu_mig_ops;
void edu_state_lock(struct edu_device *edu);
void edu_state_unlock(struct edu_device *edu);
void edu_state_reset_prepare(struct edu_device *edu);
void edu_state_reset_done(struct edu_device *edu);
void edu_state_open(struct edu_device *edu);
void edu_state_close(struct edu_device *edu);
void edu_state_clean(struct edu_device *edu);

/* data.c: sessions; all of it wants state_mutex. */
struct file *edu_session_save(struct edu_device *edu, bool stopped);
int edu_session_finish(struct edu_device *edu);
struct file *edu_session_load(struct edu_device *edu);
int edu_session_take(struct edu_device *edu);
void edu_session_end(struct edu_session **session);
unsigned long edu_session_size(struct edu_device *edu);

#endif
