// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state machine. The core knows the ways (vfio_mig_get_next_state), the driver the
 * steps: one function for each arc of STOP_COPY | P2P | PRE_COPY.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/pci.h>

#include "edu.h"

static enum edu_gate gate_of(enum vfio_device_mig_state state)
{
	switch (state) {
	case VFIO_DEVICE_STATE_RUNNING:
	case VFIO_DEVICE_STATE_PRE_COPY:
		return EDU_GATE_OPEN;
	case VFIO_DEVICE_STATE_RUNNING_P2P:
	case VFIO_DEVICE_STATE_PRE_COPY_P2P:
		return EDU_GATE_QUIET;
	default:
		return EDU_GATE_CLOSED;
	}
}

static void gate_set(struct edu_device *edu, enum edu_gate gate)
{
	mutex_lock(&edu->io_lock);
	edu->gate = gate;
	mutex_unlock(&edu->io_lock);
}

/*
 * edu cannot tell a peer from memory, so a P2P state stops all DMA, and the factorial with
 * it: an interrupt is a write too. New work is refused first, then the old waited for.
 */
static struct file *go_quiet(struct edu_device *edu)
{
	gate_set(edu, EDU_GATE_QUIET);
	return edu_defect(EDU_DEFECT_BUSY) ? NULL : ERR_PTR(edu_wait_idle(edu));
}

static struct file *go_on(struct edu_device *edu)
{
	int ret = edu_hw_begin(edu);

	if (ret)
		return ERR_PTR(ret);
	ret = edu_regs_check(edu);
	if (!ret)
		edu_raise_held(edu);
	edu_hw_end(edu);
	return ERR_PTR(ret);
}

/* RUNNING_P2P and STOP differ in what a user may do, which the gate sees to. */
static struct file *go_same(struct edu_device *edu)
{
	return NULL;
}

static struct file *save_running(struct edu_device *edu)
{
	return edu_session_save(edu, false);
}

static struct file *save_stopped(struct edu_device *edu)
{
	return edu_session_save(edu, true);
}

static struct file *save_rest(struct edu_device *edu)
{
	gate_set(edu, EDU_GATE_CLOSED);
	return ERR_PTR(edu_session_finish(edu));
}

static struct file *save_end(struct edu_device *edu)
{
	edu_session_end(&edu->saving);
	return NULL;
}

static struct file *load_begin(struct edu_device *edu)
{
	return edu_session_load(edu);
}

/* The last chance to refuse: afterwards the device runs with what came. */
static struct file *load_end(struct edu_device *edu)
{
	int ret = edu_session_take(edu);

	if (ret)
		return ERR_PTR(ret);
	edu_session_end(&edu->loading);
	return NULL;
}

static const struct {
	enum vfio_device_mig_state from;
	enum vfio_device_mig_state to;
	struct file *(*go)(struct edu_device *edu);
} arcs[] = {
	{ VFIO_DEVICE_STATE_RUNNING, VFIO_DEVICE_STATE_RUNNING_P2P, go_quiet },
	{ VFIO_DEVICE_STATE_RUNNING_P2P, VFIO_DEVICE_STATE_RUNNING, go_on },
	{ VFIO_DEVICE_STATE_RUNNING_P2P, VFIO_DEVICE_STATE_STOP, go_same },
	{ VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_RUNNING_P2P, go_same },
	{ VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_PRE_COPY_P2P, go_quiet },
	{ VFIO_DEVICE_STATE_PRE_COPY_P2P, VFIO_DEVICE_STATE_PRE_COPY, go_on },
	{ VFIO_DEVICE_STATE_RUNNING, VFIO_DEVICE_STATE_PRE_COPY, save_running },
	{ VFIO_DEVICE_STATE_RUNNING_P2P, VFIO_DEVICE_STATE_PRE_COPY_P2P, save_running },
	{ VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_STOP_COPY, save_stopped },
	{ VFIO_DEVICE_STATE_PRE_COPY_P2P, VFIO_DEVICE_STATE_STOP_COPY, save_rest },
	{ VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_RUNNING, save_end },
	{ VFIO_DEVICE_STATE_PRE_COPY_P2P, VFIO_DEVICE_STATE_RUNNING_P2P, save_end },
	{ VFIO_DEVICE_STATE_STOP_COPY, VFIO_DEVICE_STATE_STOP, save_end },
	{ VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_RESUMING, load_begin },
	{ VFIO_DEVICE_STATE_RESUMING, VFIO_DEVICE_STATE_STOP, load_end },
};

/* One arc. Where it fails the device is what it was before, its gate too. */
static struct file *step(struct edu_device *edu, enum vfio_device_mig_state next)
{
	struct file *file = ERR_PTR(-EINVAL);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(arcs); i++)
		if (arcs[i].from == edu->state && arcs[i].to == next)
			break;
	if (!WARN_ON(i == ARRAY_SIZE(arcs)))
		file = arcs[i].go(edu);
	if (!IS_ERR(file))
		edu->state = next;
	gate_set(edu, gate_of(edu->state));
	return file;
}

static int next_state(struct edu_device *edu, enum vfio_device_mig_state wanted,
		      enum vfio_device_mig_state *next)
{
	/* The core warns about a driver that asks for a way out of ERROR. */
	if (edu->state == VFIO_DEVICE_STATE_ERROR)
		return -EINVAL;
	/* There is no way back, and a core before 7.2 looks for it for ever. */
	if (edu->state == VFIO_DEVICE_STATE_STOP_COPY &&
	    (wanted == VFIO_DEVICE_STATE_PRE_COPY ||
	     wanted == VFIO_DEVICE_STATE_PRE_COPY_P2P))
		return -EINVAL;
	return vfio_mig_get_next_state(&edu->core.vdev, edu->state, wanted, next);
}

static struct file *set_state(struct vfio_device *vdev, enum vfio_device_mig_state wanted)
{
	struct edu_device *edu = edu_of(vdev);
	struct file *file = NULL;

	edu_state_lock(edu);
	while (edu->state != wanted) {
		enum vfio_device_mig_state next;
		int ret = next_state(edu, wanted, &next);

		file = ret ? ERR_PTR(ret) : step(edu, next);
		if (IS_ERR(file))
			break;
		/* The way of each pair of states has at most one session, at its end. */
		if (WARN_ON(file && edu->state != wanted)) {
			fput(file);
			file = ERR_PTR(-EINVAL);
			break;
		}
	}
	edu_state_unlock(edu);
	return file;
}

static int get_state(struct vfio_device *vdev, enum vfio_device_mig_state *state)
{
	struct edu_device *edu = edu_of(vdev);

	edu_state_lock(edu);
	*state = edu->state;
	edu_state_unlock(edu);
	return 0;
}

static int get_data_size(struct vfio_device *vdev, unsigned long *bytes)
{
	struct edu_device *edu = edu_of(vdev);

	edu_state_lock(edu);
	*bytes = edu_session_size(edu);
	edu_state_unlock(edu);
	return 0;
}

const struct vfio_migration_ops edu_mig_ops = {
	.migration_set_state = set_state,
	.migration_get_state = get_state,
	.migration_get_data_size = get_data_size,
};

/* What a reset is for the state machine. The registers are clean already. */
static void after_reset(struct edu_device *edu)
{
	enum vfio_device_mig_state state;

	if (!edu_defect(EDU_DEFECT_KEEP_RESET)) {
		edu_session_end(&edu->saving);
		edu_session_end(&edu->loading);
	}
	mutex_lock(&edu->io_lock);
	state = edu->broken ? VFIO_DEVICE_STATE_ERROR : VFIO_DEVICE_STATE_RUNNING;
	edu->gate = gate_of(state);
	mutex_unlock(&edu->io_lock);
	edu->state = state;
}

void edu_state_lock(struct edu_device *edu)
{
	mutex_lock(&edu->state_mutex);
}

static bool take_deferred(struct edu_device *edu)
{
	bool deferred = edu->deferred_reset;

	edu->deferred_reset = false;
	return deferred;
}

/*
 * A reset that came while the lock was held is done here. reset_lock spans the look at
 * deferred_reset and the unlock: who comes later finds the mutex free. The registers are
 * left alone, the user may be using them again.
 */
void edu_state_unlock(struct edu_device *edu)
{
	spin_lock(&edu->reset_lock);
	while (take_deferred(edu)) {
		spin_unlock(&edu->reset_lock);
		edu_buffer_reset_late(edu);
		after_reset(edu);
		spin_lock(&edu->reset_lock);
	}
	mutex_unlock(&edu->state_mutex);
	spin_unlock(&edu->reset_lock);
}

/*
 * A reset comes from the user, from sysfs, from opening and closing: with memory_lock or
 * without, always with the device's own lock, which keeps users out of config space. DMA
 * under way would land after it.
 */
void edu_state_reset_prepare(struct edu_device *edu)
{
	__edu_hw_begin(edu);
	edu_regs_wait(edu);
	__edu_hw_end(edu);
}

/*
 * Who holds state_mutex may be waiting for memory_lock, which our caller has: it is not
 * waited for. What belongs to the states is then left to the holder.
 */
void edu_state_reset_done(struct edu_device *edu)
{
	int ret;

	__edu_hw_begin(edu);
	ret = edu_regs_reset(edu);
	edu->broken = ret != 0;
	edu->resets++;
	__edu_hw_end(edu);
	if (ret && ret != -ENODEV)
		pci_err(edu->core.pdev, "registers are not as after a reset: %d\n", ret);
	edu_buffer_reset(edu, true);
	spin_lock(&edu->reset_lock);
	if (!mutex_trylock(&edu->state_mutex)) {
		edu->deferred_reset = true;
		spin_unlock(&edu->reset_lock);
		return;
	}
	spin_unlock(&edu->reset_lock);
	after_reset(edu);
	edu_state_unlock(edu);
}

/* The device was just reset, where that works. */
void edu_state_open(struct edu_device *edu)
{
	edu_state_lock(edu);
	edu_buffer_next_user(edu);
	after_reset(edu);
	edu_state_unlock(edu);
}

/* Sessions may outlive the device's descriptor: from here on they do not reach it. */
void edu_state_close(struct edu_device *edu)
{
	edu_state_lock(edu);
	edu_session_end(&edu->saving);
	edu_session_end(&edu->loading);
	edu->state = VFIO_DEVICE_STATE_RUNNING;
	gate_set(edu, EDU_GATE_CLOSED);
	edu_state_unlock(edu);
}

/*
 * The next user must not find this one's registers. Where they could not be brought back it
 * finds ERROR, until a reset has done it: not every device is reset when it is opened.
 */
void edu_state_clean(struct edu_device *edu)
{
	if (edu_hw_begin(edu)) {
		mutex_lock(&edu->io_lock);
		edu->broken = true;
		mutex_unlock(&edu->io_lock);
		return;
	}
	edu->broken = edu_regs_reset(edu) != 0;
	edu_hw_end(edu);
}
