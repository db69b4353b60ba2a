/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Started by QEMU's -kernel as the multiboot specification (0.6.96) says: 32 bits, no
 * paging, interrupts off. Firmware has given the devices their addresses. The command
 * line may have the word "nobuffer": the device's buffer is never written, only read.
 */
#include "payload.h"

#define MULTIBOOT_MAGIC 0x1badb002u
#define MULTIBOOT_HAS_COMMAND 4u

#define SERIAL 0x3f8u
#define SERIAL_STATUS 5u
#define SERIAL_EMPTY 0x20u

#define PCI_ADDRESS 0xcf8u
#define PCI_DATA 0xcfcu
#define PCI_COMMAND 0x04u
#define PCI_BAR0 0x10u
#define PCI_COMMAND_MEMORY_MASTER 6u
#define PCI_BUSES_MAX 8u /* all of the test's machine */

/* Pages that the device writes in turn; each is looked at again before it is reused. */
#define PAGES 2u
#define PAGE_WORDS 1024u
#define REST_TURNS 2000u

struct multiboot {
    uint32_t flags;
    uint32_t memory[2];
    uint32_t boot_device;
    uint32_t command; /* address of a string */
};

static const uint32_t head[3]
    __attribute__((section(".multiboot"), used, aligned(4))) = { MULTIBOOT_MAGIC, 0,
                                                                 0u - MULTIBOOT_MAGIC };

static uint32_t source[PAGE_WORDS] __attribute__((aligned(4096)));
static uint32_t target[PAGES][PAGE_WORDS] __attribute__((aligned(4096)));
static const struct device *const known[] = { &edu_device, &copy_device };

void payload_main(const struct multiboot *info);

static inline void out8(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t in8(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void out32(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t in32(uint16_t port)
{
    uint32_t value;

    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void say(const char *text)
{
    for (; *text; text++) {
        while (!(in8(SERIAL + SERIAL_STATUS) & SERIAL_EMPTY)) {
        }
        out8(SERIAL, (uint8_t)*text);
    }
}

static void say_number(uint32_t number)
{
    char text[11];
    char *at = text + sizeof(text) - 1;

    *at = '\0';
    do {
        *--at = (char)('0' + number % 10u);
        number /= 10u;
    } while (number != 0);
    say(at);
}

void rest(void)
{
    for (uint32_t i = 0; i < REST_TURNS; i++) {
        __asm__ volatile("pause");
    }
}

/* Says what is wrong, and ends all work: nobody may take what follows for good. */
static void __attribute__((noreturn)) bad(const char *what, uint32_t round)
{
    say("BAD ");
    say(what);
    say(" in round ");
    say_number(round);
    say("\n");
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

static uint32_t config_read(uint32_t function, uint32_t off)
{
    out32(PCI_ADDRESS, 0x80000000u | function << 8 | off);
    return in32(PCI_DATA);
}

static void config_write(uint32_t function, uint32_t off, uint32_t value)
{
    out32(PCI_ADDRESS, 0x80000000u | function << 8 | off);
    out32(PCI_DATA, value);
}

/* The first device that is known. ret_mmio: its BAR0. Return: NULL when there is none. */
static const struct device *find(volatile uint8_t **ret_mmio)
{
    for (uint32_t function = 0; function < PCI_BUSES_MAX << 8; function++) {
        const uint32_t ids = config_read(function, 0);

        for (uint32_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            if (ids != ((uint32_t)known[i]->number << 16 | known[i]->vendor)) {
                continue;
            }
            config_write(function, PCI_COMMAND,
                         (config_read(function, PCI_COMMAND) & 0xffffu) |
                             PCI_COMMAND_MEMORY_MASTER);
            *ret_mmio =
                (volatile uint8_t *)(uintptr_t)(config_read(function, PCI_BAR0) & ~0xfu);
            return known[i];
        }
    }
    return 0;
}

/* What a round's data has at a place; round 0: a device that was just reset. */
static uint32_t pattern(uint32_t round, uint32_t index)
{
    const uint32_t mixed = (round * 0x85ebca6bu ^ index) * 0xc2b2ae35u;

    return round == 0 ? 0 : mixed ^ mixed >> 15;
}

static int holds(const volatile uint32_t *word, uint32_t round)
{
    for (uint32_t i = 0; i < WORK_WORDS; i++) {
        if (word[i] != pattern(round, i)) {
            return 0;
        }
    }
    return 1;
}

static int has_word(const char *text, const char *word)
{
    for (; *text; text++) {
        uint32_t i = 0;

        while (word[i] != '\0' && text[i] == word[i]) {
            i++;
        }
        if (word[i] == '\0') {
            return 1;
        }
    }
    return 0;
}

/*
 * One round: the device has what the round before left, gives it to a page whose old
 * content is what it was given then, and takes new data. written: the round whose data it
 * has.
 */
static uint32_t work(const struct device *device, uint32_t round, uint32_t written,
                     int buffer, uint32_t *ret_old)
{
    uint32_t *page = target[round % PAGES];
    const char *wrong = device->check();

    if (wrong == 0 && !holds(page, *ret_old)) {
        wrong = "a page that the device wrote";
    }
    if (wrong == 0) {
        wrong = device->get(page);
    }
    if (wrong == 0 && !holds(page, written)) {
        wrong = "the device's buffer";
    }
    *ret_old = written;
    if (wrong == 0 && buffer) {
        for (uint32_t i = 0; i < WORK_WORDS; i++) {
            source[i] = pattern(round, i);
        }
        wrong = device->put(source);
        written = round;
    }
    if (wrong == 0) {
        wrong = device->check();
    }
    if (wrong != 0) {
        bad(wrong, round);
    }
    device->remember(round);
    return written;
}

void payload_main(const struct multiboot *info)
{
    volatile uint8_t *mmio = 0;
    uint32_t old[PAGES] = { 0 };
    uint32_t written = 0;
    const struct device *device = find(&mmio);
    const char *wrong = device != 0 ? device->begin(mmio) : "no known device";
    int buffer = 1;

    if (info->flags & MULTIBOOT_HAS_COMMAND) {
        buffer = !has_word((const char *)(uintptr_t)info->command, "nobuffer");
    }
    if (wrong != 0) {
        bad(wrong, 0);
    }
    device->remember(0);
    for (uint32_t round = 1;; round++) {
        written = work(device, round, written, buffer, &old[round % PAGES]);
        if (round % device->rounds_a_line == 0) {
            say(device->name);
            say(" round ");
            say_number(round);
            say("\n");
        }
    }
}

__asm__(".section .text.start, \"ax\"\n"
        ".global start\n"
        "start:\n"
        "    cli\n"
        "    mov $stack_end, %esp\n"
        "    push %ebx\n"
        "    call payload_main\n"
        ".section .bss.stack, \"aw\", @nobits\n"
        ".align 16\n"
        "    .space 16384\n"
        "stack_end:\n"
        ".text\n");
