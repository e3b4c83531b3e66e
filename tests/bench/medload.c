// medload: N calls at once through a switch, G.711 at 50 packets/s both ways, payload marked so that loss, order and delay are
// counted packet by packet; prints the switch's CPU and memory (of the processes named by -pid) in the steady window, last line
// as JSON.
//
//   medload -n 100 -cps 40 -hold 10 -dest 5000 -sw 127.0.0.1 -port 5060 -pid PID
//   -mode bridge  caller on -uac (127.0.0.2), callee on -uas (127.0.0.3), SIP on -uacport and -uasport, media both ways (default)
//   -mode ivr     the caller only: sends media and counts what comes back; -dtmf 1 presses a digit 3 s after the answer
//   -lazy 1       arriving media is looked at every 2 ms and wakes nobody: costs the least, and tells nothing of delay
//   -senders N    threads that send; one may not be enough for a thousand calls
//   -sink 1       from the window's opening on the kernel counts what arrives and throws it away unread: costs less still, and tells of
//                 nothing but the number
//   -mode raw     no SIP: -map FILE with "caller's port, callee's port, port that the caller sends to, port that the callee sends
//   to"
//   -srtp 1       SDES-SRTP (RFC 4568, AES_CM_128_HMAC_SHA1_80) on both ends of calls by SIP; raw: packets as long and as dear to make,
//                 under keys that both ends have
//   -from PREFIX  each caller shows a number of its own: the prefix and four digits, those of the call
//   -kill MS      so long after the first INVITE, whatever the calls are at, the processes of -pid are killed (SIGKILL); the line of JSON
//                 says how many packets each end had sent by then, callers by the call's number (-1: not answered), callees by the
//                 number in their packets, and which calls had ended
//   -leave N      the first N calls are hung up LEAVE_MS before that
//
// Media goes by io_uring where there is any, so that as much as can be of a small machine is left to what is measured; else by epoll.
//
// Build: cc -O2 -pthread -o medload medload.c -lsrtp2 -luring
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <liburing.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <srtp2/srtp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#define MAXC 2000
#define LEAVE_MS 300
#define SETTLE_MS 1000 // media of the last call runs this long before the window opens
static int mode = 0;   // 0 bridge 1 ivr 2 raw
static int N = 10, cps = 20, hold = 20, mute_a = 0, mute_b = 0;
static const char *dest = "1000", *sw = "127.0.0.1", *uacip = "127.0.0.2", *uasip = "127.0.0.3", *rawmap = NULL, *digit = NULL;
static int swport = 5060, uacport = 5080, uasport = 5080, rtpbase = 20000;
static int pids[8], npid = 0;
static _Atomic int sndb = 0;
#define MOST_SENDERS 4
static int lazy = 0, sink = 0, senders = 1;
static int secure = 0, answer_tag = 1; // tag of the crypto line that is answered with
static const char *extra = "", *prefix = NULL;
static int kill_ms = 0, leave = 0;
static uint64_t now_us() {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}
static uint64_t T0;
struct leg {
    int fd;
    struct sockaddr_in peer;
    volatile int on;
    uint16_t seq;
    uint32_t ts, ssrc, xseq;
    uint64_t sent, recv, badpay, early; // early: sent before the first that came
    uint32_t maxx;
    int any;
    uint64_t last;
    uint64_t late;
    uint64_t maxgap;
    uint16_t rseq;
    int rany;
    uint64_t rlost;
    srtp_t out, in;
    long overflown; // at the sink's opening: what the socket had no room for; what it drops later has arrived
};
static struct leg A[MAXC], B[MAXC];
struct call {
    int st;
    uint64_t tinv, t200, tlast;
    int retr;
    char cid[64], totag[200], contact[256], route[1024];
    int cseq;
    int done;
};
static struct call C[MAXC];
struct ucall {
    char cid[200];
    int idx;
    int acked;
    uint64_t t;
    char resp[4000];
    int rl;
    struct sockaddr_in from;
    int bye;
};
static struct ucall U[MAXC];
static int nU = 0;
static int sa, sb;
static struct sockaddr_in swaddr;
static volatile int stop = 0;
static long failures = 0, answered = 0, byes_ok = 0, retrans = 0, inbye = 0, reinv = 0;
static uint32_t *dly;
static volatile long ndly = 0;
static long capdly = 4000000;
static int measuring = 0;
static void enc(uint8_t *p, uint32_t v) {
    for (int i = 0; i < 8; i++)
        p[i] = 0x90 | ((v >> (28 - 4 * i)) & 15);
}
static uint32_t dec(const uint8_t *p) {
    uint32_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 4 | (p[i] & 15);
    return v;
}
static int mk(const char *ip, int port) {
    int f = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, ip, &a.sin_addr);
    int s = 4 << 20;
    setsockopt(f, SOL_SOCKET, SO_RCVBUF, &s, sizeof s);
    // The sockets of a ring are let go of some time after its end: those of the run before may still be there.
    int bound;
    for (int i = 0; (bound = bind(f, (void *)&a, sizeof a)) && errno == EADDRINUSE && i < 300; i++)
        usleep(10000);
    if (bound) {
        perror("bind");
        fprintf(stderr, "%s:%d\n", ip, port);
        exit(1);
    }
    return f;
}
// What is queued for sending: at most a bunch, so that a packet does not wait long after it was stamped.
#define BUNCH 16
static _Thread_local struct io_uring outring;
static _Thread_local int outring_on = 0, queued = 0;
static _Thread_local uint8_t outgoing[BUNCH][172 + SRTP_MAX_TRAILER_LEN];
static void flush(void) {
    if (!queued)
        return;
    // Those that are not encrypted are stamped when they go, so that the wait for the rest of the bunch is no delay.
    for (int i = 0; i < queued && !secure; i++)
        enc(outgoing[i] + 32, (uint32_t)(now_us() - T0));
    io_uring_submit_and_wait(&outring, queued);
    struct io_uring_cqe *e;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&outring, head, e) {
        struct leg *l = io_uring_cqe_get_data(e);
        if (e->res < 0) {
            l->sent--;
            sndb++;
        }
        seen++;
    }
    io_uring_cq_advance(&outring, seen);
    queued = 0;
}
static void sendrtp(struct leg *l, int i) {
    uint8_t *b = outgoing[queued];
    b[0] = 0x80;
    b[1] = 0 | (l->sent == 0 ? 0x80 : 0);
    b[2] = l->seq >> 8;
    b[3] = l->seq;
    uint32_t t = htonl(l->ts), s = htonl(l->ssrc);
    memcpy(b + 4, &t, 4);
    memcpy(b + 8, &s, 4);
    memset(b + 12, 0xff, 160);
    uint8_t *p = b + 12;
    p[0] = 0x95;
    p[1] = 0x9a;
    p[2] = 0x95;
    p[3] = 0x9a;
    enc(p + 4, i);
    enc(p + 12, l->xseq);
    enc(p + 20, (uint32_t)(now_us() - T0));
    for (int k = 28; k < 160; k++)
        p[k] = 0x90 + ((k * 7 + l->xseq) & 31);
    int length = 172;
    if (l->out && srtp_protect(l->out, b, &length))
        length = 0;
    if (length && outring_on) {
        struct io_uring_sqe *q = io_uring_get_sqe(&outring);
        io_uring_prep_send(q, l->fd, b, length, MSG_DONTWAIT);
        io_uring_prep_send_set_addr(q, (void *)&l->peer, sizeof l->peer);
        io_uring_sqe_set_data(q, l);
        l->sent++;
        if (++queued == BUNCH)
            flush();
    } else if (length && sendto(l->fd, b, length, 0, (void *)&l->peer, sizeof l->peer) == length)
        l->sent++;
    else
        sndb++;
    l->seq++;
    l->ts += 160;
    l->xseq++;
}
static uint64_t dtmf_at[MAXC];
static int dtmf_n[MAXC];
static void senddtmf(struct leg *l, int d, int k) {
    uint8_t b[16];
    b[0] = 0x80;
    b[1] = 101 | (k == 0 ? 0x80 : 0);
    b[2] = l->seq >> 8;
    b[3] = l->seq;
    uint32_t t = htonl(l->ts), s = htonl(l->ssrc);
    memcpy(b + 4, &t, 4);
    memcpy(b + 8, &s, 4);
    b[12] = d;
    b[13] = 10 | (k >= 5 ? 0x80 : 0);
    int du = 160 * (k >= 5 ? 6 : k + 1);
    b[14] = du >> 8;
    b[15] = du;
    sendto(l->fd, b, 16, 0, (void *)&l->peer, sizeof l->peer);
    l->seq++;
    if (k == 7)
        l->ts += 160 * 8;
}
// One of `senders` threads: they share the calls whose packets go in the same millisecond.
static void *sender(void *which) {
    int mine = (int)(intptr_t)which;
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    outring_on = io_uring_queue_init_params(2 * BUNCH, &outring, &p) == 0;
    uint64_t next = now_us();
    int slot = 0;
    while (!stop) {
        next += 1000;
        uint64_t n = now_us();
        if (next > n) {
            struct timespec t = {0, (long)(next - n) * 1000};
            nanosleep(&t, NULL);
        }
        for (int i = slot + 20 * mine; i < N; i += 20 * senders) {
            if (A[i].on && !mute_a) {
                if (digit && dtmf_at[i] && now_us() >= dtmf_at[i] && dtmf_n[i] < 8) {
                    senddtmf(&A[i], digit[0] == '*' ? 10 : digit[0] == '#' ? 11 : digit[0] - '0', dtmf_n[i]++);
                } else
                    sendrtp(&A[i], i);
            }
            if (B[i].on && !mute_b)
                sendrtp(&B[i], i);
        }
        flush();
        slot = (slot + 1) % 20;
    }
    return 0;
}
static int epr;
static void take(struct leg *l, uint8_t *b, int len, uint64_t n) {
    if (l->in && srtp_unprotect(l->in, b, &len)) {
        l->badpay++;
        return;
    }
    if (len < 28 || (b[0] & 0xc0) != 0x80)
        return;
    int pt = b[1] & 127;
    if (pt != 0 && pt != 8)
        return;
    uint16_t rs = b[2] << 8 | b[3];
    if (l->rany) {
        int16_t d = rs - l->rseq;
        if (d > 1 && d < 1000)
            l->rlost += d - 1;
    }
    l->rseq = rs;
    l->rany = 1;
    l->recv++;
    if (l->last) {
        uint64_t g = n - l->last;
        if (g > l->maxgap)
            l->maxgap = g;
        if (g > 40000)
            l->late++;
    }
    l->last = n;
    uint8_t *p = b + 12;
    if (len >= 60 && p[0] == 0x95 && p[1] == 0x9a && p[2] == 0x95) {
        uint32_t x = dec(p + 12);
        if (!l->any)
            l->early = x;
        if (!l->any || x > l->maxx)
            l->maxx = x;
        l->any = 1;
        uint32_t d = (uint32_t)(n - T0) - dec(p + 20);
        if (measuring && ndly < capdly)
            dly[ndly++] = d;
    } else
        l->badpay++;
}
// One multishot receive a socket, into buffers of a common ring. 0: there is no io_uring.
#define BUFFERS 4096
#define SIZE 512
static struct io_uring inring;
static void listen_to(struct leg *l) {
    struct io_uring_sqe *q;
    while (!(q = io_uring_get_sqe(&inring)))
        io_uring_submit(&inring);
    io_uring_prep_recv_multishot(q, l->fd, NULL, 0, 0);
    q->flags |= IOSQE_BUFFER_SELECT;
    q->buf_group = 0;
    io_uring_sqe_set_data(q, l);
}
static int receive_by_ring(void) {
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                .cq_entries = 2 * BUFFERS};
    if (io_uring_queue_init_params(1024, &inring, &p))
        return 0;
    struct io_uring_buf_ring *ring;
    uint8_t *memory = malloc((size_t)BUFFERS * SIZE);
    if (!memory || posix_memalign((void **)&ring, 4096, BUFFERS * sizeof(struct io_uring_buf)))
        return 0;
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)ring, .ring_entries = BUFFERS};
    if (io_uring_register_buf_ring(&inring, &reg, 0))
        return 0;
    io_uring_buf_ring_init(ring);
    for (int i = 0; i < BUFFERS; i++)
        io_uring_buf_ring_add(ring, memory + (size_t)i * SIZE, SIZE, i, io_uring_buf_ring_mask(BUFFERS), i);
    io_uring_buf_ring_advance(ring, BUFFERS);
    for (int i = 0; i < N; i++) {
        listen_to(&A[i]);
        if (mode != 1)
            listen_to(&B[i]);
    }
    while (!stop) {
        struct __kernel_timespec limit = {.tv_nsec = 50000000};
        struct io_uring_cqe *e;
        if (lazy) {
            usleep(2000);
            io_uring_submit(&inring);
            io_uring_get_events(&inring);
        } else
            io_uring_submit_and_wait_timeout(&inring, &e, 1, &limit, NULL);
        uint64_t n = now_us();
        unsigned head, seen = 0;
        int given = 0;
        io_uring_for_each_cqe(&inring, head, e) {
            struct leg *l = io_uring_cqe_get_data(e);
            seen++;
            if (e->flags & IORING_CQE_F_BUFFER) {
                int id = e->flags >> IORING_CQE_BUFFER_SHIFT;
                uint8_t *b = memory + (size_t)id * SIZE;
                if (e->res > 0)
                    take(l, b, e->res, n);
                io_uring_buf_ring_add(ring, b, SIZE, id, io_uring_buf_ring_mask(BUFFERS), given++);
            }
            if (!(e->flags & IORING_CQE_F_MORE))
                listen_to(l);
        }
        io_uring_buf_ring_advance(ring, given);
        io_uring_cq_advance(&inring, seen);
    }
    return 1;
}
static void *recver(void *unused) {
    (void)unused;
    if (receive_by_ring())
        return 0;
    struct epoll_event ev[256];
    static uint8_t b[2048];
    while (!stop) {
        int k = epoll_wait(epr, ev, 256, 50);
        for (int e = 0; e < k; e++) {
            struct leg *l = ev[e].data.ptr;
            int len;
            while ((len = recv(l->fd, b, sizeof b, MSG_DONTWAIT)) > 0)
                take(l, b, len, now_us());
        }
    }
    return 0;
}
static const char *hdr(const char *m, const char *h, char *o, int n) {
    int hl = strlen(h);
    const char *p = m;
    while ((p = strchr(p, '\n'))) {
        p++;
        if (*p == '\r' || *p == '\n' || !*p)
            break;
        if (!strncasecmp(p, h, hl) && (p[hl] == ':' || p[hl] == ' ')) {
            p += hl;
            while (*p == ' ' || *p == ':' || *p == '\t')
                p++;
            int i = 0;
            while (*p && *p != '\r' && *p != '\n' && i < n - 1)
                o[i++] = *p++;
            o[i] = 0;
            return o;
        }
    }
    o[0] = 0;
    return 0;
}
static int allhdr(const char *m, const char *h, const char *as, char *o, int n) {
    int hl = strlen(h), l = 0;
    const char *p = m;
    o[0] = 0;
    while ((p = strchr(p, '\n'))) {
        p++;
        if (*p == '\r' || *p == '\n' || !*p)
            break;
        if (!strncasecmp(p, h, hl) && p[hl] == ':') {
            const char *q = p + hl + 1;
            while (*q == ' ')
                q++;
            int e = strcspn(q, "\r\n");
            l += snprintf(o + l, n - l, "%s: %.*s\r\n", as, e, q);
        }
    }
    return l;
}
static int sdpaddr(const char *m, struct sockaddr_in *a) {
    const char *c = strstr(m, "\r\nc=IN IP4 "), *q = strstr(m, "\r\nm=audio ");
    if (!c || !q)
        return -1;
    char ip[64];
    int i = 0;
    c += 11;
    while ((*c >= '0' && *c <= '9') || *c == '.')
        ip[i++] = *c++;
    ip[i] = 0;
    a->sin_family = AF_INET;
    inet_pton(AF_INET, ip, &a->sin_addr);
    a->sin_port = htons(atoi(q + 10));
    return 0;
}
// Keys of the two ends, the same in all calls, as bytes and as in SDP.
static uint8_t keys[2][30];
static char keys64[2][41];
static void make_keys(void) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 30; i++)
            keys[k][i] = 17 * i + 101 * k + 3;
        for (int i = 0; i < 10; i++) {
            uint32_t three = keys[k][3 * i] << 16 | keys[k][3 * i + 1] << 8 | keys[k][3 * i + 2];
            for (int j = 0; j < 4; j++)
                keys64[k][4 * i + j] = set[three >> (18 - 6 * j) & 63];
        }
    }
}
static srtp_t session(uint8_t *key, srtp_ssrc_type_t which) {
    srtp_policy_t p;
    memset(&p, 0, sizeof p);
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&p.rtp);
    srtp_crypto_policy_set_aes_cm_128_hmac_sha1_80(&p.rtcp);
    p.ssrc.type = which;
    p.key = key;
    p.window_size = 128;
    srtp_t made;
    return srtp_create(&made, &p) ? NULL : made;
}
// Where the other end listens, and its key.
static int media_of(const char *m, struct leg *l) {
    if (secure) {
        const char *at = m, *suite = " AES_CM_128_HMAC_SHA1_80 inline:", *key = NULL;
        while ((at = strstr(at, "\r\na=crypto:"))) {
            at += 11;
            int tag = atoi(at);
            const char *rest = at + strspn(at, "0123456789");
            if (strncmp(rest, suite, strlen(suite)))
                continue;
            key = rest + strlen(suite);
            answer_tag = tag;
            break;
        }
        if (!key)
            return -1;
        uint8_t bytes[30];
        for (int i = 0; i < 10; i++) {
            uint32_t three = 0;
            for (int j = 0; j < 4; j++) {
                int c = key[4 * i + j];
                three = three << 6 | (c >= 'a' ? c - 'a' + 26 : c >= 'A' ? c - 'A' : c >= '0' ? c - '0' + 52 : c == '+' ? 62 : 63);
            }
            bytes[3 * i] = three >> 16;
            bytes[3 * i + 1] = three >> 8;
            bytes[3 * i + 2] = three;
        }
        srtp_t in = session(bytes, ssrc_any_inbound);
        if (!l->out)
            l->out = session(keys[l >= B && l < B + MAXC], ssrc_any_outbound);
        l->in = in; // the one before stays, the receiving thread may be in it
    }
    return sdpaddr(m, &l->peer);
}
// `tag` is that of the crypto line (RFC 4568 §9.1): an answer repeats the offer's.
static int sdp(char *o, const char *ip, int port, int tag) {
    if (secure)
        return sprintf(o,
                       "v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/SAVP 0 101\r\n"
                       "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n"
                       "a=sendrecv\r\na=crypto:%d AES_CM_128_HMAC_SHA1_80 inline:%s\r\n",
                       ip, ip, port, tag, keys64[ip == uasip]);
    return sprintf(o,
                   "v=0\r\no=- 1 1 IN IP4 %s\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %d RTP/AVP 0 101\r\na=rtpmap:0 "
                   "PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n",
                   ip, ip, port);
}
// Who calls, as the other side sees it.
static const char *caller(int i) {
    static char name[80];
    if (!prefix)
        return "trunk";
    snprintf(name, sizeof name, "%s%04d", prefix, i);
    return name;
}
static void invite(int i) {
    struct call *c = &C[i];
    char s[600], m[4000];
    int sl = sdp(s, uacip, rtpbase + 2 * i, 1);
    if (!c->tinv) {
        c->tinv = now_us();
        sprintf(c->cid, "ml%d-%d-%lu@%s", getpid(), i, (unsigned long)T0 % 100000, uacip);
    }
    c->cseq = 1;
    int l = sprintf(m,
                    "INVITE sip:%s@%s:%d SIP/2.0\r\nVia: SIP/2.0/UDP %s:%d;branch=z9hG4bK-%d-%d-i;rport\r\nMax-Forwards: "
                    "70\r\nFrom: <sip:%s@%s:%d>;tag=f%d\r\nTo: <sip:%s@%s:%d>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\nContact: "
                    "<sip:trunk@%s:%d>\r\n%sContent-Type: application/sdp\r\nContent-Length: %d\r\n\r\n%s",
                    dest, sw, swport, uacip, uacport, getpid(), i, caller(i), uacip, uacport, i, dest, sw, swport, c->cid, uacip,
                    uacport, extra, sl, s);
    sendto(sa, m, l, 0, (void *)&swaddr, sizeof swaddr);
    c->tlast = now_us();
    c->st = 1;
}
static void inreq(int i, const char *meth, int cseq) {
    struct call *c = &C[i];
    char m[4000];
    int l = sprintf(m,
                    "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s:%d;branch=z9hG4bK-%d-%d-%c;rport\r\nMax-Forwards: 70\r\n%sFrom: "
                    "<sip:%s@%s:%d>;tag=f%d\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: "
                    "<sip:trunk@%s:%d>\r\nContent-Length: 0\r\n\r\n",
                    meth, c->contact, uacip, uacport, getpid(), i, meth[0], c->route, caller(i), uacip, uacport, i, c->totag, c->cid,
                    cseq, meth, uacip, uacport);
    sendto(sa, m, l, 0, (void *)&swaddr, sizeof swaddr);
}
static void reply(int fd, const char *m, struct sockaddr_in *from, int code, const char *rs, const char *ip, int port,
                  int rtpport, struct ucall *u) {
    char o[6000], via[3000], rr[3000], f[500], t[500], cid[300], cs[100], s[600];
    allhdr(m, "Via", "Via", via, sizeof via);
    allhdr(m, "Record-Route", "Record-Route", rr, sizeof rr);
    hdr(m, "From", f, 500);
    hdr(m, "To", t, 500);
    hdr(m, "Call-ID", cid, 300);
    hdr(m, "CSeq", cs, 100);
    int sl = 0;
    s[0] = 0;
    if (rtpport)
        sl = sdp(s, ip, rtpport, answer_tag);
    const char *tg = (code > 100 && !strstr(t, "tag=")) ? ";tag=uas1" : "";
    int l = snprintf(o, sizeof o,
                     "SIP/2.0 %d %s\r\n%s%sFrom: %s\r\nTo: %s%s\r\nCall-ID: %s\r\nCSeq: %s\r\nContact: "
                     "<sip:uas@%s:%d>\r\n%sContent-Length: %d\r\n\r\n%s",
                     code, rs, via, rr, f, t, tg, cid, cs, ip, port, sl ? "Content-Type: application/sdp\r\n" : "", sl, s);
    sendto(fd, o, l, 0, (void *)from, sizeof *from);
    if (u && l < 4000) {
        memcpy(u->resp, o, l);
        u->rl = l;
        u->from = *from;
    }
}
static uint32_t lat[MAXC];
static int nlat = 0;
static int ci(const char *cid) {
    int p, i;
    if (sscanf(cid, "ml%d-%d-", &p, &i) == 2 && p == getpid() && i < N)
        return i;
    return -1;
}
static struct ucall *uf(const char *cid) {
    for (int i = 0; i < nU; i++)
        if (!strcmp(U[i].cid, cid))
            return &U[i];
    return 0;
}
static void onmsg(int fd, char *m, struct sockaddr_in *from) {
    char cid[300], cs[100];
    hdr(m, "Call-ID", cid, 200);
    hdr(m, "CSeq", cs, 100);
    if (!strncmp(m, "SIP/2.0 ", 8)) {
        int code = atoi(m + 8);
        int i = ci(cid);
        if (fd != sa || i < 0)
            return;
        struct call *c = &C[i];
        if (strstr(cs, "INVITE")) {
            if (code >= 200) {
                char t[200];
                hdr(m, "To", t, 200);
                strcpy(c->totag, t);
                char ct[256];
                if (hdr(m, "Contact", ct, 256)) {
                    char *a = strchr(ct, '<');
                    if (a) {
                        char *e = strchr(a, '>');
                        if (e) {
                            *e = 0;
                            strcpy(c->contact, a + 1);
                        }
                    } else
                        strcpy(c->contact, ct);
                }
                if (code < 300) { // route set reversed
                    char rr[1024];
                    c->route[0] = 0;
                    allhdr(m, "Record-Route", "Route", rr, sizeof rr);
                    strcpy(c->route, rr);
                    inreq(i, "ACK", 1);
                    if (c->st == 1) {
                        c->st = 2;
                        c->t200 = now_us();
                        lat[nlat++] = c->t200 - c->tinv;
                        answered++;
                        if (!media_of(m, &A[i])) {
                            A[i].on = 1;
                            if (digit)
                                dtmf_at[i] = now_us() + 3000000;
                        }
                    }
                } else {
                    struct call *d = c;
                    char mm[2000];
                    int l =
                        sprintf(mm,
                                "ACK sip:%s@%s:%d SIP/2.0\r\nVia: SIP/2.0/UDP "
                                "%s:%d;branch=z9hG4bK-%d-%d-i;rport\r\nMax-Forwards: 70\r\nFrom: "
                                "<sip:%s@%s:%d>;tag=f%d\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
                                dest, sw, swport, uacip, uacport, getpid(), i, caller(i), uacip, uacport, i, t, d->cid);
                    sendto(sa, mm, l, 0, (void *)&swaddr, sizeof swaddr);
                    if (c->st == 1) {
                        if (failures < 3)
                            fprintf(stderr, "call %d: %.60s\n", i, m);
                        failures++;
                        c->st = 9;
                    }
                }
            } else if (c->st == 1)
                c->retr = 99;
        } else if (strstr(cs, "BYE") && c->st == 3) {
            c->st = 4;
            byes_ok++;
        }
        return;
    }
    if (fd == sb) {
        if (!strncmp(m, "INVITE", 6)) {
            struct ucall *u = uf(cid);
            if (u) {
                if (strstr(m, ";tag=uas1")) {
                    reinv++;
                    reply(fd, m, from, 200, "OK", uasip, uasport, rtpbase + 2 * u->idx, u);
                    u->acked = 0;
                    u->t = now_us();
                } else {
                    retrans++;
                    sendto(fd, u->resp, u->rl, 0, (void *)&u->from, sizeof u->from);
                }
                return;
            }
            if (nU >= N) {
                reply(fd, m, from, 486, "Busy", uasip, uasport, 0, 0);
                return;
            }
            u = &U[nU];
            memset(u, 0, sizeof *u);
            strcpy(u->cid, cid);
            u->idx = nU++;
            reply(fd, m, from, 100, "Trying", uasip, uasport, 0, 0);
            reply(fd, m, from, 180, "Ringing", uasip, uasport, 0, 0);
            media_of(m, &B[u->idx]);
            reply(fd, m, from, 200, "OK", uasip, uasport, rtpbase + 2 * u->idx, u);
            u->t = now_us();
            if (strstr(m, "\r\nm=audio"))
                B[u->idx].on = 1;
        } else if (!strncmp(m, "ACK", 3)) {
            struct ucall *u = uf(cid);
            if (u) {
                u->acked = 1;
                if (strstr(m, "\r\nm=audio")) {
                    media_of(m, &B[u->idx]);
                    B[u->idx].on = 1;
                }
            }
        } else if (!strncmp(m, "BYE", 3) || !strncmp(m, "CANCEL", 6)) {
            struct ucall *u = uf(cid);
            if (u && !u->bye) {
                u->bye = 1;
                B[u->idx].on = 0;
            }
            reply(fd, m, from, 200, "OK", uasip, uasport, 0, 0);
        } else
            reply(fd, m, from, 200, "OK", uasip, uasport, 0, 0);
    } else {
        int i = ci(cid);
        if (!strncmp(m, "ACK", 3))
            return;
        if (!strncmp(m, "INVITE", 6)) {
            reinv++;
            if (i >= 0)
                media_of(m, &A[i]);
            reply(fd, m, from, 200, "OK", uacip, uacport, i >= 0 ? rtpbase + 2 * i : 0, 0);
            return;
        }
        reply(fd, m, from, 200, "OK", uacip, uacport, 0, 0);
        if (!strncmp(m, "BYE", 3) && i >= 0 && C[i].st == 2) {
            inbye++;
            C[i].st = 5;
            A[i].on = 0;
        }
    }
}
static void pump(int ms) {
    struct epoll_event ev;
    static int ep = -1;
    if (ep < 0) {
        ep = epoll_create1(0);
        struct epoll_event e = {.events = EPOLLIN, .data.fd = sa};
        epoll_ctl(ep, EPOLL_CTL_ADD, sa, &e);
        if (mode == 0) {
            e.data.fd = sb;
            epoll_ctl(ep, EPOLL_CTL_ADD, sb, &e);
        }
    }
    uint64_t end = now_us() + ms * 1000ull;
    do {
        int64_t w = (int64_t)(end - now_us()) / 1000;
        if (w < 0)
            w = 0;
        int k = epoll_wait(ep, &ev, 1, w);
        if (k <= 0)
            break;
        char b[8192];
        struct sockaddr_in f;
        socklen_t fl = sizeof f;
        int l;
        while ((l = recvfrom(ev.data.fd, b, 8191, 0, (void *)&f, &fl)) > 0) {
            b[l] = 0;
            if (l > 10)
                onmsg(ev.data.fd, b, &f);
            fl = sizeof f;
        }
    } while (now_us() < end);
}
static void timers() {
    uint64_t n = now_us();
    for (int i = 0; i < N; i++)
        if (C[i].st == 1 && C[i].retr < 7 && n - C[i].tlast > 500000ull * (1 + C[i].retr)) {
            C[i].retr++;
            retrans++;
            uint64_t ti = C[i].tinv;
            int r = C[i].retr;
            invite(i);
            C[i].tinv = ti;
            C[i].retr = r;
        } else if (C[i].st == 1 && n - C[i].tinv > 20000000) {
            C[i].st = 9;
            failures++;
        }
    for (int i = 0; i < nU; i++)
        if (!U[i].acked && !U[i].bye && U[i].t && n - U[i].t > 500000) {
            U[i].t = n;
            retrans++;
            sendto(sb, U[i].resp, U[i].rl, 0, (void *)&U[i].from, sizeof U[i].from);
        }
}
static void cpu(double *s, long *rss, double *us) {
    *s = 0;
    *rss = 0;
    *us = 0;
    for (int i = 0; i < npid; i++) {
        char p[64], b[2000];
        sprintf(p, "/proc/%d/stat", pids[i]);
        FILE *f = fopen(p, "r");
        if (!f)
            continue;
        int l = fread(b, 1, 1999, f);
        b[l] = 0;
        fclose(f);
        char *q = strrchr(b, ')');
        unsigned long u, k;
        long r;
        sscanf(q + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld", &u, &k, &r);
        *s += (u + k) / 100.0;
        *us += u / 100.0;
        *rss += r * 4;
    }
}
static long drops(int fd) {
    uint32_t memory[SK_MEMINFO_VARS];
    socklen_t length = sizeof memory;
    return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &length) ? 0 : memory[SK_MEMINFO_DROPS];
}
static void open_sink(struct leg *l) {
    struct sock_filter nothing = {.code = BPF_RET | BPF_K};
    struct sock_fprog program = {.len = 1, .filter = &nothing};
    l->overflown = drops(l->fd);
    if (setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program)) {
        perror("filter");
        exit(1);
    }
}
static uint64_t received(const struct leg *l) {
    return l->recv + (sink && l->fd > 0 ? drops(l->fd) - l->overflown : 0);
}
// Datagrams that our own sockets had no room for: lost here, and not on the way.
static long socket_drops(void) {
    long sum = 0;
    for (int i = 0; i < N; i++) {
        struct leg *both[] = {&A[i], &B[i]};
        for (int k = 0; k < 2; k++)
            if (both[k]->fd > 0)
                sum += sink ? both[k]->overflown : drops(both[k]->fd);
    }
    return sum;
}
static int cmp(const void *a, const void *b) {
    uint32_t x = *(uint32_t *)a, y = *(uint32_t *)b;
    return x < y ? -1 : x > y;
}
static double sysbusy(double *tot) {
    FILE *f = fopen("/proc/stat", "r");
    unsigned long v[8];
    if (fscanf(f, "cpu %lu %lu %lu %lu %lu %lu %lu %lu", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6, v + 7) != 8)
        v[0] = 0;
    fclose(f);
    double t = 0;
    for (int i = 0; i < 8; i++)
        t += v[i];
    *tot = t;
    return t - v[3] - v[4];
}
// Calls until the switch is killed, and what was sent by then: at most a packet of each end more than the switch may have had.
static void until_killed(void) {
    uint64_t begun = now_us(), end = begun + kill_ms * 1000ull;
    static uint64_t sent[2][MAXC];
    for (int i = 0, left = 0; now_us() < end;) {
        if (i < N && now_us() >= begun + i * 1000000ull / cps)
            invite(i++);
        else
            pump(1);
        timers();
        if (left || now_us() + LEAVE_MS * 1000 < end)
            continue;
        left = 1;
        for (int k = 0; k < leave && k < N; k++)
            if (C[k].st == 2) {
                A[k].on = 0;
                C[k].st = 3;
                inreq(k, "BYE", 2);
            }
    }
    for (int k = 0; k < npid; k++)
        if (kill(pids[k], SIGKILL)) {
            perror("kill");
            exit(1);
        }
    for (int i = 0; i < N; i++) {
        sent[0][i] = A[i].sent;
        sent[1][i] = B[i].sent;
    }
    stop = 1;
    printf("{\"calls\":%d,\"answered\":%ld,\"failed\":%ld,\"retransmissions\":%ld,\"callers\":[", N, answered, failures, retrans);
    for (int i = 0; i < N; i++)
        printf("%s%ld", i ? "," : "", C[i].t200 ? (long)sent[0][i] : -1);
    printf("],\"callees\":[");
    for (int i = 0; i < N; i++)
        printf("%s%lu", i ? "," : "", sent[1][i]);
    printf("],\"left\":[");
    for (int i = 0, first = 1; i < N; i++)
        if (C[i].st >= 3 && C[i].st <= 5) {
            printf("%s%d", first ? "" : ",", i);
            first = 0;
        }
    printf("]}\n");
}
int main(int c, char **v) {
    for (int i = 1; i < c; i++) {
        char *a = v[i], *n = i + 1 < c ? v[i + 1] : "";
#define O(x) (!strcmp(a, x) && ++i)
        if (O("-mode"))
            mode = !strcmp(n, "ivr") ? 1 : !strcmp(n, "raw") ? 2 : 0;
        else if (O("-n"))
            N = atoi(n);
        else if (O("-cps"))
            cps = atoi(n);
        else if (O("-hold"))
            hold = atoi(n);
        else if (O("-dest"))
            dest = n;
        else if (O("-sw"))
            sw = n;
        else if (O("-port"))
            swport = atoi(n);
        else if (O("-uac"))
            uacip = n;
        else if (O("-uas"))
            uasip = n;
        else if (O("-uacport"))
            uacport = atoi(n);
        else if (O("-uasport"))
            uasport = atoi(n);
        else if (O("-rtp"))
            rtpbase = atoi(n);
        else if (O("-pid"))
            pids[npid++] = atoi(n);
        else if (O("-map"))
            rawmap = n;
        else if (O("-dtmf"))
            digit = n;
        else if (O("-mute_a"))
            mute_a = atoi(n);
        else if (O("-mute_b"))
            mute_b = atoi(n);
        else if (O("-srtp"))
            secure = atoi(n);
        else if (O("-lazy"))
            lazy = atoi(n);
        else if (O("-senders"))
            senders = atoi(n) < 1 ? 1 : atoi(n) > MOST_SENDERS ? MOST_SENDERS : atoi(n);
        else if (O("-sink"))
            sink = atoi(n);
        else if (O("-extra"))
            extra = n;
        else if (O("-from"))
            prefix = n;
        else if (O("-kill"))
            kill_ms = atoi(n);
        else if (O("-leave"))
            leave = atoi(n);
        else {
            fprintf(stderr, "? %s\n", a);
            return 1;
        }
    }
    if (secure) {
        srtp_init();
        make_keys();
    }
    T0 = now_us();
    dly = malloc(capdly * 4);
    swaddr.sin_family = AF_INET;
    swaddr.sin_port = htons(swport);
    inet_pton(AF_INET, sw, &swaddr.sin_addr);
    epr = epoll_create1(0);
    FILE *mf = rawmap ? fopen(rawmap, "r") : 0;
    for (int i = 0; i < N; i++) {
        int ap = rtpbase + 2 * i, bp = rtpbase + 2 * i, ad = 0, bd = 0;
        if (mode == 2) {
            if (fscanf(mf, "%d %d %d %d", &ap, &bp, &ad, &bd) != 4) {
                fprintf(stderr, "map short\n");
                return 1;
            }
        }
        A[i].fd = mk(uacip, ap);
        A[i].ssrc = 0x1000 + i;
        A[i].seq = 1;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &A[i]};
        epoll_ctl(epr, EPOLL_CTL_ADD, A[i].fd, &e);
        if (mode != 1) {
            B[i].fd = mk(uasip, bp);
            B[i].ssrc = 0x9000 + i;
            B[i].seq = 1;
            e.data.ptr = &B[i];
            epoll_ctl(epr, EPOLL_CTL_ADD, B[i].fd, &e);
        }
        if (mode == 2) {
            struct sockaddr_in d = swaddr;
            d.sin_port = htons(ad);
            A[i].peer = d;
            d.sin_port = htons(bd);
            B[i].peer = d;
            if (secure) {
                static uint8_t there[30] = {1}, back[30] = {2};
                A[i].out = session(there, ssrc_any_outbound);
                B[i].in = session(there, ssrc_any_inbound);
                B[i].out = session(back, ssrc_any_outbound);
                A[i].in = session(back, ssrc_any_inbound);
            }
            A[i].on = B[i].on = 1;
        }
    }
    if (mode != 2) {
        sa = mk(uacip, uacport);
        if (mode == 0)
            sb = mk(uasip, uasport);
    }
    double c0, c1, c2, c3, u0, u1, u2, u3;
    long r0, r1, r2, r3;
    cpu(&c0, &r0, &u0);
    pthread_t t1, t2[MOST_SENDERS];
    pthread_create(&t1, 0, recver, 0);
    for (int k = 0; k < senders; k++)
        pthread_create(&t2[k], 0, sender, (void *)(intptr_t)k);
    if (kill_ms) {
        until_killed();
        pthread_join(t1, 0);
        for (int k = 0; k < senders; k++)
            pthread_join(t2[k], 0);
        return 0;
    }
    uint64_t st = now_us();
    if (mode != 2) {
        for (int i = 0; i < N;) {
            uint64_t due = st + i * 1000000ull / cps;
            if (now_us() >= due) {
                invite(i);
                i++;
            } else
                pump(1);
            timers();
        }
        for (int k = 0; k < 300; k++) {
            pump(10);
            timers();
            int w = 0;
            for (int i = 0; i < N; i++)
                w += C[i].st == 1;
            if (!w)
                break;
        }
        for (uint64_t end = now_us() + SETTLE_MS * 1000; now_us() < end; timers())
            pump(10);
    } else
        usleep(SETTLE_MS * 1000);
    for (int i = 0; sink && i < N; i++) {
        open_sink(&A[i]);
        if (mode != 1)
            open_sink(&B[i]);
    }
    cpu(&c1, &r1, &u1);
    double b1, tt1, b2, tt2;
    b1 = sysbusy(&tt1);
    uint64_t m1 = now_us();
    uint64_t as0 = 0, bs0 = 0, ar0 = 0, br0 = 0;
    for (int i = 0; i < N; i++) {
        as0 += A[i].sent;
        bs0 += B[i].sent;
        ar0 += received(&A[i]);
        br0 += received(&B[i]);
        A[i].late = B[i].late = A[i].maxgap = B[i].maxgap = 0;
        A[i].rlost = B[i].rlost = 0;
    }
    measuring = 1;
    while (now_us() - m1 < hold * 1000000ull) {
        if (mode != 2) {
            pump(20);
            timers();
        } else
            usleep(20000);
    }
    measuring = 0;
    cpu(&c2, &r2, &u2);
    b2 = sysbusy(&tt2);
    uint64_t m2 = now_us();
    double w = (m2 - m1) / 1e6;
    uint64_t as = 0, bs = 0, ar = 0, br = 0, late = 0, mg = 0, bad = 0, rl = 0;
    for (int i = 0; i < N; i++) {
        as += A[i].sent;
        bs += B[i].sent;
        ar += received(&A[i]);
        br += received(&B[i]);
        late += A[i].late + B[i].late;
        if (A[i].maxgap > mg)
            mg = A[i].maxgap;
        if (B[i].maxgap > mg)
            mg = B[i].maxgap;
        bad += A[i].badpay + B[i].badpay;
        rl += A[i].rlost + B[i].rlost;
    }
    int act = 0;
    for (int i = 0; i < N; i++)
        act += (mode == 2) || C[i].st == 2;
    for (int i = 0; i < N; i++) {
        A[i].on = 0;
        B[i].on = 0;
    }
    usleep(300000);
    // final loss: everything sent vs received, after drain
    uint64_t fas = 0, fbs = 0, far = 0, fbr = 0, early = 0;
    for (int i = 0; i < N; i++) {
        early += A[i].early + B[i].early;
        fas += A[i].sent;
        fbs += B[i].sent;
        far += received(&A[i]);
        fbr += received(&B[i]);
    }
    if (mode != 2) {
        uint64_t h = now_us();
        for (int i = 0; i < N; i++) {
            while (now_us() < h + i * 1000000ull / (cps * 2))
                pump(1);
            if (C[i].st == 2) {
                C[i].st = 3;
                inreq(i, "BYE", 2);
            }
        }
        for (int k = 0; k < 6; k++) {
            pump(400);
            int left = 0;
            for (int i = 0; i < N; i++)
                if (C[i].st == 3) {
                    left++;
                    inreq(i, "BYE", 2);
                    if (k)
                        retrans++;
                }
            if (!left)
                break;
        }
        pump(300); // the callee's BYEs
    }
    stop = 1;
    pthread_join(t1, 0);
    for (int k = 0; k < senders; k++)
        pthread_join(t2[k], 0);
    cpu(&c3, &r3, &u3);
    qsort((void *)dly, ndly, 4, cmp);
    qsort(lat, nlat, 4, cmp);
    if (mode != 2)
        printf("calls=%d answered=%ld failed=%ld active_at_end=%d byes_ok=%ld far_bye=%ld retrans=%ld reinvites=%ld setup_ms "
               "p50=%.1f p99=%.1f max=%.1f\n",
               N, answered, failures, act, byes_ok, inbye, retrans, reinv, nlat ? lat[nlat / 2] / 1e3 : 0,
               nlat ? lat[nlat * 99 / 100] / 1e3 : 0, nlat ? lat[nlat - 1] / 1e3 : 0);
    printf("window=%.1fs sent_A=%lu recv_B=%lu sent_B=%lu recv_A=%lu rtp_seq_gaps=%lu | whole run: A->B sent %lu recv %lu "
           "(%.3f%%) B->A sent %lu recv %lu (%.3f%%) unmarked=%lu\n",
           w, as - as0, br - br0, bs - bs0, ar - ar0, rl, fas, fbr, fas ? 100.0 * ((double)fas - fbr) / fas : 0, fbs, far,
           fbs ? 100.0 * ((double)fbs - far) / fbs : 0, bad);
    printf("delay_us p50=%u p95=%u p99=%u p999=%u max=%u n=%ld ; gaps>40ms=%lu maxgap_ms=%.1f sender_errs=%d\n",
           ndly ? dly[ndly / 2] : 0, ndly ? dly[ndly * 95 / 100] : 0, ndly ? dly[ndly * 99 / 100] : 0,
           ndly ? dly[(long)(ndly * 0.999)] : 0, ndly ? dly[ndly - 1] : 0, (long)ndly, late, mg / 1e3, sndb);
    printf("switch: cpu window %.2fs (user %.2f sys %.2f) = %.2f%% of one core, per 100 calls %.2f%%; setup cpu %.1f ms/call; "
           "teardown cpu %.1f ms/call; rss before %ld KB, in window %ld KB (+%.1f KB/call), after %ld KB; machine busy %.0f%% of "
           "2 cores\n",
           c2 - c1, u2 - u1, (c2 - c1) - (u2 - u1), 100 * (c2 - c1) / w, 100 * (c2 - c1) / w * 100 / N, (c1 - c0) * 1000 / N,
           (c3 - c2) * 1000 / N, r0, r2, (double)(r2 - r0) / N, r3, 100 * (b2 - b1) / (tt2 - tt1));
    printf("{\"calls\":%d,\"answered\":%ld,\"failed\":%ld,\"active\":%d,\"retransmissions\":%ld,\"window_s\":%.3f,\"cpu_s\":%.3f,"
           "\"setup_p50_us\":%u,\"setup_p99_us\":%u,\"delay_p50_us\":%u,\"delay_p99_us\":%u,\"sent\":%lu,\"received\":%lu,\"early\":%lu,"
           "\"socket_drops\":%ld,\"machine_busy\":%.4f,\"rss_before_kb\":%ld,\"rss_window_kb\":%ld,\"rss_after_kb\":%ld}\n",
           N, answered, failures, act, retrans, w, c2 - c1, nlat ? lat[nlat / 2] : 0, nlat ? lat[nlat * 99 / 100] : 0,
           ndly ? dly[ndly / 2] : 0, ndly ? dly[ndly * 99 / 100] : 0, fas + fbs, far + fbr, early, socket_drops(),
           (b2 - b1) / (tt2 - tt1), r0, r2, r3);
    return 0;
}
