/* The plain case of `poll_oneoff`: see plain.h for the rules. Nothing here needs the GIL.
 *
 * Nothing waits here. A poll is plain if something that it asks for is ready now: a stream of the host's, or a time
 * that has come of a clock that runs by itself. Otherwise the Python handler waits, so that it can be ended.
 */
#include "plain_memory.h"

#include <poll.h>
#include <sys/ioctl.h>

/* With more subscriptions a poll is left to the Python handlers. */
#define MOST 256

#define U_AT WASI_PREVIEW1_SUBSCRIPTION_U_AT
#define CASE_AT (U_AT + 8) /* of the variant's case, whose largest number has eight bytes */
#define HANGUP (POLLHUP | POLLERR)

/* What one call of the guest's is about. */
typedef struct {
    uint32_t times, streams; /* the subscriptions to times that have come, and to streams */
    uint64_t due[MOST];      /* userdata of the former, */
    uint64_t userdata[MOST]; /* and of the latter, with what poll(2) is asked */
    struct pollfd wanted[MOST];
} Poll;

static inline uint32_t u32_at(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t u64_at(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Whether the subscription to a clock is plain. It is added if its time has come. */
static int add_clock(PlainCalls *calls, Poll *poll, const char *clock, uint64_t userdata)
{
    uint32_t id = u32_at(clock + WASI_PREVIEW1_SUBSCRIPTION_CLOCK_ID_AT);
    uint64_t timeout = u64_at(clock + WASI_PREVIEW1_SUBSCRIPTION_CLOCK_TIMEOUT_AT), now;
    uint16_t flags;
    memcpy(&flags, clock + WASI_PREVIEW1_SUBSCRIPTION_CLOCK_FLAGS_AT, sizeof flags);
    if (id > WASI_PREVIEW1_CLOCKID_MONOTONIC || flags & ~WASI_PREVIEW1_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME)
        return 0;
    if (flags & WASI_PREVIEW1_SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME) {
        if ((now = plain_clock_of(calls, id)) == 0)
            return 0;
        timeout = timeout > now ? timeout - now : 0;
    }
    if (timeout == 0)
        poll->due[poll->times++] = userdata;
    return 1;
}

/* Whether the subscription to a descriptor is plain: to a stream of the host's. It is added then. */
static int add_stream(PlainCalls *calls, Poll *poll, const char *descriptor, uint64_t userdata, int writes)
{
    uint64_t rights = WASI_PREVIEW1_RIGHTS_POLL_FD_READWRITE |
                      (writes ? WASI_PREVIEW1_RIGHTS_FD_WRITE : WASI_PREVIEW1_RIGHTS_FD_READ);
    uint32_t number = u32_at(descriptor + WASI_PREVIEW1_SUBSCRIPTION_FD_READWRITE_FILE_DESCRIPTOR_AT);
    PlainFile *file = open_of(calls, number, rights);
    if (file == NULL || is_regular(file) || fd_of(file) < 0)
        return 0;
    poll->userdata[poll->streams] = userdata;
    poll->wanted[poll->streams++] = (struct pollfd){.fd = fd_of(file), .events = writes ? POLLOUT : POLLIN};
    return 1;
}

/* Whether all subscriptions are plain. */
static int add_all(PlainCalls *calls, Poll *poll, const char *in, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++, in += WASI_PREVIEW1_SUBSCRIPTION_SIZEOF) {
        uint64_t userdata = u64_at(in + WASI_PREVIEW1_SUBSCRIPTION_USERDATA_AT);
        uint8_t kind = (uint8_t)in[U_AT];
        int plain = kind == WASI_PREVIEW1_EVENTTYPE_CLOCK ? add_clock(calls, poll, in + CASE_AT, userdata)
                    : kind <= WASI_PREVIEW1_EVENTTYPE_FD_WRITE
                        ? add_stream(calls, poll, in + CASE_AT, userdata, kind == WASI_PREVIEW1_EVENTTYPE_FD_WRITE)
                        : 0;
        if (!plain)
            return 0;
    }
    return 1;
}

/* Write an event without an error. Returns where the next one begins. */
static char *put_event(char *out, uint64_t userdata, uint32_t type, uint64_t nbytes, uint16_t flags)
{
    char *readwrite = out + WASI_PREVIEW1_EVENT_FD_READWRITE_AT;
    memset(out, 0, WASI_PREVIEW1_EVENT_SIZEOF);
    put_u64(out, WASI_PREVIEW1_EVENT_USERDATA_AT, userdata);
    out[WASI_PREVIEW1_EVENT_TYPE_AT] = (char)type;
    put_u64(readwrite, WASI_PREVIEW1_EVENT_FD_READWRITE_NBYTES_AT, nbytes);
    memcpy(readwrite + WASI_PREVIEW1_EVENT_FD_READWRITE_FLAGS_AT, &flags, sizeof flags);
    return out + WASI_PREVIEW1_EVENT_SIZEOF;
}

/* Write the event of a stream that is ready. */
static char *put_ready(char *out, uint64_t userdata, const struct pollfd *ready)
{
    uint16_t flags = ready->revents & HANGUP ? (uint16_t)WASI_PREVIEW1_EVENTRWFLAGS_FD_READWRITE_HANGUP : 0;
    int available = 0;
    if (ready->events == POLLOUT)
        return put_event(out, userdata, WASI_PREVIEW1_EVENTTYPE_FD_WRITE, 1, flags);
    if (ioctl(ready->fd, FIONREAD, &available) != 0)
        available = 0; /* not known of this kind of stream */
    return put_event(out, userdata, WASI_PREVIEW1_EVENTTYPE_FD_READ, (uint64_t)(int64_t)available, flags);
}

/* in, out, nsubscriptions, result */
int plain_poll_oneoff(PlainCalls *calls, char *base, uint64_t size, witx_slot *slots)
{
    uint32_t in = slots[0].u32, out = slots[1].u32, count = slots[2].u32, result = slots[3].u32;
    Poll poll_;
    if (count == 0 || count > MOST || count > calls->subscriptions ||
        !fits(size, in, WASI_PREVIEW1_SUBSCRIPTION_SIZEOF * count, WASI_PREVIEW1_SUBSCRIPTION_ALIGNOF) ||
        !fits(size, out, WASI_PREVIEW1_EVENT_SIZEOF * count, WASI_PREVIEW1_EVENT_ALIGNOF) || !fits(size, result, 4, 4))
        return NOTHING_DONE;
    poll_.times = poll_.streams = 0;
    if (!add_all(calls, &poll_, base + in, count))
        return NOTHING_DONE;
    int ready = poll_.streams == 0 ? 0 : poll(poll_.wanted, poll_.streams, 0);
    if (ready < 0 || (ready == 0 && poll_.times == 0))
        return NOTHING_DONE;
    for (uint32_t i = 0; i < poll_.streams; i++) {
        if (poll_.wanted[i].revents & POLLNVAL)
            return NOTHING_DONE;
    }
    char *at = base + out; /* only now: the events may lie where the subscriptions lay */
    for (uint32_t i = 0; i < poll_.streams; i++) {
        if (poll_.wanted[i].revents)
            at = put_ready(at, poll_.userdata[i], &poll_.wanted[i]);
    }
    for (uint32_t i = 0; i < poll_.times; i++)
        at = put_event(at, poll_.due[i], WASI_PREVIEW1_EVENTTYPE_CLOCK, 0, 0);
    put_u32(base, result, (uint32_t)((size_t)(at - base - out) / WASI_PREVIEW1_EVENT_SIZEOF));
    return success(slots);
}
